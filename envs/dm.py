"""The environment behind dm_env's interface, for agents of the dm_control world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vlagym.envs.errors import MissingPackage

if TYPE_CHECKING:
    import dm_env

_MAX_SEED = 2**31


def make(task: str, *, seed: int = 0, **options: Any) -> dm_env.Environment:
    """Returns a task as a `dm_env.Environment`.

    Observations are nested dicts as those of `vlagym.envs.env.VlaEnv`, the instruction a numpy string of shape (). The reward is 1 at the step that
    ends an episode in success; the discount is 0 where an episode ends by itself and 1 where it is cut at its horizon.

    Args:
      task: Name of a task.
      seed: Of the sequence of episodes: the same one draws the same episodes.
      options: Those of `VlaEnv`.

    Raises:
      MissingPackage: If dm_env is not installed.
    """
    try:
        import dm_env
        from dm_env import specs
    except ImportError as missing:
        raise MissingPackage("dm_env is not installed: pip install dm_control") from missing
    from gymnasium import spaces

    from vlagym.envs.env import VlaEnv
    from vlagym.envs.sentence_space import SentenceSpace

    def as_spec(space: spaces.Space[Any], name: str) -> Any:
        if isinstance(space, spaces.Dict):
            return {key: as_spec(part, key) for key, part in space.spaces.items()}
        if isinstance(space, SentenceSpace):
            return specs.StringArray((), name=name)
        assert isinstance(space, spaces.Box)
        if np.isfinite(space.low).all() and np.isfinite(space.high).all():
            return specs.BoundedArray(space.shape, space.dtype, space.low, space.high, name=name)
        return specs.Array(space.shape, space.dtype, name=name)

    class _Environment(dm_env.Environment):  # type: ignore[misc]
        def __init__(self) -> None:
            self._env = VlaEnv(task, **options)
            self._rng = np.random.default_rng(seed)
            self._ended = True

        def reset(self) -> dm_env.TimeStep:
            observation, _ = self._env.reset(seed=int(self._rng.integers(_MAX_SEED)))
            self._ended = False
            return dm_env.restart(_with_array(observation))

        def step(self, action: Any) -> dm_env.TimeStep:
            if self._ended:
                return self.reset()
            observation, reward, terminated, truncated, _ = self._env.step(action)
            self._ended = terminated or truncated
            seen = _with_array(observation)
            if terminated:
                return dm_env.termination(reward, seen)
            return dm_env.truncation(reward, seen) if truncated else dm_env.transition(reward, seen)

        def action_spec(self) -> Any:
            return as_spec(self._env.action_space, "action")

        def observation_spec(self) -> Any:
            return as_spec(self._env.observation_space, "observation")

        def close(self) -> None:
            self._env.close()

    return _Environment()


def _with_array(observation: dict[str, Any]) -> dict[str, Any]:
    return {**observation, "instruction": np.array(observation["instruction"], dtype=object)}
