"""An environment as LeRobot's evaluation reads them: pixels and agent_pos in a profile's conventions, our seeds, success rule and horizon."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from vlagym.benchmark import driven
from vlagym.benchmark.driven import DrivenEpisode, DrivenEpisodes
from vlagym.benchmark.entry import FIRST_DEMO_SEED
from vlagym.benchmark.hosts import offer
from vlagym.benchmark.suite import Suite
from vlagym.envs.errors import BadData, NotReset, VlagymError, unknown_name
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.profile import Profile

Obs = dict[str, Any]

RENDERED_PX = 256
"""Sides of the pictures that videos are made of."""
_LONGER = 2
"""Where the episodes are not known beforehand, no other one of a task is taken to last longer than so many times the present one."""


class EpisodeFailed(VlagymError):
    """An episode ended with an error, which is no failure of the policy's to be averaged."""


class LeRobotEnv(gymnasium.Env[Obs, NDArray[np.float32]]):
    """One task. A seed of `reset` is a seed of ours: the episode that `vlagym run --seed` plays.

    An observation is {"pixels": {name: (H, W, 3) uint8}, "agent_pos": (N,) float32}, in the names and the order of the profile. `is_success` is
    in every info. With the last step of an episode comes the observation before it again: the loop inside ends there, and asks no more.
    """

    def __init__(
        self,
        task: str,
        profile: str | Mapping[str, Any],
        *,
        suite: str | None = None,
        cameras: Sequence[str] | str | None = None,
        state: Sequence[str] | str | None = None,
        episodes: int | None = None,
        first_seed: int | None = None,
        out: str | None = None,
        policy: str = "lerobot-eval",
        quality: str = "fast",
        look: str = "auto",
        safety: str = "off",
        changes: Mapping[str, Any] | None = None,
        command: Sequence[str] = (),
        rests: bool = False,
        on_error: str = "raise",
        render_mode: str = "rgb_array",
    ) -> None:
        """Makes the environment; nothing is simulated before the first reset.

        Args:
          task: One task.
          profile: What the policy reads and sends, as `vlagym.benchmark.hosts.offer.profile_of`.
          suite: Of which it is; None: the task in its training distribution.
          cameras: Images of the profile that are sent; None: all.
          state: States of the profile that agent_pos is made of, one after another; None: all.
          episodes: Of the suite, or without one 10. Where there is a ledger, the run owes these.
          first_seed: The first of them; None: the suite's, or 0.
          out: Folder for the ledger, below which each environment writes a run folder of its own: several may play at once. None: no ledger.
          policy: What the ledger calls the policy.
          quality: Of the images, as `vlagym run`.
          look: Of the robot, as `vlagym run`.
          safety: Of the safety filter, as `vlagym run`.
          changes: robot, control, rig, level, layout, catalogue, arena, axes, season, as `vlagym run`.
          command: The words of the command line, for the ledger.
          rests: After the end of an episode, a reset that says neither seed nor options begins none: vector environments reset by themselves, and
            LeRobot passes over what follows. Its steps then repeat the last observation.
          on_error: raise, or fail: an episode that ends with an error is then a failure for LeRobot, and an error in the ledger.
          render_mode: rgb_array is all there is.

        Raises:
          VlagymError: If a name does not exist, or makes no sense.
        """
        if on_error not in ("raise", "fail"):
            raise unknown_name("way to take an error", on_error, ("raise", "fail"))
        self.profile = selected(offer.profile_of(profile, "LeRobot"), cameras, state)
        self.task, self.render_mode = task, render_mode
        self._suite: Suite = offer.suite_of(suite, task, episodes=episodes, first_seed=first_seed, **dict(changes or {}))
        if len(self._suite.entries) != 1 or self._suite.entries[0].vary:
            raise BadData(f"{task!r} stands {len(self._suite.entries)} times in the suite {suite!r}, or varied: write one with a single plain entry")
        (self._entry,) = self._suite.entries
        self._how, self._out, self._command = offer.How(quality=quality, look=look, safety=safety), out, tuple(command)
        self._spec = offer.policy_of(self.profile, policy, {"harness": "LeRobot"})
        offer.refuse_elsewhere(self._spec, self._suite)
        self._rests, self._raises = rests, on_error == "raise"
        self._listed = out is not None or suite is not None or episodes is not None
        self._known: dict[int, EpisodeSpec] = {}
        self._stage: DrivenEpisodes | None = None
        self._episode: DrivenEpisode | None = None
        self._seed = self._entry.first_seed - 1
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": round(self.profile.action.rate_hz)}
        self.observation_space = observation_space(self.profile)
        action = self.profile.action
        self.action_space = spaces.Box(action.low, action.high, (action.size,), np.float32)

    # ------------------------------------------------------------------------------------------------------------ read by LeRobot
    @property
    def task_description(self) -> str:
        """The sentence of the present episode."""
        return self._running().spec.instruction

    @property
    def _max_episode_steps(self) -> int:
        """Steps after which LeRobot gives up, if the episode has not ended by itself: never before it does."""
        if self._known:
            return max(spec.horizon_steps for spec in self._known.values())
        return _LONGER * self._running().spec.horizon_steps

    # ------------------------------------------------------------------------------------------------------------------- gymnasium
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Obs, dict[str, Any]]:
        """Begins the episode of a seed; without one, of the next seed.

        Raises:
          BadData: If the seed is none of the suite's, or its episode was played before where there is a ledger.
          EpisodeFailed: If the world failed to start it.
        """
        before = self._episode
        if self._rests and before is not None and before.is_over and seed is None and not options:
            return self._observation(), self._info()
        self._seed = self._seed + 1 if seed is None else seed
        stage, spec = self._opened(), self._spec_of(self._seed)
        self._episode = stage.begin(spec)
        if self._episode.observation is None:
            self._raise_error(always=True)
        return self._observation(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """Executes an action of the profile.

        Raises:
          EpisodeFailed: If the episode ended with an error, and errors are raised.
        """
        episode = self._running()
        if episode.is_over:
            if not self._rests:
                raise NotReset("the episode is over: call reset first")
            return self._observation(), 0.0, False, False, self._info()
        episode.step(np.asarray(action))
        self._raise_error(always=False)
        by = None if episode.result is None else episode.result.ended_by
        info = self._info()
        return self._observation(), float(info["is_success"]), by not in (None, "horizon"), by == "horizon", info

    def render(self) -> NDArray[np.uint8] | None:
        """Returns the front camera's image `(256, 256, 3)`; None before the first reset."""
        if self._stage is None:
            return None
        image: NDArray[np.uint8] | None = self._stage.look(lambda world: world.render("front", RENDERED_PX, RENDERED_PX))
        return image

    def close(self) -> None:
        """Ends the run; an episode that is under way becomes an error."""
        if self._stage is not None:
            self._stage.close()
            self._stage = None

    # ---------------------------------------------------------------------------------------------------------------------- inside
    def _opened(self) -> DrivenEpisodes:
        if self._stage is None:
            if self._listed:
                self._known = {spec.seed: spec for spec in self._suite.expand()}
            if self._out is None:
                opens = driven.unstored(self._how.world(self._spec), safety=self._how.safety)  # type: ignore[arg-type]
            else:
                options = self._how.run(self._spec, self._suite, out=_claimed(Path(self._out), self.task))
                opens = driven.stored(replace(options, command=self._command or options.command), tuple(self._known.values()))
            self._stage = DrivenEpisodes(self._spec, opens)
        return self._stage

    def _spec_of(self, seed: int) -> EpisodeSpec:
        if self._listed and seed not in self._entry.seeds:
            seeds = self._entry.seeds
            raise BadData(
                f"the episode of seed {seed} is wanted, and {self.task!r} of the suite {self._suite.name!r} has the seeds {seeds[0]} to {seeds[-1]}: "
                f"give lerobot-eval --seed={seeds[0]} --eval.n_episodes={len(seeds)}, or other --env.first_seed and --env.episodes"
            )
        if seed >= FIRST_DEMO_SEED and not self._listed:
            raise BadData(f"seeds from {FIRST_DEMO_SEED:,} on are those of demonstrations, and {seed} is one: choose a lower one")
        return self._known[seed] if seed in self._known else self._entry.sample(seed)

    def _running(self) -> DrivenEpisode:
        if self._episode is None:
            raise NotReset("no episode was begun: call reset first")
        return self._episode

    def _observation(self) -> Obs:
        seen = self._running().observation
        assert seen is not None
        found: Obs = {}
        if self.profile.observation.images:
            found["pixels"] = {c.name: seen.images[c.name].copy() for c in self.profile.observation.images}
        if self.profile.observation.state:
            arrays = [np.ravel(seen.proprio[c.name]) for c in self.profile.observation.state]
            found["agent_pos"] = np.concatenate(arrays).astype(np.float32)
        return found

    def _info(self) -> dict[str, Any]:
        result = self._running().result
        return {"is_success": result is not None and result.outcome == "success", "task": self.task}

    def _raise_error(self, *, always: bool) -> None:
        result = self._running().result
        if result is not None and result.error is not None and (always or self._raises):
            raise EpisodeFailed(f"{self.task} seed {self._seed}: {result.error.type}: {result.error.message}")


def selected(profile: Profile, cameras: Sequence[str] | str | None, state: Sequence[str] | str | None) -> Profile:
    """Returns a profile with some of its images and states, in the order in which they are named.

    Raises:
      UnknownName: If it has none of such a name.
      BadData: If LeRobot cannot carry an image of it.
    """
    reads = profile.observation
    images = {c.name: c for c in reads.images}
    states = {c.name: c for c in reads.state}
    for kind, wanted, known in (("image", _words(cameras), images), ("state", _words(state), states)):
        for name in wanted or ():
            if name not in known:
                raise unknown_name(kind, name, known, f"It was looked for in the profile {profile.name!r}.")
    shown = tuple(images[name] for name in _words(cameras) or images) if cameras is None or cameras else ()
    felt = tuple(states[name] for name in _words(state) or states) if state is None or state else ()
    floats = [c.name for c in shown if c.values != "uint8"]
    if floats:
        raise BadData(f"LeRobot takes images of uint8 and makes them 0 to 1 itself; {floats[0]!r} of {profile.name!r} is declared otherwise")
    return replace(profile, observation=replace(reads, images=shown, state=felt))


def observation_space(profile: Profile) -> spaces.Dict:
    """Returns the space of what a profile reads."""
    parts: dict[str, spaces.Space[Any]] = {}
    if profile.observation.images:
        parts["pixels"] = spaces.Dict({c.name: spaces.Box(0, 255, (c.height, c.width, 3), np.uint8) for c in profile.observation.images})
    size = sum(c.size for c in profile.observation.state)
    if size:
        parts["agent_pos"] = spaces.Box(-np.inf, np.inf, (size,), np.float32)
    return spaces.Dict(parts)


def _words(said: Sequence[str] | str | None) -> list[str] | None:
    if said is None:
        return None
    return [word.strip() for word in said.split(",") if word.strip()] if isinstance(said, str) else list(said)


def _claimed(out: Path, task: str) -> Path:
    """Returns an empty folder below `out` that no other environment writes."""
    stem = task.rpartition(":")[2]
    for count in itertools.count():
        folder = out / f"{stem}-{count}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError
