"""What words are true of: the things of a scene that a noun, an adjective or a comparison leaves over; the sure ones, and those in doubt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from vlagym.envs.language import spatial
from vlagym.envs.language.inflection import head, plural
from vlagym.envs.language.phrases import language
from vlagym.envs.language.referents import Referent
from vlagym.envs.language.scene_words import SceneWords
from vlagym.envs.language.spatial import Side, in_order

Names = frozenset[str]


class Class(NamedTuple):
    """What a noun with its modifiers is true of."""

    sure: Names
    maybe: Names
    """The sure ones and those of which one could argue."""
    number: str
    """one | many | mass"""
    noun: str


Test = Callable[[Referent], "bool | None"]
Narrow = Callable[[Class], Class]

GENERIC = {"one": "one", "thing": "one", "object": "one", "item": "one", "ones": "many", "things": "many", "objects": "many", "items": "many"}
"""Nouns that are true of anything."""


class Narrowing:
    """Narrows classes of things of one scene: each method returns what keeps some of a class."""

    def __init__(self, scene: SceneWords) -> None:
        self._scene = scene

    def keep(self, test: Test) -> Narrow:
        """Returns what keeps those of a class that pass a test."""
        return lambda class_: _where(class_, test, self._scene)

    def related_to(self, landmark: Referent, test: Test) -> Narrow:
        """Returns what keeps those of a class, the landmark itself left out, that pass a test; one could argue of what is not on its level."""

        def passes(referent: Referent) -> bool | None:
            if referent.name == landmark.name:
                return False
            if not spatial.are_together(referent.pos_world, landmark.pos_world) or landmark.name == referent.lies_on and landmark.sort == "fixture":
                return None
            return test(referent)

        return self.keep(passes)

    def with_most(self, measure: str, sign: float) -> Narrow:
        """Returns what keeps the one with the most of a measure: size, height, or distance from the robot or from a thing."""
        return lambda class_: self._most(class_, measure, sign)

    def at_side(self, side: Side, is_viewer: bool) -> Narrow:
        """Returns what keeps the one that lies furthest to a side."""
        return lambda class_: self._extreme(class_, side, is_viewer)

    def _most(self, class_: Class, measure: str, sign: float) -> Class:
        values: dict[str, float] = {}
        for name in class_.maybe:
            value = self._measure(self._scene[name], measure)
            if value is None:
                return class_._replace(sure=frozenset())
            values[name] = sign * value
        if measure in ("size", "height"):
            return _best(class_, values, lambda a, b: max(abs(a), abs(b)) >= spatial.CLEAR_RATIO * min(abs(a), abs(b)))
        return _best(class_, values, lambda a, b: abs(a - b) >= spatial.CLEAR_M)

    def _measure(self, referent: Referent, measure: str) -> float | None:
        if measure in ("size", "height"):
            if referent.sort == "joint" or (measure == "height" and referent.is_lying):
                return None
            return referent.linear_size_m if measure == "size" else referent.size_m[2]
        x, y = (0.0, 0.0) if measure == "robot" else self._scene[measure].pos_world[:2]
        return float(((referent.pos_world[0] - x) ** 2 + (referent.pos_world[1] - y) ** 2) ** 0.5)

    def _extreme(self, class_: Class, side: Side, is_viewer: bool) -> Class:
        ux, uy = spatial.direction(side, is_viewer)
        values = {n: self._scene[n].pos_world[0] * ux + self._scene[n].pos_world[1] * uy for n in class_.maybe}
        gap = self._scene.clear_m(class_.maybe)
        best = _best(class_, values, lambda a, b: abs(a - b) >= gap)
        places = [self._scene[n].pos_world for n in class_.maybe]
        if all(spatial.has_sides(self._scene[n].pos_world, places, side, is_viewer) for n in best.maybe):
            return best
        return class_._replace(sure=frozenset())

    def middle(self, class_: Class) -> Class:
        if len(class_.maybe) % 2 == 0:
            return class_._replace(sure=frozenset(), maybe=frozenset())
        return self.nth(class_, len(class_.maybe) // 2, "left", False)

    def nth(self, class_: Class, index: int, side: Side, is_viewer: bool) -> Class:
        ux, uy = spatial.direction(side, is_viewer)
        along = {n: -(self._scene[n].pos_world[0] * ux + self._scene[n].pos_world[1] * uy) for n in class_.maybe}
        ranked = sorted(along, key=lambda n: along[n])
        if index >= len(ranked):
            return class_._replace(sure=frozenset(), maybe=frozenset())
        if not all(spatial.is_ahead(self._scene[n].pos_world) for n in class_.maybe):
            return class_._replace(sure=frozenset())
        parts = [self._scene[n] for n in class_.maybe if self._scene[n].owner is not None]
        if parts and (len({part.owner for part in parts}) > 1 or not spatial.is_row([part.pos_world for part in parts])):
            return class_._replace(sure=frozenset())  # two rows of buttons, or those of two panels, have no second one from the left
        if class_.sure != class_.maybe or not in_order([along[n] for n in ranked], self._scene.clear_m(ranked)):
            return class_._replace(sure=frozenset())
        return class_._replace(sure=frozenset((ranked[index],)), maybe=frozenset((ranked[index],)))


def lexicon(scene: SceneWords) -> dict[str, tuple[Class, ...]]:
    """Returns what each noun of a scene is true of, one or many; a can is maybe meant by "tin can" and the other way round."""
    referents = list(scene.referents.values())
    nouns: dict[str, set[str]] = {}
    for r in referents:
        for noun in r.nouns:
            nouns.setdefault(noun, set()).add(r.name)
    maybe = {noun: {r.name for r in referents if any(noun == head(n) for n in r.nouns)} for noun in nouns}
    of_category = {c: frozenset(r.name for r in referents if r.category == c) for c in language().words.categories}
    for category, members in of_category.items():
        for noun in language().words.categories[category].one if members else ():
            nouns.setdefault(noun, set()).update(members)
    found: dict[str, list[Class]] = {}
    for noun, names in nouns.items():
        unclear = frozenset(names | maybe.get(noun, set()))
        found.setdefault(noun, []).append(Class(frozenset(names), unclear, "one", noun))
        found.setdefault(plural(noun), []).append(Class(frozenset(names), unclear, "many", noun))
    for category, members in of_category.items():
        words = language().words.categories[category]
        for noun in words.many if members else ():
            found.setdefault(noun, []).append(Class(members, members, "many", words.one[0]))
        for noun in words.mass if members else ():
            found.setdefault(noun, []).append(Class(members, members, "mass", noun))
    things = frozenset(r.name for r in scene.things)
    props = frozenset(r.name for r in scene.things if r.sort == "prop")
    for noun, number in GENERIC.items():
        domain = things if noun in ("one", "ones") else props
        found.setdefault(noun, []).append(Class(domain, domain if noun in ("one", "ones") else things, number, noun))
    return {noun: tuple(dict.fromkeys(classes)) for noun, classes in found.items()}


def adjective(word: str) -> Test | None:
    """Returns what an adjective says of a thing; None for what is no adjective."""
    words = language().words
    if word in words.colours:
        return lambda r: None if r.colour is None else r.colour == word
    if word in words.substances:
        return lambda r: (False if r.category in ("fruit", "vegetable") else None) if r.material is None else r.material == word
    if word in ("round", "square", "long", "tall", "flat"):
        return lambda r: None if r.shape is None else r.shape == word
    if word in ("lying", "fallen"):
        return lambda r: r.is_lying
    if word in ("standing", "upright"):
        return lambda r: not r.is_lying
    return None


def _where(class_: Class, test: Test, scene: SceneWords) -> Class:
    """Returns those of a class that pass a test; what it cannot say is kept as a maybe."""
    verdicts = {name: test(scene[name]) for name in class_.maybe}
    sure = frozenset(n for n in class_.sure if verdicts[n] is True)
    return class_._replace(sure=sure, maybe=frozenset(n for n, verdict in verdicts.items() if verdict is not False))


def _best(class_: Class, values: Mapping[str, float], is_clear: Callable[[float, float], bool]) -> Class:
    """Returns the one of a class with the largest value, if it is clearly the largest; else those that could be."""
    if not values:
        return class_
    top = max(values, key=lambda n: (values[n], n))
    close = {n for n in values if n == top or not is_clear(values[n], values[top])}
    if len(close) > 1:
        return class_._replace(sure=frozenset(), maybe=frozenset(close))
    if top in class_.sure:
        return class_._replace(sure=frozenset(close), maybe=frozenset(close))
    return class_._replace(sure=frozenset())
