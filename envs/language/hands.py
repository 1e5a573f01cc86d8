"""Which hand is to do it: part of what a sentence asks for, said around what is to be done, and read so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vlagym.envs.language.referents import SIDES
from vlagym.envs.language.templates import Family, Phrase
from vlagym.envs.types import Predicate

BY_HAND = "by_hand"
"""by_hand(x, =left): of the hands only the left one has touched x. It stands beside what is wanted of x."""
WITH_HAND = {"pointed_at": "pointed_at_with"}
"""Predicates that have a form of their own, with the side after the thing, for one hand."""
_OF_ITS_OWN_HAND = (BY_HAND, *WITH_HAND.values(), "held_with", "handed_over")

_OWN_HAND = re.compile(r"\b(?:hands?|fingers?|fingertips?|so that|make sure|until|give me|make room)\b")
_WITH_THE_BODY = re.compile(r"(?:go|find|get|bend|squat|crouch|stoop|lower yourself) ")
_TRAILING = re.compile(r",|\bwithout\b|\]$")


class Handed(NamedTuple):
    """A predicate and the hand that is to do it."""

    predicate: Predicate
    side: str | None
    """left | right; None where the hand is free."""
    sources: tuple[Predicate, ...]
    """The predicates of the goal that this is: on(apple, plate) and by_hand(apple, =left)."""


def taken_apart(predicates: Sequence[Predicate]) -> tuple[Handed, ...]:
    """Returns what is wanted, each with the hand that is to do it; one that says the hand of nothing that is wanted stands for itself."""
    said = {_doer(p): p for p in predicates if p.name == BY_HAND}
    plain = {name: alone for alone, name in WITH_HAND.items()}
    found: list[Handed] = []
    used: set[Predicate] = set()
    for predicate in predicates:
        if predicate.name == BY_HAND:
            continue
        if predicate.name in plain:
            alone = Predicate(name=plain[predicate.name], args=predicate.args[:-1])
            found.append(Handed(alone, predicate.args[-1][1:], (predicate,)))
        elif (mark := said.get(_doer(predicate))) is not None:
            used.add(mark)
            found.append(Handed(predicate, mark.args[1][1:], (predicate, mark)))
        else:
            found.append(Handed(predicate, None, (predicate,)))
    found += [Handed(mark, None, (mark,)) for mark in said.values() if mark not in used]
    return tuple(found)


def with_hand(predicates: Iterable[Predicate], side: str) -> frozenset[Predicate] | None:
    """Returns what is asked for where these are to be done with one hand; None if one has its own hand, or is done to nothing, as a bow is."""
    found: set[Predicate] = set()
    for predicate in predicates:
        if not _doer(predicate) or predicate.name in _OF_ITS_OWN_HAND:
            return None
        if predicate.name in WITH_HAND:
            found.add(Predicate(name=WITH_HAND[predicate.name], args=(*predicate.args, f"={side}")))
        else:
            found |= {predicate, Predicate(name=BY_HAND, args=(_doer(predicate), f"={side}"))}
    return frozenset(found)


def takes_hand(phrase: Phrase, frame: Phrase | None = None) -> bool:
    """Returns whether one can say around a template with which hand it is to be done, or in this frame.

    Not where the template speaks of hands itself, or of what comes of it ("so that it stands on the plate with your left hand"), or where one
    could take the hand for that of something else ("without lifting it with your left hand").
    """
    if _OWN_HAND.search(phrase.text):
        return False
    if frame is None:
        return True
    if "please" in frame.text and "please" in phrase.text:
        return False
    if frame.text.endswith(("{request}", "{request}?")):  # what is to be done stands last
        return phrase.is_indirect or _WITH_THE_BODY.match(phrase.text) is None
    return _TRAILING.search(phrase.text) is None and not (" with " in phrase.text and " with " in frame.text)


def fits_limbs(phrase: Phrase, family: Family, limbs: Sequence[str]) -> bool:
    """Returns whether a template for two hands suits a robot: one that has arms alone is not told of its hands."""
    return not family.for_two_hands or "hand" in limbs or re.search(r"\bhands?\b", phrase.text) is None


def side_of(text: str, form: str, limbs: Sequence[str]) -> str | None:
    """Returns the side that a text names: "left hand", or "left" where the form is "side"; None if it names none."""
    side, _, limb = text.partition(" ")
    return side if side in SIDES and (not limb if form == "side" else limb in limbs) else None


def _doer(predicate: Predicate) -> str:
    """Returns the prop or fixture that a predicate wants something done to; empty where there is none."""
    return "" if not predicate.args or predicate.args[0].startswith("=") else predicate.args[0].split("/")[0]
