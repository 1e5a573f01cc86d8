"""What a foreign model answers becomes a chunk: of the right shape and finite, or an error that says what came."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadPolicyOutput
from vlagym.policies import foreign


def as_chunk(answer: Any, *, size: int, steps: int, who: str) -> NDArray[np.float32]:
    """Returns an answer as a chunk.

    Args:
      answer: `(D,)`, `(T, D)` or `(1, T, D)`, anything that NumPy reads as numbers; a leading 1 is the batch.
      size: D.
      steps: T, as declared. A single action `(D,)` is a chunk of one.
      who: Whose answer it is, for messages.

    Returns:
      `(T, D)` float32, its own memory.

    Raises:
      BadPolicyOutput: If it holds no numbers, is of another shape, or not finite.
    """
    try:
        values = np.asarray(answer)
    except ValueError as error:
        raise BadPolicyOutput(f"{who} answered with something ragged, not with ({steps}, {size}) numbers: {error}") from error
    except Exception as error:  # of a class of its own: torch raises RuntimeError and TypeError
        kind = f"{type(error).__name__}: {foreign.told(error)}"
        hint = ". Of a tensor return tensor.detach().float().cpu().numpy()" if _is_of_tensors(answer) else ""
        raise BadPolicyOutput(f"{who} answered with a {type(answer).__name__} that NumPy reads no numbers of ({kind}){hint}") from error
    if values.dtype.kind not in "fiu":
        raise BadPolicyOutput(f"{who} answered with {_told(answer, values)}, not with ({steps}, {size}) numbers")
    found = values.shape
    if values.ndim == 3 and found[0] == 1:
        values = values[0]
    elif values.ndim == 1:
        values = values[None]
    if values.ndim != 2 or values.shape[1] != size:
        raise BadPolicyOutput(f"{who} answered with the shape {found}; the profile's actions have {size} numbers: ({size},) or (T, {size})")
    if values.shape[0] != steps:
        raise BadPolicyOutput(f"{who} answered with {values.shape[0]} actions and declares chunk_steps = {steps}: declare what it sends")
    if not np.isfinite(values).all():
        step, index = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise BadPolicyOutput(f"{who} answered with {values[step, index]} in step {step}, number {index}")
    with np.errstate(over="ignore"):
        chunk = np.array(values, np.float32)
    if not np.isfinite(chunk).all():
        step, index = (int(i) for i in np.argwhere(~np.isfinite(chunk))[0])
        raise BadPolicyOutput(f"{who} answered with {values[step, index]} in step {step}, number {index}: more than float32 holds")
    return chunk


def _is_of_tensors(answer: Any) -> bool:
    """Returns whether an answer is a tensor of torch, or begins with one."""
    while isinstance(answer, (list, tuple)) and answer:
        answer = answer[0]
    return callable(getattr(answer, "detach", None))


def _told(answer: Any, values: NDArray[Any]) -> str:
    if isinstance(answer, str):
        return f"the text {answer[:80]!r}"
    if values.ndim == 0:
        return f"a {type(answer).__name__}"
    return f"an array of dtype {values.dtype}"
