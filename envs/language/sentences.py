"""Goals become English sentences: templates of assets/language/en, filled with noun phrases, drawn with an explicit generator.

Every sentence is read back by `envs.language.understand`, which knows nothing of how it was made, before it leaves this file: it asks for the goal of
its episode in that scene, and for nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from vlagym.envs.asset_files import Split
from vlagym.envs.language.clauses import Clause, Filled, clauses_of, wish_of
from vlagym.envs.language.discourse import Frame
from vlagym.envs.errors import BadSpec, Unspeakable, unknown_name
from vlagym.envs.language.hands import fits_limbs, takes_hand
from vlagym.envs.language.inflection import gerund
from vlagym.envs.language.noun_phrases import Reading
from vlagym.envs.language.phrases import language
from vlagym.envs.language.scene_words import scene_words
from vlagym.envs.language.speaker import Manner, Speaker
from vlagym.envs.language.templates import HAND, Phrase
from vlagym.envs.types import LEVELS, EpisodeSpec, Level, Predicate
from vlagym.envs.language.understand import Reader
from vlagym.envs.language.wording import ANY, Wording

MAX_CHARACTERS = 400
"""No sentence is longer."""
MAX_WORDS = 34
"""Nor has any more words, but for orders of several steps: they may have a third of it for each."""
HAND_WORDS = 6
"""So many more where it says which hand is to do it, for each time."""
MAX_TRIES = 60
_PLAIN_TRIES = 6  # until then a plain sentence has the noun and colour of `describe` alone
_POLITE_PROBABILITY = 0.4
_OFF_TABLE = re.compile(r"\b(?:off|on|along) the table\b")
_TIDYING = re.compile(r"tidy|sort")
_SHARED_PROBABILITY = 0.3  # how often several clauses share one verb, where they can


class Sentence(NamedTuple):
    """An instruction and the template that it was made of."""

    text: str
    template_id: str
    """family/id, as in "on/put_onto"; with frames around it, as in "polite/could_you(on/put_onto)"."""
    level: Level = "plain"


class _Said(NamedTuple):
    """A request, before frames are put around it."""

    text: str
    template_id: str
    mentioned: tuple[Reading, ...]
    num_complex: int
    """Noun phrases that say more than what a thing is."""


def say(
    spec: EpisodeSpec, rng: np.random.Generator, *, split: Split = "seen", level: str = "plain", nouns: Split = "seen", wording: Wording = ANY
) -> Sentence:
    """Returns a sentence that asks for the goal of an episode and for nothing else; only its goal, its steps and its scene are read.

    Args:
      spec: The episode. Where it has ordered steps, the sentence asks for them one after another.
      rng: Draws the templates and the words; the same state gives the same sentence.
      split: Of the templates and frames.
      level: plain | paraphrase | compositional | indirect | multi_step, or mixed: drawn among those that `levels` returns.
      nouns: Of the nouns; "unseen" says "the dish" for a plate.
      wording: What else is asked of it.

    Raises:
      UnknownName: If there is no such level or split, no family for a predicate of the goal, or nothing in the scene that it names.
      BadSpec: If the episode cannot be spoken of at this level at all.
      Unspeakable: If no sentence was found that asks for the goal alone; says what came nearest.
    """
    for what, word in (("split of templates", split), ("split of nouns", nouns)):
        if word not in ("seen", "unseen"):
            raise unknown_name(what, word, ("seen", "unseen"))
    if level not in (*LEVELS, "mixed"):
        raise unknown_name("level of sentences", level, (*LEVELS, "mixed"))
    possible = levels(spec)
    if level == "mixed":
        wanted = [possible[int(i)] for i in rng.permutation(len(possible))]
    else:
        wanted = [known for known in LEVELS if known == level]
        if level not in possible and not (spec.steps and level != "indirect"):
            raise BadSpec(f"the goal of {spec.task!r} has no {level} sentence; it has: {', '.join(possible)}")
    draft = _Draft(spec, rng, split, nouns, wording)
    for one in wanted:
        if (sentence := draft.sentence(one)) is not None:
            return sentence
    goal = "; then ".join(", ".join(map(str, step)) for step in spec.steps or (spec.goal,))
    raise Unspeakable(
        f"no {level} {split} sentence was found in {MAX_TRIES} tries that asks for {goal} and nothing else in the scene of {spec.task!r} with "
        f"seed {spec.seed}. The last one was {draft.last!r}. Give the things other colours, kinds or places, or leave one out"
    )


def levels(spec: EpisodeSpec) -> tuple[Level, ...]:
    """Returns the levels at which the goal of an episode can be asked for.

    Raises:
      UnknownName: If there is no family for a predicate of the goal, or nothing in the scene that it names.
      BadSpec: If no family takes such things.
    """
    if spec.steps:
        return ("multi_step",)
    clauses = clauses_of(spec.goal, scene_words(spec))
    is_indirect = len(clauses) == 1 and any(
        p.is_indirect and (clauses[0].side is None or takes_hand(p)) for way in clauses[0].ways for p in way.family.phrases
    )
    speaks_of_things = any(way.family.speaks_of_things for clause in clauses for way in clause.ways)
    return ("plain", "paraphrase", *(("compositional",) if speaks_of_things else ()), *(("indirect",) if is_indirect else ()))


class _Draft:
    """Draws sentences for one episode until one is good."""

    def __init__(self, spec: EpisodeSpec, rng: np.random.Generator, split: Split, nouns: Split, wording: Wording) -> None:
        self._spec = spec
        self._wording = wording
        self._rng = rng
        self._split: Split = split
        self._scene = scene_words(spec)
        self._reader = Reader(self._scene)
        self._wish = wish_of(spec)
        steps = spec.steps or (spec.goal,)
        asked_for = {argument for step in steps for p in step for argument in p.args}
        self._speaker = Speaker(self._scene, self._reader.noun_phrases, rng, nouns, avoid=asked_for)
        self._steps = [clauses_of(step, self._scene) for step in steps]
        clauses = [clause for step in self._steps for clause in step]
        self._max_words = MAX_WORDS * max(3, len(clauses)) / 3 + HAND_WORDS * sum(clause.side is not None for clause in clauses)
        self._frame_of_goal = _frame_of([p for step in steps for p in step])
        self.last = ""
        """The last sentence that was drawn, good or not."""

    def sentence(self, level: Level) -> Sentence | None:
        """Returns a good sentence, None if none is found."""
        for attempt in range(MAX_TRIES):
            try:
                said = self._draw(level, attempt)
            except BadSpec as error:
                self.last = f"{self.last} ({error})" if not self.last else self.last
                continue
            if said is None:
                continue
            self.last = said.text
            is_short = len(said.text) <= MAX_CHARACTERS and len(said.text.split()) <= self._max_words
            if is_short and self._reader.read(said.text) == (self._wish,):
                return said
        return None

    def _draw(self, level: Level, attempt: int) -> Sentence | None:
        self._speaker.begin(self._frame_of_goal)
        told: Level = "multi_step" if self._spec.steps else level
        if level == "multi_step":
            level = ("plain", "paraphrase", "compositional")[int(self._rng.integers(3))]
        wording = self._wording
        manner = Manner(
            is_described=level == "plain" and attempt < _PLAIN_TRIES and wording.is_free,
            is_simple=level in ("plain", "indirect") and attempt < 2 * _PLAIN_TRIES and not wording.styles,
            wants_complex=level == "compositional" or bool(wording.styles),
            wording=wording,
        )
        is_polite = level in ("paraphrase", "compositional") and bool(self._rng.random() < _POLITE_PROBABILITY)
        if wording.is_polite is not None:
            is_polite = wording.is_polite
        if self._spec.steps:
            said = self._ordered(manner)
            is_polite = is_polite and said.text.startswith("first ")
        else:
            said = self._together(self._steps[0], manner, (), is_order=is_polite, is_indirect=level == "indirect")
        if manner.wants_complex and not said.num_complex:
            return None
        if not is_polite or ":" in said.text:
            return Sentence(said.text, said.template_id, told)
        frame = self._frame(language().polite, 1, "politeness")
        return Sentence(frame.fill([said.text]), f"{frame.id}({said.template_id})", told)

    def _ordered(self, manner: Manner) -> _Said:
        """Returns the steps, one after another."""
        frame = self._frame(language().ordered, len(self._steps), "order")
        said: list[_Said] = []
        mentioned: tuple[Reading, ...] = ()
        for slot in frame.slots:
            step = self._together(self._steps[int(slot.name) - 1], manner, mentioned, is_order=True, is_gerund=slot.is_gerund)
            mentioned = step.mentioned
            said.append(step._replace(text=gerund(step.text)) if slot.is_gerund else step)
        return _Said(
            frame.fill([s.text for s in said]), f"{frame.id}({'; '.join(s.template_id for s in said)})", mentioned, sum(s.num_complex for s in said)
        )

    def _together(
        self,
        clauses: Sequence[Clause],
        manner: Manner,
        mentioned: tuple[Reading, ...],
        *,
        is_order: bool,
        is_gerund: bool = False,
        is_indirect: bool = False,
    ) -> _Said:
        """Returns clauses, joined without an order."""
        if len(clauses) == 1:
            return self._clause(clauses[0], manner, mentioned, is_order=is_order, is_gerund=is_gerund, is_indirect=is_indirect)
        frames = language().together
        can_share = not is_gerund and all(
            clause.side is None and any(p.is_bare for way in clause.ways for p in way.family.phrases) for clause in clauses
        )
        is_shared = can_share and bool(self._rng.random() < _SHARED_PROBABILITY)
        if is_shared and any(len(f.slots) == len(clauses) for f in language().shared):
            frames = language().shared
        is_tidying = not any(clause.side is not None or way.family.for_two_hands for clause in clauses for way in clause.ways)
        split: Split = "seen" if is_order else self._split  # an inner frame is a plain "and"
        frame = self._frame(frames if is_tidying else [f for f in frames if not _TIDYING.match(f.text)], len(clauses), "joining", split)
        said: list[_Said] = []
        for index, clause in enumerate(clauses):
            is_bare = frames is language().shared
            said.append(self._clause(clause, manner, mentioned, is_order=True, is_gerund=is_gerund and index == 0, is_bare=is_bare))
            mentioned = said[-1].mentioned
        return _Said(
            frame.fill([s.text for s in said]), f"{frame.id}({'; '.join(s.template_id for s in said)})", mentioned, sum(s.num_complex for s in said)
        )

    def _clause(
        self,
        clause: Clause,
        manner: Manner,
        mentioned: tuple[Reading, ...],
        *,
        is_order: bool,
        is_gerund: bool = False,
        is_indirect: bool = False,
        is_bare: bool = False,
    ) -> _Said:
        """Returns one request, made of one template."""
        way, phrase = self._template(clause, is_order or (clause.side is not None and not is_indirect), is_gerund, is_indirect, is_bare)
        slots, sorts = dict(way.slots), dict(zip(way.family.slots, way.family.takes, strict=True))
        if clause.side is not None:
            phrase = self._hand_frame(phrase, is_order, is_gerund).around(phrase)
            slots[HAND], sorts[HAND] = (f"={clause.side}",), "hand"
        if any(m.predicate.startswith("viewer_") for m in way.family.means) or "side" in way.family.takes:
            manner = replace(manner, is_directed=False)
        self._speaker.begin_clause(phrase)
        spoken = mentioned
        words: dict[int, str] = {}
        is_plural, num_complex = False, 0
        use = self._speaker.draw_use(way.slots, phrase)
        indices = list(range(len(phrase.slots)))
        if manner.is_described:
            # Slot by slot as the family lists them. Otherwise as the text has them, so that "the other one" has something to be other than.
            indices.sort(key=lambda i: list(sorts).index(phrase.slots[i].name))
        for index in indices:
            slot = phrase.slots[index]
            said = self._speaker.fill(
                slots[slot.name],
                sorts[slot.name],
                slot.form,
                manner,
                spoken,
                gap=phrase.gap(index),
                use=use,
                split=self._split,
            )
            words[index] = said.text
            num_complex += said.is_complex
            if said.reading is not None:
                spoken = (*spoken, said.reading)
                is_plural = said.reading.is_plural if slot.name == way.family.slots[0] else is_plural
        return _Said(phrase.fill([words[i] for i in range(len(words))], plural=is_plural), phrase.id, spoken, num_complex)

    def _template(self, clause: Clause, is_order: bool, is_gerund: bool, is_indirect: bool, is_bare: bool) -> tuple[Filled, Phrase]:
        pool = [
            (way, phrase)
            for way in clause.ways
            for phrase in way.family.phrases
            if phrase.is_indirect == is_indirect
            and self._wording.admits(phrase)
            and (phrase.is_bare if is_bare else phrase.is_order or not is_order)
            and (not is_gerund or not (" and " in phrase.text or "," in phrase.text))
            and self._speaker.knows_uses(way.slots, phrase)
            and (clause.side is None or takes_hand(phrase))
            and fits_limbs(phrase, way.family, self._scene.limbs)
            and not (_OFF_TABLE.search(phrase.text) and any(self._is_off_table(a) for arguments in way.slots.values() for a in arguments))
        ]
        own = [(way, phrase) for way, phrase in pool if phrase.split == self._split]
        if not own and is_order:
            own = [(way, phrase) for way, phrase in pool if phrase.split == "seen"]  # the frame around it is of the split
        if not own:
            names = " or ".join(way.family.name for way in clause.ways)
            kind = "indirect " if is_indirect else "clause-like " if is_order else ""
            raise BadSpec(f"the family {names} has no {kind}{self._split} template for {', '.join(map(str, clause.predicates))}")
        return own[int(self._rng.integers(len(own)))]

    def _is_off_table(self, argument: str) -> bool:
        """Returns whether an argument names a prop that stands on other furniture than the table."""
        if argument.startswith("="):
            return False
        below = self._scene[argument].lies_on
        return below is not None and self._scene[below].sort == "fixture"

    def _hand_frame(self, phrase: Phrase, is_order: bool, is_gerund: bool) -> Phrase:
        """Returns a frame that says which hand is to do what a template asks for."""
        frames = language().handed
        if phrase.is_indirect:
            pool = [f for f in frames["need"] if f.text.endswith("{request}") or not phrase.text.endswith("?")]
        elif is_gerund:
            pool = list(frames["after"])
        else:
            pool = [*frames["after"], *frames["use"], *(() if is_order else frames["first"])]
        if is_order:
            pool = [f for f in pool if not re.search("[,;]", f.text)]  # other words follow
        fitting = [f for f in pool if f.split == self._split and takes_hand(phrase, f) and self._wording.admits(f)]
        if not fitting:
            raise BadSpec(f"there is no {self._split} frame that says which hand is to do it around {phrase.text!r}; frames: frames.toml")
        return fitting[int(self._rng.integers(len(fitting)))]

    def _frame(self, frames: Sequence[Phrase], count: int, what: str, split: Split | None = None) -> Phrase:
        split = split or self._split
        fitting = [f for f in frames if f.split == split and len(f.slots) == count and self._wording.admits(f)]
        if not fitting:
            raise BadSpec(f"there is no {split} frame of {what} for {count} requests; frames are in assets/language/en/frames.toml")
        return fitting[int(self._rng.integers(len(fitting)))]


def _frame_of(predicates: Sequence[Predicate]) -> Frame | None:
    """Returns whose left and right the predicates of a goal speak of."""
    if any(p.name.startswith("viewer_") for p in predicates):
        return "viewer"
    return "table" if any(p.name in ("left_of", "right_of", "in_front_of", "behind") for p in predicates) else None


def goals_said(text: str, spec: EpisodeSpec) -> tuple[tuple[Predicate, ...], ...]:
    """Returns every goal that a sentence without an order can ask for in the scene of an episode, its predicates sorted."""
    wishes = Reader(scene_words(spec)).read(text)
    return tuple(tuple(sorted(wish[0], key=str)) for wish in wishes if len(wish) == 1)
