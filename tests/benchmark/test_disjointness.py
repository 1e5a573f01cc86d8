"""The proof that training and test are disjoint: by digest, by scene and goal, by seed, and in what is seen and what is unseen."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vlagym.benchmark.cli import main
from vlagym.benchmark.describing.disjointness import EVERY, Comparison, digests_of, suites_named
from vlagym.benchmark.entry import FIRST_DEMO_SEED, FIRST_SEASON_SEED, Entry
from vlagym.benchmark.suite import Suite
from vlagym.benchmark.suite_files import FOLDER, load_suite
from vlagym.envs import catalog
from vlagym.envs.errors import BadData
from vlagym.envs.fixtures import FixtureAsset, fixtures
from vlagym.envs.language.phrases import language
from vlagym.envs.objects import ObjectAsset
from vlagym.envs.objects import catalog as objects
from vlagym.envs.split import arenas_of, rules
from vlagym.envs.types import EpisodeSpec
from vlagym.results.datacard.card import AgainstSuite, Disjoint
from vlagym.results.datacard.identity import scene_digest
from vlagym.results.formats import npz

SUITES = catalog.toml_names(FOLDER)
SEASON = "a-season-of-the-tests"
VARIED = Suite(name="varied", version=3, entries=(Entry(task="stack", episodes=2, vary=("lighting=1..2",), each=1, catalogue="core"),))
SAID_OF_OTHERS = {"cupboard", "control panel"}
"""Nouns that are seen of one kind of thing, and kept for evaluation where they mean another: a cupboard, and a cabinet that is called one."""


def compared(episodes: Sequence[EpisodeSpec], comparison: Comparison) -> Disjoint:
    for spec in episodes:
        comparison.add(spec, scene_digest(spec))
    return comparison.result()


def training(suite: Suite, episodes: int = 1) -> list[EpisodeSpec]:
    """Returns episodes that `vlagym demo --suite` would play: the tasks of the suite, seen, with the seeds of demonstrations."""
    of = {(e.task, e.body, e.base, e.control): e for e in suite.entries}
    plain: dict[str, Any] = {"objects": "seen", "phrases": "seen", "arena": "seen", "layout": "default", "axes": (), "vary": (), "each": 0}
    entries = [dataclasses.replace(e, first_seed=FIRST_DEMO_SEED, episodes=episodes, **plain) for e in of.values()]
    return [entry.sample(seed) for entry in entries for seed in entry.seeds]


def told(found: Disjoint) -> list[AgainstSuite]:
    return list(found.suites)


# --------------------------------------------------------------------------------------------------------------------------- by their seeds
def test_suites_demonstrations_and_seasons_have_seeds_of_their_own() -> None:
    for suite in suites_named([EVERY], [SEASON]):
        for entry in suite.entries:
            assert entry.seeds.stop <= FIRST_DEMO_SEED if not suite.season else entry.first_seed >= FIRST_SEASON_SEED, (suite.name, entry)
    assert len(suites_named([EVERY, "smoke"], [SEASON])) == 2 * len(SUITES)


def test_a_seed_makes_another_digest_of_an_episode_that_is_the_same_in_all_else() -> None:
    spec = load_suite("smoke").entries[0].sample(0)
    assert dataclasses.replace(spec, seed=FIRST_DEMO_SEED).digest() != spec.digest()


# ------------------------------------------------------------------------------------------------------------- by digest, scene and goal
def test_training_episodes_of_every_suite_are_no_test_episodes() -> None:
    episodes = [spec for name in ("smoke", "humanoid_smoke") for spec in training(load_suite(name))]
    found = compared(episodes, Comparison())
    assert found.is_proven and found.looked_at == len(episodes) and (found.first_seed, found.last_seed) == (FIRST_DEMO_SEED, FIRST_DEMO_SEED)
    assert {s.suite for s in told(found)} == set(SUITES) and not any(s.near or s.same_digest or s.sampled for s in told(found))


def test_a_test_episode_is_found_whether_the_suite_is_sampled_or_not() -> None:
    smoke = load_suite("smoke").restrict(episodes=2)
    test, trained = smoke.entries[1].sample(1), smoke.entries[1].sample(FIRST_DEMO_SEED)
    resown = dataclasses.replace(test, seed=FIRST_DEMO_SEED + 5, instruction="other words")
    episodes = [test, trained, resown]
    (quick,) = told(compared(episodes, Comparison(others=[smoke])))
    assert (quick.near, quick.same_digest, quick.sampled, quick.same_scene) == (1, 1, False, None)
    whole = compared(episodes, Comparison([smoke], others=[]))
    (found,) = told(whole)
    assert (found.same_digest, found.same_scene, found.sampled, found.episodes) == (1, 2, True, 6) and found.same_sentence in (1, 2)
    assert not whole.is_proven and (whole.seeds_of_suites, whole.first_seed) == (1, 1)


def test_varied_test_episodes_are_found_and_their_like_are_not() -> None:
    varied = VARIED.entries[0].sample_varied(1)[0]
    other = dataclasses.replace(varied, instruction="put it there")
    (found,) = told(compared([varied, other], Comparison(others=[VARIED])))
    assert (found.near, found.same_digest) == (2, 1)
    assert len(digests_of(VARIED.entries[0], varied.seed, varied.axes)) == 2 and len(digests_of(VARIED.entries[0], varied.seed, ())) == 1


def test_episodes_of_any_season_are_known_by_their_seeds() -> None:
    season = load_suite("smoke").restrict(episodes=1).in_season(SEASON)
    found = compared([season.entries[0].sample(season.entries[0].first_seed)], Comparison(others=[]))
    assert found.seeds_of_seasons == 1 and not found.is_proven
    (named,) = told(compared([season.entries[0].sample(season.entries[0].first_seed)], Comparison([season], others=[])))
    assert (named.season, named.same_digest) == (SEASON, 1)


WHOLE_MAX = 400
"""Episodes of a suite that are all compared."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SUITES)
def test_no_training_episode_is_one_of_a_suite_nor_has_its_scene_and_goal(name: str) -> None:
    """Of a suite whose episodes take minutes to sample, two of its tasks are looked at; of one that is larger still, their first seeds."""
    suite = load_suite(name)
    two = [task for task in ("place_on", "open_drawer") if task in {entry.task for entry in suite.entries}]
    suite = suite if suite.num_episodes <= WHOLE_MAX else suite.restrict(tasks=two)
    suite = suite if suite.num_episodes <= WHOLE_MAX else suite.restrict(episodes=1)
    found = compared(training(suite, 4), Comparison([suite], expand=partial(Suite.expand, workers=2), others=[]))
    (of,) = told(found)
    assert found.is_proven and (of.near, of.same_digest, of.same_scene, of.episodes) == (0, 0, 0, suite.num_episodes)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smoke", "tabletop", "humanoid"])
def test_nor_is_it_one_of_a_season(name: str) -> None:
    season = load_suite(name).in_season(SEASON)
    found = compared(training(load_suite(name), 4), Comparison([season], expand=partial(Suite.expand, workers=2), others=[]))
    (of,) = told(found)
    assert found.is_proven and (of.near, of.same_digest, of.same_scene, of.season) == (0, 0, 0, SEASON)


# ------------------------------------------------------------------------------------------------------------------ what is seen and unseen
def test_no_unseen_thing_is_a_seen_one_under_another_name() -> None:
    of: dict[str, set[str]] = defaultdict(set)
    things: list[ObjectAsset | FixtureAsset] = [*objects().values(), *fixtures().values()]
    for asset in things:
        plain = dataclasses.asdict(asset)
        of[repr([value for key, value in plain.items() if key not in ("id", "names", "unseen_names", "split")])].add(asset.split)
    assert [sides for sides in of.values() if len(sides) > 1] == []


def test_nouns_templates_and_arenas_are_on_one_side() -> None:
    things: list[ObjectAsset | FixtureAsset] = [*objects().values(), *fixtures().values()]
    seen = {noun.lower() for thing in things for noun in thing.names}
    unseen = {noun.lower() for thing in things for noun in thing.unseen_names}
    assert unseen and seen & unseen == SAID_OF_OTHERS
    for thing in things:
        assert not {n.lower() for n in thing.names} & {n.lower() for n in thing.unseen_names}, thing.id
    sides: dict[str, set[str]] = defaultdict(set)
    for phrase in language().all_phrases.values():
        sides[phrase.text].add(phrase.split)
    assert len(sides) > 1000 and all(len(of) == 1 for of in sides.values())
    assert set(arenas_of("seen")) | set(arenas_of("unseen")) and not set(arenas_of("seen")) & set(arenas_of("unseen"))


def test_a_place_is_seen_or_unseen_and_both_are_there() -> None:
    cells = rules().layout
    xs, ys = np.linspace(*cells.x_m, 60), np.linspace(*cells.y_m, 60)
    assert {cells.at(float(x), float(y)) for x in xs for y in ys} == {"seen", "unseen"}


# --------------------------------------------------------------------------------------------------------------------- the command line
def test_a_dataset_with_a_test_episode_is_told_and_ends_with_1(traces: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test = load_suite("smoke").entries[0].sample(0)
    with npz.FORMAT.write(tmp_path / "d", traces.make_dataset_info()) as writer:
        writer.append(traces.make_demonstration(spec=test, digest=test.digest(), instruction=test.instruction))
    assert main(["card", str(tmp_path / "d"), "--no-pictures"]) == 1
    assert "it holds episodes that suites or seasons test with" in capsys.readouterr().out
    page = (tmp_path / "d" / "README.md").read_text(encoding="utf-8")
    assert "**Some demonstrations are test episodes, or may be**" in page and "| `smoke` | 2 | 30 | 1 | 1 | – | – |" in page


def test_a_season_needs_a_suite() -> None:
    with pytest.raises(BadData, match="the season 'x' is one of suites: say which, --against SUITE or --against all"):
        suites_named([], ["x"])
