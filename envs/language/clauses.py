"""What a goal wants, taken apart into clauses: each one is said by one template, with several things in its first slot where that is shorter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vlagym.envs.errors import BadSpec
from vlagym.envs.language.phrases import language
from vlagym.envs.language.scene_words import SceneWords
from vlagym.envs.language.templates import Family, Meaning
from vlagym.envs.types import EpisodeSpec, Predicate

Wish = tuple[frozenset[Predicate], ...]
"""What a sentence asks for: the predicates of each step, in order; one step where there is no order."""

_EITHER_WAY = ("between",)
"""Predicates whose last two arguments can change places."""


class Filled(NamedTuple):
    """A family with what stands in its slots."""

    family: Family
    slots: Mapping[str, tuple[str, ...]]
    """Slot to arguments; several only in the first slot."""


@dataclass(frozen=True, kw_only=True)
class Clause:
    """Predicates that one template can ask for."""

    predicates: tuple[Predicate, ...]
    ways: tuple[Filled, ...]
    """Families that can say it."""


def canonical(predicate: Predicate) -> Predicate:
    """Returns the predicate with those arguments sorted whose order means nothing."""
    if predicate.name not in _EITHER_WAY:
        return predicate
    return Predicate(name=predicate.name, args=(*predicate.args[:-2], *sorted(predicate.args[-2:])))


def wish_of(spec: EpisodeSpec) -> Wish:
    """Returns what the sentence of an episode has to ask for: its ordered steps, or else its goal."""
    return tuple(frozenset(map(canonical, step)) for step in spec.steps or (spec.goal,))


def clauses_of(predicates: Sequence[Predicate], scene: SceneWords) -> tuple[Clause, ...]:
    """Returns the clauses that ask for predicates, in the order in which these first appear.

    Predicates of one name that share all arguments but the first become one clause: "put both mugs on the tray". What several predicates say
    together, as a tower does, becomes one clause if a family says it.

    Raises:
      UnknownName: If a predicate has no family, or speaks of what is not in the scene.
      BadSpec: If no family of a predicate takes such things.
    """
    for predicate in predicates:
        for argument in predicate.args:
            if not argument.startswith("="):
                scene[argument]
    left = list(predicates)
    found: list[Clause] = []
    for family in language().families.values():
        if len(family.means) > 1:
            while (filled := _filled_together(family, left, scene)) is not None:
                said = tuple(p for p in left if p in instances(family, filled))
                found.append(Clause(predicates=said, ways=(Filled(family, {s: (a,) for s, a in filled.items()}),)))
                left = [p for p in left if p not in said]
    groups: dict[tuple[str, tuple[str, ...]], list[Predicate]] = {}
    for predicate in left:
        groups.setdefault((predicate.name, predicate.args[1:]), []).append(predicate)
    found += [_clause(tuple(group), scene) for group in groups.values()]
    return tuple(sorted(found, key=lambda c: min(predicates.index(p) for p in c.predicates)))


def instances(family: Family, slots: Mapping[str, str]) -> tuple[Predicate, ...]:
    """Returns the predicates that a family asks for with one argument in each slot."""
    return tuple(Predicate(name=m.predicate, args=tuple(s if s.startswith("=") else slots[s] for s in m.slots)) for m in family.means)


def _clause(group: tuple[Predicate, ...], scene: SceneWords) -> Clause:
    first = group[0]
    ways = []
    for family in language().families_of(first.name):
        meaning = family.means[0]
        if len(first.args) != len(meaning.slots):
            raise BadSpec(f"the goal {first} has {len(first.args)} arguments; sentences of {first.name!r} have the slots {', '.join(meaning.slots)}")
        pairs = tuple(zip(meaning.slots, first.args, strict=True))
        if any(slot.startswith("=") and slot != argument for slot, argument in pairs):
            continue
        slots: dict[str, tuple[str, ...]] = {slot: (argument,) for slot, argument in pairs if not slot.startswith("=")}
        slots[meaning.slots[0]] = tuple(dict.fromkeys(p.args[0] for p in group))
        if all(scene.fits(argument, family.sort(slot)) for slot, arguments in slots.items() for argument in arguments):
            ways.append(Filled(family, slots))
    if not ways:
        wanted = "; ".join(f"{f.name}: {', '.join(map(' = '.join, zip(f.slots, f.takes, strict=True)))}" for f in language().families_of(first.name))
        raise BadSpec(f"no family of sentences can say {', '.join(map(str, group))}: what it takes is {wanted} (sorts of envs/language/referents.py)")
    return Clause(predicates=group, ways=tuple(ways))


def _filled_together(family: Family, predicates: Sequence[Predicate], scene: SceneWords) -> dict[str, str] | None:
    """Returns slots with which a family of several meanings asks for some of the predicates; None if there are none."""

    def extend(meanings: Sequence[Meaning], slots: dict[str, str]) -> dict[str, str] | None:
        if not meanings:
            return slots if all(scene.fits(argument, family.sort(slot)) for slot, argument in slots.items()) else None
        for predicate in predicates:
            if predicate.name != meanings[0].predicate or len(predicate.args) != len(meanings[0].slots):
                continue
            pairs = dict(zip(meanings[0].slots, predicate.args, strict=True))
            if all((slot if slot.startswith("=") else slots.get(slot, argument)) == argument for slot, argument in pairs.items()):
                if (done := extend(meanings[1:], {**slots, **pairs})) is not None:
                    return done
        return None

    return extend(family.means, {})
