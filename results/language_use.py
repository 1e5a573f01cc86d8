"""Does the sentence matter? Success with the right sentence minus success with another one in its place, on the same scenes.

One definition, with its reason. Each arm plays the same episode again with another sentence: `blank` (none), `nonsense` (words that ask for
nothing), `shuffled` (its own words in another order) and `wrong` (the well-formed sentence of the other feasible goal of the scene; success is still
judged by the original goal). For each arm the paired difference right - arm is reported. The headline, the **language-use score**, is right - wrong:
both sentences are as well-formed as those that a policy was trained on, and as alike as the scene allows. A policy that stops dead at a sentence
it has never seen the like of loses with blank, shuffled and nonsense without having understood anything; with wrong it cannot. The score is 0 for a
policy that ignores the sentence, whatever the number k of goals, and 1 for one that always does what it is told.

`shuffled` is a control of word order and of nothing else: a person still gathers from most shuffled sentences what is wanted, for no other goal of
the scene has these words. A policy that reads a sentence as a bag of words loses nothing by it, and may well understand.

Beside it stands the bound: scenes hold k feasible goals, and a policy that ignores the sentence can reach only one of them, 1/k on average.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vlagym.envs.errors import BadData
from vlagym.results.aggregate import rate
from vlagym.results.differences import paired_difference
from vlagym.results.gaps import CONTROLS
from vlagym.results.intervals import MeanInterval
from vlagym.results.multiplicity import holm
from vlagym.results.pairing import Pair, Pairing, paired_pools
from vlagym.results.pooling import Pool, Run, pools

HEADLINE = "wrong"
"""The arm of the language-use score."""

_NAMED = "named_success"
_CHANCE = "chance"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A control arm beside the right sentence, on the same scenes."""

    name: str
    """One of `gaps.CONTROLS`; "shuffled:2" where there are several levels."""
    n: int
    """Pairs of which both episodes ended in success or failure."""
    right: MeanInterval
    """Success with the right sentence on the twins of these pairs; Wilson."""
    success: MeanInterval
    """Success with the arm's sentence, judged by the original goal."""
    difference: MeanInterval
    """right - arm; paired bootstrap, stratified by task."""
    p: float | None
    """Of "the sentence changes nothing", as in `gaps.Gap`."""
    p_adjusted: float | None
    """By Holm, over the arms of the policy."""
    named: MeanInterval
    """Only for `wrong`: how often the goal was reached that the contradictory sentence names. n is 0 where nobody has measured it."""
    errors: int
    """Pairs that are left out because at least one of the two ended in an error."""
    difference_if_errors_failed: float | None
    unpaired: int
    """Episodes of the arm whose twin is in no run; in none of the numbers."""


@dataclass(frozen=True, kw_only=True)
class LanguageUse:
    """What the sentence means to one policy."""

    policy: str
    suite: str
    differs: str
    arms: tuple[Arm, ...]
    """In the order of `gaps.CONTROLS`."""
    chance: float | None
    """Mean of 1/k over the twins: what a policy that ignores the sentence could reach; None where the runs do not hold the measure."""

    @property
    def score(self) -> MeanInterval | None:
        """The language-use score: right - wrong; None where the arm was not played."""
        return next((arm.difference for arm in self.arms if arm.name == HEADLINE and arm.n), None)

    def arm(self, name: str) -> Arm | None:
        """Returns an arm by its name; None where it was not played."""
        return next((arm for arm in self.arms if arm.name == name), None)


class LanguageUses(NamedTuple):
    """Language use of some runs."""

    rows: list[LanguageUse]
    """By suite, the highest score first."""
    notes: list[str]
    """What is in none of the rows, and why."""


def language_use(runs: Sequence[Run]) -> LanguageUses:
    """Returns the language use of each policy whose runs hold control arms.

    Raises:
      BadData: If there are no runs.
    """
    if not runs:
        raise BadData("language use needs at least one run folder")
    rows: list[LanguageUse] = []
    notes: list[str] = []
    for pool, pairing in paired_pools(pools(runs)):
        own = _controls_only(pairing)
        if not own.pairs and not own.unpaired:
            continue
        rows.append(_row(pool, own))
        if own.unpaired:
            notes.append(
                f"{pool.label} on {pool.suite}: {len(own.unpaired)} episodes of control arms have no twin with the right sentence in these runs and "
                "are in no difference. Name the run that holds their unvaried episodes too"
            )
    rows.sort(key=lambda row: (row.suite, -_score(row), row.policy, row.differs))
    return LanguageUses(rows, notes)


def _controls_only(pairing: Pairing) -> Pairing:
    def is_control(axes: Mapping[str, int]) -> bool:
        return len(axes) == 1 and set(axes) <= set(CONTROLS)

    return Pairing(
        pairs=tuple(p for p in pairing.pairs if is_control(p.varied.axes)), unpaired=tuple(r for r in pairing.unpaired if is_control(r.axes))
    )


def _row(pool: Pool, pairing: Pairing) -> LanguageUse:
    of_arm: dict[tuple[str, int], list[Pair]] = defaultdict(list)
    lonely: dict[tuple[str, int], int] = defaultdict(int)
    for pair in pairing.pairs:
        of_arm[next(iter(pair.varied.axes.items()))].append(pair)
    for result in pairing.unpaired:
        lonely[next(iter(result.axes.items()))] += 1
    found = sorted({*of_arm, *lonely}, key=lambda key: (CONTROLS.index(key[0]), key[1]))
    names = [name if sum(other == name for other, _ in found) == 1 else f"{name}:{level}" for name, level in found]
    arms = [_arm(name, of_arm[key], lonely[key]) for name, key in zip(names, found, strict=True)]
    adjusted = iter(holm([arm.p for arm in arms if arm.p is not None]))
    chances = {pair.twin.digest: value for pair in pairing.pairs if (value := pair.twin.measures.get(_CHANCE)) is not None}
    return LanguageUse(
        policy=pool.policy,
        suite=pool.suite,
        differs=pool.differs,
        arms=tuple(arm if arm.p is None else dataclasses.replace(arm, p_adjusted=next(adjusted)) for arm in arms),
        chance=sum(chances[digest] for digest in sorted(chances)) / len(chances) if chances else None,
    )


def _arm(name: str, all_pairs: Sequence[Pair], unpaired: int) -> Arm:
    counted = [pair for pair in all_pairs if pair.is_counted]
    outcomes = [(pair.varied.outcome == "success", pair.twin.outcome == "success") for pair in counted]
    twins, tasks = [pair.twin.digest for pair in counted], [pair.twin.task for pair in counted]
    difference, p = paired_difference(outcomes, twins, tasks, "language", name, shared="second")
    named = [value for pair in counted if (value := pair.varied.measures.get(_NAMED)) is not None] if name.split(":")[0] == HEADLINE else []
    harsh = [int(pair.twin.outcome == "success") - int(pair.varied.outcome == "success") for pair in all_pairs]
    return Arm(
        name=name,
        n=len(counted),
        right=rate(sum(right for _, right in outcomes), len(counted)),
        success=rate(sum(arm for arm, _ in outcomes), len(counted)),
        difference=difference,
        p=p,
        p_adjusted=None,
        named=rate(int(sum(named)), len(named)),
        errors=len(all_pairs) - len(counted),
        difference_if_errors_failed=sum(harsh) / len(harsh) if harsh else None,
        unpaired=unpaired,
    )


def _score(row: LanguageUse) -> float:
    found = row.score
    return -2.0 if found is None or found.mean is None else found.mean
