"""The environment type `vlagym` of LeRobot: `lerobot-eval --env.discover_packages_path=vlagym.benchmark.hosts.lerobot --env.type=vlagym`.

LeRobot imports this file and finds the configuration below. 0.6 and later make their environments by `create_envs`, 0.4 by Gymnasium's registry.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium

from vlagym.benchmark.hosts import offer
from vlagym.benchmark.hosts.lerobot.environment import LeRobotEnv, selected
from vlagym.envs.errors import BadData, MissingPackage

try:
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.envs.configs import EnvConfig
except ImportError as missing:
    raise MissingPackage("this is a plugin of LeRobot: pip install 'lerobot>=0.4.4', best in an environment of its own") from missing

GYM_ID = "vlagym/lerobot-v0"
_CHANGES = ("robot", "control", "rig", "level", "layout", "catalogue", "arena", "season")


@EnvConfig.register_subclass("vlagym")
@dataclass
class VlagymEnvConfig(EnvConfig):  # type: ignore[misc]  # LeRobot is absent where types are checked
    """What `--env.…` says of our environments; each field as `LeRobotEnv` and `vlagym run` have it.

    `task` is one of our tasks, or from LeRobot 0.6 on several with commas between them, or with a suite left out: all of its tasks.
    """

    task: str | None = None
    suite: str | None = None
    profile: str | None = None
    """Name of a profile, file that ends in .toml, or policy:NAME. Needed."""
    cameras: str | None = None
    """Images of the profile, with commas between them; left out: all."""
    state: str | None = None
    """States of the profile, with commas between them; left out: all."""
    episodes: int | None = None
    first_seed: int | None = None
    out: str | None = None
    """Folder for the ledgers; left out: none is written."""
    policy: str = "lerobot-eval"
    quality: str = "fast"
    look: str = "auto"
    safety: str = "off"
    on_error: str = "raise"
    robot: str | None = None
    control: str | None = None
    rig: str | None = None
    level: str | None = None
    layout: str | None = None
    catalogue: str | None = None
    arena: str | None = None
    season: str | None = None
    axes: str | None = None
    """Variations, with commas between them."""

    def __post_init__(self) -> None:
        """Declares what the policy is given, and registers the environment with Gymnasium."""
        profile = selected(offer.profile_of(self.profile, "LeRobot"), self.cameras, self.state)
        self.fps = round(profile.action.rate_hz)
        self.features = {"action": PolicyFeature(FeatureType.ACTION, (profile.action.size,))}
        self.features_map = {"action": "action"}
        size = sum(c.size for c in profile.observation.state)
        if size:
            self.features["agent_pos"] = PolicyFeature(FeatureType.STATE, (size,))
            self.features_map["agent_pos"] = "observation.state"
        for image in profile.observation.images:
            self.features[f"pixels/{image.name}"] = PolicyFeature(FeatureType.VISUAL, (image.height, image.width, 3))
            self.features_map[f"pixels/{image.name}"] = f"observation.images.{image.name}"
        if GYM_ID not in gymnasium.registry:
            # Without wrappers: LeRobot 0.4 does not look through them for the sentence, and would send an empty one.
            gymnasium.register(GYM_ID, entry_point=f"{LeRobotEnv.__module__}:LeRobotEnv", order_enforce=False, disable_env_checker=True)

    @property
    def gym_id(self) -> str:
        """The environment in Gymnasium's registry."""
        return GYM_ID

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """What the environment of one task is made with.

        Raises:
          BadData: If there is more than one: LeRobot 0.4 makes a single one.
        """
        tasks = self._tasks()
        if len(tasks) != 1:
            raise BadData(f"this version of LeRobot evaluates one task at a time: say --env.task, one of {', '.join(tasks)}")
        return self._arguments(tasks[0])

    def create_envs(self, n_envs: int, use_async_envs: bool = False) -> dict[str, dict[int, Any]]:
        """Returns {suite: {number of the task: vector environment}}."""
        if n_envs < 1:
            raise BadData(f"a vector environment has at least 1 environment, not {n_envs}")
        more: dict[str, Any] = {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}
        vector: Any = gymnasium.vector.SyncVectorEnv
        if use_async_envs and n_envs > 1:
            vector, more["context"] = gymnasium.vector.AsyncVectorEnv, "forkserver"  # GL does not survive a fork
        made = {}
        for number, task in enumerate(self._tasks()):
            made[number] = vector([partial(LeRobotEnv, **self._arguments(task)) for _ in range(n_envs)], **more)
        return {self.suite or self.type: made}

    def _tasks(self) -> list[str]:
        suite = offer.suite_of(self.suite, self.task, **self._changes())
        return list(dict.fromkeys(entry.task for entry in suite.entries))

    def _changes(self) -> dict[str, Any]:
        said = {name: getattr(self, name) for name in _CHANGES if getattr(self, name) is not None}
        return said | ({} if self.axes is None else {"axes": tuple(self.axes.split(","))})

    def _arguments(self, task: str) -> dict[str, Any]:
        plain = ("profile", "suite", "cameras", "state", "episodes", "first_seed", "out", "policy", "quality", "look", "safety", "on_error")
        said = {name: getattr(self, name) for name in plain}
        return {"task": task, **said, "changes": self._changes(), "command": tuple(sys.argv), "rests": True}
