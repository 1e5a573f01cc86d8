"""Folders of RLDS that others made, read as demonstrations.

RLDS says neither how many steps a second has nor what an action does: that comes with the schema. The provenance tells what was taken for granted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData
from vlagym.results.demonstration import DatasetInfo, Demonstration, ImagePreprocessing
from vlagym.results.formats import _jpeg
from vlagym.results.formats._rlds_example import Example
from vlagym.results.formats._rlds_features import Feature, read_numbers
from vlagym.results.formats._rlds_schema import ACTION, INSTRUCTION, OBSERVATION, Schema, Told
from vlagym.results.formats._sidecar import content_digest

_RATE = "episode_metadata/fps"


class Others:
    """The demonstrations of a folder without the folder `vlagym`."""

    def __init__(self, schema: Schema, features: Mapping[str, Feature], examples: Iterable[Example], where: str) -> None:
        """Looks at the small values of every episode.

        Args:
          schema: Which they have.
          features: Path -> what features.json says of a value.
          examples: The episodes, in order.
          where: The folder, for errors.

        Raises:
          BadData: If there is no episode, or one is not what features.json says.
        """
        self._schema, self._where = schema, where
        self._features = {path: f for path, f in features.items() if f.kind != "image" and -1 not in f.shape}
        pictures = {path: f for path, f in features.items() if f.kind == "image" and path.startswith(OBSERVATION)}
        self.images = {schema.camera(_key(path)): path for path, f in pictures.items() if f.dtype == "uint8" and f.shape[-1:] == (3,)}
        self.depth = {schema.camera(_key(path)): path for path, f in pictures.items() if f.dtype == "uint16" and f.shape[-1:] == (1,)}
        self._not_read = sorted(set(features) - set(self._features) - {*self.images.values(), *self.depth.values()})
        low: NDArray[Any] | None = None
        high: NDArray[Any] | None = None
        digests, rates, shapes = [], set(), {}
        for number, example in enumerate(examples):
            values = self._values(example, number)
            told = self._told(values, number)
            try:
                counts = {path: len(example.texts(path)) if path in example else 0 for path in (*self.images.values(), *self.depth.values())}
            except (KeyError, ValueError, IndexError) as error:
                raise _unlike(where, number, error) from error
            if not len(told.actions):
                raise BadData(f"{where}: episode {number} has no steps")
            ends = told.actions.min(axis=0), told.actions.max(axis=0)
            low, high = (ends[0], ends[1]) if low is None or high is None else (np.minimum(low, ends[0]), np.maximum(high, ends[1]))
            rates |= {float(values[_RATE].reshape(-1)[0])} if _RATE in values else set()
            digests.append(_digest(told))
            for path, count in counts.items():
                if count != len(told.actions):
                    raise BadData(f"{where}: {path} of episode {number} has {count} images, and there are {len(told.actions)} actions")
            if not number:
                shapes = {c: _jpeg.decode(example.texts(path)[:1], f"{where}, {path}").shape[1:] for c, path in self.images.items()}
        if low is None or high is None:
            raise BadData(f"{where} holds no episode")
        if not all(np.isfinite(rate) and rate > 0 for rate in rates):
            raise BadData(f"{where}: {_RATE} is {', '.join(f'{rate:g}' for rate in rates)}; it must be how many steps a second has, above 0")
        if len(rates) > 1:
            raise BadData(f"{where} holds episodes of {', '.join(f'{rate:g}' for rate in sorted(rates))} steps a second; they must have one rate")
        found = schema.conventions(low, high, rates.pop() if rates else None)
        self.digests = tuple(digests)
        self.info = DatasetInfo(
            action=found.action,
            images={c: ImagePreprocessing(crop=shape[0], size=shape[0], width=shape[1]) for c, shape in shapes.items()},
            robot=found.robot,
            depth=tuple(c for c in self.depth if c in shapes),
            commands=found.commands,
            provenance={"made by": "others", "taken_for": dict(found.taken_for), "not_read": self._not_read},
        )

    def demonstration(
        self, index: int, example: Example, images: Mapping[str, NDArray[np.uint8]], depth: Mapping[str, NDArray[np.uint16]]
    ) -> Demonstration:
        """Returns a demonstration.

        Args:
          index: Its number.
          example: Its record.
          images: Camera -> images.
          depth: Camera -> depth.

        Raises:
          BadData: If it is not what features.json says.
        """
        values = self._values(example, index)
        told = self._told(values, index)
        said = {path.split("/", 1)[1]: _word(value) for path, value in values.items() if path.startswith("episode_metadata/")}
        return Demonstration(
            spec=None,
            digest=_digest(told),
            instruction=told.instruction,
            actions=told.actions,
            executed_actions=told.actions,
            images=images,
            image_steps=np.arange(len(told.actions), dtype=np.int64),
            proprio=told.proprio,
            commands=told.commands,
            is_success=told.is_success,
            depth=depth,
            extra={"episode_metadata": said},
        )

    def _told(self, values: Mapping[str, Any], number: int) -> Told:
        try:
            return self._schema.told(values)
        except BadData as error:
            raise BadData(f"{self._where}: of episode {number}: {error}") from error
        except (KeyError, ValueError, IndexError) as error:
            raise _unlike(self._where, number, error) from error

    def _values(self, example: Example, number: int) -> dict[str, Any]:
        """Returns the numbers and texts of an episode; what it lacks is left out, unless a demonstration cannot do without."""
        values: dict[str, Any] = {}
        for path, feature in self._features.items():
            if path not in example and path not in (ACTION, INSTRUCTION):
                continue
            try:
                values[path] = (
                    [text.decode() for text in example.texts(path)] if feature.kind == "text" else read_numbers(example, feature)
                )
            except (KeyError, ValueError, TypeError) as error:
                raise BadData(f"{self._where}: {path} of episode {number} is not as features.json says: {error!r}") from error
        steps = len(values[ACTION])
        for path, value in values.items():
            if path.startswith("steps/") and len(value) != steps:
                raise BadData(f"{self._where}: {path} of episode {number} has {len(value)} entries, and there are {steps} actions")
        return values


def _unlike(where: str, number: int, error: Exception) -> BadData:
    return BadData(f"{where}: episode {number} is not as features.json says: {error!r}")


def _digest(told: Told) -> str:
    return content_digest(told.instruction, told.actions, *(told.proprio[name] for name in sorted(told.proprio)))


def _key(path: str) -> str:
    return path.removeprefix(OBSERVATION)


def _word(value: Any) -> Any:
    """Returns what is said of an episode as a JSON value."""
    if isinstance(value, list):
        return value[0] if len(value) == 1 else value
    flat = value.reshape(-1).tolist()
    return flat[0] if len(flat) == 1 else flat
