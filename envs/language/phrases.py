"""The language's data: families of templates, frames around requests, words. What assets/language/en says, read, checked and cached."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from vlagym import assets
from vlagym.envs.asset_files import Split
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.language.referents import HAND_SORTS, SETTING_SORTS, SORTS
from vlagym.envs.language.templates import EVERYTHING, HAND, Family, Meaning, Phrase
from vlagym.envs.types import Vec3, from_plain
from vlagym.envs.language.words import Words

HandPlace = Literal["after", "use", "first", "need"]
"""Where a sentence says which hand is to do it. after: behind an order. use: before it, "use your left hand to". first: before or around it, and no
other words stand before that. need: around a wish that is left to the listener."""


@dataclass(frozen=True, kw_only=True)
class Language:
    """All words of one language."""

    words: Words
    families: Mapping[str, Family]
    polite: tuple[Phrase, ...]
    """Frames around one {request}."""
    together: tuple[Phrase, ...]
    """Frames that join requests {1}, {2} … without an order."""
    shared: tuple[Phrase, ...]
    """Frames that join requests without a verb, which the frame itself brings."""
    ordered: tuple[Phrase, ...]
    """Frames that put requests in an order: {1} is done first."""
    handed: Mapping[HandPlace, tuple[Phrase, ...]]
    """Frames that say with which {hand} a {request} is to be done, by where they say it."""
    verbs: Mapping[str, str]
    """First words of orders, those of single families too, and their -ing forms."""

    @property
    def colour_probability(self) -> float:
        return self.words.colour_probability

    @property
    def colours(self) -> Mapping[str, Vec3]:
        return self.words.colours

    def family(self, name: str) -> Family:
        """Returns a family. Raises UnknownName."""
        if name not in self.families:
            raise unknown_name("family of sentences", name, self.families, "A family is a file of assets/language/en/families.")
        return self.families[name]

    def families_of(self, predicate: str) -> tuple[Family, ...]:
        """Returns the families that ask for a predicate alone. Raises UnknownName if there is none."""
        found = tuple(f for f in self.families.values() if len(f.means) == 1 and f.means[0].predicate == predicate)
        if not found:
            known = {m.predicate for f in self.families.values() for m in f.means}
            raise unknown_name("predicate that a family of sentences asks for", predicate, known, "Families: assets/language/en/families.")
        return found

    @functools.cached_property
    def all_phrases(self) -> Mapping[str, Phrase]:
        """Every template and frame, by id."""
        listed = [p for f in self.families.values() for p in f.phrases]
        handed = [p for frames in self.handed.values() for p in frames]
        return {p.id: p for p in (*listed, *self.polite, *self.together, *self.shared, *self.ordered, *handed)}


def phrases(family: str, split: Split, *, indirect: bool = False) -> tuple[Phrase, ...]:
    """Returns the templates of a family and split, in the order of the file. Raises UnknownName."""
    return tuple(p for p in language().family(family).phrases if p.split == split and p.is_indirect == indirect)


def split_of(template_id: str) -> Split:
    """Returns "unseen" if any template or frame of a sentence's id is unseen: "polite/could_you(on/put_onto)".

    Raises:
      UnknownName: If one of them does not exist.
    """
    known = language().all_phrases
    parts = re.findall(r"[a-z_0-9]+/[a-z_0-9]+", template_id)
    if not parts:
        raise unknown_name("template", template_id, known)
    for part in parts:
        if part not in known:
            raise unknown_name("template", part, known)
    return "unseen" if any(known[part].split == "unseen" for part in parts) else "seen"


@functools.cache
def language() -> Language:
    """Returns the language that ships with vlagym."""
    return read_language(assets.path("language/en"))


T = TypeVar("T")


def read_language(folder: Path) -> Language:
    """Reads the folder of a language: words.toml, frames.toml and one file for each family.

    Raises:
      BadData: If a file or key is unknown, missing or wrong, a family lacks templates of a split, an id or text stands twice, or a template has
        other slots than its family; with the file and the template.
    """
    words = _read(folder / "words.toml", Words)
    if not 0.0 <= words.colour_probability <= 1.0:
        raise BadData(f"words.toml.colour_probability is {words.colour_probability}; it must lie between 0 and 1")
    frames = _read(folder / "frames.toml", _Frames)
    files = sorted((folder / "families").glob("*.toml"))
    if not files:
        raise BadData(f"{folder.name}/families holds no family of sentences; a family is a TOML file there")
    keys = {f.stem: _read(f, _FamilyKeys, folder / "designs") for f in files}
    return Language(
        words=words,
        families={name: _family(name, of, f"{name}.toml", {**words.verbs, **of.verbs}) for name, of in keys.items()},
        polite=_frames("polite", frames.polite, ("request",)),
        together=_frames("together", frames.together, None),
        shared=_frames("shared", frames.shared, None),
        ordered=_frames("ordered", frames.ordered, None),
        handed={
            "after": _frames("after", frames.after, ("request", HAND)),
            "use": _frames("use", frames.use, ("request", HAND)),
            "first": _frames("first", frames.first, ("request", HAND)),
            "need": _frames("need", frames.need, ("request", HAND)),
        },
        verbs={**words.verbs, **{verb: ing for of in keys.values() for verb, ing in of.verbs.items()}},
    )


@dataclass(frozen=True, kw_only=True)
class _Templates:
    """A table of templates in both splits."""

    seen: Mapping[str, str]
    unseen: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class _FamilyKeys:
    """Keys of the file of a family."""

    slots: tuple[str, ...]
    takes: tuple[str, ...]
    means: tuple[str, ...]
    seen: Mapping[str, str]
    unseen: Mapping[str, str]
    indirect: _Templates = _Templates(seen={}, unseen={})
    design: str | None = None
    """A file of designs/ with the keys that several families share."""
    words: Mapping[str, str] = field(default_factory=dict)
    """What stands for <word> in the templates of the design."""
    verbs: Mapping[str, str] = field(default_factory=dict)
    """First words of orders that are orders in this family alone, with their -ing forms."""
    for_two_hands: bool = False
    """Whether only a robot with two hands is spoken to like this."""


@dataclass(frozen=True, kw_only=True)
class _Frames:
    """Keys of frames.toml."""

    polite: _Templates
    together: _Templates
    shared: _Templates
    ordered: _Templates
    after: _Templates
    use: _Templates
    first: _Templates
    need: _Templates


def _read(path: Path, kind: type[T], designs: Path | None = None) -> T:
    table = _toml(path)
    if designs is not None and "design" in table:
        design = designs / f"{table['design']}.toml"
        if not design.exists():
            there = [p.stem for p in designs.glob("*.toml")]
            raise BadData(f"{path.name}: {unknown_name('design', str(table['design']), there, 'A design is a file of assets/language/en/designs.')}")
        table = _merged(_toml(design), table)
    return from_plain(kind, table, path.name)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the keys of two tables; what stands in both is taken from above, tables in tables are merged likewise."""
    both = {key: _merged(below[key], above[key]) for key in below if isinstance(below[key], dict) and isinstance(above.get(key), dict)}
    return {**below, **above, **both}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"{path.name} cannot be read: {error}") from error


def _family(name: str, keys: _FamilyKeys, where: str, verbs: Mapping[str, str]) -> Family:
    if len(keys.takes) != len(keys.slots):
        raise BadData(f"{where}: takes names {len(keys.takes)} sorts for {len(keys.slots)} slots; each slot needs one")
    for sort in keys.takes:
        if sort not in (*SORTS, *SETTING_SORTS, *HAND_SORTS):
            raise BadData(f"{where}: {unknown_name('sort of thing', sort, (*SORTS, *SETTING_SORTS, *HAND_SORTS))}")
    means = tuple(_meaning(text, keys.slots, where) for text in keys.means)
    if not means:
        raise BadData(f"{where}: means is empty; a family asks for at least one predicate")
    hands = tuple(slot for slot, sort in zip(keys.slots, keys.takes, strict=True) if sort == "hand")
    found: dict[str, Phrase] = {}
    tables: tuple[tuple[Split, Mapping[str, str], bool], ...] = (
        ("seen", keys.seen, False),
        ("unseen", keys.unseen, False),
        ("seen", keys.indirect.seen, True),
        ("unseen", keys.indirect.unseen, True),
    )
    for split, templates, is_indirect in tables:
        if not templates and not is_indirect:
            raise BadData(f"{where}: the family {name!r} has no {split} template; add one under [{split}]")
        for short, template in templates.items():
            text = _worded(template, keys.words, f"{where}: the template {name}/{short}")
            is_order = not is_indirect and text.split(" ")[0] in verbs and "please" not in text and not text.endswith("?")
            is_bare = short.startswith("short_")
            phrase = Phrase(id=f"{name}/{short}", text=text, split=split, is_indirect=is_indirect, is_order=is_order, is_bare=is_bare)
            _check_new(phrase, found, where)
            _check_slots(phrase, keys.slots, f"{where}: the template {phrase.id}", is_indirect, hands)
            found[phrase.id] = phrase
    phrases = tuple(found.values())
    return Family(name=name, slots=keys.slots, takes=keys.takes, means=means, phrases=phrases, for_two_hands=keys.for_two_hands)


def _frames(name: str, templates: _Templates, slots: tuple[str, ...] | None) -> tuple[Phrase, ...]:
    found: dict[str, Phrase] = {}
    where = "frames.toml"
    tables: tuple[tuple[Split, Mapping[str, str]], ...] = (("seen", templates.seen), ("unseen", templates.unseen))
    for split, table in tables:
        if not table:
            raise BadData(f"{where}: [{name}.{split}] holds no frame; add one")
        for short, text in table.items():
            phrase = Phrase(id=f"{name}/{short}", text=text, split=split)
            _check_new(phrase, found, where)
            numbers = [str(i + 1) for i in range(len(re.findall(r"\{", text)))]
            _check_slots(phrase, slots or numbers, f"{where}: the frame {phrase.id}", False, (HAND,))
            found[phrase.id] = phrase
    return tuple(found.values())


def _check_new(phrase: Phrase, found: Mapping[str, Phrase], where: str) -> None:
    if phrase.id in found:
        raise BadData(f"{where}: the template {phrase.id} stands there twice: as {found[phrase.id].split} and as {phrase.split}")
    twin = next((p.id for p in found.values() if p.text == phrase.text), None)
    if twin is not None:
        raise BadData(f"{where}: the templates {twin} and {phrase.id} are the same sentence")


def _check_slots(phrase: Phrase, slots: Sequence[str], where: str, is_indirect: bool, hands: Sequence[str]) -> None:
    """Raises BadData unless every slot stands in the text once.

    An indirect template may speak of a thing in two ways, and of two hands one need not be named.
    """
    text = phrase.text
    for opening, closing in ("{}", "[]"):
        depth = 0
        for character in text:
            depth += (character == opening) - (character == closing)
            if depth not in (0, 1):
                break
        if depth:
            raise BadData(f"{where} has unpaired {'braces' if opening == '{' else 'brackets'}: {text!r}")
    for inner in re.findall(r"\[([^\[\]]*)\]", text):
        if inner.count("|") != 1:
            raise BadData(f"{where}: [{inner}] must be [singular|plural]")
    for found in re.findall(r"\{([^{}]*)\}", text):
        name, _, form = found.partition(".")
        if name not in slots:
            raise BadData(f"{where}: {unknown_name('slot', name, slots)}")
        if form not in ("", "ing") and not (is_indirect and form in ("use", "need")) and not (form == "side" and name in hands):
            ways = f"{{{name}}}, and {{{name}.use}} and {{{name}.need}} in an indirect template, and {{{name}.side}} of a hand"
            raise BadData(f"{where}: {{{found}}} is no way to fill a slot; there are {ways}")
    for slot in slots:
        times = sum(s.name == slot for s in phrase.slots)
        if times == 0 and slot in hands and any(s.name in hands for s in phrase.slots):
            continue
        if times != 1 and not (is_indirect and times == 2):
            raise BadData(f"{where} has the slot {{{slot}}} {times} times; it must stand there once")


def _meaning(text: str, slots: Sequence[str], where: str) -> Meaning:
    found = re.fullmatch(r"(\w+)\(((?:=?\w+|\*)(?:, (?:=?\w+|\*))*)\)", text)
    if found is None:
        raise BadData(f"{where}: {text!r} is no predicate over slots; write predicate(slot, slot)")
    names = tuple(found[2].split(", "))
    for name in names:
        if name not in slots and not name.startswith("=") and name != EVERYTHING:
            raise BadData(f"{where}: {unknown_name('slot', name, slots)}")
    from vlagym.envs.predicates import PREDICATES  # these modules read objects, whose words are checked against this language

    if found[1] not in PREDICATES:
        raise BadData(f"{where}: {unknown_name('predicate', found[1], PREDICATES, 'It stands in the means of the family.')}")
    arity = PREDICATES[found[1]].arity
    if len(names) != arity:
        raise BadData(f"{where}: {text!r} speaks of {len(names)} things; {found[1]} takes {arity}")
    return Meaning(predicate=found[1], slots=names)


def _worded(text: str, words: Mapping[str, str], where: str) -> str:
    for name in re.findall(r"<(\w+)>", text):
        if name not in words:
            raise BadData(f"{where}: {unknown_name('word', name, words, 'Words of a design stand under [words] of the family.')}")
    return re.sub(r"<(\w+)>", lambda found: words[found[1]], text)
