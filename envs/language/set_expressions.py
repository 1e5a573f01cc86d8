"""Referring expressions for several things together: both mugs, all the fruit, the two red blocks, the blocks that are not green."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vlagym.envs.language import spatial
from vlagym.envs.language.expressions import RELATIONS, Expressions
from vlagym.envs.language.inflection import NUMBERS, plural
from vlagym.envs.language.noun_phrases import Reading
from vlagym.envs.language.phrases import language
from vlagym.envs.language.referents import Referent
from vlagym.envs.language.scene_words import SceneWords


class SetExpressions:
    """Proposes noun phrases for several things of one scene at once; like `Expressions`, without asking what else they are true of."""

    def __init__(self, scene: SceneWords, single: Expressions) -> None:
        self._scene = scene
        self._single = single

    def propose_all(self, targets: Sequence[Referent], mentioned: Sequence[Reading] = (), *, is_complex: bool) -> list[str]:
        """Returns phrases for several things together: "both mugs", "all the fruit", "the two red blocks", "the blue ones"."""
        found: list[str] = []
        nouns = {reading.noun for reading in mentioned if reading.is_plural}
        if not is_complex and any(nouns & {*r.nouns} for r in targets):
            found += [f"{which} {word} ones" for word in self._shared_adjectives(targets) for which in ("the", "all the")]
        for head, mass in self._shared_heads(targets):
            several = head if mass else plural(head)
            if is_complex:
                found += self._complex_sets(targets, head, several, mass)
            else:
                for adjective in ("", *(f"{a} " for a in self._shared_adjectives(targets))):
                    found += _quantified(adjective + several, adjective + head, len(targets), mass)
        return list(dict.fromkeys(found))

    def _shared_heads(self, targets: Sequence[Referent]) -> Iterator[tuple[str, bool]]:
        """Yields nouns that all targets share, and whether they cannot be counted."""
        for noun in self._single.nouns(targets[0]):
            if all(noun in r.nouns for r in targets):
                yield noun, False
        categories = {r.category for r in targets}
        words = language().words.categories.get(next(iter(categories)) or "") if len(categories) == 1 else None
        if words is not None:
            yield from ((noun, False) for noun in words.one if words.many)
            yield from ((noun, True) for noun in words.mass)
        if all(r.sort == "prop" for r in targets):
            yield "thing", False

    def _shared_adjectives(self, targets: Sequence[Referent]) -> Iterator[str]:
        for words in ({r.colour for r in targets}, {r.material for r in targets}):
            if len(words) == 1 and (word := next(iter(words))) is not None:
                yield word

    def _complex_sets(self, targets: Sequence[Referent], head: str, several: str, mass: bool) -> Iterator[str]:
        quantifiers = ["all the", *(["both"] if len(targets) == 2 and not mass else [])]
        names = {r.name for r in targets}
        wider = {category: (*words.one, *words.mass) for category, words in language().words.categories.items()}
        alike = [r for r in self._scene.things if head in (*r.nouns, *wider.get(r.category or "", ()))]
        colours = {r.colour for r in alike if r.name not in names and r.colour is not None}
        is_not = "that is not" if mass else "that are not"
        for quantifier in quantifiers:
            for colour in sorted(colours) if not any(r.colour in colours or r.colour is None for r in targets) else ():
                yield f"{quantifier} {several} {is_not} {colour}"
            for landmark, words in self._single.landmarks(targets[0]):
                if landmark.name in names:
                    continue
                for side, relations in RELATIONS.items():
                    if all(spatial.lies(r.pos_world, landmark.pos_world, side) for r in targets):
                        yield f"{quantifier} {several} {relations[0]} {words}"


def _quantified(several: str, one: str, count: int, mass: bool) -> Iterator[str]:
    yield f"all the {several}"
    yield f"the {several}"
    if mass:
        return
    yield f"the {NUMBERS[count]} {several}"
    if count == 2:
        yield f"both {several}"
    else:
        yield f"all {NUMBERS[count]} {several}"
        yield f"every {one}"
