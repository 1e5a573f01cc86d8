"""What a goal wants, taken apart into clauses: each one is said by one template, with several things in its first slot where that is shorter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vlagym.envs.errors import BadSpec
from vlagym.envs.language.hands import BY_HAND, Handed, taken_apart
from vlagym.envs.language.phrases import language
from vlagym.envs.language.referents import other_side
from vlagym.envs.language.scene_words import SceneWords
from vlagym.envs.language.templates import EVERYTHING, Family, Meaning
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
    side: str | None = None
    """Of the hand that is to do it, left | right, which is said around the template; None where the hand is free or the template names it."""


def canonical(predicate: Predicate) -> Predicate:
    """Returns the predicate with those arguments sorted whose order means nothing, and a hand that is at a button at the panel of it."""
    if predicate.name == BY_HAND:
        return Predicate(name=BY_HAND, args=(predicate.args[0].partition("/")[0], *predicate.args[1:]))
    if predicate.name not in _EITHER_WAY:
        return predicate
    return Predicate(name=predicate.name, args=(*predicate.args[:-2], *sorted(predicate.args[-2:])))


def wish_of(spec: EpisodeSpec) -> Wish:
    """Returns what the sentence of an episode has to ask for: its ordered steps, or else its goal."""
    return tuple(frozenset(map(canonical, step)) for step in spec.steps or (spec.goal,))


def clauses_of(predicates: Sequence[Predicate], scene: SceneWords) -> tuple[Clause, ...]:
    """Returns the clauses that ask for predicates, in the order in which these first appear.

    Predicates of one name that share all arguments but the first become one clause: "put both mugs on the tray". What several predicates say
    together, as a tower does, becomes one clause if a family says it. Which hand is to do it goes with what is to be done.

    Raises:
      UnknownName: If a predicate has no family, or speaks of what is not in the scene.
      BadSpec: If no family of a predicate takes such things, or a hand is wanted for what is not.
    """
    for predicate in predicates:
        for argument in predicate.args:
            if not argument.startswith("="):
                scene[argument]
    left = list(predicates)
    found: list[Clause] = []
    for family in sorted(_families(scene), key=lambda f: -len(f.means)):
        if len(family.means) > 1:
            while (filled := _filled_together(family, left, scene)) is not None:
                clause = _said_together(filled, left, scene)
                found.append(clause)
                left = [p for p in left if p not in clause.predicates]
    groups: dict[tuple[str, ...], list[Handed]] = {}
    for handed in taken_apart(left):
        name, args = handed.predicate.name, handed.predicate.args
        groups.setdefault((name, *args[1:], handed.side or "", *(a for a in args[:1] if a.startswith("="))), []).append(handed)
    found += [_clause(tuple(group), scene) for group in groups.values()]
    return tuple(sorted(found, key=lambda c: min(predicates.index(p) for p in c.predicates)))


def instances(family: Family, slots: Mapping[str, str], scene: SceneWords) -> tuple[Predicate, ...]:
    """Returns the predicates that a family asks for with one argument in each slot; none if something is to lie where nothing does."""
    found: list[Predicate] = []
    for meaning in family.means:
        args = [slot if slot == EVERYTHING or slot.startswith("=") else slots[slot] for slot in meaning.slots]
        if EVERYTHING not in args:
            found.append(Predicate(name=meaning.predicate, args=tuple(args)))
            continue
        (below,) = (a for a in args if a != EVERYTHING)
        above = [r.name for r in scene.things if r.lies_on == below]
        if not above:
            return ()
        found += [Predicate(name=meaning.predicate, args=tuple(name if a == EVERYTHING else a for a in args)) for name in above]
    return tuple(found)


def both_hands(family: Family, slots: Mapping[str, str]) -> dict[str, str]:
    """Returns slots with the hand that nothing was said of: the other one than that which was named."""
    hands = [slot for slot in family.slots if family.sort(slot) == "hand"]
    named = next((slots[slot] for slot in hands if slot in slots), None)
    return {**slots, **({slot: f"={other_side(named[1:])}" for slot in hands if slot not in slots} if named is not None else {})}


def _families(scene: SceneWords) -> list[Family]:
    """Returns the families in which the robot of a scene is spoken to."""
    return [family for family in language().families.values() if scene.limbs or not family.for_two_hands]


def _said_together(filled: Filled, predicates: Sequence[Predicate], scene: SceneWords) -> Clause:
    """Returns the clause of a family of several meanings, and of whatever other family says the same."""
    said = _meant(filled, scene)
    ways = [filled]
    for family in _families(scene):
        if len(family.means) > 1 and family is not filled.family:
            other = _filled_together(family, [p for p in predicates if p in said], scene)
            if other is not None and _meant(other, scene) == said:
                ways.append(other)
    return Clause(predicates=tuple(p for p in predicates if p in said), ways=tuple(ways))


def _meant(filled: Filled, scene: SceneWords) -> frozenset[Predicate]:
    first, *others = filled.family.slots
    fixed = {slot: filled.slots[slot][0] for slot in others}
    return frozenset(p for argument in filled.slots[first] for p in instances(filled.family, {**fixed, first: argument}, scene))


def _clause(handed: tuple[Handed, ...], scene: SceneWords) -> Clause:
    group, side = tuple(h.predicate for h in handed), handed[0].side
    first = group[0]
    if first.name == BY_HAND:
        raise BadSpec(f"the goal wants {first}, and nothing to be done to {first.args[0]}; say beside it what that hand is to do")
    if side is not None and not scene.limbs:
        raise BadSpec(f"the goal wants {', '.join(map(str, handed[0].sources))}; the robot has one hand, which is neither left nor right")
    ways = []
    for family in language().families_of(first.name):
        if family not in _families(scene):
            continue
        meaning = family.means[0]
        if len(first.args) != len(meaning.slots):
            raise BadSpec(f"the goal {first} has {len(first.args)} arguments; sentences of {first.name!r} have the slots {', '.join(meaning.slots)}")
        pairs = tuple(zip(meaning.slots, first.args, strict=True))
        if any(slot.startswith("=") and slot != argument for slot, argument in pairs):
            continue
        slots: dict[str, tuple[str, ...]] = {slot: (argument,) for slot, argument in pairs if not slot.startswith("=")}
        if meaning.slots[0] in slots:
            slots[meaning.slots[0]] = tuple(dict.fromkeys(p.args[0] for p in group))
        if all(scene.fits(argument, family.sort(slot)) for slot, arguments in slots.items() for argument in arguments):
            ways.append(Filled(family, slots))
    if not ways:
        wanted = "; ".join(f"{f.name}: {', '.join(map(' = '.join, zip(f.slots, f.takes, strict=True)))}" for f in language().families_of(first.name))
        raise BadSpec(f"no family of sentences can say {', '.join(map(str, group))}: what it takes is {wanted} (sorts of envs/language/referents.py)")
    return Clause(predicates=tuple(dict.fromkeys(p for h in handed for p in h.sources)), ways=tuple(ways), side=side)


def _filled_together(family: Family, predicates: Sequence[Predicate], scene: SceneWords) -> Filled | None:
    """Returns a family of several meanings with slots with which it asks for some of the predicates; None if there are none."""

    def fits(slots: Mapping[str, str]) -> bool:
        asked = instances(family, slots, scene)
        return bool(asked) and {*asked} <= {*predicates} and all(scene.fits(argument, family.sort(slot)) for slot, argument in slots.items())

    def extend(meanings: Sequence[Meaning], slots: dict[str, str]) -> dict[str, str] | None:
        if not meanings:
            filled = both_hands(family, slots)
            return filled if fits(filled) else None
        if EVERYTHING in meanings[0].slots:
            return extend(meanings[1:], slots)
        for predicate in predicates:
            if predicate.name != meanings[0].predicate or len(predicate.args) != len(meanings[0].slots):
                continue
            pairs = dict(zip(meanings[0].slots, predicate.args, strict=True))
            if all((slot if slot.startswith("=") else slots.get(slot, argument)) == argument for slot, argument in pairs.items()):
                if (done := extend(meanings[1:], {**slots, **pairs})) is not None:
                    return done
        return None

    if (filled := extend(family.means, {})) is None:
        return None
    first, *_ = family.slots
    alike = [p.args[m.slots.index(first)] for m in family.means if first in m.slots for p in predicates if p.name == m.predicate]
    several = [argument for argument in dict.fromkeys(alike) if fits({**filled, first: argument})]
    return Filled(family, {slot: (tuple(several) if slot == first else (argument,)) for slot, argument in filled.items()})
