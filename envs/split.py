"""The split: what is kept for evaluation, read from assets/split.toml and from the assets themselves, and found in episodes."""

from __future__ import annotations

import functools
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from vlagym import assets
from vlagym.envs import catalog as registry
from vlagym.envs.arenas import arena_names
from vlagym.envs.asset_files import Split
from vlagym.envs.errors import BadData, unknown_name
from vlagym.envs.fixtures import FixtureAsset, fixtures, get_fixture
from vlagym.envs.frames import rotate
from vlagym.envs.layouts.cells import UPON_M, LayoutSplit
from vlagym.envs.objects import ObjectAsset, asset_of, catalog, get
from vlagym.envs.language.inflection import plural
from vlagym.envs.language.phrases import language, split_of
from vlagym.envs.language.scene_words import colour_word
from vlagym.envs.types import EpisodeSpec, FixtureSpec, PropSpec, canonical_json, from_plain, sha, to_plain


ARENA_WORDS = ("any", "seen", "unseen")
"""Instead of an arena: one that is drawn from a split; any: from the split of the objects."""


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """Names of one sort that are kept for evaluation; all others are seen."""

    unseen: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SplitRules:
    """What assets/split.toml says."""

    colours: Unseen
    materials: Unseen
    kinds: Unseen
    """Kinds of objects that are wholly held out."""
    arenas: Unseen
    layout: LayoutSplit


@functools.cache
def rules() -> SplitRules:
    """Returns the split that ships with vlagym.

    Raises:
      UnknownName: If it names a colour, material, kind or arena that nothing has; with the near names.
      BadData: If it has a missing, unknown or wrong key, or an object contradicts it.
    """
    found = read_rules(assets.path("split.toml"))
    wrong = contradictions(found)
    if wrong:
        raise BadData(f"split.toml and the assets contradict each other: {'; '.join(wrong[:3])}")
    return found


def read_rules(path: Path) -> SplitRules:
    """Reads a file like assets/split.toml.

    Raises:
      UnknownName: If it names a colour, material, kind or arena that nothing has; with the near names.
      BadData: If it cannot be read, or has a missing, unknown or wrong key.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"{path.name} cannot be read: {error}") from error
    found = from_plain(SplitRules, table, path.name)
    known: Mapping[str, set[str]] = {
        "colours": set(language().colours),
        "materials": {a.material for a in catalog().values() if a.material is not None},
        "kinds": {a.kind for a in catalog().values()} | {a.kind for a in fixtures().values()},
        "arenas": set(arena_names()),
    }
    for key, names in known.items():
        for name in getattr(found, key).unseen:
            if name not in names:
                raise unknown_name(key.removesuffix("s"), name, names, f"It stands in {path.name} [{key}].")
    if not set(known["arenas"]) - set(found.arenas.unseen):
        raise BadData(f"{path.name} [arenas] leaves no arena that is seen")
    return found


def contradictions(of: SplitRules) -> list[str]:
    """Returns, in words, which objects say that they are seen and are of an unseen colour, material or kind."""
    found = []
    everything: list[ObjectAsset | FixtureAsset] = [*catalog().values(), *fixtures().values()]
    for asset in everything:
        if asset.split == "seen":
            found += [f"{asset.id} is seen, and {what}" for what in _unseen_traits(asset, of)]
    return found


# ---------------------------------------------------------------------------------------------------------------------- arenas and places
def arena_split(name: str) -> Split:
    """Returns the split of an arena. Raises UnknownName."""
    if name not in arena_names():
        raise unknown_name("arena", name, arena_names(), "An arena is a file of assets/arenas.")
    return "unseen" if name in rules().arenas.unseen else "seen"


def arenas_of(split: Split) -> list[str]:
    """Returns the names of the arenas of a split, sorted."""
    return [name for name in arena_names() if arena_split(name) == split]


def arena_split_for(word: str, objects: str) -> Split:
    """Returns the split of an arena, or of those that a word of ARENA_WORDS draws from. Raises UnknownName."""
    if word in ARENA_WORDS:
        return "unseen" if "unseen" in (word, objects if word == "any" else word) else "seen"
    return arena_split(word)


def place_split(x_m: float, y_m: float) -> Split:
    """Returns the split of a place on the table, in m of the world frame."""
    return rules().layout.at(x_m, y_m)


# --------------------------------------------------------------------------------------------------------------------------- in episodes
def unseen_in(spec: EpisodeSpec, *, places: bool = True) -> tuple[str, ...]:
    """Returns, in words, what an episode shows, says or asks for that is kept for evaluation; nothing for a training episode.

    Args:
      spec: The episode, its sentence included.
      places: Whether to look at where things start; the small world "core" knows no split of places, nor do robots with two hands.

    Raises:
      UnknownName: If the episode names an asset, an arena, a robot or a template that does not exist.
    """
    scene = spec.scene
    found = [f"the arena {scene.arena}"] if arena_split(scene.arena) == "unseen" else []
    found += [what for prop in scene.props for what in _of_asset(get(prop.asset))]
    found += [what for fixture in scene.fixtures for what in _of_asset(get_fixture(fixture.asset))]
    things: list[PropSpec | FixtureSpec] = [*scene.props, *scene.fixtures]
    painted = [(thing.name, colour_word(thing.rgba)) for thing in things if thing.rgba is not None]
    found += [f"the colour {colour} of {name}" for name, colour in painted if colour in rules().colours.unseen]
    if "/" in spec.phrase and split_of(spec.phrase) == "unseen":  # "blank" and "nonsense" are no templates
        found.append(f"the template {spec.phrase}")
    found += [f"the word {word!r}" for word in unseen_words(spec)]
    if places and registry.load("robot", spec.robot).keeps_places:
        starts = [(p.name, start_of(p)) for p in scene.props if _stands_on_the_table(p)]
        starts += [(f.name, (f.pos_world[0], f.pos_world[1])) for f in scene.fixtures]
        found += [f"the place of {name}" for name, place in starts if place_split(*place) == "unseen"]
    return tuple(dict.fromkeys(found))


def start_of(prop: PropSpec) -> tuple[float, float]:
    """Returns the place on the table, in m of the world frame, where the middle of a prop starts."""
    up = rotate(np.array(prop.quat_world_wxyz), np.array([0.0, 0.0, asset_of(prop).size_m[2] / 2]))
    return (prop.pos_world[0] + float(up[0]), prop.pos_world[1] + float(up[1]))


def unseen_words(spec: EpisodeSpec) -> tuple[str, ...]:
    """Returns the words of an instruction that are kept for evaluation: unseen nouns of the things of the scene, and unseen needs and uses.

    What its template says is no noun ("cover the pot"), nor is what seen needs and uses say, nor is a word that seen
    sentences say in another role ("both vegetables", "the cloth mat").
    """
    things: list[Any] = [get(p.asset) for p in spec.scene.props]
    for fixture in spec.scene.fixtures:
        asset = get_fixture(fixture.asset)
        things += [asset, *asset.joints]
    words = language().words
    unseen = {noun for t in things for noun in t.unseen_names}
    unseen |= {w for use in words.uses.values() for w in (*use.unseen_something, *use.unseen_needs)}
    seen = {noun for t in things for noun in t.names} | {*words.substances, *words.substances.values()}
    seen |= {w for category in words.categories.values() for w in (*category.one, *category.many, *category.mass)}
    # The longest one counts: "soda can" is a word of its own, and the "can" in it is none.
    longest_first = sorted(seen | unseen, key=lambda word: (-len(word), word))
    forms = {plural(word).lower(): word for word in longest_first} | {word.lower(): word for word in longest_first}
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, sorted(forms, key=lambda form: (-len(form), form))))})\b", re.IGNORECASE)
    lowered = {word.lower() for word in seen}
    said, framed = (Counter(forms[m.lower()] for m in pattern.findall(text)) for text in (spec.instruction, _framing(spec)))
    return tuple(word for word in said - framed if word.lower() not in lowered)


def _framing(spec: EpisodeSpec) -> str:
    """Returns what the templates and frames of a sentence say around their slots, and the seen needs and uses that it speaks of."""
    known = language().all_phrases
    texts = [known[part].text for part in re.findall(r"[a-z_0-9]+/[a-z_0-9]+", spec.phrase) if part in known]
    for use in language().words.uses.values():
        texts += [said for said in (use.clause, *use.something, *use.needs) for _ in range(spec.instruction.count(said))]
    return re.sub(r"[\[\]|]", " ", re.sub(r"\{[^{}]*\}", " ; ", " ; ".join(texts)))


# ------------------------------------------------------------------------------------------------------------------------------- the digest
def resolved() -> dict[str, Any]:
    """Returns the whole split, thing by thing: what is seen and what is unseen of each sort, ready for JSON."""
    own = rules()

    def of(assets_of_sort: Iterable[ObjectAsset | FixtureAsset]) -> dict[str, Any]:
        return {a.id: {"split": a.split, "names": list(a.names), "unseen_names": list(a.unseen_names)} for a in assets_of_sort}

    return {
        **{f.name: to_plain(getattr(own, f.name)) for f in fields(own)},
        "arenas": {name: arena_split(name) for name in arena_names()},
        "objects": of(catalog().values()),
        "fixtures": of(fixtures().values()),
        "templates": {p.id: p.split for p in language().all_phrases.values()},
    }


@functools.cache
def digest() -> str:
    """Returns 32 hexadecimal digits that change whenever anything moves from seen to unseen or back, or is added to either."""
    return sha(canonical_json(resolved()).encode())


def _of_asset(asset: ObjectAsset | FixtureAsset) -> list[str]:
    return [asset.id] if asset.split == "unseen" else []


def _unseen_traits(asset: ObjectAsset | FixtureAsset, of: SplitRules) -> Iterator[str]:
    if asset.kind in of.kinds.unseen:
        yield f"the kind {asset.kind} is not"
    if isinstance(asset, ObjectAsset) and asset.material in of.materials.unseen:
        yield f"the material {asset.material} is not"
    if asset.colour in of.colours.unseen:
        yield f"the colour {asset.colour} is not"


def _stands_on_the_table(prop: PropSpec) -> bool:
    """Tells whether a prop has a place of its own: what lies in or on another thing has that thing's."""
    upright = abs(prop.quat_world_wxyz[1]) + abs(prop.quat_world_wxyz[2]) < 1e-6
    return not (upright and prop.pos_world[2] > UPON_M)

