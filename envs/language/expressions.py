"""Referring expressions: noun phrases that are true of a thing, or of several, proposed in great variety.

Every claim of a proposal is true of its target: the second block from the left, the one you drink from, the mug that is not red. Whether it
is true of nothing else in the scene is not looked at here; `envs.language.noun_phrases` reads each proposal and finds out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from vlagym.envs.language import spatial
from vlagym.envs.asset_files import Split
from vlagym.envs.language.inflection import ORDINALS
from vlagym.envs.language.noun_phrases import Reading
from vlagym.envs.language.phrases import language
from vlagym.envs.language.referents import Referent
from vlagym.envs.language.scene_words import SceneWords
from vlagym.envs.language.spatial import Side

SIMPLE = ("plain", "adjectives", "category", "label", "part")
"""Styles that speak of nothing but the thing itself."""
DIRECTED = ("ordinal", "extreme", "viewer", "relation")
"""Styles that speak of left and right: in a sentence that is told as the viewer sees it, one would not know whose left is meant."""
COMPLEX = ("size", "ordinal", "extreme", "viewer", "relation", "nearest", "negation", "use", "other", "state")
"""Styles that compare, count, deny, or speak of something else."""

RELATIONS: Mapping[Side, tuple[str, ...]] = {
    "left": ("to the left of", "that is to the left of"),
    "right": ("to the right of", "that is to the right of"),
    "front": ("in front of",),
    "back": ("behind",),
}
"""What one says of a thing that lies to a side of another one."""
_EXTREMES: tuple[tuple[Side, str, str], ...] = (
    ("left", "leftmost", "on the left"),
    ("right", "rightmost", "on the right"),
    ("front", "front", "at the front"),
    ("back", "back", "at the back"),
)
_MAX_LANDMARKS = 5
_HEIGHTS = frozenset(("first", "second", "third", "top", "upper", "highest", "middle", "bottom", "lower", "lowest"))
_MAX_ORDINAL = 3  # nobody counts further than to the third


class Expressions:
    """Proposes noun phrases for the things of one scene."""

    def __init__(self, scene: SceneWords, landmark: Callable[[Referent], str | None], avoid: Iterable[str] = (), nouns: Split = "seen") -> None:
        """Prepares.

        Args:
          scene: Its things.
          landmark: Returns a simple phrase that singles a thing out, None if there is none.
          avoid: Things that no phrase may lean on, because the goal speaks of them.
          nouns: Split of the nouns.
        """
        self._scene = scene
        self._landmark = landmark
        self._avoid = frozenset(avoid)
        self._split = nouns

    def propose(self, target: Referent, style: str, mentioned: Sequence[Reading] = ()) -> list[str]:
        """Returns phrases of a style for one thing; none where the style has nothing to say of it.

        Args:
          target: What is spoken of.
          style: One of SIMPLE and COMPLEX.
          mentioned: What the sentence spoke of before.
        """
        if style == "other":
            return list(dict.fromkeys(self._other(target, mentioned)))
        styles: Mapping[str, Callable[[Referent], Iterator[str]]] = {
            "plain": self._plain,
            "adjectives": self._adjectives,
            "category": self._category,
            "label": self._label,
            "part": self._part,
            "size": self._size,
            "ordinal": self._ordinal,
            "extreme": self._extreme,
            "viewer": self._viewer,
            "relation": self._relation,
            "nearest": self._nearest,
            "negation": self._negation,
            "use": self._use,
            "state": self._state,
        }
        return list(dict.fromkeys(styles[style](target)))

    # ------------------------------------------------------------------------------------------------------------- the thing itself
    def nouns(self, target: Referent) -> tuple[str, ...]:
        """Returns the nouns of the split, or of the other split where it has none."""
        return (target.names or target.unseen_names) if self._split == "seen" else (target.unseen_names or target.names)

    def _plain(self, target: Referent) -> Iterator[str]:
        for noun in self.nouns(target):
            yield f"the {noun}"
            if colour := _own_colour(target):
                yield f"the {colour} {noun}"

    def _adjectives(self, target: Referent) -> Iterator[str]:
        for noun in self.nouns(target):
            shapes = {r.shape for r in self._scene.things if noun in r.nouns}
            for word in (target.material, target.shape if len(shapes) > 1 else None):
                if word is not None and word not in noun:
                    yield f"the {word} {noun}"
                    if target.colour:
                        yield f"the {target.colour} {word} {noun}" if word == target.material else f"the {word} {target.colour} {noun}"
            if target.material is not None and target.material not in noun and len({r.material for r in self._scene.things if noun in r.nouns}) > 1:
                yield f"the {noun} made of {language().words.substances[target.material]}"

    def _category(self, target: Referent) -> Iterator[str]:
        words = language().words.categories.get(target.category or "")
        for noun in (*(words.one if words else ()), *(("thing", "object") if target.sort == "prop" and not _is_destination(target) else ())):
            if target.colour:
                yield f"the {target.colour} {noun}"
            if target.material is not None:
                yield f"the {target.material} {noun}"
            if noun not in ("thing", "object"):
                yield f"the {noun}"

    def _label(self, target: Referent) -> Iterator[str]:
        if target.label is not None:
            for noun in self.nouns(target):
                kind = "with the number" if target.label.isdigit() else "with the letter"
                yield from (f"the {noun} {how} {target.label}" for how in ("labelled", "marked", kind))
                yield f"{noun} {target.label}"

    def _part(self, target: Referent) -> Iterator[str]:
        owner = self._landmark(self._scene[target.owner]) if target.owner is not None else None
        if owner is None:
            return
        of = "on" if target.joint is not None and target.joint.control is not None else "of"
        for noun in self.nouns(target):
            yield f"the {noun} {of} {owner}"
            if target.is_own and (colour := _own_colour(target)):
                yield f"the {colour} {noun} {of} {owner}"
            if target.label is not None:
                yield f"the {noun} labelled {target.label} {of} {owner}"
        if not target.is_own:
            yield owner

    # --------------------------------------------------------------------------------------------------------------- comparing
    def _heads(self, target: Referent) -> Iterator[tuple[str, tuple[Referent, ...]]]:
        """Yields nouns that the target shares with others, and all of these; then with its colour in front."""
        for noun in self.nouns(target):
            alike = tuple(r for r in self._scene.referents.values() if noun in r.nouns)
            yield noun, alike
            if target.colour and target.sort != "joint":
                coloured = tuple(r for r in alike if r.colour == target.colour)
                if 1 < len(coloured) < len(alike):
                    yield f"{target.colour} {noun}", coloured
        words = language().words.categories.get(target.category or "")
        for noun in words.one if words else ():
            yield noun, tuple(r for r in self._scene.things if r.category == target.category)
        if target.sort == "joint" and target.is_own and (owner := self._landmark(self._scene[target.owner or ""])) is not None:
            for noun in self.nouns(target):
                yield f"{noun} on {owner}", tuple(r for r in self._scene.joints_of(target.owner or "") if noun in r.nouns)
        if target.sort == "prop" and not _is_destination(target):
            yield "thing", tuple(r for r in self._scene.things if r.sort == "prop")

    def _size(self, target: Referent) -> Iterator[str]:
        for noun, alike in self._heads(target):
            others = [r for r in alike if r.name != target.name]
            if not others or target.sort == "joint":
                continue
            sizes = [r.linear_size_m for r in others]
            if noun != "thing" and target.linear_size_m >= spatial.CLEAR_RATIO * max(sizes):
                yield from (f"the {word} {noun}" for word in (("bigger", "larger", "big") if len(others) == 1 else ("biggest", "largest")))
            if noun != "thing" and spatial.CLEAR_RATIO * target.linear_size_m <= min(sizes):
                yield from (f"the {word} {noun}" for word in (("smaller", "small") if len(others) == 1 else ("smallest",)))
            heights = [r.size_m[2] for r in others]
            if any(r.is_lying for r in alike):
                continue
            if target.size_m[2] >= spatial.CLEAR_RATIO * max(heights):
                yield f"the {'taller' if len(others) == 1 else 'tallest'} {noun}"
            if spatial.CLEAR_RATIO * target.size_m[2] <= min(heights):
                yield f"the {'shorter' if len(others) == 1 else 'shortest'} {noun}"

    def _ordinal(self, target: Referent) -> Iterator[str]:
        for noun, alike in self._heads(target):
            parts = [r for r in alike if r.owner is not None]
            if not 3 <= len(alike) <= len(ORDINALS) or noun == "thing" or not all(spatial.is_ahead(r.pos_world) for r in alike):
                continue
            if parts and (len({r.owner for r in parts}) > 1 or not spatial.is_row([r.pos_world for r in parts])):
                continue
            noun, _, owner = noun.partition(" on ")
            on = f" on {owner}" if owner else ""
            ranked = sorted(alike, key=lambda r: -r.pos_world[1])
            place = [r.name for r in ranked].index(target.name)
            if 0 < place < _MAX_ORDINAL:
                yield f"the {ORDINALS[place]} {noun} from the left{on}"
            if 0 < len(ranked) - 1 - place < _MAX_ORDINAL:
                yield f"the {ORDINALS[len(ranked) - 1 - place]} {noun} from the right{on}"
            if 2 * place == len(ranked) - 1:
                yield f"the middle {noun}{on}"
                yield f"the {noun} in the middle" if not on else f"the middle {noun}{on}"

    def _extreme(self, target: Referent) -> Iterator[str]:
        for noun, alike in self._heads(target):
            for side, most, at in _EXTREMES:
                if len(alike) > 1 and self._is_extreme(target, alike, side, False):
                    if len(most) > len("right"):
                        yield f"the {most} {noun}"
                    if len(alike) == 2:
                        yield f"the {noun} {at}"
                        if side in ("left", "right") and noun != "thing":
                            yield f"the {side} {noun}"

    def _viewer(self, target: Referent) -> Iterator[str]:
        for noun, alike in self._heads(target):
            for side, most, _ in _EXTREMES[:2]:
                if len(alike) > 1 and self._is_extreme(target, alike, side, True):
                    yield f"the {most} {noun} as I see it"
                    yield f"the {most} {noun} as seen from my side"
                    if len(alike) == 2:
                        yield f"the {noun} on my {side}"
                if len(alike) == 2 and self._is_extreme(target, alike, side, False):
                    yield f"the {noun} on your {side}"
        for noun in self.nouns(target):
            for landmark, words in self.landmarks(target):
                for side in RELATIONS if _are_level(target, landmark) else ():
                    if spatial.lies(target.pos_world, landmark.pos_world, side, True):
                        yield f"the {noun} {RELATIONS[side][0]} {words} as I see it"

    def _is_extreme(self, target: Referent, alike: Sequence[Referent], side: Side, is_viewer: bool) -> bool:
        ux, uy = spatial.direction(side, is_viewer)
        along = {r.name: r.pos_world[0] * ux + r.pos_world[1] * uy for r in alike}
        gap = self._scene.clear_m(along)
        own = along.pop(target.name)
        return all(own - other >= gap for other in along.values()) and spatial.has_sides(
            target.pos_world, [r.pos_world for r in alike], side, is_viewer
        )

    def _nearest(self, target: Referent) -> Iterator[str]:
        for noun, alike in self._heads(target):
            others = [r for r in alike if r.name != target.name]
            if not others:
                continue
            for words, sign in (("nearest to", 1.0), ("closest to", 1.0), ("farthest from", -1.0)):
                gaps = [sign * (_distance(r, None) - _distance(target, None)) for r in others]
                if min(gaps) >= spatial.CLEAR_M:
                    yield f"the {noun} {words} the robot"
                    yield f"the {noun} {words} you"
                for landmark, where in self.landmarks(target):
                    rivals = [r for r in others if r.name != landmark.name] if landmark.owner is None else []
                    if rivals and min(sign * (_distance(r, landmark) - _distance(target, landmark)) for r in rivals) >= spatial.CLEAR_M:
                        yield f"the {noun} {words} {where}"

    # ----------------------------------------------------------------------------------------------------------- something else
    def landmarks(self, target: Referent) -> Iterator[tuple[Referent, str]]:
        """Yields things that a phrase may lean on, near ones first, and what they are called."""
        siblings = tuple(r for r in self._scene.joints_of(target.owner) if r.is_own) if target.owner is not None else ()
        known = [r for r in (*siblings, *self._scene.things) if r.name not in (*self._avoid, target.name, target.owner) and _are_together(target, r)]
        near = sorted(known, key=lambda r: _distance(r, target))
        for referent in near[:_MAX_LANDMARKS]:
            if (words := self._landmark(referent)) is not None:
                yield referent, words

    def _relation(self, target: Referent) -> Iterator[str]:
        if target.lies_on is not None and target.lies_on not in self._avoid:
            below = self._scene[target.lies_on]
            if (words := self._landmark(below)) is not None:
                yield from (f"the {noun} {'in' if 'container' in below.roles else 'on'} {words}" for noun in self.nouns(target))
        landmarks = list(self.landmarks(target))
        for noun in (*self.nouns(target), *(("thing",) if target.sort == "prop" and not _is_destination(target) else ())):
            for landmark, words in landmarks:
                if not _are_level(target, landmark):
                    yield from self._stacked(target, noun, landmark, words)
                    continue
                scale = spatial.PART_SCALE if target.owner is not None and landmark.owner == target.owner else 1.0
                for side, relations in RELATIONS.items():
                    if spatial.lies(target.pos_world, landmark.pos_world, side, False, scale):
                        yield from (f"the {noun} {relation} {words}" for relation in relations)
                if spatial.is_next(target.pos_world, target.radius_m, landmark.pos_world, landmark.radius_m):
                    yield from (f"the {noun} {relation} {words}" for relation in ("next to", "beside"))
            for (a, words_a), (b, words_b) in itertools.combinations(landmarks, 2):
                if _are_level(target, a) and _are_level(target, b) and spatial.is_between(target.pos_world, a.pos_world, b.pos_world):
                    yield f"the {noun} between {words_a} and {words_b}"

    def _stacked(self, target: Referent, noun: str, landmark: Referent, words: str) -> Iterator[str]:
        """Yields what one says of parts of one thing at different heights."""
        if _HEIGHTS & {*noun.split()}:
            return
        if spatial.is_above(target.pos_world, landmark.pos_world):
            yield f"the {noun} above {words}"
        if spatial.is_above(landmark.pos_world, target.pos_world):
            yield f"the {noun} below {words}"

    def _negation(self, target: Referent) -> Iterator[str]:
        for noun, alike in self._heads(target):
            others = [r for r in alike if r.name != target.name]
            for other in others if noun != "thing" else ():
                own, theirs = _own_colour(target), _own_colour(other)
                if own and theirs and own != theirs and " on " not in noun:
                    yield f"the {noun} that is not {theirs}"
                if target.material and other.material and other.material != target.material:
                    yield f"the {noun} that isn't {other.material}"

    def _use(self, target: Referent) -> Iterator[str]:
        for use in target.uses:
            words = language().words.uses.get(use)
            for noun in ("thing",) if words is not None else ():
                yield f"the {noun} {words.clause}" if words is not None else ""

    def _state(self, target: Referent) -> Iterator[str]:
        for noun in self.nouns(target) if target.is_lying else ():
            yield from (f"the fallen {noun}", f"the {noun} lying on its side", f"the {noun} that has fallen over")
        alike = [r for _, group in self._heads(target) for r in group]
        for noun in self.nouns(target) if not target.is_lying and any(r.is_lying for r in alike) else ():
            yield f"the standing {noun}"

    def _other(self, target: Referent, mentioned: Sequence[Reading]) -> Iterator[str]:
        for reading in mentioned:
            if target.name in reading.names or len(reading.names) != 1:
                continue
            if reading.noun in target.nouns:
                yield "the other one"
                yield f"the other {reading.noun}"
                if target.colour:
                    yield f"the {target.colour} one"


def _are_level(a: Referent, b: Referent) -> bool:
    """Returns whether one may say that one thing lies beside the other: all but parts of one thing at different heights."""
    return a.owner is None or a.owner != b.owner or spatial.are_level(a.pos_world, b.pos_world)


def _are_together(a: Referent, b: Referent) -> bool:
    """Returns whether a phrase for one thing may lean on the other: both on the table or both below, ahead, and not one on the other's top."""
    if not (spatial.is_ahead(a.pos_world) and spatial.is_ahead(b.pos_world) and spatial.are_together(a.pos_world, b.pos_world)):
        return False
    return not (b.sort == "fixture" and a.lies_on == b.name)


def _is_destination(referent: Referent) -> bool:
    """Returns whether things are put on or into it, which one does not call a thing."""
    return bool({"support", "container"} & {*referent.roles})


def _own_colour(referent: Referent) -> str | None:
    """Returns the colour that one would say of a thing; a drawer with a name of its own that is painted like its cabinet has none."""
    return referent.colour if referent.joint is None or not referent.is_own else referent.joint.colour


def _distance(a: Referent, b: Referent | None) -> float:
    """Returns the distance of two things on the table, in m; from the robot where there is one."""
    x, y = (0.0, 0.0) if b is None else b.pos_world[:2]
    return float(((a.pos_world[0] - x) ** 2 + (a.pos_world[1] - y) ** 2) ** 0.5)
