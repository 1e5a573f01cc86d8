"""vlagym as a benchmark of vla-eval: `vla-eval run --no-docker` plays our episodes, and our ledger lies beside its own results.

    benchmarks:
      - benchmark: "vlagym.benchmark.hosts.vla_eval:Vlagym"
        episodes_per_task: 10
        params: {suite: smoke, profile: libero, out: runs/mine}

Seeds, success rule and horizon are ours; leave `max_steps` out of the configuration.
"""

from __future__ import annotations

import ctypes.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vlagym.benchmark import driven
from vlagym.benchmark.driven import DrivenEpisode, DrivenEpisodes
from vlagym.benchmark.hosts import offer
from vlagym.benchmark.runner import expand
from vlagym.envs import backend
from vlagym.envs.errors import BadData, ConventionMismatch, MissingPackage, VlagymError, unknown_name
from vlagym.envs.types import EpisodeResult, EpisodeSpec, Observation
from vlagym.policies.conversions import grippers
from vlagym.policies.conversions.scales import DISPLACEMENTS
from vlagym.policies.matching import IGNORED
from vlagym.policies.profile import Profile
from vlagym.policies.wire import vla_eval as wire
from vlagym.policies.wire import vla_eval_specs as specs

try:
    import vla_eval
    from vla_eval.benchmarks.base import StepBenchmark, StepResult
    from vla_eval.specs import DimSpec
except ImportError as missing:
    raise MissingPackage("this is a benchmark for vla-eval: pip install 'vla-eval>=0.8'") from missing

_CPU = {"MUJOCO_GL": "osmesa", "PYOPENGL_PLATFORM": "osmesa", "LIBGL_ALWAYS_SOFTWARE": "1"}
_MEASURES = ("goal_conditions", "collisions", "drops", "time_s")
"""Of our measures, those that its table has a column of; all of them are kept with each episode."""


_STILL = DISPLACEMENTS | {"joint_velocity", grippers.RELATIVE, IGNORED}
"""Conventions whose zero holds still."""


class EpisodeFailed(VlagymError):
    """An episode ended with an error, which vla-eval is to count as one."""


class Vlagym(StepBenchmark):  # type: ignore[misc]  # vla-eval is absent where types are checked
    """Episodes of a suite, one task of vla-eval's for each of its tasks, episode by episode in the suite's order.

    The images are sent under the profile's names in the profile's order, front before wrist in all that ship, as uint8 `(H, W, 3)`; state, where
    there is any, as one float32 vector `states`, the profile's arrays one after another; the sentence as `task_description`.
    """

    render_backends: ClassVar[frozenset[str]] = frozenset({"gpu", "cpu"})

    def __init__(
        self,
        suite: str | None = None,
        tasks: Sequence[str] | str | None = None,
        episodes: int | None = None,
        first_seed: int | None = None,
        profile: str | Mapping[str, Any] | None = None,
        policy: str = "vla-eval",
        out: str | None = None,
        resume: str | None = None,
        quality: str = "fast",
        look: str = "auto",
        safety: str = "off",
        robot: str | None = None,
        control: str | None = None,
        rig: str | None = None,
        level: str | None = None,
        layout: str | None = None,
        catalogue: str | None = None,
        arena: str | None = None,
        axes: Sequence[str] = (),
        season: str | None = None,
        workers: int | None = None,
        send_state: bool | None = None,
        send_wrist_image: bool | None = None,
        quat_no_antipodal: bool | None = None,
        absolute_action: bool | None = None,
    ) -> None:
        """Samples the episodes, opens the run folder and compares conventions.

        Args:
          suite: Name or file of a suite.
          tasks: Only these; without a suite, these.
          episodes: Of each task; None: as the suite says.
          first_seed: Of each task; None: as the suite says.
          profile: What the model server reads and sends: a name, a TOML file, `policy:` and the name of a policy of ours, or tables. Needed.
          policy: What the run calls whatever is served.
          out: The run folder; None: runs/<UTC time>-<policy>-<suite>. Each process needs its own.
          resume: A run folder to go on with, instead of `out`.
          quality: Of the images, as `vlagym run`.
          look: Of the robot, as `vlagym run`.
          safety: Of the safety filter, as `vlagym run`.
          robot: As `vlagym run`, and so are control, rig, level, layout, catalogue, arena, axes and season.
          workers: Processes that sample episodes before the first is played.
          send_state: Filled in by vla-eval with what the server asks for, as the next three: compared with the profile.
          send_wrist_image: Likewise.
          quat_no_antipodal: Likewise.
          absolute_action: Likewise.

        Raises:
          VlagymError: If a name does not exist, or conventions of profile, server and environment contradict each other.
        """
        super().__init__()
        wanted = offer.profile_of(profile, "vla-eval")
        asked = {
            "send_state": send_state,
            "send_wrist_image": send_wrist_image,
            "quat_no_antipodal": quat_no_antipodal,
            "absolute_action": absolute_action,
        }
        self._profile, self._wishes = wanted, _wishes(wanted, {name: value for name, value in asked.items() if value is not None})
        self._spec = offer.policy_of(wanted, policy, {"harness": f"vla-eval {vla_eval.__version__}"})
        where = f"[wire.vla_eval] of profile {wanted.name!r}"
        self._called = wire.read_table(wanted.wire.get("vla_eval"), wanted.action, wanted.observation, where)
        changes = {"robot": robot, "control": control, "rig": rig, "level": level, "layout": layout, "catalogue": catalogue, "arena": arena}
        chosen = offer.suite_of(
            suite, tasks, episodes=episodes, first_seed=first_seed, axes=tuple(axes) or None, season=season, **changes
        )
        offer.refuse_elsewhere(self._spec, chosen)
        self._suite = chosen.name
        self._episodes: dict[str, list[EpisodeSpec]] = {}
        every = expand(chosen, workers)
        for spec in every:
            self._episodes.setdefault(spec.task, []).append(spec)
        options = offer.How(quality=quality, look=look, safety=safety).run(
            self._spec, chosen, out=None if out is None else Path(out), resume=None if resume is None else Path(resume)
        )
        self._stage = DrivenEpisodes(self._spec, driven.stored(options, every))
        self._episode: DrivenEpisode | None = None

    # ------------------------------------------------------------------------------------------------------------------- what there is
    def get_tasks(self) -> list[dict[str, Any]]:
        """Returns a task of vla-eval's for each of ours, in the suite's order."""
        return [
            {"name": name, "suite": self._suite, "task_id": index, "num_episodes": len(found)}
            for index, (name, found) in enumerate(self._episodes.items())
        ]

    def get_metadata(self) -> dict[str, Any]:
        """Returns the longest horizon, in control steps, and how many episodes each task has at least. Each episode ends at its own horizon."""
        return {
            "max_steps": max(spec.horizon_steps for found in self._episodes.values() for spec in found),
            "max_episodes_per_task": min(len(found) for found in self._episodes.values()),
            "suite": self._suite,
            "profile": self._profile.name,
            "run": str(self._stage.path),
        }

    def get_metric_keys(self) -> dict[str, str]:
        """Returns what its table shows of an episode."""
        return {"success": "mean", **dict.fromkeys(_MEASURES, "mean")}

    def get_action_spec(self) -> dict[str, Any]:
        """Returns what is executed, in vla-eval's words."""
        return {name: DimSpec.from_dict(said) for name, said in specs.action_spec(self._profile.action).items()}

    def get_observation_spec(self) -> dict[str, Any]:
        """Returns what is sent, in vla-eval's words."""
        reads = self._profile.observation
        sent = replace(reads, images=reads.images[: self._wishes.num_images], state=reads.state if self._wishes.has_state else ())
        return {name: DimSpec.from_dict(said) for name, said in specs.observation_spec(sent).items()}

    # ------------------------------------------------------------------------------------------------------------------ the episodes
    def reset(self, task: dict[str, Any]) -> Observation:
        """Begins the episode whose number among those of its task is `episode_idx`.

        The digest of the episode is written into the task, and so the server is told it: one of ours draws from it, as in a run.

        Raises:
          UnknownName: If there is no such task.
          BadData: If there is no such episode, or it was played before.
          EpisodeFailed: If the world failed to start it.
        """
        name, index = task["name"], int(task.get("episode_idx", 0))
        if name not in self._episodes:
            raise unknown_name("task", name, self._episodes, f"It was looked for in the suite {self._suite!r}.")
        found = self._episodes[name]
        if not 0 <= index < len(found):
            few = f"{name!r} has {len(found)} episodes in the suite {self._suite!r}, and the one of number {index + 1} is wanted"
            raise BadData(f"{few}: set episodes_per_task to {len(found)}, or params.episodes to more")
        task["digest"] = found[index].digest()
        self._episode = self._stage.begin(found[index])
        _raise_error(self._episode.result)
        assert self._episode.observation is not None
        return self._episode.observation

    def step(self, action: dict[str, Any]) -> StepResult:
        """Executes the answer of the server.

        Raises:
          BadReply: If it holds no action; the episode is an error then.
          EpisodeFailed: If the episode ended with an error.
        """
        episode = self._running()
        try:
            actions = wire.read_actions(action, wire.ACTIONS if self._called is None else self._called.actions)
            if len(actions) != 1:
                told = f"the server sent a chunk of {len(actions)} actions, and vla-eval's benchmarks execute one"
                raise BadData(f"{told}: let the server play its chunks itself (chunk_size in its configuration)")
        except VlagymError as error:
            episode.abandon(f"{type(error).__name__}: {error}")
            raise
        episode.step(actions)
        _raise_error(episode.result)
        is_success = episode.result is not None and episode.result.outcome == "success"
        return StepResult(obs=episode.observation, reward=float(is_success), done=episode.is_over, info={"success": is_success})

    def make_obs(self, raw_obs: Any, task: dict[str, Any]) -> dict[str, Any]:
        """Returns an observation as its model servers read it."""
        wishes = self._wishes
        return wire.observation_payload(
            raw_obs, self._profile.observation, self._called, num_images=wishes.num_images, has_state=wishes.has_state
        )

    def check_done(self, step_result: StepResult) -> bool:
        """Returns whether the episode is over: by our success rule, or at our horizon."""
        return bool(step_result.done)

    def get_step_result(self, step_result: StepResult) -> dict[str, Any]:
        """Returns success and every measure of ours that the episode has.

        Raises:
          EpisodeFailed: If vla-eval stopped the episode before its end.
        """
        episode = self._running()
        episode.abandon(f"vla-eval stopped the episode after {episode.steps} steps: leave max_steps out of its configuration")
        _raise_error(episode.result)
        assert episode.result is not None
        measures = {name: value for name, value in episode.result.measures.items() if value is not None}
        return {**measures, "success": episode.result.outcome == "success"}

    def get_hold_action(self, last_action: dict[str, Any] | None) -> dict[str, Any]:
        """Returns what is executed in live mode while no answer is there: no displacement, and the gripper as it was commanded, open at first.

        Raises:
          NotImplementedError: If the profile's actions are no displacements: before the first answer nobody knows what holds still.
        """
        values = np.zeros(self._profile.action.size, np.float32)
        for component, part in zip(self._profile.action.components, self._profile.action.slices().values(), strict=True):
            if (limits := grippers.ends(component)) is not None:
                values[part] = limits[0] if last_action is None else np.asarray(last_action["actions"], np.float32).ravel()[part]
            elif component.name in self._profile.normalisation or component.convention not in _STILL:
                raise NotImplementedError(f"live mode holds displacements still, and {component.name} of {self._profile.name!r} is none; use sync")
        return {"actions": values}

    def cleanup(self) -> None:
        """Ends the run; an episode that is under way becomes an error."""
        self._stage.close()

    def render(self) -> Any:
        """Returns the front camera's image `(256, 256, 3)`, for videos."""
        return self._stage.look(lambda world: world.render("front", 256, 256))

    @classmethod
    def configure_render(cls, mode: str) -> dict[str, str]:
        """Sets the GL backend: OSMesa for cpu; for gpu whatever MUJOCO_GL says, or the best that is there.

        Raises:
          NoRenderer: If there is no OSMesa.
        """
        if mode != "cpu":
            return {}
        if ctypes.util.find_library("OSMesa") is None:
            raise backend.no_renderer("render: cpu needs the library OSMesa: apt-get install libosmesa6")
        os.environ.update(_CPU)
        return dict(_CPU)

    def _running(self) -> DrivenEpisode:
        if self._episode is None:
            raise VlagymError("no episode was begun: call reset first")
        return self._episode


def _wishes(profile: Profile, params: Mapping[str, Any]) -> specs.Wishes:
    """Returns what is sent, of what the profile declares, to a server that asks for these parameters."""
    wishes, complaints = specs.compared({"observation_params": params} if params else {}, profile.action, profile.observation)
    if complaints:
        told = "\n".join(f"- {line}" for line in complaints)
        raise ConventionMismatch(f"what the server asks for and the profile {profile.name!r} do not fit:\n{told}")
    return wishes


def _raise_error(result: EpisodeResult | None) -> None:
    if result is not None and result.error is not None:
        raise EpisodeFailed(f"{result.error.type}: {result.error.message}")
