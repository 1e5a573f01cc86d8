"""The card of a TorchScript file: which profile it was trained with, and what its `forward` takes in which order."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vlagym.envs.errors import BadData, unknown_name
from vlagym.policies.families.options import ImageValues
from vlagym.policies.families.tables import beside, read_card

if TYPE_CHECKING:
    from vlagym.policies.profile import Profile

_HINT = (
    "A TorchScript file does not say what it reads: write a card of the same name that ends in .toml, with profile = \"NAME\" and an [[input]] for "
    "each argument of forward, or give its path with --policy-option card=FILE.toml (vlagym.policies.families.script_card says what it may hold)"
)


@dataclass(frozen=True, kw_only=True)
class Input:
    """One argument of `forward`: an `[[input]]` of the card. Just one of `image`, `state` and `instruction` is given."""

    image: str | None = None
    """An image of the profile: `(1, 3, H, W)`, with a history of n observations `(1, n, 3, H, W)`, oldest first."""
    layout: Literal["chw", "hwc"] = "chw"
    """Only of an image; hwc: `(1, H, W, 3)`."""
    range: Literal["uint8", "unit", "symmetric"] = "unit"
    """Only of an image: 0 to 255 in uint8, or float32 from 0 to 1, or from -1 to 1."""
    state: str | None = None
    """A state of the profile: `(1, n)` float32; with a history `(1, t, n)`."""
    instruction: Literal["text", "bytes"] | None = None
    """text: a list of one string (`List[str]`). bytes: `(1, length)` int64, the sentence in UTF-8, then zeros."""
    length: int = 0
    """Only of bytes. A longer sentence is refused, not cut."""


@dataclass(frozen=True, kw_only=True)
class ScriptCard:
    """A card, as TOML holds it."""

    input: tuple[Input, ...]
    """In the order of `forward`."""
    profile: str | None = None
    """A profile's name, or the path of a file, relative to the card. The option `profile` has precedence."""
    chunk_steps: int | None = None
    """Actions in each answer; without it, as many as the profile says."""
    execute_steps: int | None = None
    output: str | None = None
    """Where `forward` returns a dictionary, the key of the actions; where it returns a tuple, their place in it ("0"); else it returns them alone."""


def load(path: Path) -> ScriptCard:
    """Reads a card.

    Raises:
      BadData: If it is absent or does not hold what it should.
    """
    card = read_card(ScriptCard, path, hint=_HINT)
    wrong = [text for i, one in enumerate(card.input, start=1) for text in _complaints(i, one)]
    for key, number in (("chunk_steps", card.chunk_steps), ("execute_steps", card.execute_steps)):
        if number is not None and number < 1:
            wrong.append(f"{key} is {number}; it must be 1 or more")
    if not card.input:
        wrong.append("it has no [[input]]: name what forward takes, in order")
    if wrong:
        raise BadData(f"{path}: {'; '.join(wrong)}")
    return card if card.profile is None else dataclasses.replace(card, profile=beside(path, card.profile))


def check_against(card: ScriptCard, profile: Profile, path: Path) -> dict[str, ImageValues]:
    """Compares the inputs with what the profile declares, and returns the values ("uint8", "unit", "symmetric") of each image.

    Raises:
      UnknownName: If the profile has no image or state of a name.
      BadData: If an image is wanted in two ranges.
    """
    images, states = [i.name for i in profile.observation.images], [s.name for s in profile.observation.state]
    ranges: dict[str, ImageValues] = {}
    for one in card.input:
        if one.image is not None:
            if one.image not in images:
                raise unknown_name(f"image of the profile {profile.name!r}", one.image, images, f"It was named in {path}.")
            if ranges.setdefault(one.image, one.range) != one.range:
                raise BadData(f"{path} wants the image {one.image!r} as {ranges[one.image]} and as {one.range}: one range for each image")
        if one.state is not None and one.state not in states:
            raise unknown_name(f"state of the profile {profile.name!r}", one.state, states, f"It was named in {path}.")
    return ranges


def _complaints(number: int, one: Input) -> Iterator[str]:
    given = [name for name in ("image", "state", "instruction") if getattr(one, name) is not None]
    if len(given) != 1:
        yield f"input {number} is {' and '.join(given) or 'nothing'}: it must be just one of image, state, instruction"
    if one.instruction == "bytes" and one.length < 1:
        yield f"input {number} takes the sentence as bytes and says no length"
    if one.instruction != "bytes" and one.length:
        yield f"input {number} says a length, which only instruction = \"bytes\" has"
    if one.image is None and (one.layout != "chw" or one.range != "unit"):
        yield f"input {number} says the layout or range of an image and is none"
