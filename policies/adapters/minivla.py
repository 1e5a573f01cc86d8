"""A small language-conditioned policy of our own: two cameras, the body and a sentence to chunks of end-effector motions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vlagym import assets
from vlagym.envs.errors import BadData, MissingPackage
from vlagym.policies.base import Policy
from vlagym.policies.loading import refuse_options

SHIPPED = "checkpoints/minivla"
"""Where the checkpoint lies, below assets, that is loaded where none is named."""


def POLICY(argument: str | None, options: Mapping[str, str]) -> Policy:
    """Loads a checkpoint.

    Args:
      argument: Folder of a checkpoint, as `vlagym train --out` leaves it; None: the one that ships with vlagym.
      options: "device": cpu (default), cuda or cuda:<number>. "execute": actions of each chunk that are executed.

    Raises:
      BadData: If there is no such checkpoint, anything about it is wrong, or an option makes no sense.
      UnknownName: For another option.
      MissingPackage: Without torch.
    """
    refuse_options("minivla", options, known=("device", "execute"))
    device = options.get("device", "cpu")
    if device != "cpu" and device != "cuda" and not (device.startswith("cuda:") and device[5:].isdecimal()):
        raise BadData(f"the device of minivla is cpu, cuda or cuda:<number>, not {device!r}")
    execute = options.get("execute")
    if execute is not None and not execute.isdecimal():
        raise BadData(f"execute is the number of actions of a chunk that are executed, not {execute!r}")
    folder = _shipped() if argument is None else Path(argument)
    try:
        import torch  # noqa: F401
    except ImportError as missing:
        raise MissingPackage("minivla needs torch: pip install torch") from missing
    from vlagym.policies.models.minivla import card
    from vlagym.policies.models.minivla.policy import MiniVlaPolicy

    return MiniVlaPolicy(card.load(folder), device=device, execute_steps=None if execute is None else int(execute))


def _shipped() -> Path:
    try:
        return assets.path(SHIPPED)
    except FileNotFoundError as error:
        raise BadData(f"this installation ships no minivla checkpoint ({error}). Train one (vlagym train --help) and name it: minivla:DIR") from error
