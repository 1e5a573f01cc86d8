"""The card of a vision-language model that writes actions: what it is told, how its tokens are read, and what they mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vlagym.envs.errors import BadData
from vlagym.policies.families.action_tokens import Bins, Spacing
from vlagym.policies.families.tables import beside, read_card

NAME = "vla.toml"
"""Of the card, in the checkpoint's folder."""
_HINT = (
    f"A vision-language model does not say how it writes actions: put a card {NAME} into its folder, or give its path with --policy-option "
    "card=FILE.toml (vlagym.policies.families.vla_card says what it may hold)"
)


@dataclass(frozen=True, kw_only=True)
class VlaCard:
    """A card, as TOML holds it."""

    decoder: Literal["bins_text", "openvla_tail", "act_tokens"]
    """bins_text: whole numbers with spaces between them (RT-2). openvla_tail: the last ids of the vocabulary. act_tokens: `<act_i_v>`."""
    prompt: str
    """What the model is told; "{instruction}" stands for the sentence. What marks an image in it is the model's own ("<image>")."""
    images: tuple[str, ...]
    """Images of the profile, in the order in which the model wants them."""
    low: tuple[float, ...]
    """What the lowest bin means, for each number of the profile's actions, in its unit."""
    high: tuple[float, ...]
    profile: str | None = None
    """A profile's name, or the path of a file, relative to the card. The option `profile` has precedence."""
    lower: bool = False
    """Whether the sentence is written in lower case."""
    chat: bool = False
    """Whether images and prompt are put into the model's own chat template."""
    steps: int = 1
    """Actions that it writes at once."""
    execute_steps: int | None = None
    bins: int = 256
    spacing: Spacing | None = None
    """As in `vlagym.policies.families.action_tokens.Bins`; without it, edges for openvla_tail, else ends."""
    terminate: int | None = None
    """Only for bins_text: place in each action of the number that says whether the episode is over."""
    vocabulary: int | None = None
    """Only, and always, for openvla_tail: size of the vocabulary that the bins were counted from, without what pads it."""
    constrain: bool = False
    """Whether only tokens may be written that make an action. The model is then never at a loss, and so may hide that it was misread."""
    max_new_tokens: int | None = None
    """Without it: as many as an action takes; for bins_text 5 for each number."""

    @property
    def meaning(self) -> Bins:
        """What its bins mean."""
        usual: Spacing = "edges" if self.decoder == "openvla_tail" else "ends"
        return Bins(low=self.low, high=self.high, count=self.bins, spacing=self.spacing or usual)

    @property
    def numbers(self) -> int:
        """Numbers that it writes at once."""
        return self.steps * (len(self.low) + (self.terminate is not None))

    @property
    def tokens(self) -> int:
        """Tokens that it may write at once."""
        return self.max_new_tokens or (5 if self.decoder == "bins_text" else 1) * self.numbers


def load(path: Path) -> VlaCard:
    """Reads a card.

    Raises:
      BadData: If it is absent or does not hold what it should.
    """
    card = read_card(VlaCard, path, hint=_HINT)
    wrong = list(_complaints(card))
    if wrong:
        raise BadData(f"{path}: {'; '.join(wrong)}")
    return card if card.profile is None else dataclasses.replace(card, profile=beside(path, card.profile))


def _complaints(card: VlaCard) -> Iterator[str]:
    try:
        size = card.meaning.size
    except BadData as error:
        yield str(error)
        return
    if "{instruction}" not in card.prompt:
        yield 'its prompt does not hold "{instruction}": the model would not be told what to do'
    for key in ("steps", "execute_steps", "max_new_tokens", "vocabulary"):
        if getattr(card, key) is not None and getattr(card, key) < 1:
            yield f"{key} is {getattr(card, key)}; it must be 1 or more"
    if (card.vocabulary is not None) != (card.decoder == "openvla_tail"):
        yield f"vocabulary belongs to openvla_tail, and always does; the decoder is {card.decoder}"
    if card.terminate is not None and (card.decoder != "bins_text" or not 0 <= card.terminate <= size):
        yield f"terminate is {card.terminate}: it belongs to bins_text, and is a place from 0 to {size}"
