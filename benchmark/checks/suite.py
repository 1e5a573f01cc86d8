"""A suite: loads, names only what exists, says what it is for, and expands to the same different episodes every time."""

from __future__ import annotations

from collections.abc import Iterator

from vlagym.benchmark.check import Contract
from vlagym.benchmark.suite import Suite
from vlagym.benchmark.suite_files import FOLDER, load_suite
from vlagym.envs import catalog
from vlagym.envs.errors import VlagymError

NUM_SEEDS = 2
"""Seeds of each entry that are sampled: a whole suite takes as long as its episodes are many."""


def _complaints(name: str) -> Iterator[str]:
    suite = load_suite(name)
    if not suite.about.endswith((".", "?", "!")):
        yield f"about is {suite.about!r}: say in a sentence what the suite is for, `vlagym list suites` shows it"
    for index, entry in enumerate(suite.entries, 1):
        for seed in entry.seeds[:NUM_SEEDS]:
            try:
                first, second = entry.sample(seed), entry.sample(seed)
            except VlagymError as error:
                yield f"entry {index} ({entry.task}) gives no episode for the seed {seed}: {error}"
                continue
            if first.digest() != second.digest():
                told = "its task or an axis draws outside its generator"
                yield f"entry {index} ({entry.task}) gives two different episodes for the seed {seed}: {told}"
    yield from _about_variations(suite)
    covered: dict[tuple[object, ...], set[int]] = {}
    for index, entry in enumerate(suite.entries, 1):
        seeds = covered.setdefault((entry.task, entry.body, entry.objects, entry.phrases, entry.control, entry.base, entry.rig, entry.axes), set())
        if twice := seeds & set(entry.seeds):
            yield f"entry {index} ({entry.task}) repeats the seeds {min(twice)} to {max(twice)} of an earlier entry: each episode counts once"
        seeds |= set(entry.seeds)


def _about_variations(suite: Suite) -> Iterator[str]:
    """Yields what is wrong with a variation along each axis, in the first entry that has it; expanding the suite tries them all."""
    tried: set[str] = set()
    for index, entry in enumerate(suite.entries, 1):
        for variation, axes in enumerate(entry.variations):
            new = {axis for axis, _ in axes} - tried
            if not new:
                continue
            tried |= new
            try:
                entry.sample_varied(variation)
            except VlagymError as error:
                yield f"entry {index} ({entry.task}) cannot be varied along {' and '.join(sorted(new))}: {error}"


CONTRACT = Contract(names=lambda: catalog.toml_names(FOLDER), complaints=_complaints)
