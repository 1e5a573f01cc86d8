"""Actions that a language model writes as tokens become numbers: text of 256 bins, the last ids of a vocabulary, or tokens of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, BadReply

Decoder = Literal["bins_text", "vocabulary_tail", "act_tokens"]
Spacing = Literal["ends", "edges"]

_TOKEN = re.compile(r"<act_(\d+)_(\d+)>")
_NUMBERS = re.compile(r"\s*\d+(?:[\s,]+\d+)*[\s.]*")


@dataclass(frozen=True, kw_only=True)
class Bins:
    """How the range of each number of an action is cut up: bin b of n in [low, high]."""

    low: tuple[float, ...]
    """What the lowest bin means, for each number."""
    high: tuple[float, ...]
    count: int = 256
    spacing: Spacing = "ends"
    """ends: bin 0 is `low` and bin n - 1 is `high`, evenly between (RT-1, Brohan et al. 2022; RT-2, Brohan et al. 2023). edges: there are n edges
    from low to high, n - 1 bins between them, and a bin is its middle (OpenVLA, Kim et al. 2024)."""

    def __post_init__(self) -> None:
        """Raises BadData if its sizes or numbers cannot be."""
        if not self.low or len(self.low) != len(self.high):
            raise BadData(f"bins have as many low as high ends, at least one; there are {len(self.low)} and {len(self.high)}")
        if not np.isfinite([*self.low, *self.high]).all() or not all(a < b for a, b in zip(self.low, self.high, strict=True)):
            raise BadData(f"each low end lies below its high end; there are {self.low} and {self.high}")
        if self.count < 2:
            raise BadData(f"there are at least 2 bins, not {self.count}")

    @property
    def size(self) -> int:
        """Numbers of an action."""
        return len(self.low)

    def values(self, bins: NDArray[np.integer]) -> NDArray[np.float64]:
        """Returns what bins mean.

        Args:
          bins: `(T, D)` whole numbers from 0; with edges, the last one means the same as the one before it, of which it is the upper edge.
        """
        low, high = np.array(self.low), np.array(self.high)
        if self.spacing == "ends":
            return np.asarray(low + bins / (self.count - 1) * (high - low))
        middles = np.linspace(-1.0, 1.0, self.count)
        middles = (middles[:-1] + middles[1:]) / 2
        unit = middles[np.clip(bins, 0, self.count - 2)]
        return np.asarray(low + (unit + 1) / 2 * (high - low))


def read_text(text: str, bins: Bins, *, steps: int, terminate: int | None) -> NDArray[np.float64]:
    """Reads actions that were written as whole numbers with spaces between them, as RT-2 writes them.

    Args:
      text: What the model wrote, and nothing else.
      bins: What they mean.
      steps: Actions that are expected.
      terminate: Place of the number in each action that says whether the episode is over, which is dropped; None: there is none.

    Returns:
      `(steps, D)`.

    Raises:
      BadReply: If it is anything but so many numbers of so many bins.
    """
    if not _NUMBERS.fullmatch(text):
        raise BadReply(f"the model wrote {text[:120]!r}, which is no action: {_expected(bins, steps, terminate)}")
    numbers = [int(word) for word in re.findall(r"\d+", text)]
    each = bins.size + (terminate is not None)
    if len(numbers) != steps * each:
        raise BadReply(f"the model wrote {len(numbers)} numbers, {text[:120]!r}: {_expected(bins, steps, terminate)}")
    table = np.array(numbers).reshape(steps, each)
    if terminate is not None:
        table = np.delete(table, terminate, axis=1)
    return bins.values(_within(table, bins.count, text))


def read_tokens(text: str, bins: Bins, *, steps: int) -> NDArray[np.float64]:
    """Reads actions of tokens `<act_i_v>`: number i of the action falls into bin v.

    Args:
      text: What the model wrote; other text around the tokens is passed over.
      bins: What they mean.
      steps: Actions that are expected, one after another.

    Returns:
      `(steps, D)`.

    Raises:
      BadReply: If a token is missing, too many, out of order, or of a bin that does not exist.
    """
    found = [(int(i), int(v)) for i, v in _TOKEN.findall(text)]
    wanted = [i for _ in range(steps) for i in range(bins.size)]
    if [i for i, _ in found] != wanted:
        said = " ".join(f"<act_{i}_{v}>" for i, v in found[:16]) or repr(text[:120])
        raise BadReply(f"the model wrote {said}: an action is <act_0_v> to <act_{bins.size - 1}_v> in this order, {steps} times")
    return bins.values(_within(np.array([v for _, v in found]).reshape(steps, bins.size), bins.count, text))


def read_tail(ids: Sequence[int], bins: Bins, *, steps: int, vocabulary: int) -> NDArray[np.float64]:
    """Reads actions of the last ids of a vocabulary, as OpenVLA writes them: id `vocabulary - 1` is the lowest bin, and ids fall as bins rise.

    Args:
      ids: Token ids that the model generated.
      bins: What they mean.
      steps: Actions that are expected.
      vocabulary: Size of the vocabulary that the bins were counted from, without what pads it.

    Returns:
      `(steps, D)`.

    Raises:
      BadReply: If there are too few, or one is not among the last.
    """
    needed = steps * bins.size
    if len(ids) < needed:
        raise BadReply(f"the model wrote {len(ids)} tokens; {steps} actions of {bins.size} numbers take {needed}")
    table = vocabulary - 1 - np.array(ids[:needed], np.int64).reshape(steps, bins.size)
    if table.min() < 0 or table.max() >= bins.count:
        strange = next(i for i in ids[:needed] if not 0 <= vocabulary - 1 - i < bins.count)
        raise BadReply(f"the model wrote token {strange}, which is no action: actions are ids {vocabulary - bins.count} to {vocabulary - 1}")
    return bins.values(table)


def _within(table: NDArray[np.integer], count: int, text: str) -> NDArray[np.integer]:
    if table.size and table.max() >= count:
        raise BadReply(f"the model wrote the bin {table.max()}, and there are {count}, from 0: {text[:120]!r}")
    return table


def _expected(bins: Bins, steps: int, terminate: int | None) -> str:
    each = bins.size + (terminate is not None)
    more = "" if terminate is None else f", of which number {terminate} says whether to terminate"
    return f"{steps} x {each} whole numbers from 0 to {bins.count - 1} were expected{more}"
