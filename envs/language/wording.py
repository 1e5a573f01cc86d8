"""What is asked of a sentence besides its split and its level: which templates it is made of, how it tells things apart, what of another it keeps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vlagym.envs.language.phrases import language
from vlagym.envs.language.templates import Phrase

TEMPLATE = re.compile(r"[a-z_0-9]+/[a-z_0-9]+")
"""A template or frame in the id of a sentence: "polite/could_you(on/put_on)" has two."""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """Wishes for a sentence. What is left out asks for nothing."""

    only: frozenset[str] = frozenset()
    """Ids of the templates and frames that it is made of; empty: of any."""
    without: frozenset[str] = frozenset()
    """Ids of templates and frames that it is not made of."""
    is_polite: bool | None = None
    """Whether a polite frame stands around it; None: now and then, where its level has them."""
    styles: tuple[str, ...] = ()
    """Styles of `envs.language.expressions`: at least one thing is spoken of in one of them; empty: as its level has it."""
    keeps: str = ""
    """Another sentence whose words for things are said again where they fit."""
    avoids: str = ""
    """Another sentence whose words for things do not count as one of the styles."""

    def admits(self, phrase: Phrase) -> bool:
        """Returns whether a template or frame may be drawn."""
        return (not self.only or phrase.id in self.only) and phrase.id not in self.without

    @property
    def is_free(self) -> bool:
        """Whether things may be called as their level calls them."""
        return not (self.styles or self.keeps)


ANY = Wording()
"""Asks for nothing."""


def templates_in(template_id: str) -> frozenset[str]:
    """Returns the ids of the templates and frames that a sentence was made of."""
    return frozenset(TEMPLATE.findall(template_id))


def of_families(ids: Sequence[str] | frozenset[str]) -> frozenset[str]:
    """Returns those ids that are templates of families, and no frames around them."""
    return frozenset(one for one in ids if one.partition("/")[0] in language().families)


def says(text: str, words: str) -> bool:
    """Returns whether words stand in a text as they are: "the mug" in "lift the mug", not in "lift the mugs"."""
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text) is not None
