"""Which seeds are demonstrated: in a row, or such that what is said is even."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import collecting
import fakes
import pytest

from vlagym.benchmark.collecting.seeds import LOOKS, seeds_of
from vlagym.benchmark.commands import demo
from vlagym.benchmark.demos import Collection
from vlagym.benchmark.entry import FIRST_DEMO_SEED, FIRST_SEASON_SEED, Entry, sample_episode
from vlagym.envs.errors import BadData, Unsatisfiable
from vlagym.envs.types import EpisodeSpec

ENTRY = Entry(task="place_on", episodes=20, first_seed=FIRST_DEMO_SEED)
NUM_RARE = 10


def sample(task: str, **options: Any) -> EpisodeSpec:
    """Half of the episodes are told with one template, the others with ten."""
    spec = fakes.sample(task, **options)
    return replace(spec, phrase="often" if spec.seed % 2 else f"rare {spec.seed // 2 % NUM_RARE}")


def without(gone: set[int], task: str, **options: Any) -> EpisodeSpec:
    if options["seed"] - FIRST_DEMO_SEED in gone:
        raise Unsatisfiable("no scene was found")
    return sample(task, **options)


def chosen(number: int, draw: Any = sample, *, even: bool = True) -> list[int]:
    return [seed - FIRST_DEMO_SEED for seed in islice(seeds_of(ENTRY, draw, even=even), number)]


def phrases(seeds: list[int], entry: Entry = ENTRY, draw: Any = sample) -> Counter[str]:
    return Counter(entry.sample(FIRST_DEMO_SEED + seed, draw).phrase for seed in seeds)


def test_seeds_are_taken_in_a_row_unless_told_otherwise() -> None:
    def never(task: str, **options: Any) -> EpisodeSpec:
        raise AssertionError("nothing has to be drawn")

    assert chosen(5, never, even=False) == [0, 1, 2, 3, 4]


def test_no_template_is_told_much_more_than_others() -> None:
    in_a_row, even = phrases(list(range(44))), phrases(chosen(44))
    assert in_a_row["often"] == 22
    assert len(even) == NUM_RARE + 1 and max(even.values()) - min(even.values()) <= 1


def test_which_seeds_they_are_does_not_depend_on_how_many_are_taken() -> None:
    many = chosen(40)
    assert chosen(7) == many[:7] and many == sorted(set(many))


def test_one_template_alone_is_no_reason_to_look_further() -> None:
    assert chosen(6, partial(fakes.sample)) == [0, 1, 2, 3, 4, 5]


def test_seeds_without_an_episode_are_passed_over_and_told_where_there_is_no_other() -> None:
    assert not {0, 2} & set(chosen(8, partial(without, {0, 2})))
    assert chosen(2, partial(without, set(range(2 * LOOKS)))) == [0, LOOKS], "who plays them says why they give nothing"


def test_real_sentences_are_more_even_and_more_of_them_are_met() -> None:
    entry = Entry(task="pour", episodes=30, first_seed=FIRST_DEMO_SEED, level="mixed")
    seeds = [seed - FIRST_DEMO_SEED for seed in islice(seeds_of(entry, sample_episode, even=True), 30)]
    in_a_row, even = phrases(list(range(30)), entry, sample_episode), phrases(seeds, entry, sample_episode)
    assert max(even.values()) <= 3 < max(in_a_row.values()) and len(even) > len(in_a_row)


# ------------------------------------------------------------------------------------------------------------------ collecting so
def options(out: Path, episodes: int, **changes: Any) -> Any:
    return collecting.options(out, episodes=episodes, sample=sample, even_sentences=True, **changes)


def test_a_collection_takes_them_goes_on_with_them_and_is_extended_by_them(tmp_path: Path) -> None:
    out, wanted = tmp_path / "d.hdf5", [FIRST_DEMO_SEED + seed for seed in chosen(6)]
    first = next(iter(Collection(options(out, 4))))
    rest = [attempt.seed for attempt in Collection(options(out, 4))]
    assert [first.seed, *rest] == wanted[:4]
    assert [attempt.seed for attempt in Collection(options(out, 6))] == wanted[4:]
    with pytest.raises(BadData, match="was begun with other options: even_sentences was true and is false"):
        Collection(collecting.options(out, episodes=6, sample=sample))


def test_tasks_take_turns_though_one_passes_over_more_seeds(tmp_path: Path) -> None:
    def often_in_one(task: str, **options: Any) -> EpisodeSpec:
        return sample(task, **options) if task == "place_on" else replace(fakes.sample(task, **options), phrase=f"{options['seed']}")

    found = Collection(collecting.options(tmp_path / "d.hdf5", 12, tasks=("place_on", "stack"), sample=often_in_one, even_sentences=True))
    assert [attempt.task for attempt in found] == ["place_on", "stack"] * 12


@pytest.mark.parametrize("words", [[], ["--even-sentences"]])
def test_the_command_passes_on_what_it_was_told(words: list[str], tmp_path: Path) -> None:
    args = ["--task", "place_on", "--episodes", "2", "--out", str(tmp_path / "d.hdf5"), *words]
    assert demo._options(demo._parse(args), args).even_sentences == bool(words)


def test_where_successes_are_counted_the_next_of_them_takes_the_place_of_a_failure(tmp_path: Path) -> None:
    draw = partial(without, {chosen(2)[1]})
    found = list(Collection(collecting.options(tmp_path / "d.hdf5", episodes=5, sample=draw, even_sentences=True, counts_successes=True)))
    assert sum(attempt.succeeded for attempt in found) == 5
    assert sorted(attempt.seed - FIRST_DEMO_SEED for attempt in found) == chosen(5, draw)


def test_seeds_that_may_reach_those_of_seasons_are_refused(tmp_path: Path) -> None:
    entry = replace(ENTRY, first_seed=FIRST_SEASON_SEED - 2 * ENTRY.episodes)
    Collection(collecting.options(tmp_path / "a.hdf5", entries=(entry,)))
    with pytest.raises(BadData, match="reach the seed 1,000,000,039"):
        Collection(collecting.options(tmp_path / "b.hdf5", entries=(entry,), even_sentences=True))
