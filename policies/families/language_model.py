"""A vision-language model of transformers, from a folder: loaded from safetensors alone, asked for tokens without sampling."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, MissingPackage
from vlagym.policies.families.weights_file import check_weights
from vlagym.policies.foreign import told

if TYPE_CHECKING:
    import torch

Allowed = Callable[[list[int]], list[int]]
"""Token ids that were generated so far -> those that may come next."""

_AUTO = ("AutoModelForImageTextToText", "AutoModelForVision2Seq")
"""What transformers calls models that read images and text and write text; the second in versions 4."""


@dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """A model and what turns images and text into its inputs."""

    model: Any
    processor: Any
    device: torch.device

    @property
    def tokenizer(self) -> Any:
        """What turns text into ids and back."""
        return getattr(self.processor, "tokenizer", self.processor)

    def inputs(self, text: str, images: Sequence[NDArray[np.uint8]]) -> Any:
        """Returns the inputs of a call: a batch of one, where the model is, images in the precision of its weights."""
        from PIL import Image

        pictures = [Image.fromarray(image) for image in images]
        made = self.processor(text=[text], images=pictures if pictures else None, return_tensors="pt")
        return made.to(self.device, self.dtype)

    @property
    def dtype(self) -> Any:
        """Precision of the weights."""
        return next(p.dtype for p in self.model.parameters() if p.is_floating_point())

    def generate(self, inputs: Any, *, tokens: int, allowed: Allowed | None = None) -> list[int]:
        """Returns the ids that the model writes, the most probable one each time.

        Args:
          inputs: As `inputs` returned them.
          tokens: At most so many.
          allowed: Which may come next; None: any.
        """
        length = int(inputs["input_ids"].shape[1])
        extra: dict[str, Any] = {}
        if allowed is not None:
            extra["prefix_allowed_tokens_fn"] = lambda _, ids: allowed(ids[length:].tolist())
        out = self.model.generate(**inputs, max_new_tokens=tokens, do_sample=False, num_beams=1, **extra)
        ids: list[int] = out[0, length:].tolist()
        return ids


def load(family: str, folder: Path, device: torch.device, *, trust_remote_code: bool, install: str) -> LanguageModel:
    """Loads a model and its processor; nothing is downloaded, and nothing is unpickled.

    Args:
      family: The adapter's name, for messages.
      folder: With config.json, weights in safetensors, tokenizer and processor.
      device: Where it is put.
      trust_remote_code: Whether Python files of the folder may be run.
      install: The line that installs transformers as this family needs it.

    Raises:
      MissingPackage: Without transformers.
      BadData: If it is no such folder, needs code of its own that is not trusted, or lacks weights.
    """
    try:
        import transformers
        from safetensors import SafetensorError
    except ImportError as missing:
        raise MissingPackage(f"{family} needs transformers: {install}") from missing
    config = read_config(family, folder)
    refuse_code(family, folder, trust_remote_code)
    check_weights(folder)
    library: Any = transformers
    how: dict[str, Any] = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    try:
        processor = library.AutoProcessor.from_pretrained(str(folder), **how)
        loader = _loader(library, config.get("auto_map", {}) if trust_remote_code else {}, folder)
        precision = "dtype" if int(library.__version__.split(".")[0]) >= 5 else "torch_dtype"
        model, info = loader.from_pretrained(str(folder), use_safetensors=True, output_loading_info=True, **{precision: "auto"}, **how)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, AttributeError, TypeError, SafetensorError) as error:
        raise BadData(f"{folder} does not load for {family}: {type(error).__name__}: {told(error, 600)}") from error
    missing_weights = sorted(info["missing_keys"])
    if missing_weights:
        raise BadData(f"{folder} lacks {len(missing_weights)} weights, which would be random: {', '.join(missing_weights[:3])}")
    return LanguageModel(model=model.to(device).eval(), processor=processor, device=device)


def read_config(family: str, folder: Path) -> dict[str, Any]:
    """Returns what config.json says.

    Raises:
      BadData: If there is none, or it is no JSON.
    """
    path = folder / "config.json"
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadData(f"{folder} is no checkpoint for {family}: it has no config.json") from error
    except ValueError as error:
        raise BadData(f"{path} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise BadData(f"{path} must hold a table, not {type(config).__name__}")
    return config


def refuse_code(family: str, folder: Path, trust_remote_code: bool) -> None:
    """Raises BadData if a checkpoint brings Python code that nobody has said to trust."""
    if trust_remote_code:
        return
    for name in ("config.json", "processor_config.json", "preprocessor_config.json", "tokenizer_config.json"):
        path = folder / name
        if path.is_file() and '"auto_map"' in path.read_text(encoding="utf-8"):
            raise BadData(
                f"{path} says that Python code of the checkpoint is to be run. {family} does that only on request: read the code, and if you "
                "trust it, say --policy-option trust_remote_code=true; the run header will say so"
            )


def _loader(transformers: Any, auto_map: dict[str, str], folder: Path) -> Any:
    """Returns what has `from_pretrained` for this checkpoint: a class of transformers, or the one that the checkpoint's own code defines."""
    for name in _AUTO:
        if name in auto_map and not hasattr(transformers, name):
            from transformers.dynamic_module_utils import get_class_from_dynamic_module

            return get_class_from_dynamic_module(auto_map[name], str(folder))
        if (name in auto_map or not auto_map) and hasattr(transformers, name):
            return getattr(transformers, name)
    raise ValueError(f"its code defines none of {', '.join(_AUTO)}")
