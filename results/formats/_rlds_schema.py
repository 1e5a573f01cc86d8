"""What the formats of RLDS differ in: a schema names the values of a step, and says how those of others are to be understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionSpec
from vlagym.results.demonstration import DatasetInfo, Demonstration
from vlagym.results.formats._rlds_features import Column, Feature, numbers, texts

INSTRUCTION, ACTION, REWARD = "steps/language_instruction", "steps/action", "steps/reward"
OBSERVATION = "steps/observation/"
_SUCCESSES = ("episode_metadata/success", REWARD, "steps/is_terminal")
"""What tells whether an episode of others succeeded; the first that is there."""


class Told(NamedTuple):
    """What an episode that others made says, but for its images."""

    instruction: str
    """Empty where they say none."""
    actions: NDArray[np.float32]
    proprio: Mapping[str, NDArray[np.float32]]
    commands: Mapping[str, NDArray[np.float32]]
    is_success: bool


class Conventions(NamedTuple):
    """What the numbers of a dataset that others made mean."""

    action: ActionSpec
    commands: Mapping[str, ActionSpec]
    robot: str
    taken_for: Mapping[str, str]
    """What the dataset does not say itself, and what it is taken for."""


class Schema(Protocol):
    """What the steps of a dataset hold: `rlds` and `rlds_droid` have one each."""

    name: str
    """Of the format."""
    about: str
    """What TFDS tells of the dataset."""

    def check(self, info: DatasetInfo) -> None:
        """Raises BadData unless a dataset of this kind can be laid out."""

    def image_keys(self, info: DatasetInfo) -> Mapping[str, tuple[str, ...]]:
        """Returns camera -> the keys of an observation under which its images are stored; the first is read."""

    def depth_keys(self, info: DatasetInfo) -> Mapping[str, str]:
        """Returns camera -> key of its depth, of those whose depth the schema has a place for."""

    def action_source(self, info: DatasetInfo) -> str | None:
        """Returns which rows of a demonstration the column `action` holds: ACTIONS, a command, or None: others."""

    def columns(self, demonstration: Demonstration, info: DatasetInfo) -> list[Column]:
        """Returns everything but images and depth."""

    def fits(self, features: Mapping[str, Feature]) -> bool:
        """Returns whether a dataset that others made has this schema."""

    def conventions(self, low: NDArray[Any], high: NDArray[Any], rate_hz: float | None) -> Conventions:
        """Returns what the numbers of a dataset that others made mean.

        Args:
          low: The smallest value of each number of `action`.
          high: The largest.
          rate_hz: Steps a second, where the dataset says it.
        """

    def told(self, values: Mapping[str, Any]) -> Told:
        """Returns what an episode that others made says.

        Args:
          values: Path -> numbers `(T, …)` or a list of texts; of what is said of the episode T is 1.
        """

    def camera(self, key: str) -> str:
        """Returns which camera the images, or the depth, under a key of an observation of others are of."""


def flow(demonstration: Demonstration, instructions: Mapping[str, str]) -> list[Column]:
    """Returns the columns that every schema has: where an episode begins and ends, what it earned, and what was asked for.

    An episode ends in a terminal state where it succeeded; else it was only cut off.

    Args:
      demonstration: Of the episode.
      instructions: Path -> sentence, repeated at every step.
    """
    steps = np.arange(demonstration.num_steps)
    is_last = steps == len(steps) - 1
    reward = is_last & demonstration.is_success
    return [
        numbers("steps/is_first", steps == 0, "bool"),
        numbers("steps/is_last", is_last, "bool"),
        numbers("steps/is_terminal", reward, "bool"),
        numbers("steps/discount", np.ones(len(steps)), "float32"),
        numbers(REWARD, reward, "float32"),
        *(texts(path, [sentence] * len(steps)) for path, sentence in instructions.items()),
    ]


def succeeded(values: Mapping[str, Any]) -> bool:
    """Returns whether an episode of others succeeded: as it says itself, else whether it was rewarded at its end, else whether that was terminal.

    Raises:
      BadData: If it has none of these.
    """
    for path in _SUCCESSES:
        said = np.ravel(values.get(path, ()))
        if len(said) and said.dtype.kind in "fiub":
            return bool(said[-1] > 0)
    raise BadData(
        f"it does not say whether it succeeded: it has none of {', '.join(_SUCCESSES)}. Build the dataset with {REWARD}, 1 in the last step of a "
        "success and 0 in all others"
    )


def sentence(values: Mapping[str, Any], paths: Sequence[str]) -> str:
    """Returns the first sentence that an episode of others says, "" where it says none."""
    for path in paths:
        for text in values.get(path, [])[:1]:
            if text.strip():
                return str(text.strip())
    return ""
