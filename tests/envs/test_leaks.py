"""A process that plays for long does not grow."""

from pathlib import Path

import pytest
from growing import growth

from vlagym.envs.types import EpisodeSpec

pytestmark = [
    pytest.mark.gl,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of the process from /proc"),
]

ENV = "from vlagym.envs.env import VlaEnv"


def test_many_scenes_leak_no_memory_and_no_handles(two_blocks: EpisodeSpec, already_stacked: EpisodeSpec) -> None:
    first = (
        "from vlagym.envs.types import EpisodeSpec; from vlagym.envs.world import World\n"
        "specs, world = [EpisodeSpec.from_json(text) for text in sys.argv[1:]], World()"
    )
    again = "world.start(specs[i % 2]); world.observe(('front',))"
    found = growth(first, again, warm=20, count=150, words=(already_stacked.to_json(), two_blocks.to_json()))
    assert found.memory_mb < 10.0 and found.handles <= 0


@pytest.mark.slow
def test_a_thousand_resets_keep_memory_and_handles() -> None:
    found = growth(f"{ENV}\nenv = VlaEnv('place_on', cameras=('front', 'wrist'))", "env.reset(seed=1000 + i)", warm=60, count=1000)
    assert found.memory_mb < 50.0 and found.handles <= 0


@pytest.mark.slow
def test_environments_that_are_made_and_closed_leave_nothing() -> None:
    found = growth(ENV, "env = VlaEnv('stack', cameras=('front',)); env.reset(seed=1); env.close()", warm=10, count=60)
    assert found.memory_mb < 20.0 and found.handles <= 0


def test_what_leaks_is_seen() -> None:
    found = growth("kept = []", "kept.append((bytearray(b'x' * 1_000_000), open('/dev/null')))", warm=5, count=30)
    assert found.memory_mb > 20.0 and found.handles == 30
