"""A thousand sentences, sampled as suites sample them, are read back to the very goals that they were made for."""

from collections import Counter

import pytest

from vlagym.envs import catalog
from vlagym.envs.language.clauses import wish_of
from vlagym.envs.sampling import sample
from vlagym.envs.language.understand import understand

NUM_EPISODES = 60
FIRST_SEED = 850_000


@pytest.mark.slow
@pytest.mark.parametrize("task", catalog.names("task"))
def test_sentences_of_every_split_and_level_are_read_back_to_their_goals(task: str) -> None:
    levels: Counter[str] = Counter()
    for k in range(NUM_EPISODES):
        objects, phrases = (("seen", "unseen")[bit] for bit in (k % 2, k // 2 % 2))
        spec = sample(task, seed=FIRST_SEED + k, objects=objects, phrases=phrases, arena_name="any", level="mixed")
        assert understand(spec.instruction, spec) == (wish_of(spec),), spec.instruction
        levels[spec.level] += 1
    assert len(levels) >= (1 if task.endswith("sequence") else 3), levels
