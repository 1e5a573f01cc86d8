"""What a sentence can ask for in a scene: every set of predicates, or order of steps, that the templates and its words allow.

The other half of `envs.language.sentences`: it reads the text alone, against all templates at once, and finds what its noun phrases are true of. A
sentence is good if exactly the goal of its episode comes back.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence, Set
from typing import NamedTuple

from vlagym.envs.language.clauses import Wish, both_hands, canonical, instances
from vlagym.envs.language.hands import side_of, with_hand
from vlagym.envs.language.inflection import order
from vlagym.envs.language.noun_phrases import NounPhrases, Reading
from vlagym.envs.language.phrases import language
from vlagym.envs.language.referents import HAND_SORTS, SETTING_SORTS
from vlagym.envs.language.scene_words import SceneWords, scene_words
from vlagym.envs.language.templates import HAND, Family, Phrase
from vlagym.envs.types import EpisodeSpec, Predicate


class Understood(NamedTuple):
    """What a clause can ask for, and what it spoke of."""

    predicates: frozenset[Predicate]
    mentioned: tuple[Reading, ...]
    """In the order of the text."""


def understand(text: str, spec: EpisodeSpec) -> tuple[Wish, ...]:
    """Returns everything that a sentence can ask for in the scene of an episode; nothing but the scene is read.

    Returns:
      Wishes: the predicates of each step, in order; one step where there is no order. Empty if it cannot be understood.
    """
    return Reader(scene_words(spec)).read(text)


class Reader:
    """Reads the sentences about one scene."""

    def __init__(self, scene: SceneWords) -> None:
        self.noun_phrases = NounPhrases(scene)
        self._scene = scene
        self._clauses: dict[tuple[str, tuple[Reading, ...], bool], tuple[Understood, ...]] = {}

    def read(self, text: str) -> tuple[Wish, ...]:
        """Returns everything that a sentence can ask for."""
        found: dict[Wish, None] = {}
        for inner in (text, *_unwrapped(text)):
            for step in self._step(inner, ()):
                found[(step.predicates,)] = None
            for wish in self._ordered(inner):
                found[wish] = None
        return tuple(found)

    def _ordered(self, text: str) -> Iterator[Wish]:
        for frame in language().ordered:
            for parts in splits(text, frame.fragments[False]):
                numbers = [int(slot.name) for slot in frame.slots]
                requests = [order(part) if slot.is_gerund else part for slot, part in zip(frame.slots, parts, strict=True)]
                if all(request is not None for request in requests):
                    for steps in self._in_turn([r for r in requests if r is not None], ()):
                        by_number = dict(zip(numbers, steps, strict=True))
                        yield tuple(by_number[n] for n in sorted(by_number))

    def _in_turn(self, requests: Sequence[str], mentioned: tuple[Reading, ...]) -> Iterator[tuple[frozenset[Predicate], ...]]:
        if not requests:
            yield ()
            return
        for step in self._step(requests[0], mentioned):
            for rest in self._in_turn(requests[1:], (*mentioned, *step.mentioned)):
                yield (step.predicates, *rest)

    def _step(self, text: str, mentioned: tuple[Reading, ...]) -> tuple[Understood, ...]:
        """Returns what one clause asks for, or several that are joined without an order."""
        clauses = self.clause(text, mentioned)
        if clauses:
            return clauses  # "take it and put it down" is one template before it is two requests
        found: dict[Understood, None] = {}
        for frame in (*language().together, *language().shared):
            for parts in splits(text, frame.fragments[False]):
                found.update(dict.fromkeys(self._joined(parts, mentioned, frame in language().shared)))
        # One could take the hand of "touch the mug and press the button with your left hand" for that of both.
        found.update(dict.fromkeys(self._handed(text, lambda request: self._step(request, mentioned))))
        return tuple(found)

    def _handed(self, text: str, read: Callable[[str], tuple[Understood, ...]]) -> Iterator[Understood]:
        """Yields what a text can ask for that says which hand is to do it; `read` reads what is to be done."""
        for frame in _handed_frames() if self._scene.limbs else ():
            for parts in splits(text, frame.fragments[False]):
                named = dict(zip((slot.name for slot in frame.slots), parts, strict=True))
                form = next(slot.form for slot in frame.slots if slot.name == HAND)
                side = side_of(named[HAND], form, self._scene.limbs)
                for done in read(named["request"]) if side is not None else ():
                    asked = with_hand(done.predicates, side or "")
                    if asked is not None:
                        yield Understood(asked, done.mentioned)

    def _joined(self, requests: Sequence[str], mentioned: tuple[Reading, ...], is_bare: bool) -> Iterator[Understood]:
        for clause in self.clause(requests[0], mentioned, is_bare):
            if len(requests) == 1:
                yield clause
                continue
            for rest in self._joined(requests[1:], (*mentioned, *clause.mentioned), is_bare):
                yield Understood(clause.predicates | rest.predicates, clause.mentioned + rest.mentioned)

    def clause(self, text: str, mentioned: tuple[Reading, ...], is_bare: bool = False) -> tuple[Understood, ...]:
        """Returns what a text can ask for that is made of one template, and of a frame for the hand; `is_bare`: of one without a verb."""
        key = (text, mentioned, is_bare)
        if key not in self._clauses:
            found = dict.fromkeys(self._of_template(text, mentioned, is_bare))
            if not is_bare:
                found.update(dict.fromkeys(self._handed(text, lambda request: tuple(self._of_template(request, mentioned, False)))))
            self._clauses[key] = tuple(found)
        return self._clauses[key]

    def _of_template(self, text: str, mentioned: tuple[Reading, ...], is_bare: bool) -> Iterator[Understood]:
        for family, phrase in _candidates(text):
            if (is_bare and not phrase.is_bare) or (family.for_two_hands and not self._scene.limbs):
                continue
            for is_plural in (False, True) if phrase.agrees else (False,):
                for parts in splits(text, phrase.fragments[is_plural]):
                    agreement = is_plural if phrase.agrees else None
                    yield from self._filled(family, phrase, parts, agreement, mentioned)

    def _filled(
        self, family: Family, phrase: Phrase, parts: Sequence[str], is_plural: bool | None, mentioned: tuple[Reading, ...]
    ) -> Iterator[Understood]:
        """Yields what a template asks for with texts in its gaps."""

        def fill(index: int, slots: dict[str, frozenset[str]], spoken: tuple[Reading, ...]) -> Iterator[Understood]:
            if index == len(parts):
                yield from self._meant(family, slots, spoken)
                return
            slot, sort = phrase.slots[index], family.sort(phrase.slots[index].name)
            if sort in HAND_SORTS:
                side = side_of(parts[index], slot.form if sort == "hand" else "side", self._scene.limbs)
                if side is not None:
                    yield from fill(index + 1, {**slots, slot.name: frozenset((f"={side}",))}, spoken)
                return
            if sort in SETTING_SORTS:
                if SETTING_SORTS[sort](parts[index]):
                    yield from fill(index + 1, {**slots, slot.name: frozenset((f"={parts[index]}",))}, spoken)
                return
            for reading in self._readings(parts[index], slot.form, (*mentioned, *spoken)):
                is_first = slot.name == family.slots[0]
                if is_first and is_plural is not None and reading.is_plural != is_plural:
                    continue
                for names in self._arguments(reading, sort):
                    if len(names) == 1 or is_first:
                        if slots.get(slot.name, names) == names:
                            yield from fill(index + 1, {**slots, slot.name: names}, (*spoken, reading))

        yield from fill(0, {}, ())

    def _readings(self, text: str, form: str, mentioned: tuple[Reading, ...]) -> tuple[Reading, ...]:
        if form == "use":
            return self.noun_phrases.somethings(text)
        return self.noun_phrases.needs(text) if form == "need" else self.noun_phrases.readings(text, mentioned)

    def _arguments(self, reading: Reading, sort: str) -> Iterator[frozenset[str]]:
        """Yields the arguments that a reading can stand for in a slot."""
        choices = [self._scene.arguments(name, sort) for name in sorted(reading.names)]
        for chosen in itertools.product(*choices):
            yield frozenset(chosen)

    def _meant(self, family: Family, slots: dict[str, frozenset[str]], spoken: tuple[Reading, ...]) -> Iterator[Understood]:
        """Yields the predicates of a family whose slots are all filled, unless they cannot be."""
        predicates: set[Predicate] = set()
        for first in slots[family.slots[0]] if family.slots else ("",):
            alone = {s: next(iter(names)) for s, names in slots.items()} | ({family.slots[0]: first} if family.slots else {})
            single = both_hands(family, alone)
            said = instances(family, single, self._scene)
            sides = {single[s] for s in family.slots if family.sort(s) in HAND_SORTS}
            if not said or len({*single.values()}) < len(single) or not all(self._has_setting(p, sides) for p in said):
                return
            predicates.update(map(canonical, said))
        yield Understood(frozenset(predicates), spoken)

    def _has_setting(self, predicate: Predicate, sides: Set[str]) -> bool:
        """Returns whether each word of a predicate, but for sides of the robot, is a setting of something that it speaks of."""
        if not predicate.things:
            return True  # "nod" is no setting
        words = [argument[1:] for argument in predicate.args if argument.startswith("=") and argument not in sides]
        settings = {word for argument in predicate.args if not argument.startswith("=") for word in self._scene[argument].settings}
        return settings.issuperset(words)


def splits(text: str, fragments: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yields every way to cut a text into non-empty parts between the fragments of a template."""
    first, *rest = fragments
    if not text.startswith(first):
        return
    if not rest:
        if text == first:
            yield ()
        return
    if any(fragment not in text for fragment in rest) or not text.endswith(rest[-1]):
        return

    def cut(start: int, left: Sequence[str]) -> Iterator[tuple[str, ...]]:
        if len(left) == 1:
            end = len(text) - len(left[0])
            if end > start and text.endswith(left[0]):
                yield (text[start:end],)
            return
        at = text.find(left[0], start + 1)
        while at >= 0:
            for parts in cut(at + len(left[0]), left[1:]):
                yield (text[start:at], *parts)
            at = text.find(left[0], at + 1)

    yield from cut(len(first), rest)


def _unwrapped(text: str) -> Iterator[str]:
    """Yields the requests around which a polite frame stands."""
    for frame in language().polite:
        yield from (parts[0] for parts in splits(text, frame.fragments[False]))


@functools.cache
def _handed_frames() -> tuple[Phrase, ...]:
    return tuple(frame for frames in language().handed.values() for frame in frames)


def _candidates(text: str) -> Iterator[tuple[Family, Phrase]]:
    """Yields the templates that can begin like a text."""
    by_word = _by_first_word()
    yield from by_word.get(text.partition(" ")[0], ())
    yield from by_word[""]


@functools.cache
def _by_first_word() -> dict[str, list[tuple[Family, Phrase]]]:
    """Returns the templates by their first word; under "" those that begin with a slot, or with a word that a slot is part of."""
    found: dict[str, list[tuple[Family, Phrase]]] = {"": []}
    for family in language().families.values():
        for phrase in family.phrases:
            beginning = phrase.fragments[False][0]
            word = beginning.partition(" ")[0] if " " in beginning or not phrase.slots else ""
            found.setdefault(word, []).append((family, phrase))
    return found
