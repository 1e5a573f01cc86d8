"""Goals become English sentences: templates of assets/language/en, filled with noun phrases, drawn with an explicit generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from vlagym.envs.asset_files import Split
from vlagym.envs.clauses import Clause, Filled, clauses_of
from vlagym.envs.errors import BadSpec, unknown_name
from vlagym.envs.phrases import Phrase, language
from vlagym.envs.reference import describe
from vlagym.envs.referents import SETTING_SORTS
from vlagym.envs.scene_words import SceneWords, scene_words
from vlagym.envs.types import EpisodeSpec

Level = Literal["plain", "paraphrase", "compositional", "indirect", "multi_step"]
LEVELS: tuple[Level, ...] = ("plain", "paraphrase", "compositional", "indirect", "multi_step")


class Sentence(NamedTuple):
    """An instruction and the template that it was made of."""

    text: str
    template_id: str
    """family/id, as in "on/put_onto"; with frames around it, as in "polite/could_you(on/put_onto)"."""
    level: Level = "plain"


def say(spec: EpisodeSpec, rng: np.random.Generator, *, split: Split = "seen", level: str = "plain", nouns: Split = "seen") -> Sentence:
    """Returns a sentence that asks for the goal of an episode; nothing but its goal, its steps and its scene is read.

    Args:
      spec: The episode.
      rng: Draws the template and the words; the same state gives the same sentence.
      split: Of the templates.
      level: plain | paraphrase | compositional | indirect | multi_step | mixed.
      nouns: Of the nouns; "unseen" says "the dish" for a plate.

    Raises:
      UnknownName: If there is no such level, or no family for a predicate of the goal.
      BadSpec: If no phrase singles a thing out.
    """
    if level not in (*LEVELS, "mixed"):
        raise unknown_name("level of sentences", level, (*LEVELS, "mixed"))
    scene = scene_words(spec)
    if spec.steps:
        frames = [f for f in language().ordered if f.split == split and len(f.slots) == len(spec.steps)]
        if not frames:
            raise BadSpec(f"no {split} frame orders {len(spec.steps)} steps; frames are in assets/language/en/frames.toml")
        frame = frames[int(rng.integers(len(frames)))]
        said = [_join(clauses_of(step, scene), scene, rng, split, nouns, is_order=True) for step in spec.steps]
        by_number = {str(i + 1): sentence for i, sentence in enumerate(said)}
        texts = [_gerund(by_number[slot.name].text) if slot.is_gerund else by_number[slot.name].text for slot in frame.slots]
        identifier = f"{frame.id}({'; '.join(s.template_id for s in said)})"
        return Sentence(frame.fill(texts), identifier, "multi_step")
    clauses = clauses_of(spec.goal, scene)
    return _join(clauses, scene, rng, split, nouns, is_order=len(clauses) > 1)


def _join(clauses: Sequence[Clause], scene: SceneWords, rng: np.random.Generator, split: Split, nouns: Split, *, is_order: bool) -> Sentence:
    said = [_clause(clause, scene, rng, split, nouns, is_order) for clause in clauses]
    if len(said) == 1:
        return said[0]
    frames = [f for f in language().together if f.split == split and len(f.slots) == len(said)]
    frame = frames[int(rng.integers(len(frames)))]
    return Sentence(frame.fill([s.text for s in said]), f"{frame.id}({'; '.join(s.template_id for s in said)})")


def _clause(clause: Clause, scene: SceneWords, rng: np.random.Generator, split: Split, nouns: Split, is_order: bool) -> Sentence:
    pool: list[tuple[Filled, Phrase]] = [
        (way, p) for way in clause.ways for p in way.family.phrases if p.split == split and not p.is_indirect and (p.is_order or not is_order)
    ]
    way, phrase = pool[int(rng.integers(len(pool)))]
    words = {slot: _words(way.slots[slot], way.family.sort(slot), scene, rng, nouns) for slot in way.family.slots}
    plural = len(way.slots[way.family.slots[0]]) > 1
    return Sentence(phrase.fill([words[slot.name] for slot in phrase.slots], plural=plural), phrase.id)


def _words(arguments: tuple[str, ...], sort: str, scene: SceneWords, rng: np.random.Generator, nouns: Split) -> str:
    if sort in SETTING_SORTS:
        return arguments[0][1:]
    phrases = [_noun_phrase(a, sort, scene, rng, nouns) for a in arguments]
    return phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " and " + phrases[-1]


def _noun_phrase(argument: str, sort: str, scene: SceneWords, rng: np.random.Generator, nouns: Split) -> str:
    target = scene.spoken(argument, sort)
    if target.sort != "joint":
        return describe(target, [r for r in scene.things if r is not target], rng, nouns)
    if not target.is_own:
        assert target.owner is not None
        return describe(scene[target.owner], [r for r in scene.things if r.name != target.owner], rng, nouns)
    rivals = [r for r in scene.referents.values() if r.sort == "joint" and r is not target and {*r.nouns} & {*target.nouns}]
    noun, colour = target.names[0], f"{target.colour} " if target.colour else ""
    if not [r for r in rivals if r.colour in (None, target.colour)]:
        return f"the {colour}{noun}"
    if target.label and not [r for r in rivals if r.label == target.label]:
        return f"the {noun} labelled {target.label}"
    owner = describe(scene[target.owner or ""], [r for r in scene.things if r.name != target.owner], rng, nouns)
    return f"the {colour}{noun} of {owner}"


def _gerund(text: str) -> str:
    verb, _, rest = text.partition(" ")
    return f"{language().words.verbs[verb]} {rest}"
