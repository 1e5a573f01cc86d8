"""Events: stretches of control steps at which something is the case."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def count_onsets(is_so: NDArray[Any]) -> int:
    """Returns how often something became the case.

    Args:
      is_so: `(T + 1,)` bool. What is the case in row 0, before the first action, is not the policy's doing and is no onset.
    """
    so = np.asarray(is_so, bool)
    return int((so[1:] & ~so[:-1]).sum())
