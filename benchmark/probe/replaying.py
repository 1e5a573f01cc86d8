"""The expert's episodes, said as the policy would say them, through the conversion back into the world: what is lost on the way?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.episode import asking
from vlagym.benchmark.executor import LocalPort
from vlagym.benchmark.probe.demonstrations import Demonstration
from vlagym.benchmark.probe.encoding import Encoder, wishes, within
from vlagym.benchmark.rollout import Rollout
from vlagym.envs.types import ActionChunk, Observation, ObservationSpec
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.chunking import Chunking
from vlagym.policies.conventions import connect

if TYPE_CHECKING:
    from vlagym.envs.world import World

STILL_S = 1.0
"""For so long nothing moves behind the end: things come to rest."""
WANTED = 0.98


class Speaker:
    """Sends a demonstration in a policy's convention, in chunks as long as the policy executes of its own. Sees nothing."""

    def __init__(self, policy: PolicySpec, rows: NDArray[np.float32]) -> None:
        """Makes one of rows `(T, D)`."""
        assert policy.action is not None
        self._rows, self._rate_hz, self._step = rows, policy.action.rate_hz, 0
        components = {c.name for c in policy.action.components}
        self.spec = replace(
            policy,
            name="speaker",
            observation=ObservationSpec(images=(), state=(), rate_hz=policy.action.rate_hz),
            normalisation={name: by for name, by in policy.normalisation.items() if name in components},
            history=(0,),
            privileged=False,
            clip=True,
        )

    def reset(self, context: EpisodeContext) -> None:
        """Begins anew."""
        self._step = 0

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns what comes next; at the end, its last row."""
        assert self.spec.action is not None
        first = min(self._step, len(self._rows) - 1)
        self._step += self.spec.execute_steps
        values = self._rows[first : first + self.spec.execute_steps]
        return {slot: ActionChunk(values=values.copy(), spec=self.spec.action) for slot in observations}

    def close(self) -> None:
        """Holds nothing."""


def replayed(world: World, policy: PolicySpec, shown: Demonstration) -> bool:
    """Returns whether a demonstration still succeeds when it is said in the policy's convention and brought back from there.

    Raises:
      ConventionMismatch: If policy and episode do not fit.
    """
    assert policy.action is not None
    repeats = round(shown.spec.control.rate_hz / policy.action.rate_hz)
    encoder = Encoder(policy)
    # A family whose numbers go less far than the expert takes more steps for the same way.
    still_steps = int(np.ceil(STILL_S * policy.action.rate_hz))
    parts = [part for wish in wishes(shown, repeats, still_steps) for part in within(policy, wish)]
    speaker = Speaker(policy, np.array([encoder.encode(part) for part in parts]))
    spec = replace(shown.spec, horizon_s=max(shown.spec.horizon_s, round(len(parts) / policy.action.rate_hz, 3)))
    world.start(spec)
    pipeline = connect(speaker.spec, spec.control, world.observation_spec())
    chunking = Chunking(mode="receding", execute_steps=speaker.spec.execute_steps)
    rollout = Rollout(world, spec, asking(LocalPort(speaker), speaker.spec, spec), pipeline=pipeline, chunking=chunking).play()
    return rollout.ended_by == "goal"


def told(kept: Sequence[bool]) -> tuple[str, bool]:
    """Returns a sentence about how many of the expert's successes were kept, and whether that is enough."""
    from vlagym.results.intervals import wilson

    n, k = len(kept), sum(kept)
    if not n:
        return "the expert itself succeeded in no episode here: nothing can be said of a replay", False
    interval = wilson(k, n)
    low, high = float(interval.low), float(interval.high)
    text = f"{k} of {n} of the expert's episodes still succeed when they are said in the policy's convention and brought back"
    return f"{text} ({100 * k / n:.0f} %, [{100 * low:.0f}, {100 * high:.0f}]; wanted: {100 * WANTED:.0f} %)", k / n >= WANTED
