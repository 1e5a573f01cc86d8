"""A world of a point that pushes a block, and policies for it: tiny, deterministic, importable in worker processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vlagym.benchmark.episode import WorldOptions
from vlagym.envs.errors import BadSpec, Divergence, NotReset
from vlagym.envs.types import (
    CONTACT_KINDS,
    ActionChunk,
    ActionComponent,
    ActionSpec,
    CameraSpec,
    EpisodeSpec,
    Facts,
    ImageComponent,
    Observation,
    ObservationSpec,
    Predicate,
    Privileged,
    PropSpec,
    PropState,
    SceneSpec,
    StateComponent,
    sha,
    sha_arrays,
    stream,
)
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.loading import refuse_options

SUBSTEPS = 5


def component(name: str, size: int, convention: str, unit: str, scale: float, frame: str = "base") -> ActionComponent:
    return ActionComponent(
        name=name, size=size, convention=convention, frame=frame, unit=unit, scale=scale, low=(-1.0,) * size, high=(1.0,) * size
    )


CONTROL = ActionSpec(
    name="ee_delta",
    components=(
        component("translation", 3, "delta_position", "m", 0.05),
        component("rotation", 3, "delta_axis_angle", "rad", 0.25),
        component("gripper", 1, "gripper_closed_positive", "fraction", 1.0, frame="joint"),
    ),
    rate_hz=20.0,
)
STATE = (
    StateComponent(name="ee_pos_base_m", size=3),
    StateComponent(name="ee_quat_base_wxyz", size=4),
    StateComponent(name="ee_target_pos_base_m", size=3),
    StateComponent(name="ee_target_quat_base_wxyz", size=4),
    StateComponent(name="joint_pos_rad", size=7),
    StateComponent(name="gripper_opening_m", size=1),
    StateComponent(name="gripper_command", size=1),
)
UPRIGHT = (1.0, 0.0, 0.0, 0.0)


def spec(seed: int = 0, *, task: str = "place_on", trouble: str = "", horizon_s: float = 3.0, **changes: Any) -> EpisodeSpec:
    """Returns an episode: put the block on the plate. `trouble` is "divergence:3", "env_error:3", "die:3" …: what happens at which step."""
    rng = stream(seed, task)
    x, y = rng.uniform(-0.15, 0.15, size=2).tolist()
    props = (
        PropSpec(name="block", asset="block_red", pos_world=(0.5 + x, y, 0.0), quat_world_wxyz=UPRIGHT),
        PropSpec(name="plate", asset="plate_white", pos_world=(0.5, -0.3, 0.0), quat_world_wxyz=UPRIGHT),
    )
    camera = CameraSpec(
        name="front", parent="world", pos_parent=(1.0, 0.0, 1.0), quat_parent_wxyz=UPRIGHT, fovy_deg=45.0, width=16, height=16
    )
    goal = (Predicate(name="on", args=("block", "plate")),)
    first = EpisodeSpec(
        task=task,
        robot="panda",
        scene=SceneSpec(arena="table", props=props, cameras=(camera,)),
        robot_qpos=(0.0,) * 7,
        goal=goal,
        stages=(Predicate(name="held", args=("block",)), *goal),
        alternatives=(),
        instruction="put the red block on the plate",
        phrase=trouble or "plain",
        control=CONTROL,
        horizon_s=horizon_s,
        hold_s=0.1,
        seed=seed,
    )
    return replace(first, **changes)


def sample(task: str, *, robot: str, seed: int, objects: str, phrases: str, control: str, **world: str) -> EpisodeSpec:
    """Stands in for `vlagym.envs.sampling.sample`."""
    words = {"seen": "put the red block on the plate", "unseen": "the plate wants the red block"}
    return spec(seed, task=task, robot=robot, split=objects, instruction=words[phrases])


def find_nothing_unseen(spec: EpisodeSpec, *, places: bool) -> tuple[str, ...]:
    """Stands in for `vlagym.envs.split.unseen_in`: of the fake episodes, nothing is kept for evaluation."""
    return ()


class FakeWorld:
    """A point that carries a block when its gripper is closed beside it."""

    def __init__(self, options: WorldOptions) -> None:
        self._options = options
        self._spec: EpisodeSpec | None = None
        self.look = "plain"
        self.model_digest = ""
        self.initial_state_digest = ""
        self.rendered: list[tuple[int, tuple[str, ...]]] = []
        """(step, cameras) of each observation."""

    def gl_renderer(self) -> str | None:
        return "fake renderer"

    def start(self, spec: EpisodeSpec) -> Facts:
        if spec.phrase == "unstartable":
            raise BadSpec("no such thing as this scene")
        if spec.phrase == "unsettled":
            raise Divergence("MuJoCo warned of BADQACC at 0.002 s")
        self._spec = spec
        self._index = 0
        self._ee = np.array([0.5, 0.0, 0.2])
        self._block = np.array(spec.scene.props[0].pos_world)
        self._plate = np.array(spec.scene.props[1].pos_world)
        self._gripper, self._is_held = -1.0, False
        self.model_digest = sha(spec.scene.arena.encode())
        self.initial_state_digest = self.state_digest()
        return self._facts(0, 0.0)

    def advance(self, action: Any) -> Facts:
        if self._spec is None:
            raise NotReset("start first")
        values = self._spec.control.check(action).astype(np.float64)
        self._trouble()
        before = self._ee
        self._ee = np.clip(self._ee + 0.05 * values[:3], [0.2, -0.5, 0.0], [0.8, 0.5, 0.5])
        self._gripper = float(values[6])
        is_near = float(np.linalg.norm(self._ee - self._block)) < 0.04
        self._is_held = self._gripper > 0 and (self._is_held or is_near)
        if self._is_held:
            self._block = self._ee.copy()
        else:
            self._block[2] = 0.0
        self._index += 1
        return self._facts(SUBSTEPS, float(np.linalg.norm(self._ee - before)))

    def observe(self, cameras: Sequence[str] | None = None, *, privileged: bool = False) -> Observation:
        assert self._spec is not None
        names = tuple(c.name for c in self._spec.scene.cameras) if cameras is None else tuple(cameras)
        assert self._options.render or not names, "a world that does not render was asked for an image"
        self.rendered.append((self._index, names))
        props = {"block": PropState(pos_world=tuple(self._block.tolist()), quat_world_wxyz=UPRIGHT, is_held=self._is_held)}
        truth = Privileged(props=props, fixture_joints={}, goal_met=(False,))
        return Observation(
            images={name: self._image() for name in names},
            proprio={
                "ee_pos_base_m": self._ee.astype(np.float32),
                "ee_quat_base_wxyz": np.array(UPRIGHT, np.float32),
                "ee_target_pos_base_m": self._ee.astype(np.float32),
                "ee_target_quat_base_wxyz": np.array(UPRIGHT, np.float32),
                "joint_pos_rad": np.zeros(7, np.float32),
                "gripper_opening_m": np.array([0.04 * (1 - self._gripper)], np.float32),
                "gripper_command": np.array([self._gripper], np.float32),
            },
            instruction=self._spec.instruction,
            time_s=self._index / 20.0,
            privileged=truth if privileged else None,
        )

    def observation_spec(self) -> ObservationSpec:
        assert self._spec is not None
        images = tuple(ImageComponent(name=c.name, width=c.width, height=c.height) for c in self._spec.scene.cameras)
        return ObservationSpec(images=images, state=STATE, rate_hz=20.0)

    def state_digest(self) -> str:
        return sha_arrays(self._ee, self._block, np.array([self._gripper, self._is_held]))

    def close(self) -> None:
        self._spec = None

    def _image(self) -> Any:
        pixels = np.arange(16 * 16 * 3).reshape(16, 16, 3) * (1 + 40 * float(self._block[0] + self._ee.sum()))
        return (pixels % 256).astype(np.uint8)

    def _trouble(self) -> None:
        assert self._spec is not None
        kind, _, at = self._spec.phrase.partition(":")
        if not at.isdecimal() or int(at) != self._index:
            return
        if kind == "divergence":
            raise Divergence("MuJoCo warned of BADQACC at 0.150 s")
        if kind == "env_error":
            raise RuntimeError("the world has a bug")
        if kind == "sleep":
            time.sleep(60)
        if kind == "die":
            os.kill(os.getpid(), signal.SIGKILL)

    def _facts(self, substeps: int, moved_m: float) -> Facts:
        is_on = not self._is_held and bool(np.linalg.norm((self._block - self._plate)[:2]) < 0.05)
        force = np.zeros((substeps, len(CONTACT_KINDS)), np.float32)
        force[:, 0] = 5.0 if self._ee[2] <= 0.0 else 0.0
        return Facts(
            goal_met=np.array([is_on]),
            stage_met=np.array([self._is_held, is_on]),
            alternative_met=np.zeros(0, bool),
            step_met=np.zeros(0, bool),
            contacts=(),
            contact_force_n=force,
            ee_pos_world_m=self._ee[None].copy(),
            ee_quat_world_wxyz=np.array([UPRIGHT]),
            gripper_opening_m=np.array([0.04 * (1 - self._gripper)]),
            joint_pos=np.zeros(7),
            joint_vel=np.zeros(7),
            prop_pos_world_m=np.stack([self._block, self._plate]),
            prop_quat_world_wxyz=np.array([UPRIGHT, UPRIGHT]),
            prop_is_held=np.array([self._is_held, False]),
            prop_robot_force_n=np.array([3.0 if self._is_held else 0.0, 0.0], np.float32),
            fixture_joint_pos=np.zeros(0),
            fixture_robot_force_n=np.zeros(0, np.float32),
            base_pose_world=np.zeros(3),
            com_margin_m=np.zeros(0),
            foot_slip_m=np.zeros(0),
            is_fallen=False,
            torque_share=0.1,
            joint_margin_rad=0.5,
            energy_j=moved_m,
            time_s=self._index / 20.0,
        )


def make_world(options: WorldOptions) -> FakeWorld:
    return FakeWorld(options)


class Carrier:
    """Carries the block to the plate, with noise that depends on the episode and on the pixels that it sees."""

    def __init__(self, name: str = "carrier", *, in_worker: bool = False, chunk_steps: int = 4, execute_steps: int = 2) -> None:
        self.spec = PolicySpec(
            name=name,
            action=CONTROL,
            observation=ObservationSpec(images=(ImageComponent(name="front", width=16, height=16),), state=STATE[:1], rate_hz=20.0),
            chunk_steps=chunk_steps,
            execute_steps=execute_steps,
            privileged=True,
            runs_in_worker=in_worker,
            card={"about": "a double for tests"},
        )
        self._rng: dict[int, np.random.Generator] = {}
        self._specs: dict[int, EpisodeSpec] = {}
        self.batches: list[int] = []
        self.is_closed = False

    def reset(self, context: EpisodeContext) -> None:
        assert context.spec is not None
        self._rng[context.slot] = stream(0, context.digest)
        self._specs[context.slot] = context.spec

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        self.batches.append(len(observations))
        return {slot: self._one(slot, o) for slot, o in observations.items()}

    def close(self) -> None:
        self.is_closed = True

    def _one(self, slot: int, observation: Observation) -> ActionChunk:
        assert observation.privileged is not None
        ee = observation.proprio["ee_pos_base_m"].astype(np.float64)
        block = observation.privileged.props["block"]
        is_held = block.is_held
        plate = np.array(self._specs[slot].scene.props[1].pos_world)
        aim = plate if is_held else np.array(block.pos_world)
        is_done = bool(np.linalg.norm(np.array(block.pos_world)[:2] - plate[:2]) < 0.03)
        values = np.zeros((self.spec.chunk_steps, 7), np.float32)
        wobble = (int(observation.images["front"].sum()) % 7 - 3) * 0.002
        for row in values:
            step = np.zeros(3) if is_done else np.clip((aim - ee) / 0.05, -1, 1)
            row[:3] = np.clip(0.8 * step + self._rng[slot].normal(0, 0.02, size=3) + wobble, -1, 1)
            row[6] = -1.0 if is_done else 1.0
            ee = ee + 0.05 * row[:3]
        return ActionChunk(values=values, spec=CONTROL)


class Faulty(Carrier):
    """Raises in `act`, in `reset`, or sends rubbish, in episodes whose seed it was told.

    `late`: raises after it has drawn for all slots, so that the call has changed what it remembers of each. `exit`: calls sys.exit.
    `surrogate`: raises what is no text of UTF-8.
    `short`: leaves the slot out of its answer.
    """

    def __init__(self, seeds: Sequence[int], what: str) -> None:
        super().__init__("faulty", in_worker=what == "die")
        self._seeds, self._what = set(seeds), what

    def reset(self, context: EpisodeContext) -> None:
        super().reset(context)
        if self._what == "reset" and context.spec is not None and context.spec.seed in self._seeds:
            raise ValueError("I will not begin")

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        time.sleep(0.002)  # so that others come to wait meanwhile, and are asked in one call
        bad = [slot for slot in observations if self._specs[slot].seed in self._seeds]
        if bad and self._what == "act":
            raise ValueError("I have no idea")
        if bad and self._what == "surrogate":
            raise ValueError("half \ud83d of a pair")  # as json.loads gives it of a text that was cut
        if bad and self._what == "exit":
            sys.exit(0)
        if bad and self._what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        chunks = super().act(observations)
        if bad and self._what == "late":
            raise ValueError("I have no idea")
        for slot in bad:
            if self._what == "short":
                del chunks[slot]
            if self._what == "nan":
                chunks[slot].values[0, 2] = np.nan
            if self._what == "range":
                chunks[slot].values[:, 2] = 1.5
        return chunks


class Pixels:
    """Acts on the pixels of the real front camera: whatever changes one of them changes what it does."""

    def __init__(self) -> None:
        images = (ImageComponent(name="front", width=96, height=96, crop=192),)
        observation = ObservationSpec(images=images, state=(StateComponent(name="ee_pos_base_m", size=3),), rate_hz=20.0)
        self.spec = PolicySpec(name="pixels", action=CONTROL, observation=observation, chunk_steps=4, execute_steps=3)

    def reset(self, context: EpisodeContext) -> None: ...

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        return {slot: ActionChunk(values=self._one(o), spec=CONTROL) for slot, o in observations.items()}

    def close(self) -> None: ...

    def _one(self, observation: Observation) -> Any:
        seed = int(observation.images["front"].astype(np.int64).sum()) + int(1e6 * float(observation.proprio["ee_pos_base_m"].sum()))
        return stream(abs(seed), "pixels").uniform(-1, 1, (4, 7)).astype(np.float32)


def PIXELS(argument: str | None, options: Mapping[str, str]) -> Pixels:
    return Pixels()


def CARRIER(argument: str | None, options: Mapping[str, str]) -> Carrier:
    refuse_options("carrier", options, ("execute", "seed"))
    return Carrier(in_worker=argument == "in_worker", execute_steps=int(options.get("execute", "2")))


def FAULTY(argument: str | None, options: Mapping[str, str]) -> Faulty:
    """`argument` is WHAT/SEED,SEED."""
    what, _, seeds = (argument or "").partition("/")
    return Faulty([int(s) for s in seeds.split(",")], what)


def LEAVING(argument: str | None, options: Mapping[str, str]) -> Carrier:
    sys.exit(0)


def BROKEN(argument: str | None, options: Mapping[str, str]) -> Pixels:
    """Reads what the real world sends and always raises."""
    policy = Pixels()
    policy.spec = replace(policy.spec, observation=replace(policy.spec.observation, images=()))

    def act(observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        raise ValueError("I have no idea")

    policy.act = act  # type: ignore[method-assign]
    return policy
