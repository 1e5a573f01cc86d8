"""How far an episode came along the ordered stages of its task's plan."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.types import Trace


def stages_in_order(trace: Trace) -> int:
    """Returns how many stages, from the first on, were met one after the other.

    A stage is reached at the first row at which it holds, no earlier than the stage before it was reached; it need not hold any longer
    when the next one is reached (an object that stands where it belongs is no longer held). Two may be reached at the same row.
    """
    met: NDArray[Any] = np.asarray(trace.columns["stage_met"], dtype=bool)
    row = 0
    for stage in range(met.shape[1]):
        later = np.flatnonzero(met[row:, stage])
        if later.size == 0:
            return stage
        row += int(later[0])
    return int(met.shape[1])
