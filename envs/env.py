"""The Gymnasium environment: one task on one robot, a sentence in every observation."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from vlagym.envs import catalog
from vlagym.envs.control import action_spec
from vlagym.envs.errors import BadSpec, Divergence, NotReset, unknown_name
from vlagym.envs.outcome import Judge
from vlagym.envs.robot import Robot
from vlagym.envs.safety import STOPPED, SafetyFilter, check_mode
from vlagym.envs.sampling import sample
from vlagym.envs.sentence_space import SentenceSpace
from vlagym.envs.types import ActionSpec, Base, EndedBy, EpisodeSpec, Facts, Observation
from vlagym.envs.sampling import base_for, check_body
from vlagym.envs.proprioception import state_components
from vlagym.envs.task import Task
from vlagym.envs.world import World

CAMERAS = ("front", "side", "wrist")
"""Of a robot with one arm."""
BODY_CAMERAS = ("head", "left_wrist", "right_wrist", "front")
"""Of a robot with two hands."""

Obs = dict[str, Any]


class VlaEnv(gymnasium.Env[Obs, NDArray[np.float32]]):
    """A task as a Gymnasium environment.

    An observation is a dict: `images` {camera: (H, W, 3) uint8 RGB, row 0 on top}, `proprio` {name: float32 array, unit and frame in the name},
    `instruction` (text), `time_s` (1,) float64, and on request `depth` {camera: (H, W) float32 in m} and `segmentation` {camera: (H, W)
    int32}. Every array is fresh memory. The reward is 1 at the step at which the goal has been held for `spec.hold_s`, else 0; the episode
    terminates there, or where another goal of the scene than the one that was asked for has been held as long (info["ended_by"] is
    "wrong_goal") or a step before its turn ("wrong_order"), or where a robot on its legs falls ("fall"), and is truncated at the spec's
    horizon. A diverged simulation terminates it too, with info["ended_by"] == "divergence".

    Args:
      task: Name of a task.
      robot: Name of a robot that can do it; default: the first that the task names.
      base: What carries the robot: fixed | planar | legs; default: the first base of the task that the robot has.
      control: ee_delta | ee_pose | joint_delta | joint_position, with two hands bimanual_ee_delta | joint_position | joint_position_fingers;
        default: the first that the robot takes. See `vlagym.envs.control.action_spec`.
      objects: Split of the object that the goal is about: seen | unseen.
      phrases: Split of the sentence's template: seen | unseen.
      catalogue: Which part of the assets episodes are drawn from: full, or core, the small world of the shipped checkpoint.
      arena_name: Where episodes happen.
      level: How sentences say it: plain | paraphrase | compositional | indirect | mixed.
      layout: Where things start: any | seen | unseen; default: seen, and any with the catalogue core.
      cameras: Which are rendered: front, side and wrist, of a robot with two hands head, left_wrist, right_wrist, front and side; all but the
        last of these where None.
      image_size: Width and height of the images.
      quality: fast | medium | high.
      look: Of the robot: auto or one of its looks.
      safety: off | clip | stop: a filter before the robot scales back what is too fast, too strong or out of bounds, or ends the episode there
        ("stop"); info["executed_action"] holds what was done instead, info["broken_limits"] the names of the limits. See `vlagym.envs.safety`.
      depth: Whether observations hold depth images.
      segmentation: Whether observations hold segmentation images: 0 background, 1 robot, 2 arena, then fixtures and props as in the spec.
      render_mode: None or "rgb_array": `render` returns the first camera's view.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(
        self,
        task: str = "place_on",
        *,
        robot: str = "default",
        base: str = "default",
        control: str = "default",
        objects: str = "seen",
        phrases: str = "seen",
        catalogue: str = "full",
        arena_name: str = "studio",
        level: str = "plain",
        layout: str = "default",
        cameras: Sequence[str] | None = None,
        image_size: tuple[int, int] = (256, 256),
        quality: str = "fast",
        look: str = "auto",
        safety: str = "off",
        depth: bool = False,
        segmentation: bool = False,
        render_mode: str | None = None,
    ) -> None:
        catalog.known("task", task)
        definition: Task = catalog.load("task", task)
        robot = definition.robots[0] if robot == "default" else robot
        body: Robot = catalog.load("robot", robot)
        check_body(task, definition, robot)
        carried = base_for(task, definition, body, base)
        usual = BODY_CAMERAS if body.has_two_hands else CAMERAS
        cameras = usual if cameras is None else cameras
        known = tuple(dict.fromkeys((*usual, "front", "side")))
        for name in cameras:
            if name not in known:
                raise unknown_name("camera", name, known)
        if render_mode not in (None, "rgb_array"):
            raise unknown_name("render mode", str(render_mode), ["rgb_array"])
        if not _is_size(image_size):
            raise BadSpec(f"image_size is {image_size!r}; it must be (width, height), two whole numbers between 8 and 4096")
        self.render_mode = render_mode
        self._draw = {"task": task, "robot": robot, "control": control, "objects": objects, "phrases": phrases}
        self._draw |= {"base": carried, "catalogue": catalogue, "arena_name": arena_name, "level": level, "layout": layout}
        self._camera_names = tuple(cameras)
        self._image_size = image_size
        self._world = World(quality=quality, look=look, depth=depth, segmentation=segmentation)
        self._action_spec = action_spec(body, control, base=carried)
        self._safety = SafetyFilter(check_mode(safety))
        self._running = False
        self._started = False
        self.action_space = spaces.Box(self._action_spec.low, self._action_spec.high, dtype=np.float32)
        self.observation_space = self._space(body, carried, depth, segmentation)

    # ------------------------------------------------------------------------------------------------------------ Gymnasium's API
    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Obs, dict[str, Any]]:
        """Begins an episode.

        Args:
          seed: Draws the episode of that seed. None: the next seed of this environment's own generator.
          options: {"spec": an `EpisodeSpec` or its JSON} begins that very episode.

        Returns:
          The first observation, and info: `spec` (JSON), `digest`, `instruction`, `goal_met`, `stage_met`, `success`, `ended_by` (None).

        Raises:
          BadSpec: If the spec has other cameras, image sizes or controls than this environment, or an option is unknown.
          UnknownName: If there is no such task.
        """
        super().reset(seed=seed)
        given = dict(options or {})
        spec = given.pop("spec", None)
        if given:
            raise BadSpec(f"reset has no option {sorted(given)[0]!r}; there is: spec")
        if spec is None:
            drawn = int(self.np_random.integers(2**31)) if seed is None else seed
            episode = self._with_cameras(sample(**self._draw, seed=drawn))
        else:
            episode = EpisodeSpec.from_json(spec) if isinstance(spec, str) else spec
            if not isinstance(episode, EpisodeSpec):
                raise BadSpec(f"options['spec'] is a {type(spec).__name__}; it must be an EpisodeSpec or its JSON text")
            self._check_spec(episode)
        self._running = self._started = False
        facts = self._world.start(episode)
        self._safety.reset(episode)
        self._judge = Judge(episode, facts.step_met)
        self._facts = facts
        self._steps = 0
        self._running = self._started = True
        self._observation = self._observe()
        return self._observation, {"spec": episode.to_json(), "digest": episode.digest(), **self._info(facts, None)}

    def step(self, action: NDArray[np.float32]) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Executes one control step.

        Raises:
          NotReset: Before the first reset and after the end of an episode.
          BadAction: If the action has another shape, holds NaN, or leaves the bounds.
        """
        if not self._running:
            raise NotReset("the episode is over: reset the environment" if self._started else "reset the environment before its first step")
        filtered = self._safety.filter(action, self._observation["proprio"], self._facts)
        try:
            facts = self._facts = self._world.advance(filtered.action)
        except Divergence as divergence:
            self._running = False
            info = {"success": False, "ended_by": "divergence", "warning": str(divergence), "instruction": self._world.spec.instruction}
            return _copy(self._observation), 0.0, True, False, info
        self._steps += 1
        verdict: EndedBy | None = self._judge.update(facts.goal_met, facts.alternative_met, facts.step_met)
        verdict = "fall" if facts.is_fallen else verdict
        verdict = "stop" if verdict is None and filtered.verdict == STOPPED else verdict
        truncated = verdict is None and self._steps >= self._world.spec.horizon_steps
        self._running = verdict is None and not truncated
        self._observation = self._observe()
        ended_by = verdict or ("horizon" if truncated else None)
        info = self._info(facts, ended_by)
        if self._safety.mode != "off":
            info |= {"broken_limits": filtered.broken, "executed_action": filtered.action}
        return self._observation, float(verdict == "goal"), verdict is not None, truncated, info

    def render(self) -> NDArray[np.uint8] | None:
        """Returns a fresh `(H, W, 3)` uint8 image of the first camera; None without a render mode."""
        if self.render_mode is None:
            return None
        width, height = self._image_size
        return self._world.render(self._camera_names[0] if self._camera_names else "front", width, height)

    def close(self) -> None:
        """Frees the renderer."""
        self._running = False
        self._world.close()

    # -------------------------------------------------------------------------------------------------------------------- vlagym's
    @property
    def spec_running(self) -> EpisodeSpec:
        """The running episode as a value."""
        return self._world.spec

    @property
    def world(self) -> World:
        """The world behind the environment, for those who need the facts."""
        return self._world

    def _observe(self) -> Obs:
        return as_dict(self._world.observe(self._camera_names))

    def _info(self, facts: Facts, ended_by: str | None) -> dict[str, Any]:
        return {
            "instruction": self._world.spec.instruction,
            # Tuples: a vector of environments cannot stack arrays of as many conditions as each scene happens to have.
            "goal_met": tuple(facts.goal_met.tolist()),
            "stage_met": tuple(facts.stage_met.tolist()),
            "success": ended_by == "goal",
            "ended_by": ended_by,
        }

    def _with_cameras(self, spec: EpisodeSpec) -> EpisodeSpec:
        width, height = self._image_size
        cameras = tuple(dataclasses.replace(c, width=width, height=height) for c in spec.scene.cameras)
        return dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, cameras=cameras))

    def _check_spec(self, spec: EpisodeSpec) -> None:
        catalog.known("task", spec.task)
        mine, its = ((self._draw["robot"], self._draw["base"]), (spec.robot, spec.robot_base))
        if mine != its:
            found = f"the spec is of robot {its[0]!r} on base {its[1]!r}"
            raise BadSpec(f"{found}, this environment of {mine[0]!r} on {mine[1]!r}: make one of the spec's")
        if spec.control != self._action_spec:
            raise BadSpec(f"the spec is controlled by {_in_words(spec.control)}, this environment by {_in_words(self._action_spec)}")
        sizes = {c.name: (c.width, c.height) for c in spec.scene.cameras}
        for name in self._camera_names:
            if name not in sizes:
                raise unknown_name("camera", name, sizes, "The spec's scene lacks it.")
            if sizes[name] != tuple(self._image_size):
                raise BadSpec(f"camera {name!r} of the spec has {sizes[name]} pixels, this environment {tuple(self._image_size)}")

    def _space(self, robot: Robot, base: Base, depth: bool, segmentation: bool) -> spaces.Dict:
        width, height = self._image_size
        names = self._camera_names
        bounds: dict[str, spaces.Space[Any]] = {c.name: spaces.Box(-np.inf, np.inf, (c.size,), np.float32) for c in state_components(robot, base)}
        parts: dict[str, spaces.Space[Any]] = {
            "images": spaces.Dict({n: spaces.Box(0, 255, (height, width, 3), np.uint8) for n in names}),
            "proprio": spaces.Dict(bounds),
            "instruction": SentenceSpace(),
            "time_s": spaces.Box(0.0, np.inf, (1,), np.float64),
        }
        if depth:
            parts["depth"] = spaces.Dict({n: spaces.Box(0.0, np.inf, (height, width), np.float32) for n in names})
        if segmentation:
            parts["segmentation"] = spaces.Dict({n: spaces.Box(0, 2**20, (height, width), np.int32) for n in names})
        return spaces.Dict(parts)


def as_dict(observation: Observation) -> Obs:
    """Returns an observation as the plain dict that Gymnasium's spaces describe."""
    out: Obs = {
        "images": dict(observation.images),
        "proprio": dict(observation.proprio),
        "instruction": observation.instruction,
        "time_s": np.array([observation.time_s], np.float64),
    }
    if observation.depth:
        out["depth"] = dict(observation.depth)
    if observation.segmentation:
        out["segmentation"] = dict(observation.segmentation)
    return out


def _is_size(size: object) -> bool:
    if not isinstance(size, Sequence) or isinstance(size, str) or len(size) != 2:
        return False
    return all(isinstance(side, int | np.integer) and 8 <= side <= 4096 for side in size)


def _in_words(control: ActionSpec) -> str:
    parts = ", ".join(f"{c.name}[{c.size}]" + ("" if c.scale == 1.0 else f" of {c.scale:g} {c.unit}") for c in control.components)
    return f"{control.name!r} at {control.rate_hz:g} Hz ({parts})"


def _copy(observation: Obs) -> Obs:
    return copy.deepcopy(observation)
