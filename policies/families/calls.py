"""How a torch model of others is called: without gradients, on one thread of a CPU, and with draws that only the episode decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vlagym.envs.errors import BadData, MissingPackage

if TYPE_CHECKING:
    import torch


def find_device(family: str, device: str) -> torch.device:
    """Returns the device.

    Raises:
      MissingPackage: Without torch.
      BadData: If it does not exist here.
    """
    try:
        import torch
    except ImportError as missing:
        raise MissingPackage(f"{family} needs torch: pip install torch") from missing
    found = torch.device(device)
    if found.type == "cuda" and (not torch.cuda.is_available() or (found.index or 0) >= torch.cuda.device_count()):
        sees = f"torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices"
        raise BadData(f"there is no {device!r} here for {family}: {sees}; say device=cpu")
    return found


@contextmanager
def call(seed: int, device: torch.device) -> Iterator[None]:
    """Prepares torch for one call of a model, and leaves its generators and threads as they were.

    One thread on a CPU, so that sums are always taken in the same order. The model's own draws (noise of a diffusion, of a flow) come from
    torch's global generators; these are seeded for the call and restored after it.

    Args:
      seed: 0 to 2**63 - 1.
      device: Where the model is.
    """
    import torch

    before = torch.get_num_threads()
    indices = [device.index or 0] if device.type == "cuda" else []
    with torch.inference_mode(), torch.random.fork_rng(devices=indices):
        torch.manual_seed(seed)
        if device.type == "cpu" and before != 1:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch.get_num_threads() != before:
                torch.set_num_threads(before)
