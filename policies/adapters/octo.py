"""Checkpoints of Octo, in JAX, with their own statistics: `octo:DIR`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, MissingPackage, unknown_name
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.base import EpisodeContext, Policy
from vlagym.policies.families.answers import as_chunk
from vlagym.policies.families.options import ForeignOptions, profile_of, read_options, reading, refuse_normalisation
from vlagym.policies.families.slots import Slots

_OPTIONS = ("profile", "execute", "dataset", "normalization")
_NORMALIZATIONS = ("normal", "bounds")
_MASKS = ("timestep_pad_mask", "pad_mask")
"""What says which moments are real; the second in checkpoints of version 1.0."""


class OctoPolicy:
    """Samples a chunk for each slot apart, on what the slot was shown last, with draws that only the episode decides.

    The observations that it looks back on are the profile's history; those before the episode began are masked. A chunk is un-normalised by Octo
    itself, with the statistics of one dataset.
    """

    def __init__(self, folder: Path, options: ForeignOptions, dataset: str | None, normalization: str) -> None:
        self._who = f"octo:{folder.name}"
        profile = profile_of("octo", options.profile)
        refuse_normalisation("octo", profile)
        if not folder.is_dir():
            raise BadData(f"there is no folder {folder}: octo:DIR wants a checkpoint that lies here")
        self._jax, octo, self._kind = _octo(normalization)
        self._model = octo.load_pretrained(str(folder))
        self._statistics, name = _statistics(self._model.dataset_statistics, dataset, self._who)
        example = self._model.example_batch["observation"]
        self._mask = next((mask for mask in _MASKS if mask in example), _MASKS[0])
        sizes = {i.name: (i.height, i.width, 3) for i in profile.observation.images} | {s.name: (s.size,) for s in profile.observation.state}
        for key, size in sizes.items():
            if key not in example or tuple(np.shape(example[key])[2:]) != size:
                there = ", ".join(f"{k} {tuple(np.shape(v)[2:])}" for k, v in sorted(example.items()) if not isinstance(v, Mapping))
                raise BadData(f"{self._who} does not read {key!r} of {size}, which the profile {profile.name!r} sends; it reads {there}")
        window = int(np.shape(example[next(iter(sizes))])[1])
        if not 1 <= len(profile.history) <= window:
            raise BadData(f"{self._who} looks at {window} observations at once, and the profile's history has {len(profile.history)}")
        card = {"about": "a checkpoint of Octo", "dataset": name, "normalization": normalization, "profile": profile.name}
        spec = profile.spec("octo", card=card, execute_steps=options.execute_steps, runs_in_worker=False)
        images, state = [i.name for i in profile.observation.images], [s.name for s in profile.observation.state]
        self.spec = reading(spec, images={name: "uint8" for name in images}, state=state)
        self._slots: Slots[Any] = Slots(self._who)

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode: encodes its sentence."""
        self._slots.begin(context, self._model.create_tasks(texts=[context.instruction]))

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns a chunk for each slot.

        Raises:
          NotReset: If a slot's episode was not begun.
          BadPolicyOutput: If the answer is no chunk of the profile's actions.
        """
        return {slot: self._act(slot, observation) for slot, observation in observations.items()}

    def close(self) -> None:
        """Forgets every episode."""
        self._slots.clear()

    def _act(self, slot: int, observation: Observation) -> ActionChunk:
        episode, action = self._slots[slot], self.spec.action
        assert action is not None
        key = self._jax.random.PRNGKey(episode.next_seed() % 2**32)
        extra = {} if self._kind is None else {"normalization_type": self._kind}
        answer = self._model.sample_actions(self._batch(observation), episode.memory, unnormalization_statistics=self._statistics, rng=key, **extra)
        return ActionChunk(values=as_chunk(np.asarray(answer), size=action.size, steps=self.spec.chunk_steps, who=self._who), spec=action)

    def _batch(self, observation: Observation) -> dict[str, Any]:
        moments = (*observation.past, observation)
        batch: dict[str, Any] = {i.name: np.stack([m.images[i.name] for m in moments])[None] for i in self.spec.observation.images}
        batch |= {s.name: np.stack([m.proprio[s.name] for m in moments])[None] for s in self.spec.observation.state}
        return {**batch, self._mask: is_real(moments)[None]}


def is_real(moments: tuple[Observation, ...]) -> NDArray[np.bool_]:
    """Returns `(T,)` which moments have been: where an episode is younger than its window, its first observation stands in for those before it."""
    times = [moment.time_s for moment in moments]
    return np.array([earlier < later for earlier, later in zip(times, times[1:], strict=False)] + [True])


def _statistics(found: Any, dataset: str | None, who: str) -> tuple[Any, str]:
    """Returns the statistics of a dataset's actions, and the dataset's name."""
    if not found:
        raise BadData(f"{who} has no statistics of a dataset: its actions cannot be brought to physical units")
    if "action" in found:
        if dataset is not None:
            raise BadData(f"{who} was fine-tuned on one dataset, which has no name in it: leave the option dataset out")
        return found["action"], "of the fine-tuning"
    if dataset is None:
        raise BadData(f"{who} was trained on {len(found)} datasets: say --policy-option dataset=NAME. There are: {', '.join(sorted(found))}")
    if dataset not in found:
        raise unknown_name("dataset of the checkpoint", dataset, found, "It is the option dataset.")
    return found[dataset]["action"], dataset


def _octo(normalization: str) -> tuple[Any, Any, Any]:
    """Returns jax, the class of the model, and Octo's word for the normalisation; None: its usual one."""
    try:
        import jax
        from octo.model.octo_model import OctoModel

        if normalization == "normal":
            return jax, OctoModel, None
        from octo.data.utils.data_utils import NormalizationType
    except ImportError as missing:
        where = "an environment of its own (jax 0.4.20, flax 0.7.5, tensorflow 2.15)"
        raise MissingPackage(
            f"octo:DIR needs Octo, in {where}: pip install 'octo @ git+https://github.com/octo-models/octo' vlagym ({missing})"
        ) from missing
    return jax, OctoModel, NormalizationType.BOUNDS


def POLICY(argument: str | None, options: Mapping[str, str]) -> Policy:
    """Loads a checkpoint of Octo.

    Args:
      argument: Its folder; nothing is downloaded.
      options: "profile" (octo, or a file of yours), "execute"; "dataset": whose statistics count, bridge_dataset for the profile octo; needed
        where there are several; "normalization": normal (mean and standard deviation, Octo's own way) or bounds (percentiles).

    Raises:
      BadData: If it is no such folder, does not fit the profile, or an option makes no sense.
      UnknownName: For another option, an unknown profile or dataset.
      MissingPackage: Without octo and jax.
    """
    said = read_options("octo", options, _OPTIONS)
    if argument is None:
        raise BadData("octo needs the folder of a checkpoint: octo:DIR")
    normalization = options.get("normalization", "normal")
    if normalization not in _NORMALIZATIONS:
        raise unknown_name("normalization", normalization, _NORMALIZATIONS)
    return OctoPolicy(Path(argument), said, options.get("dataset"), normalization)
