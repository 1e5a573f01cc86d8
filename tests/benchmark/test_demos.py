"""Demonstrations: clean labels under noise, only successes kept, resumed without trying a seed twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import collecting
import fakes
import numpy as np
import pytest
from numpy.typing import NDArray

from vlagym.benchmark import demos
from vlagym.benchmark.demos import Attempt, Collection, held_out
from vlagym.benchmark.episode import WorldOptions, make_world
from vlagym.benchmark.noise import QUIET, Noise, perturbation
from vlagym.benchmark.entry import FIRST_DEMO_SEED, Entry
from vlagym.benchmark.targets import targets
from vlagym.envs import catalog, split
from vlagym.envs.errors import BadData, BadSpec, UnknownName
from vlagym.envs.images import Shrink
from vlagym.envs.types import EpisodeSpec, Predicate, stream
from vlagym.results.demonstration import Demonstration

SUFFIX = ".hdf5"
options = partial(collecting.options, sample=partial(collecting.unlucky_sample, one_in=4), frame_stride=3)


def read(out: Path) -> list[Demonstration]:
    return list(catalog.load("format", "hdf5").read(out))


# ------------------------------------------------------------------------------------------------------------------- collecting
def test_only_successes_are_kept_and_the_yield_is_told(tmp_path: Path) -> None:
    collection = Collection(options(tmp_path / f"d{SUFFIX}"))
    attempts = list(collection)
    found = [(a.seed - FIRST_DEMO_SEED, a.kept, a.how) for a in attempts]
    assert found == [(0, True, "goal"), (1, True, "goal"), (2, True, "goal"), (3, False, "horizon")]
    assert collection.report().by_task() == {"place_on": (3, 4)}
    assert collection.report().by_sentence("place_on") == {"put the red block on the plate": 3}
    assert [d.episode.seed - FIRST_DEMO_SEED for d in read(tmp_path / f"d{SUFFIX}")] == [0, 1, 2]


def test_a_demonstration_holds_what_was_seen_before_each_action(tmp_path: Path) -> None:
    out = tmp_path / f"d{SUFFIX}"
    list(Collection(options(out, episodes=1)))
    (demo,) = read(out)
    steps = demo.num_steps
    assert demo.image_steps.tolist() == list(range(0, steps, 3)) and demo.images["front"].shape == (len(demo.image_steps), 8, 8, 3)
    assert set(demo.proprio) == {s.name for s in fakes.STATE} and len(demo.proprio["ee_pos_base_m"]) == steps
    assert demo.privileged["target_pos_world_m"].shape == (steps, 2, 3) and demo.privileged["target_yaw_rad"].shape == (steps,)
    block, plate = (np.array(p.pos_world) for p in demo.episode.scene.props)
    assert np.allclose(demo.privileged["target_pos_world_m"][0], [block, plate])
    assert demo.proprio["gripper_command"][0, 0] == -1
    assert np.array_equal(demo.actions, demo.executed_actions)


def test_under_noise_labels_stay_what_the_demonstrator_wanted(tmp_path: Path) -> None:
    out = tmp_path / f"d{SUFFIX}"
    list(Collection(options(out, episodes=1, noise=Noise(burst_probability=0.3))))
    (demo,) = read(out)
    moved = np.abs(demo.actions - demo.executed_actions)
    assert moved[:, :6].max() > 0.1 and not moved[:, 6].any()


def test_collecting_in_processes_gives_the_same_demonstrations(tmp_path: Path) -> None:
    here, there = tmp_path / f"a{SUFFIX}", tmp_path / f"b{SUFFIX}"
    list(Collection(options(here, noise=Noise(), sample=fakes.sample)))
    list(Collection(options(there, noise=Noise(), sample=fakes.sample, executor="processes", workers=2)))
    by_digest = {d.digest: d for d in read(there)}
    assert len(by_digest) == 4
    for demo in read(here):
        other = by_digest[demo.digest]
        assert np.array_equal(demo.actions, other.actions) and np.array_equal(demo.executed_actions, other.executed_actions)
        assert np.array_equal(demo.images["front"], other.images["front"])


# --------------------------------------------------------------------------------------------------------------------- resuming
def test_a_collection_goes_on_where_it_was_left_and_can_be_extended(tmp_path: Path) -> None:
    out = tmp_path / f"d{SUFFIX}"
    for attempt in Collection(options(out)):
        if attempt.seed == FIRST_DEMO_SEED + 1:
            break
    collection = Collection(options(out, episodes=6))
    assert (collection.done, collection.total) == (2, 6)
    assert [a.seed - FIRST_DEMO_SEED for a in collection] == [2, 3, 4, 5]
    assert [d.episode.seed - FIRST_DEMO_SEED for d in read(out)] == [0, 1, 2, 4, 5]
    assert list(Collection(options(out, episodes=6))) == []


def test_a_kill_between_the_dataset_and_the_list_does_not_store_an_episode_twice(tmp_path: Path) -> None:
    out = tmp_path / f"d{SUFFIX}"
    list(Collection(options(out, episodes=2)))
    listed = Path(f"{out}.attempts.jsonl")
    listed.write_bytes(listed.read_bytes()[:-5])
    assert [a.seed - FIRST_DEMO_SEED for a in Collection(options(out, episodes=2))] == [1]
    assert len(read(out)) == 2


def test_a_collection_that_was_killed_keeps_what_it_had_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / f"d{SUFFIX}"
    killed_at = FIRST_DEMO_SEED + 1
    script = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from test_demos import Collection, options
for attempt in Collection(options(Path({str(out)!r}))):
    if attempt.seed == {killed_at}:
        os._exit(9)
"""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    again = Collection(options(out))
    assert again.done == 2 and [a.seed - FIRST_DEMO_SEED for a in again] == [2, 3]
    assert [d.episode.seed - FIRST_DEMO_SEED for d in read(out)] == [0, 1, 2]


def test_a_dataset_that_was_deleted_is_made_again_whatever_the_list_says(tmp_path: Path) -> None:
    out = tmp_path / f"d{SUFFIX}"
    list(Collection(options(out, episodes=2)))
    out.unlink()
    again = Collection(options(out, episodes=2))
    assert again.done == 0 and len(list(again)) == 2
    assert len(read(out)) == 2


def failing_sample(task: str, **kwargs: Any) -> EpisodeSpec:
    if kwargs["seed"] == FIRST_DEMO_SEED + 1:
        raise BadSpec("no scene was found")
    return fakes.sample(task, **kwargs)


def test_what_came_to_nothing_is_told_and_tried_again(tmp_path: Path) -> None:
    out = tmp_path / f"d{SUFFIX}"
    first = list(Collection(options(out, episodes=2, sample=failing_sample)))
    assert first[1] == Attempt(task="place_on", seed=FIRST_DEMO_SEED + 1, entry=0, digest="", kept=False, how="BadSpec: no scene was found", steps=0)
    assert [a.kept for a in Collection(options(out, episodes=2, sample=fakes.sample))] == [True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": Noise()}, "was begun with other options: noise was"),
        ({"frame_stride": 2}, "frame_stride was 3 and is 2"),
        ({"images": {"front": Shrink(crop=16, size=16)}}, "images was"),
    ],
)
def test_a_dataset_is_not_extended_with_other_options(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    out = tmp_path / f"d{SUFFIX}"
    list(Collection(options(out, episodes=1)))
    with pytest.raises(BadData, match=message):
        Collection(options(out, episodes=1, **changes))


def test_a_dataset_of_unknown_making_is_not_extended(tmp_path: Path) -> None:
    out = tmp_path / f"d{SUFFIX}"
    list(Collection(options(out, episodes=1)))
    Path(f"{out}.attempts.jsonl").unlink()
    with pytest.raises(BadData, match="the list of what was tried for it, .*, does not: write to another file"):
        Collection(options(out, episodes=1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"entries": (Entry(task="place_on", episodes=1, first_seed=7),)}, "seeds below 1,000,000 are those that suites test with"),
        ({"entries": ()}, "there is nothing to demonstrate"),
        ({"workers": 0}, "there is at least 1 worker, not 0"),
        ({"frame_stride": 0}, "the frame stride is 1 or more, not 0"),
        ({"images": {}}, "holds the images of at least one camera"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadData, match=message):
        Collection(options(tmp_path / f"d{SUFFIX}", **changes))


HELD_OUT = (
    ({"objects": "unseen"}, "unseen objects of place_on"),
    ({"phrases": "unseen", "axes": ("blank",)}, "unseen phrases and the variation blank of place_on"),
)


@pytest.mark.parametrize(("changes", "told"), HELD_OUT)
def test_what_is_held_out_for_tests_is_not_demonstrated(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    entry = Entry(task="place_on", episodes=1, first_seed=FIRST_DEMO_SEED, **changes)
    with pytest.raises(BadData, match=f"made of what is held out for tests: {told}.*or say --allow-unseen"):
        Collection(options(tmp_path / f"d{SUFFIX}", entries=(entry,)))


def test_where_it_is_wanted_the_dataset_tells(tmp_path: Path) -> None:
    entry, out = Entry(task="place_on", episodes=1, first_seed=FIRST_DEMO_SEED, objects="unseen"), tmp_path / f"d{SUFFIX}"
    list(Collection(options(out, entries=(entry,), allow_unseen=True)))
    with catalog.load("format", "hdf5").open(out) as reader:
        assert reader.info.provenance["held_out"] == ["unseen objects of place_on"]


def test_a_dataset_of_the_training_split_says_that_nothing_was_held_out(tmp_path: Path) -> None:
    list(Collection(options(tmp_path / f"d{SUFFIX}", episodes=1)))
    with catalog.load("format", "hdf5").open(tmp_path / f"d{SUFFIX}") as reader:
        assert reader.info.provenance["held_out"] == []


def test_the_list_begins_with_what_everything_depends_on(tmp_path: Path) -> None:
    out = tmp_path / f"d{SUFFIX}"
    list(Collection(options(out, episodes=1)))
    head = json.loads(Path(f"{out}.attempts.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert head["policy"] == "fakes:CARRIER" and head["images"] == {"front": {"crop": 16, "size": 8}}


# ------------------------------------------------------------------------------------------------------------------------ noise
def disturbed(noise: Noise, steps: int = 400, seed: int = 0) -> NDArray[np.float32]:
    perturb = perturbation(noise, fakes.CONTROL, stream(seed, "test"))
    return np.stack([perturb(i, np.zeros(7, np.float32)) for i in range(steps)])


def runs_of(flags: Sequence[bool]) -> list[int]:
    text = "".join("x" if f else " " for f in flags)
    return [len(word) for word in text.split()]


def test_quiet_changes_nothing() -> None:
    assert not disturbed(QUIET).any() and QUIET.is_quiet and not Noise().is_quiet
    for silent in (Noise(sigma=0.0, burst_probability=0.0), Noise(sigma=0.0, burst_sigma=0.0)):
        assert not disturbed(silent).any() and silent.is_quiet


def test_bursts_last_3_to_7_steps_and_push_in_one_direction() -> None:
    added = disturbed(replace(Noise(), sigma=0.0))
    lengths = runs_of([bool(row.any()) for row in added])
    assert min(lengths) >= 3 and len(lengths) > 4
    first = int(np.flatnonzero(added.any(axis=1))[0])
    assert np.array_equal(added[first], added[first + 1]) and np.array_equal(added[first], added[first + 2])


def test_the_gripper_is_never_disturbed_and_bounds_are_kept() -> None:
    added = disturbed(Noise(burst_probability=0.5, burst_sigma=3.0))
    assert not added[:, 6].any() and np.abs(added).max() == 1.0


def test_the_same_seed_gives_the_same_disturbances() -> None:
    assert np.array_equal(disturbed(Noise()), disturbed(Noise())) and not np.array_equal(disturbed(Noise()), disturbed(Noise(), seed=1))


# ---------------------------------------------------------------------------------------------------------------------- targets
def test_the_target_of_a_drawer_is_its_handle_and_where_it_is_when_open() -> None:
    from vlagym.envs.fixtures import get_fixture

    spec = Entry(task="open_drawer", episodes=1).sample(0)
    world = make_world(WorldOptions(render=False))
    found = targets(spec, world.start(spec))
    world.close()
    name = spec.goal[0].args[0].split("/")[0]
    fixture = next(f for f in spec.scene.fixtures if f.name == name)
    joint = get_fixture(fixture.asset).joints[0]
    assert found.yaw_rad == pytest.approx(fixture.yaw_rad)
    assert np.linalg.norm(found.pos_world_m[1] - found.pos_world_m[0]) == pytest.approx(joint.range_m[1], abs=1e-3)
    assert found.pos_world_m[0][2] == pytest.approx(joint.handle_pos_m[2])


@pytest.mark.parametrize("task", catalog.names("task"))
def test_the_goals_of_every_task_have_targets(task: str) -> None:
    world = make_world(WorldOptions(render=False))
    for seed in range(FIRST_DEMO_SEED, FIRST_DEMO_SEED + 2):
        spec = Entry(task=task, episodes=1).sample(seed)
        facts = world.start(spec)
        for goal in (spec.goal, *spec.alternatives):
            found = targets(replace(spec, goal=goal), facts)
            assert found.pos_world_m.shape == (2, 3) and np.isfinite(found.pos_world_m).all(), goal
            # What a robot on its own base is asked about may stand anywhere in the room.
            reach_m = 0.45 if spec.robot_base == "fixed" and spec.robot == "panda" else 2.0
            assert (np.abs(found.pos_world_m - np.array([0.5, 0.0, 0.1])) < reach_m).all(), goal
    world.close()


def test_the_target_of_a_control_is_where_it_is_worked_and_where_that_is_when_set() -> None:
    world = make_world(WorldOptions(render=False))
    spec = Entry(task="press_button", episodes=1).sample(FIRST_DEMO_SEED)
    before, pressed = targets(spec, world.start(spec)).pos_world_m
    assert 0.003 < before[2] - pressed[2] < 0.02 and np.allclose(before[:2], pressed[:2], atol=1e-3)
    spec = Entry(task="flip_switch", episodes=1).sample(FIRST_DEMO_SEED)
    before, flipped = targets(spec, world.start(spec)).pos_world_m
    assert np.linalg.norm(flipped - before) > 0.003
    (switch, _), nonsense = spec.goal[0].args, "=upside_down"
    with pytest.raises(UnknownName, match="is called 'upside_down'"):
        targets(replace(spec, goal=(Predicate(name="set_to", args=(switch, nonsense)),)), world.start(spec))
    world.close()


def test_a_target_that_is_not_in_the_scene_is_refused() -> None:
    world, spec = fakes.make_world(WorldOptions()), fakes.spec(0)
    facts = world.start(spec)
    with pytest.raises(BadSpec, match="names 'cup', which is no prop, fixture or joint of the scene. There are: block, plate"):
        targets(replace(spec, goal=(Predicate(name="on", args=("cup", "plate")),)), facts)


# ----------------------------------------------------------------------------------------------------------- what is kept for tests
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arena": "nursery"}, "unseen arenas of place_on"),
        ({"arena": "unseen"}, "unseen arenas of place_on"),
        ({"layout": "unseen"}, "unseen places of place_on"),
        ({"layout": "any"}, "unseen places of place_on"),
        ({"arena": "any", "objects": "unseen"}, "unseen objects and unseen arenas of place_on"),
    ],
)
def test_unseen_arenas_and_places_are_refused_before_anything_is_sampled(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    entry = Entry(task="place_on", episodes=1, first_seed=FIRST_DEMO_SEED, **changes)  # type: ignore[arg-type]
    with pytest.raises(BadData, match=message):
        Collection(options(tmp_path / "d.hdf5", entries=(entry,)))
    assert held_out([entry]) and not held_out([Entry(task="place_on", episodes=1, catalogue="core", layout="any")])


def test_an_episode_that_holds_what_is_kept_for_tests_is_not_demonstrated_unless_asked_for(tmp_path: Path) -> None:
    out = tmp_path / f"d{SUFFIX}"
    found: dict[str, Any] = {"episodes": 1, "find_unseen": lambda spec, *, places: ["the arena nursery"]}
    (attempt,) = Collection(options(out, **found))
    assert not attempt.kept and not out.exists()
    assert "the episode of place_on with seed 1000000 holds what is kept for tests: the arena nursery" in attempt.how
    assert "--allow-unseen" in attempt.how
    (attempt,) = Collection(options(tmp_path / f"e{SUFFIX}", allow_unseen=True, **found))
    assert attempt.kept


def test_a_dataset_carries_the_digest_of_the_split(tmp_path: Path) -> None:
    import h5py

    out = tmp_path / f"d{SUFFIX}"
    list(Collection(options(out, episodes=1)))
    with h5py.File(out) as file:
        assert file["data"].attrs["split_digest"] == split.digest()
    with catalog.load("format", "hdf5").open(out) as reader:
        assert reader.info.provenance["split_digest"] == split.digest()


def test_a_collection_is_not_continued_under_another_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / f"d{SUFFIX}"
    list(Collection(options(out, episodes=1)))
    monkeypatch.setattr(demos, "split_digest", lambda: "0" * 32)
    with pytest.raises(BadData, match="begun with other options: split_digest was"):
        Collection(options(out, episodes=2))
