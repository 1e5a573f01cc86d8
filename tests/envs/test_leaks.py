"""A process that plays for long does not grow."""

from pathlib import Path

import pytest

from vlagym.envs.env import VlaEnv

pytestmark = [pytest.mark.gl, pytest.mark.slow]


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def _handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of the process from /proc")
def test_a_thousand_resets_keep_memory_and_handles() -> None:
    env = VlaEnv("place_on", cameras=("front", "wrist"))
    for seed in range(60):
        env.reset(seed=seed)
    memory, handles = _resident_mb(), _handles()
    for seed in range(1000, 2000):
        env.reset(seed=seed)
    assert _resident_mb() - memory < 50.0
    assert _handles() <= handles


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of the process from /proc")
def test_environments_that_are_made_and_closed_leave_nothing() -> None:
    def use() -> None:
        env = VlaEnv("stack", cameras=("front",))
        env.reset(seed=1)
        env.close()

    for _ in range(10):
        use()
    memory, handles = _resident_mb(), _handles()
    for _ in range(60):
        use()
    assert _resident_mb() - memory < 20.0
    assert _handles() <= handles
