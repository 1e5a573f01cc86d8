"""The expert's episodes, said as the policy would say them, through the conversion back into the world: what is lost on the way?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.episode import asking
from vlagym.benchmark.executor import LocalPort
from vlagym.benchmark.probe.demonstrations import Demonstration
from vlagym.benchmark.probe.encoding import Encoder, Wish, excesses, is_half_closed, wishes, within
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


class Replay(NamedTuple):
    """What came of one demonstration."""

    is_success: bool
    reasons: tuple[str, ...]
    """What the policy's convention cannot say of it, or says otherwise, each in a few words. Also of a success, where nothing came of that."""


def replayed(world: World, policy: PolicySpec, shown: Demonstration) -> Replay:
    """Says a demonstration in the policy's convention, brings it back from there, and plays it: does it still succeed?

    Raises:
      ConventionMismatch: If policy and episode do not fit.
    """
    assert policy.action is not None
    repeats = round(shown.spec.control.rate_hz / policy.action.rate_hz)
    encoder = Encoder(policy)
    # A family whose numbers go less far than the expert takes more steps for the same way.
    still_steps = int(np.ceil(STILL_S * policy.action.rate_hz))
    asked = wishes(shown, repeats, still_steps)
    parts = [part for wish in asked for part in within(policy, wish)]
    speaker = Speaker(policy, np.array([encoder.encode(part) for part in parts]))
    spec = replace(shown.spec, horizon_s=max(shown.spec.horizon_s, round(len(parts) / policy.action.rate_hz, 3)))
    world.start(spec)
    pipeline = connect(speaker.spec, spec.control, world.observation_spec())
    chunking = Chunking(mode="receding", execute_steps=speaker.spec.execute_steps)
    rollout = Rollout(world, spec, asking(LocalPort(speaker), speaker.spec, spec), pipeline=pipeline, chunking=chunking).play()
    return Replay(rollout.ended_by == "goal", tuple(_reasons(policy, asked[: len(asked) - still_steps], repeats, rollout.clipped_steps or 0)))


def _reasons(policy: PolicySpec, asked: Sequence[Wish], repeats: int, clipped_steps: int) -> Iterator[str]:
    """Yields what the policy's convention cannot say of a demonstration, or says otherwise."""
    assert policy.action is not None
    times = [excesses(policy, wish) for wish in asked]
    for c in policy.action.components:
        beyond = [t[c.name] for t in times if t.get(c.name, 0.0) > 1.0 + 1e-4]
        if beyond:
            most = f"asks for up to {max(beyond):.2g} times its range"
            yield f"{c.name} {most}, so that {len(beyond)} of {len(asked)} steps are said in parts, one after another"
        half = sum(map(is_half_closed, asked)) if c.convention.endswith("_binary") else 0
        if half:
            yield f"{c.name} is half closed in {half} of {len(asked)} steps, which {c.convention} cannot say: open is said"
    if repeats > 1:
        yield f"{repeats} control steps are said as one, of {1 / policy.action.rate_hz:.2g} s"
    if clipped_steps:
        yield f"{clipped_steps} control steps were clipped to what the policy declares or the environment takes"


def told(replays: Sequence[Replay]) -> tuple[str, bool]:
    """Returns a sentence about how many of the expert's successes were kept, and whether that is enough; where it is not, what was said otherwise
    in the first that was lost."""
    from vlagym.results.intervals import wilson

    n, k = len(replays), sum(one.is_success for one in replays)
    if not n:
        return "the expert itself succeeded in no episode here: nothing can be said of a replay", False
    interval = wilson(k, n)
    low, high = float(interval.low), float(interval.high)
    text = f"{k} of {n} of the expert's episodes still succeed when they are said in the policy's convention and brought back"
    text = f"{text} ({100 * k / n:.0f} %, [{100 * low:.0f}, {100 * high:.0f}]; wanted: {100 * WANTED:.0f} %)"
    if k / n >= WANTED:
        return text, True
    lost = next(one for one in replays if not one.is_success)
    why = "; ".join(lost.reasons) or "all of it could be said, so that it is a conversion that loses it"
    return f"{text}. Of the first that was lost: {why}", False
