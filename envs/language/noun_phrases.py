"""What a noun phrase can mean in a scene: read word by word, by what the words are true of. Knows nothing of how phrases are made."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from vlagym.envs.language import spatial
from vlagym.envs.language.classes import GENERIC, Class, Names, Narrow, Narrowing, Test, adjective, lexicon
from vlagym.envs.language.inflection import NUMBERS, ORDINALS, is_always_plural, plural
from vlagym.envs.language.phrases import language
from vlagym.envs.language.referents import Referent
from vlagym.envs.language.scene_words import SceneWords
from vlagym.envs.language.spatial import Side


class Reading(NamedTuple):
    """One thing, or several, that a noun phrase can stand for."""

    names: Names
    is_plural: bool
    """Whether verbs and pronouns for it are plural."""
    noun: str
    """What it was called, for "the blue one" and "the other one"."""


_MOST: Mapping[str, tuple[str, float]] = {
    **dict.fromkeys(("biggest", "largest", "big", "large", "bigger", "larger"), ("size", 1.0)),
    **dict.fromkeys(("smallest", "small", "little", "smaller"), ("size", -1.0)),
    **dict.fromkeys(("tallest", "tall", "taller"), ("height", 1.0)),
    **dict.fromkeys(("shortest", "short", "shorter"), ("height", -1.0)),
    **dict.fromkeys(("nearest", "closest"), ("robot", -1.0)),
    **dict.fromkeys(("farthest", "furthest"), ("robot", 1.0)),
}
_MOST_TO: Mapping[str, Side] = {"leftmost": "left", "left": "left", "rightmost": "right", "right": "right", "front": "front", "back": "back"}
_AT: Mapping[str, Side] = {"on the left": "left", "on the right": "right", "at the front": "front", "at the back": "back"}
_BESIDE: tuple[tuple[str, Side], ...] = (
    ("to the left of ", "left"),
    ("left of ", "left"),
    ("to the right of ", "right"),
    ("right of ", "right"),
    ("in front of ", "front"),
    ("behind ", "back"),
)
_NEXT = ("next to ", "beside ")
_ABOVE = {"above ": True, "below ": False}
_FROM = {"nearest to ": -1.0, "closest to ": -1.0, "farthest from ": 1.0, "furthest from ": 1.0}
_AS_VIEWER = (" as I see it", " as seen from my side", " from where I sit")
_AS_ROBOT = (" as you see it", " as seen from your side")
_VIEWER = re.compile(r"\b(?:my (?:left|right|side)|as I see it|from where I sit)\b")
_ROBOT = ("the robot", "you", "yourself")
_LYING = ("lying on its side", "that has fallen over", "that is lying down")


class NounPhrases:
    """Reads the noun phrases of one scene, and remembers them."""

    def __init__(self, scene: SceneWords) -> None:
        self._scene = scene
        self._narrowing = Narrowing(scene)
        self._nouns = lexicon(scene)
        self._nominals: dict[str, tuple[Class, ...]] = {}

    def readings(self, text: str, mentioned: tuple[Reading, ...] = ()) -> tuple[Reading, ...]:
        """Returns everything that a noun phrase can stand for.

        Args:
          text: "the second mug from the left", "both blocks", "it".
          mentioned: What the sentence spoke of before, in order.
        """
        if not self._scene.has_viewer and _VIEWER.search(text):
            return ()
        return tuple(dict.fromkeys(self._readings(text, mentioned)))

    def needs(self, text: str) -> tuple[Reading, ...]:
        """Returns what somebody can mean who says this of himself: "I'm thirsty"."""
        found = []
        for use, words in language().words.uses.items():
            if text in (*words.needs, *words.unseen_needs):
                found += [Reading(frozenset((name,)), False, "thing") for name in self._useful(use)]
        return tuple(found)

    def somethings(self, text: str) -> tuple[Reading, ...]:
        """Returns what "something to drink from" can be."""
        found = []
        for use, words in language().words.uses.items():
            if text in (*words.something, *words.unseen_something):
                found += [Reading(frozenset((name,)), False, "thing") for name in self._useful(use)]
        return tuple(found)

    # ------------------------------------------------------------------------------------------------------------- determiners
    def _readings(self, text: str, mentioned: tuple[Reading, ...]) -> Iterator[Reading]:
        if text in ("it", "them"):
            yield from (m for m in mentioned if m.is_plural == (text == "them"))
            return
        yield from self._conjoined(text, mentioned)
        if text.startswith("the other"):
            yield from self._other(text, mentioned)
            return
        antecedents = [m.noun for m in mentioned if m.noun not in GENERIC]
        found: list[Reading] = []
        if re.search(r"\bones?\b", text):
            for noun in dict.fromkeys(antecedents):
                many = re.sub(r"\bones\b", plural(noun), text)
                found += self._determined(re.sub(r"\bone\b", noun, many))
        yield from found or self._determined(text)

    def _conjoined(self, text: str, mentioned: tuple[Reading, ...]) -> Iterator[Reading]:
        for found in re.finditer(r" and |, ", text):
            for left in self._readings(text[: found.start()], mentioned):
                for right in self.readings(text[found.end() :], (*mentioned, left)):
                    if not left.names & right.names:
                        yield Reading(left.names | right.names, True, left.noun)

    def _other(self, text: str, mentioned: tuple[Reading, ...]) -> Iterator[Reading]:
        rest = text.removeprefix("the other").strip()
        for mention in mentioned:
            noun = rest if rest not in ("", "one") else mention.noun
            for found in self.nominal(noun):
                if found.number == "one" and mention.names <= found.sure:
                    others = found._replace(sure=found.sure - mention.names, maybe=found.maybe - mention.names)
                    yield from _the(others)

    def _determined(self, text: str) -> Iterator[Reading]:
        numbers = "|".join(NUMBERS[2:])
        patterns: tuple[tuple[str, Callable[[re.Match[str], Class], Iterator[Reading]]], ...] = (
            (r"both (?:of the )?(.+)", lambda m, c: _count(c, 2)),
            (rf"(?:all|the) ({numbers}) (.+)", lambda m, c: _count(c, NUMBERS.index(m[1]))),
            (r"all (?:of )?the (.+)", lambda m, c: _all(c, "many", "mass")),
            (r"all (.+)", lambda m, c: _all(c, "many", "mass")),
            (r"(?:every|each) (.+)", lambda m, c: (r._replace(is_plural=False) for r in _all(c, "one"))),
            (r"the (.+)", lambda m, c: _the(c)),
        )
        for pattern, determine in patterns:
            if found := re.fullmatch(pattern, text):
                for class_ in self.nominal(found[found.lastindex or 1]):
                    yield from determine(found, class_)
        if found := re.fullmatch(r"([a-z ]+) ([A-Z0-9]+)", text):
            for class_ in self.nominal(f"{found[1]} labelled {found[2]}"):
                yield from _the(class_)
        for found in re.finditer(r"'s ", text):
            for owner in self._determined(text[: found.start()]):
                for class_ in self.nominal(text[found.end() :]):
                    yield from _the(self._narrowing.keep(functools.partial(_is_part, next(iter(owner.names))))(class_))

    # ------------------------------------------------------------------------------------------------------------ nouns and modifiers
    def nominal(self, text: str) -> tuple[Class, ...]:
        """Returns what a phrase without its article can be true of: "red block", "mug to the left of the bowl"."""
        if text not in self._nominals:
            self._nominals[text] = ()
            self._nominals[text] = tuple(dict.fromkeys(self._nominal(text)))
        return self._nominals[text]

    def _nominal(self, text: str) -> Iterator[Class]:
        yield from self._nouns.get(text, ())
        first, _, rest = text.partition(" ")
        if rest:
            for narrow in self._before(first):
                yield from (narrow(c) for c in self.nominal(rest))
            for suffix in (*_AS_VIEWER, *_AS_ROBOT) if first in _MOST_TO else ():
                if rest.endswith(suffix):
                    narrow = self._narrowing.at_side(_MOST_TO[first], suffix in _AS_VIEWER)
                    yield from map(narrow, self.nominal(rest.removesuffix(suffix)))
            if first in ORDINALS and (found := re.fullmatch(r"(.+) from (?:the|(my)|your) (left|right)(.*)", rest)):
                side: Side = "left" if found[3] == "left" else "right"
                is_viewer = _is_viewer(found[4], found[2] is not None)
                if is_viewer is not None:
                    yield from (self._narrowing.nth(c, ORDINALS.index(first), side, is_viewer) for c in self.nominal(found[1]))
                elif found[4].startswith((" on ", " of ")):
                    yield from (self._narrowing.nth(c, ORDINALS.index(first), side, False) for c in self.nominal(found[1] + found[4]))
        for found in re.finditer(" ", text):
            classes = self.nominal(text[: found.start()])
            if classes:
                for narrow in self._after(text[found.end() :]):
                    yield from map(narrow, classes)

    def _before(self, word: str) -> Iterator[Narrow]:
        """Yields what an adjective does."""
        if (test := adjective(word)) is not None:
            yield self._narrowing.keep(test)
        if word in _MOST:
            yield self._narrowing.with_most(*_MOST[word])
        if word in _MOST_TO:
            yield self._narrowing.at_side(_MOST_TO[word], False)
        if word == "middle":
            yield self._narrowing.middle

    def _after(self, text: str) -> Iterator[Narrow]:
        """Yields what a phrase after the noun does."""
        for lead in ("that is ", "that are "):
            if text.startswith(lead):
                yield from self._after(text.removeprefix(lead))
                if (test := adjective(text.removeprefix(lead))) is not None:
                    yield self._narrowing.keep(test)
        if found := re.fullmatch(r"that (?:is not|isn't|are not|aren't) (\S+)", text):
            if (test := adjective(found[1])) is not None:
                yield self._narrowing.keep(_not(test))
        for use, words in language().words.uses.items():
            if text == words.clause:
                yield self._narrowing.keep(functools.partial(_is_used, use))
        if found := re.fullmatch(r"made of (\w+)", text):
            substance = next((a for a, noun in language().words.substances.items() if noun == found[1]), "")
            if (test := adjective(substance)) is not None:
                yield self._narrowing.keep(test)
        if found := re.fullmatch(r"(?:labelled|marked|with the label|with the letter|with the number) (\S+)", text):
            yield self._narrowing.keep(functools.partial(_is_labelled, found[1]))
        if text in _LYING:
            yield self._narrowing.keep(lambda r: r.is_lying)
        yield from self._placed(text)
        yield from self._related(text)

    def _placed(self, text: str) -> Iterator[Narrow]:
        """Yields what "on the left" and the like do."""
        for words, side in _AT.items():
            if text.startswith(words) and (is_viewer := _is_viewer(text.removeprefix(words), False)) is not None:
                yield self._narrowing.at_side(side, is_viewer)
        if found := re.fullmatch(r"on (my|your) (left|right)", text):
            yield self._narrowing.at_side("left" if found[2] == "left" else "right", found[1] == "my")
        if text == "in the middle":
            yield self._narrowing.middle
        for words, sign in _FROM.items():
            if text.startswith(words) and text.removeprefix(words) in _ROBOT:
                yield self._narrowing.with_most("robot", sign)

    def _related(self, text: str) -> Iterator[Narrow]:
        """Yields what a phrase does that speaks of something else: "next to the bowl", "of the white cabinet"."""
        for words, side in _BESIDE:
            if text.startswith(words):
                for landmark, is_viewer in self._framed(text.removeprefix(words)):
                    yield self._narrowing.related_to(landmark, functools.partial(_lies, landmark, side, is_viewer))
        for words, up in _ABOVE.items():
            yield from (self._narrowing.related_to(m, functools.partial(_is_above, m, up)) for m in self._landmarks(text, words))
        for words in _NEXT:
            yield from (self._narrowing.related_to(m, functools.partial(_is_next, m)) for m in self._landmarks(text, words))
        for words, sign in _FROM.items():
            for m in self._landmarks(text, words):
                yield _then(self._narrowing.related_to(m, lambda r: True), self._narrowing.with_most(m.name, sign))
        if text.startswith("between "):
            inner = text.removeprefix("between ")
            for found in re.finditer(" and ", inner):
                for a, b in itertools.product(self._landmarks(inner[: found.start()], ""), self._landmarks(inner[found.end() :], "")):
                    yield _then(self._narrowing.related_to(a, lambda r: True), self._narrowing.related_to(b, functools.partial(_is_between, a, b)))
        for words in ("on ", "in ", "inside "):
            yield from (self._narrowing.keep(functools.partial(_is_on, m.name)) for m in self._landmarks(text, words))
        yield from (self._narrowing.keep(functools.partial(_is_part, m.name)) for m in self._landmarks(text, "of "))

    def _landmarks(self, text: str, lead: str) -> Iterator[Referent]:
        if text.startswith(lead):
            for reading in self._determined(text.removeprefix(lead)):
                if len(reading.names) == 1:
                    yield self._scene[next(iter(reading.names))]

    def _framed(self, text: str) -> Iterator[tuple[Referent, bool]]:
        yield from ((m, False) for m in self._landmarks(text, ""))
        for suffixes, is_viewer in ((_AS_VIEWER, True), (_AS_ROBOT, False)):
            for suffix in suffixes:
                if text.endswith(suffix):
                    yield from ((m, is_viewer) for m in self._landmarks(text.removesuffix(suffix), ""))

    def _useful(self, use: str) -> list[str]:
        return [r.name for r in self._scene.things if use in r.uses]


def _the(class_: Class) -> Iterator[Reading]:
    if class_.number == "one":
        # Where several could be meant, any of them is a reading.
        yield from (Reading(frozenset((name,)), is_always_plural(class_.noun), class_.noun) for name in sorted(class_.maybe))
    else:
        yield from _all(class_, "many", "mass")


def _all(class_: Class, *numbers: str) -> Iterator[Reading]:
    if class_.number in numbers:
        for names in dict.fromkeys((class_.sure, class_.maybe)):
            if names:
                yield Reading(names, class_.number == "many", class_.noun)


def _count(class_: Class, count: int) -> Iterator[Reading]:
    if class_.number == "many" and len(class_.maybe) >= count:
        for names in itertools.combinations(sorted(class_.maybe), count):
            yield Reading(frozenset(names), True, class_.noun)


def _is_viewer(suffix: str, otherwise: bool) -> bool | None:
    """Returns whose view a phrase ends with; None if it ends with something else."""
    return otherwise if not suffix else True if suffix in _AS_VIEWER else False if suffix in _AS_ROBOT else None


def _is_used(use: str, referent: Referent) -> bool:
    return use in referent.uses


def _is_labelled(label: str, referent: Referent) -> bool:
    return referent.label == label


def _is_on(landmark: str, referent: Referent) -> bool:
    return landmark in (referent.lies_on, referent.owner)


def _is_part(owner: str, referent: Referent) -> bool:
    return referent.owner == owner


def _lies(landmark: Referent, side: Side, is_viewer: bool, referent: Referent) -> bool | None:
    is_part = landmark.owner is not None and landmark.owner == referent.owner
    if not (spatial.is_ahead(landmark.pos_world) and spatial.is_ahead(referent.pos_world)):
        return None
    if is_part and not spatial.are_level(referent.pos_world, landmark.pos_world):
        return None
    return spatial.lies(referent.pos_world, landmark.pos_world, side, is_viewer, spatial.PART_SCALE if is_part else 1.0)


def _is_next(landmark: Referent, referent: Referent) -> bool | None:
    if landmark.owner is not None and landmark.owner == referent.owner and not spatial.are_level(referent.pos_world, landmark.pos_world):
        return None
    return spatial.is_next(referent.pos_world, referent.radius_m, landmark.pos_world, landmark.radius_m)


def _is_above(landmark: Referent, up: bool, referent: Referent) -> bool | None:
    if landmark.owner is None or landmark.owner != referent.owner:
        return None
    upper, lower = (referent, landmark) if up else (landmark, referent)
    return spatial.is_above(upper.pos_world, lower.pos_world)


def _is_between(a: Referent, b: Referent, referent: Referent) -> bool | None:
    return spatial.is_between(referent.pos_world, a.pos_world, b.pos_world)


def _not(test: Test) -> Test:
    def negated(referent: Referent) -> bool | None:
        verdict = test(referent)
        return None if verdict is None else not verdict

    return negated


def _then(first: Narrow, second: Narrow) -> Narrow:
    return lambda class_: second(first(class_))
