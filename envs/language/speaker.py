"""Fills the slots of a template with words for what is meant: noun phrases that single it out, pronouns, settings, needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vlagym.envs.asset_files import Split
from vlagym.envs.errors import BadSpec
from vlagym.envs.language.discourse import Discourse, Frame, spelled_out
from vlagym.envs.language.expressions import COMPLEX, DIRECTED, SIMPLE, Expressions
from vlagym.envs.language.inflection import is_always_plural, listed
from vlagym.envs.language.noun_phrases import NounPhrases, Reading
from vlagym.envs.language.phrases import language
from vlagym.envs.language.reference import describe, plain
from vlagym.envs.language.referents import HAND_SORTS, SETTING_SORTS, Referent
from vlagym.envs.language.scene_words import SceneWords
from vlagym.envs.language.set_expressions import SetExpressions
from vlagym.envs.language.templates import Form, Gap, Phrase
from vlagym.envs.language.wording import ANY, Wording, says
from vlagym.envs.language.words import UseWords

_PRONOUN_PROBABILITY = 0.6
_PHRASE_TRIES = 8
_FALLBACK = ("plain", "label", "part", "adjectives", "category", "size", "extreme", "ordinal", "relation", "state", "negation", "nearest", "use")
_HEAVY = re.compile(
    r" (?:to|that|next|beside|behind|in|between|nearest|closest|farthest|from|lying|you|children|made|as|at|with)\b| on (?:the \w+$|my|your)"
)
_TOOL = re.compile(r" (?:you|children|with) ")
_GENERIC = re.compile(r"\b(?:thing|object)\b")
_WITHOUT = re.compile(r"\bwithout (?:dropping|losing) $")
_QUANTIFIED = re.compile(r"(?:every|each|all|both) ")
_ANYTHING = ("movable", "thing", "prop")
_AS_SEEN = (" as I see it", " as seen from my side")


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How things are spoken of."""

    is_described: bool
    """By noun and colour alone, as `describe` does."""
    is_simple: bool
    """By the shortest style that singles a thing out."""
    wants_complex: bool
    """By comparing, counting, denying, or by other things, where that is possible."""
    is_directed: bool = True
    """Whether left and right may tell things apart."""
    wording: Wording = ANY
    """What else is asked of the words for things."""

    def counts(self, text: str, *styles: str) -> bool:
        """Returns whether words of one of these styles are of those that are wanted."""
        return not {*styles}.isdisjoint(self.wording.styles or COMPLEX) and not (self.wording.avoids and says(self.wording.avoids, text))


class Words(NamedTuple):
    """What fills a slot."""

    text: str
    reading: Reading | None
    """What later pronouns can stand for; None for a setting, a need or a use."""
    is_complex: bool = False


class Speaker:
    """Finds words for the things of one scene."""

    def __init__(self, scene: SceneWords, reader: NounPhrases, rng: np.random.Generator, nouns: Split, avoid: Iterable[str]) -> None:
        self._scene = scene
        self._reader = reader
        self._rng = rng
        self._nouns: Split = nouns
        self._landmarks: dict[str, tuple[tuple[str, str], ...]] = {}
        self._discourse = Discourse()
        self._limb = ""
        self._expressions = Expressions(scene, self._landmark, avoid, nouns)
        self._sets = SetExpressions(scene, self._expressions)

    def begin(self, frame: Frame | None) -> None:
        """Begins a sentence; `frame`: whose left and right its templates speak of, None where they speak of no side."""
        self._discourse = Discourse(frame)
        self._limb = self._draw(self._scene.limbs) if self._scene.limbs else ""

    def begin_clause(self, template: Phrase) -> None:
        """Begins a clause of the sentence."""
        self._discourse.begin_clause(template.text)

    def fill(
        self,
        arguments: tuple[str, ...],
        sort: str,
        form: Form,
        manner: Manner,
        mentioned: tuple[Reading, ...],
        *,
        gap: Gap,
        use: str | None,
        split: Split,
    ) -> Words:
        """Returns words for what stands in a slot.

        Args:
          arguments: Of the predicates; several only where all are asked for together.
          sort: What the slot takes.
          form: How it is filled.
          manner: How things are spoken of.
          mentioned: What the sentence spoke of before.
          gap: What stands around the slot.
          use: What the need or use is about; from `draw_use`.
          split: Of the needs and uses.

        Raises:
          BadSpec: If no phrase singles it out.
        """
        if sort in HAND_SORTS:
            limb = f" {self._limb}" if sort == "hand" and form == "thing" else ""
            return Words(f"{arguments[0][1:]}{limb}", None)
        if sort in SETTING_SORTS:
            return Words(arguments[0][1:], None)
        if form != "thing":
            if use is None:
                raise BadSpec(f"{arguments[0]} is good for nothing that words.toml has words for, so it cannot be asked for by a need or a use")
            words = language().words.uses[use]
            return Words(self._draw(_words_of_use(words, form, split)), None)
        if len(arguments) > 1:
            return self._several(arguments, sort, manner, mentioned, gap)
        target = self._scene.spoken(arguments[0], sort)
        if not manner.is_described and gap.room != "short" and (pronoun := self._pronoun(arguments, sort, mentioned)) is not None:
            return pronoun
        if manner.is_described and target.sort != "joint":
            text = describe(target, [r for r in self._scene.things if r is not target], self._rng, self._nouns)
            if self._nouns == "seen" and not any(text.endswith(f" {noun}") for noun in target.names):
                raise BadSpec(f"no seen noun tells {plain(target)} from everything else in the scene; {text!r} is kept for evaluation")
            own = [r for r in self._reader.readings(text, mentioned) if r.names == {target.name}]
            if self._discourse.noun_of(target.name) in (None, *(r.noun for r in own)):
                if own:
                    self._discourse.add(text, own[0], (), is_directed=False)
                return Words(text, own[0] if own else None)
        return self._one(target, arguments, sort, manner, mentioned, gap)

    def _one(
        self, target: Referent, arguments: tuple[str, ...], sort: str, manner: Manner, mentioned: tuple[Reading, ...], gap: Gap
    ) -> Words:
        if manner.wording.keeps and (kept := self._kept(target, arguments, sort, manner, mentioned, gap)) is not None:
            return kept
        if manner.is_described or manner.is_simple or gap.room == "short":
            styles: Sequence[str] = ("plain",) if gap.room == "short" else _FALLBACK
        elif manner.wording.styles:
            styles = [manner.wording.styles[int(i)] for i in self._rng.permutation(len(manner.wording.styles))] + list(_FALLBACK)
        elif manner.wants_complex:
            styles = [COMPLEX[int(i)] for i in self._rng.permutation(len(COMPLEX))][:_PHRASE_TRIES] + list(_FALLBACK)
        else:
            styles = [(*SIMPLE, "other")[int(i)] for i in self._rng.permutation(len(SIMPLE) + 1)] + list(_FALLBACK)
        for style in styles:
            if style in DIRECTED and not manner.is_directed:
                continue
            proposals = [text for text in self._expressions.propose(target, style, mentioned) if _has_room(text, gap) and _suits(text, sort)]
            for index in self._rng.permutation(len(proposals))[:_PHRASE_TRIES]:
                text = _beside_others(proposals[int(index)], target, gap)
                if (reading := self._accepted(text, arguments, sort, mentioned, style in DIRECTED)) is not None:
                    return Words(text, reading, manner.counts(text, style))
        raise BadSpec(f"no phrase tells {plain(target)} ({target.name}) from everything else in the scene")

    def _kept(
        self, target: Referent, arguments: tuple[str, ...], sort: str, manner: Manner, mentioned: tuple[Reading, ...], gap: Gap
    ) -> Words | None:
        """Returns the words for a thing that another sentence has, the longest that still single it out; None if none do."""
        found: dict[str, str] = {}
        for style in (*SIMPLE, *COMPLEX):
            if style in DIRECTED and not manner.is_directed:
                continue
            for proposal in self._expressions.propose(target, style, mentioned):
                text = _beside_others(proposal, target, gap)
                if says(manner.wording.keeps, text) and _has_room(text, gap) and _suits(text, sort):
                    found.setdefault(text, style)
        for text in sorted(found, key=lambda text: (-len(text), text)):
            if (reading := self._accepted(text, arguments, sort, mentioned, found[text] in DIRECTED)) is not None:
                return Words(text, reading, manner.counts(text, found[text]))
        return None

    def _several(self, arguments: tuple[str, ...], sort: str, manner: Manner, mentioned: tuple[Reading, ...], gap: Gap) -> Words:
        targets = [self._scene.spoken(a, sort) for a in arguments]
        for is_complex in (True, False) if manner.wants_complex and manner.is_directed else (False,):
            proposals = self._sets.propose_all(targets, mentioned, is_complex=is_complex)
            for index in sorted(self._rng.permutation(len(proposals)), key=lambda i: not says(manner.wording.keeps, proposals[int(i)])):
                text = proposals[int(index)]
                if (" not " in gap.after or _WITHOUT.search(gap.before)) and _QUANTIFIED.match(text):
                    continue  # "every plate should not be there" leaves open whether some may
                if is_complex and not gap.is_alone:
                    text = spelled_out(text, not any(text.startswith(f"all the {mass} ") for mass in _mass_nouns()))
                if is_complex and not _has_room(text, gap):
                    continue
                if (reading := self._accepted(text, arguments, sort, mentioned, is_complex)) is not None:
                    return Words(text, reading, manner.counts(text, *(COMPLEX if is_complex else SIMPLE)))
        single = Manner(is_described=False, is_simple=True, wants_complex=False)
        phrases = [self._one(t, (a,), sort, single, (), Gap("inner", "")).text for t, a in zip(targets, arguments, strict=True)]
        text = listed(phrases)
        return Words(text, Reading(frozenset(t.name for t in targets), True, targets[0].names[0]))

    def _pronoun(self, arguments: tuple[str, ...], sort: str, mentioned: tuple[Reading, ...]) -> Words | None:
        for reading in reversed(mentioned[-2:]):
            if len(reading.names) == 1 and self._scene.arguments(next(iter(reading.names)), sort) == arguments:
                if self._rng.random() < _PRONOUN_PROBABILITY:
                    return Words("them" if reading.is_plural else "it", reading)
                return None
        return None

    def knows_uses(self, slots: Mapping[str, tuple[str, ...]], phrase: Phrase) -> bool:
        """Returns whether what a template asks for by a need or a use is one thing that is good for something."""
        return all(slot.form in ("thing", "side") or bool(self._uses(slots[slot.name])) for slot in phrase.slots)

    def draw_use(self, slots: Mapping[str, tuple[str, ...]], phrase: Phrase) -> str | None:
        """Returns what a template's needs and uses are about; None if it has none."""
        for slot in phrase.slots:
            if slot.form not in ("thing", "side"):
                return self._draw(self._uses(slots[slot.name]))
        return None

    def _uses(self, arguments: tuple[str, ...]) -> list[str]:
        if len(arguments) != 1 or arguments[0].startswith("="):
            return []
        return [use for use in self._scene[arguments[0]].uses if use in language().words.uses]

    def _draw(self, words: Sequence[str]) -> str:
        return words[int(self._rng.integers(len(words)))]

    def _singled_out(self, text: str, arguments: tuple[str, ...], sort: str, mentioned: tuple[Reading, ...]) -> Reading | None:
        """Returns the reading of a phrase if it can stand for these arguments in the slot and for nothing else there."""
        readings = self._reader.readings(text, mentioned)
        fitting = [r for r in readings if any(self._scene.arguments(name, sort) for name in r.names)]
        if len({r.names for r in fitting}) != 1:
            return None
        stands_for = [self._scene.arguments(name, sort) for name in sorted(fitting[0].names)]
        if any(len(names) != 1 for names in stands_for) or {names[0] for names in stands_for} != {*arguments}:
            return None
        return fitting[0]

    def _accepted(
        self, text: str, arguments: tuple[str, ...], sort: str, mentioned: tuple[Reading, ...], is_directed: bool
    ) -> Reading | None:
        """Returns the reading of a phrase that singles out what is meant and can follow what the sentence has said; it is then said."""
        reading = self._singled_out(text, arguments, sort, mentioned)
        if reading is None:
            return None
        leaned = tuple(self._leaned_on(text, reading.names))
        if not self._discourse.allows(text, reading, tuple(name for name, _ in leaned), is_directed=is_directed):
            return None
        self._discourse.add(text, reading, leaned, is_directed=is_directed)
        return reading

    def _leaned_on(self, text: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yields the landmarks of a phrase, with their nouns."""
        for name, phrases in self._landmarks.items():
            if name not in names:
                noun = next((noun for words, noun in phrases if re.search(rf"\b{re.escape(words)}\b", text)), None)
                if noun is not None:
                    yield name, noun

    def _landmark(self, referent: Referent) -> str | None:
        """Returns the shortest phrase that singles a thing out, whatever else there is, by the noun that was used for it; None if none does."""
        if referent.name not in self._landmarks:
            proposals = [text for style in ("plain", "label") for text in self._expressions.propose(referent, style)]
            read = [(text, self._reader.readings(text)) for text in proposals]
            self._landmarks[referent.name] = tuple((t, rs[0].noun) for t, rs in read if {r.names for r in rs} == {frozenset((referent.name,))})
        known = self._discourse.noun_of(referent.name)
        return next((text for text, noun in self._landmarks[referent.name] if known in (None, noun)), None)


def _beside_others(text: str, target: Referent, gap: Gap) -> str:
    """Returns words for a thing as they are said where the template speaks of another thing too."""
    if gap.is_alone or (target.owner is not None and " on the " in text):
        return text
    return spelled_out(text, any(is_always_plural(noun) and noun in text for noun in target.nouns))


def _suits(text: str, sort: str) -> bool:
    """Returns whether a phrase names well enough what a slot takes: one pours a cup, not a green thing."""
    return sort in _ANYTHING or _GENERIC.search(text) is None


def _has_room(text: str, gap: Gap) -> bool:
    if gap.after.split()[:1] == text.split()[-1:]:
        return False  # "the thing you cut with with your fingers"
    if gap.is_before_hand and _TOOL.search(text):
        return False  # "touch the thing you can eat with your left hand"
    if gap.room == "light":
        return _HEAVY.search(text) is None
    return gap.room == "end" or not text.endswith(_AS_SEEN)


def _mass_nouns() -> list[str]:
    return [noun for category in language().words.categories.values() for noun in category.mass]


def _words_of_use(words: UseWords, form: Form, split: Split) -> tuple[str, ...]:
    if form == "use":
        return words.something if split == "seen" else words.unseen_something
    return words.needs if split == "seen" else words.unseen_needs
