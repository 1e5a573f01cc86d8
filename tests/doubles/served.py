"""A policy to put behind wires: what it answers tells what it was told, shown and asked before."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from vlagym.envs.types import ActionChunk, ActionComponent, ActionSpec, ImageComponent, Observation, ObservationSpec, StateComponent
from vlagym.policies.base import EpisodeContext, PolicySpec


def component(name: str, size: int, convention: str, unit: str, scale: float, frame: str = "base") -> ActionComponent:
    return ActionComponent(name=name, size=size, convention=convention, frame=frame, unit=unit, scale=scale, low=(-1.0,) * size, high=(1.0,) * size)


ACTION = ActionSpec(
    name="ee_delta",
    components=(
        component("translation", 3, "delta_position", "m", 0.05),
        component("rotation", 3, "delta_axis_angle", "rad", 0.25),
        component("gripper", 1, "gripper_closed_positive", "fraction", 1.0, frame="joint"),
    ),
    rate_hz=20.0,
)
OBSERVATION = ObservationSpec(
    images=(ImageComponent(name="front", width=16, height=12), ImageComponent(name="wrist", width=8, height=8)),
    state=(StateComponent(name="ee_pos_base_m", size=3), StateComponent(name="gripper_opening_m", size=1)),
    rate_hz=20.0,
)


class Echo:
    """Sends chunks `(T, 7)`: place in the chunk, calls since the episode began, mean of the front image, of the wrist image, sum of the state, length
    of the sentence, and a draw of the episode, all within -1 and 1."""

    def __init__(self, *, chunk_steps: int = 4, execute_steps: int = 3, slow_s: float = 0.0, **changes: Any) -> None:
        self.spec = replace(
            PolicySpec(name="echo", action=ACTION, observation=OBSERVATION, chunk_steps=chunk_steps, execute_steps=execute_steps), **changes
        )
        self._slow_s = slow_s
        self._calls: dict[int, int] = {}
        self._told: dict[int, EpisodeContext] = {}
        self.batches: list[int] = []
        """Slots of each call."""
        self.begun: list[tuple[int, str, str]] = []
        """(slot, sentence, digest) of each episode."""
        self.threads: set[int] = set()
        self.is_closed = False

    def reset(self, context: EpisodeContext) -> None:
        self.threads.add(threading.get_ident())
        self._calls[context.slot], self._told[context.slot] = 0, context
        self.begun.append((context.slot, context.instruction, context.digest))
        if context.instruction == "refuse":
            raise ValueError("I will not begin")

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        self.threads.add(threading.get_ident())
        self.batches.append(len(observations))
        time.sleep(self._slow_s)
        chunks = {slot: self._one(slot, o) for slot, o in observations.items()}
        sentences = [o.instruction for o in observations.values()]
        if "raise" in sentences:
            raise ValueError("I have no idea")
        for slot, observation in observations.items():
            if observation.instruction == "nan":
                chunks[slot].values[1, 2] = np.nan
        return chunks

    def close(self) -> None:
        self.is_closed = True

    def _one(self, slot: int, o: Observation) -> ActionChunk:
        assert o.instruction == self._told[slot].instruction
        self._calls[slot] += 1
        values = np.zeros((self.spec.chunk_steps, 7), np.float32)
        values[:, 0] = np.arange(self.spec.chunk_steps) / 100
        values[:, 1] = self._calls[slot] / 100
        for column, name in ((2, "front"), (3, "wrist")):
            values[:, column] = o.images[name].mean() / 255
        values[:, 4] = np.tanh(sum(float(v.sum()) for v in o.proprio.values()))
        values[:, 5] = len(o.instruction) / 100
        values[:, 6] = int(self._told[slot].digest[:4], 16) / 65536
        return ActionChunk(values=values, spec=ACTION)


def frames(level: int = 100) -> dict[str, Any]:
    """Returns images of that mean brightness, each with its own pattern."""
    front = np.full((12, 16, 3), level, np.uint8)
    front[::2] += 10
    front[1::2] -= 10
    return {"front": front, "wrist": np.full((8, 8, 3), level // 2, np.uint8)}


def state(x: float = 0.1) -> dict[str, Any]:
    return {"ee_pos_base_m": np.array([x, 0.2, 0.3], np.float32), "gripper_opening_m": np.array([0.04], np.float32)}


def observation(instruction: str = "lift the cube", level: int = 100, x: float = 0.1) -> Observation:
    return Observation(images=frames(level), proprio=state(x), instruction=instruction, time_s=0.0)


def context(slot: int = 0, instruction: str = "lift the cube", digest: str = "00ff" * 8) -> EpisodeContext:
    return EpisodeContext(slot=slot, instruction=instruction, action=ACTION, digest=digest)
