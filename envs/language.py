"""Goals become English sentences: templates of assets/language/en.toml, drawn with an explicit generator."""

from __future__ import annotations

import functools
import math
import string
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from vlagym import assets
from vlagym.envs.asset_files import Split
from vlagym.envs.errors import BadData, BadSpec, unknown_name
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.objects import get
from vlagym.envs.types import EpisodeSpec, Rgba, Vec3, from_plain


class Nameable(Protocol):
    """Whatever a sentence can speak of: objects, fixtures, a `Thing`."""

    @property
    def kind(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]:
        """Nouns of the seen split."""
        ...

    @property
    def unseen_names(self) -> tuple[str, ...]:
        """Nouns that are kept for evaluation."""
        ...

    @property
    def colour(self) -> str | None: ...


@dataclass(frozen=True, kw_only=True)
class Thing:
    """The words for one thing of a scene."""

    kind: str
    names: tuple[str, ...]
    unseen_names: tuple[str, ...]
    colour: str | None


class Sentence(NamedTuple):
    """An instruction and the template that it was made of."""

    text: str
    template_id: str
    """family/id, as in "on/put_onto"."""


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """A template."""

    id: str
    """family/id, as in "on/put_onto"."""
    text: str
    """With a slot in braces for each argument."""
    split: Split


@dataclass(frozen=True, kw_only=True)
class Family:
    """The templates of one predicate."""

    slots: tuple[str, ...]
    """Names of the predicate's arguments, in order."""
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True, kw_only=True)
class Language:
    """All words of one language."""

    colour_probability: float
    """How often a colour is said that is not needed."""
    colours: Mapping[str, Vec3]
    """Word to RGB."""
    families: Mapping[str, Family]

    def family(self, name: str) -> Family:
        """Returns the family of a predicate. Raises UnknownName."""
        if name not in self.families:
            raise unknown_name("family of sentences", name, self.families, "Families are the [family.<predicate>] tables of en.toml.")
        return self.families[name]


def render(
    family: str,
    slots: Mapping[str, Nameable],
    scene: Sequence[Nameable],
    rng: np.random.Generator,
    split: Split = "seen",
    nouns: Split = "seen",
) -> Sentence:
    """Returns a sentence that asks for a goal.

    Args:
      family: The goal's predicate: "on", "inside", "stacked", "open".
      slots: What stands in each slot of the family.
      scene: All things that could be meant, those of the slots among them (the very same objects).
      rng: Draws the template and the words; the same state gives the same sentence.
      split: Of the template.
      nouns: Of the nouns; "unseen" says "the dish" for a plate.

    Raises:
      UnknownName: If there is no such family.
      BadSpec: If a slot is left open or not one of the family's, or no phrase singles a thing out.
    """
    wanted = language().family(family).slots
    if set(slots) != set(wanted):
        raise BadSpec(f"sentences of {family!r} have the slots {', '.join(wanted)}; given: {', '.join(sorted(slots)) or 'none'}")
    candidates = phrases(family, split)
    phrase = candidates[int(rng.integers(len(candidates)))]
    words = {}
    for slot in wanted:
        place = next((i for i, thing in enumerate(scene) if thing is slots[slot]), None)
        if place is None:
            raise BadSpec(f"what stands in the slot {slot!r} ({_plain(slots[slot])}) is not among the things of the scene")
        words[slot] = describe(slots[slot], [*scene[:place], *scene[place + 1 :]], rng, nouns)
    return Sentence(phrase.text.format(**words), phrase.id)


def describe(target: Nameable, others: Sequence[Nameable], rng: np.random.Generator, split: Split = "seen") -> str:
    """Returns a noun phrase that is true of the target and of none of the others: "the banana", "the blue mug".

    The noun is drawn from those of the split that can single the target out, with or without the colour; if none can, from those of the
    other split. A colour that is not needed is said with the probability that en.toml states.

    Raises:
      BadSpec: If every phrase is true of another thing as well.
    """
    own, kept = (target.names, target.unseen_names) if split == "seen" else (target.unseen_names, target.names)
    for nouns in (own, kept):
        choices = [(noun, colours) for noun in nouns if (colours := _telling_colours(target, noun, others))]
        if choices:
            noun, colours = choices[int(rng.integers(len(choices)))]
            say_colour = bool(rng.random() < language().colour_probability)
            colour = colours[0] if len(colours) == 1 else (target.colour if say_colour else None)
            return f"the {colour} {noun}" if colour else f"the {noun}"
    alike = [o for o in others if set(_nouns(o)) & set(_nouns(target)) and (target.colour is None or o.colour in (None, target.colour))]
    raise BadSpec(f"no phrase tells {_plain(target)} from {', '.join(map(_plain, alike))}. Give them other colours or leave one out of the scene")


def phrases(family: str, split: Split) -> tuple[Phrase, ...]:
    """Returns the templates of a family and split, in the order of the file. Raises UnknownName."""
    return tuple(p for p in language().family(family).phrases if p.split == split)


def redraw(spec: EpisodeSpec, rng: np.random.Generator, split: Split = "seen", nouns: Split = "seen") -> Sentence:
    """Returns another sentence for the goal of an episode; nothing but its goal and scene is read.

    Raises:
      UnknownName: If there is no family for the first predicate of the goal.
      BadSpec: If the goal names more than the sentence would, or what is not in the scene.
    """
    things = things_of(spec)
    first = spec.goal[0]
    slots = language().family(first.name).slots
    names = [argument.split("/")[0] for argument in first.args]
    if len(names) != len(slots):
        raise BadSpec(f"the goal {first} has {len(names)} arguments; sentences of {first.name!r} have the slots {', '.join(slots)}")
    unsaid = [name for name in spec.named if name not in names]
    if unsaid:
        raise BadSpec(f"the goal of {spec.task!r} names {', '.join(unsaid)}, which a sentence made of {first} does not mention")
    for name in names:
        if name not in things:
            raise unknown_name("thing of the scene", name, things)
    return render(first.name, {slot: things[name] for slot, name in zip(slots, names, strict=True)}, list(things.values()), rng, split, nouns)


def things_of(spec: EpisodeSpec) -> dict[str, Thing]:
    """Returns the words for every prop and fixture of an episode, by name. What was painted over has the colour word of its paint."""
    props = {p.name: _thing(get(p.asset), p.rgba) for p in spec.scene.props}
    return props | {f.name: _thing(get_fixture(f.asset), f.rgba) for f in spec.scene.fixtures}


def colour_word(rgba: Rgba) -> str:
    """Returns the colour word that is nearest to a colour."""
    return min(language().colours.items(), key=lambda item: math.dist(item[1], rgba[:3]))[0]


@functools.cache
def language() -> Language:
    """Returns the language that ships with vlagym."""
    return read_language(assets.path("language/en.toml"))


def read_language(path: Path) -> Language:
    """Reads a language file.

    Raises:
      BadData: If a key is unknown, missing or wrong, a family lacks templates of a split, an id or text stands twice, or a template has
        other slots than its family; with the file and the template.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"{path.name} cannot be read: {error}") from error
    raw = from_plain(_Keys, table, path.name)
    if not 0.0 <= raw.colour_probability <= 1.0:
        raise BadData(f"{path.name}.colour_probability is {raw.colour_probability}; it must lie between 0 and 1")
    families = {name: _family(name, keys, path.name) for name, keys in raw.family.items()}
    return Language(colour_probability=raw.colour_probability, colours=raw.colours, families=families)


@dataclass(frozen=True, kw_only=True)
class _FamilyKeys:
    """Keys of a [family.<predicate>] table."""

    slots: tuple[str, ...]
    seen: Mapping[str, str]
    unseen: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class _Keys:
    """Keys of a language file."""

    colour_probability: float
    colours: Mapping[str, Vec3]
    family: Mapping[str, _FamilyKeys]


def _family(name: str, keys: _FamilyKeys, where: str) -> Family:
    splits: tuple[tuple[Split, Mapping[str, str]], ...] = (("seen", keys.seen), ("unseen", keys.unseen))
    found: dict[str, Phrase] = {}
    for split, templates in splits:
        if not templates:
            raise BadData(f"{where}: the family {name!r} has no {split} template; add one under [family.{name}.{split}]")
        for short, text in templates.items():
            identifier = f"{name}/{short}"
            if identifier in found:
                raise BadData(f"{where}: the template {identifier} is both seen and unseen")
            twin = next((p.id for p in found.values() if p.text == text), None)
            if twin is not None:
                raise BadData(f"{where}: the templates {twin} and {identifier} are the same sentence")
            _check_slots(text, keys.slots, f"{where}: the template {identifier}")
            found[identifier] = Phrase(id=identifier, text=text, split=split)
    return Family(slots=keys.slots, phrases=tuple(found.values()))


def _check_slots(text: str, slots: Sequence[str], where: str) -> None:
    try:
        fields = [(name, spec, conversion) for _, name, spec, conversion in string.Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise BadData(f"{where} has unpaired braces: {text!r}") from error
    for name, spec, conversion in fields:
        if name not in slots or spec or conversion:
            raise BadData(f"{where}: {unknown_name('slot', name or '', slots)}")
    for slot in slots:
        times = [name for name, _, _ in fields].count(slot)
        if times != 1:
            raise BadData(f"{where} has the slot {{{slot}}} {times} times; it must stand there once")


def _telling_colours(target: Nameable, noun: str, others: Sequence[Nameable]) -> list[str | None]:
    """Returns the colours, None for saying none, with which the noun is true of the target alone."""
    rivals = [o for o in others if noun in _nouns(o)]
    said = [None] if target.colour is None else [None, target.colour]
    # A rival without a colour word could have any colour.
    return [colour for colour in said if not any(colour is None or r.colour in (None, colour) for r in rivals)]


def _nouns(thing: Nameable) -> tuple[str, ...]:
    return (*thing.names, *thing.unseen_names)


def _plain(thing: Nameable) -> str:
    return f"the {thing.colour} {thing.names[0]}" if thing.colour else f"the {thing.names[0]}"


def _thing(asset: Nameable, rgba: Rgba | None) -> Thing:
    colour = asset.colour if rgba is None or asset.colour is None else colour_word(rgba)
    return Thing(kind=asset.kind, names=asset.names, unseen_names=asset.unseen_names, colour=colour)
