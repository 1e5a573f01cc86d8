"""Templates of sentences: a text with gaps, the family of those that ask for the same, and what a family takes and means."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from vlagym.envs.asset_files import Split
from vlagym.envs.language.referents import HAND_SORTS, SETTING_SORTS

Form = Literal["thing", "use", "need", "side"]
"""How a slot is filled: by a noun phrase, by what one does with the thing ("something to drink from"), by the need for it ("I'm thirsty"); a hand by
"left hand", or by its side alone."""

HAND = "hand"
"""Slot of a frame for the hand that is to do what is requested."""
EVERYTHING = "*"
"""Argument of a meaning: all that lies on the other one at the start."""

Room = Literal["short", "light", "inner", "end"]
"""How long a noun phrase may be: before "'s" a noun and a colour; before "up" and the like nothing that comes after the noun; else anything,
but how somebody sees it only at the end."""
_ADVERBS = ("up", "down", "out", "over", "upright")
_PARTICLES = (*_ADVERBS, "open", "shut", "closed", "again", "back", "in", "on", "off", "so", "round", "wide")


class Gap(NamedTuple):
    """What stands around the words for a slot."""

    room: Room
    """How long the words may be."""
    before: str
    """The template's text before them."""
    after: str = ""
    """The template's text after them: "the pot you cover with" does not stand before "with"."""
    is_alone: bool = True
    """Whether the template has no other slot."""
    is_before_hand: bool = False
    """Whether the hand that is to do it is named next: "the thing you can eat" does not stand before "with your left hand"."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A gap of a template."""

    name: str
    form: Form = "thing"
    is_gerund: bool = False
    """Of a frame: the request begins with its -ing form."""


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """A template, or a frame around requests."""

    id: str
    """family/id, as in "on/put_onto"."""
    text: str
    """With a slot in braces for each argument, and [singular|plural] where a word agrees with the family's first slot."""
    split: Split
    is_indirect: bool = False
    """Whether it speaks of a need or a state, and leaves the wish to the listener."""

    is_order: bool = False
    """Whether it can stand as one clause among several: it begins with a verb and says no "please"."""

    is_bare: bool = False
    """Whether it has no verb, so that one verb can serve several: its name begins with "short_"."""

    @functools.cached_property
    def slots(self) -> tuple[Slot, ...]:
        """Its gaps, in the order of the text."""
        return tuple(_slot(found) for found in re.findall(r"\{([^{}]*)\}", self.text))

    @functools.cached_property
    def agrees(self) -> bool:
        """Whether a word of it depends on singular or plural."""
        return "[" in self.text

    @functools.cached_property
    def fragments(self) -> Mapping[bool, tuple[str, ...]]:
        """The text around the gaps, for a singular (False) and for a plural (True); one more than there are slots."""
        return {plural: tuple(re.split(r"\{[^{}]*\}", _agree(self.text, plural))) for plural in (False, True)}

    def gap(self, index: int) -> Gap:
        """Returns what stands around a slot, by its place in the text."""
        before, after = self.fragments[False][index : index + 2]
        words = after.split()
        is_last = index == len(self.slots) - 1
        is_before_hand = not is_last and self.slots[index + 1].name == HAND
        is_particle = bool(words) and words[0].strip(",?") in (_PARTICLES if is_last else _ADVERBS)
        if after.startswith("'s"):
            return Gap("short", before, after, len(self.slots) == 1)
        if after == " " or words[:2] == ["the", "right"] or words[:1] == ["to"] or is_particle:
            return Gap("light", before, after, len(self.slots) == 1)
        room: Room = "end" if is_last and (not after or after in ("?", ", please")) else "inner"
        return Gap(room, before, after, len(self.slots) == 1, is_before_hand)

    def fill(self, words: Sequence[str], *, plural: bool = False) -> str:
        """Returns the text with words for its gaps, in the order of the text."""
        fragments = self.fragments[plural]
        return fragments[0] + "".join(word + after for word, after in zip(words, fragments[1:], strict=True))


    def around(self, inner: Phrase) -> Phrase:
        """Returns this frame with another template in the place of its {request}: "{request} with your {hand}" around "touch {object}"."""
        return replace(inner, id=f"{self.id}({inner.id})", text=self.text.replace("{request}", inner.text), is_bare=False)


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """A predicate over the slots of a family: `on(object, destination)`, `set_to(switch, =up)`."""

    predicate: str
    slots: tuple[str, ...]
    """Slots, or words that the family stands for itself, beginning with "="; or EVERYTHING, for all that lies on the other slot at the start."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """The templates that ask for one predicate, or for several together."""

    name: str
    slots: tuple[str, ...]
    """Names of its gaps; the first one may stand for several things. Empty where nothing is spoken of: "take a bow"."""
    takes: tuple[str, ...]
    """What may stand in each: a sort of `envs.language.referents`."""
    means: tuple[Meaning, ...]
    phrases: tuple[Phrase, ...]
    for_two_hands: bool = False
    """Whether only a robot with two hands is spoken to like this."""

    @property
    def speaks_of_things(self) -> bool:
        """Whether a thing of the scene stands in one of its slots, and not only words."""
        return any(sort not in (*SETTING_SORTS, *HAND_SORTS) for sort in self.takes)

    def sort(self, slot: str) -> str:
        """Returns what may stand in a slot."""
        return self.takes[self.slots.index(slot)]


def _slot(text: str) -> Slot:
    name, _, form = text.partition(".")
    if form == "ing":
        return Slot(name=name, is_gerund=True)
    forms: Mapping[str, Form] = {"": "thing", "use": "use", "need": "need", "side": "side"}
    return Slot(name=name, form=forms.get(form, "thing"))


def _agree(text: str, plural: bool) -> str:
    return re.sub(r"\[([^|\]]*)\|([^\]]*)\]", r"\2" if plural else r"\1", text)
