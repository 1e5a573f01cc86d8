"""Two policies played side by side: what is played, when it stops, and that stopping, killing and going on change nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fakes
import pytest

from vlagym.benchmark.comparison import Contender, Design, Means, Verdict, drive, load_design
from vlagym.benchmark.entry import Entry
from vlagym.benchmark.journal import FILE, of_runs
from vlagym.benchmark.suite import Suite
from vlagym.envs.errors import BadData
from vlagym.envs.types import EpisodeResult, EpisodeSpec
from vlagym.results.store import Store

SUITE = Suite(name="tiny", version=1, entries=(Entry(task="place_on", episodes=30),))
CARRIER, IDLE = Contender(policy="fakes:CARRIER"), Contender(policy="hold")


class Told:
    """Interrupts after so many episodes."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.count, self._interrupt_after = 0, interrupt_after

    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None:
        self.count += 1
        if self.count == self._interrupt_after:
            raise KeyboardInterrupt


def specs(count: int = 30) -> Sequence[EpisodeSpec]:
    return [fakes.spec(seed, horizon_s=1.5) for seed in range(count)]


def play(path: Path, told: Told | None = None, *, first: Contender = CARRIER, second: Contender = IDLE, count: int = 30, **changes: Any) -> Verdict:
    how = {k: changes.pop(k) for k in list(changes) if k in ("max_episodes", "look_every", "workers", "executor")}
    design = Design(first=first, second=second, suite=SUITE, **{"difference": 0.1, **changes})
    means = Means(**{"executor": "serial", "look_every": 4, **how}, make_world=fakes.make_world)
    told = told or Told()
    return drive(design, means, path, lambda: specs(count), (told, told))


def stored(path: Path) -> list[tuple[str, str]]:
    return [(r.digest, r.outcome) for r in Store.open(path).results()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    return play(tmp_path_factory.mktemp("whole") / "c")


def test_it_stops_when_the_better_one_is_known_and_leaves_two_ordinary_run_folders(whole: Verdict) -> None:
    assert (whole.ending, whole.decided, whole.num_episodes) == ("decided", "first", 30)
    assert whole.num_played == 12 and whole.state.decided_at == 10, "ten wins of ten; looked at after every fourth"
    one, other = stored(whole.first), stored(whole.second)
    assert [d for d, _ in one] == [d for d, _ in other] and {o for _, o in one} == {"success"} and {o for _, o in other} == {"failure"}
    header = Store.open(whole.first).header
    assert (header.suite["episodes"], header.finished) == (30, None)
    looks = json.loads((whole.path / FILE).read_text(encoding="utf-8"))["looks"]
    assert [look["episodes"] for look in looks] == [4, 8, 12] and [look["decided"] for look in looks] == [None, None, "first"]


def test_an_address_with_a_query_is_refused_for_it_would_be_written_down() -> None:
    with pytest.raises(BadData, match=r"the address of openpi:ws://h/ has a query, which may hold a key.*option api_key_env") as caught:
        Design(first=CARRIER, second=Contender(policy="openpi:ws://h/?api_key=s3cret"), suite=SUITE)
    assert "s3cret" not in str(caught.value)


def test_called_again_it_plays_nothing_and_says_the_same(whole: Verdict) -> None:
    told = Told()
    again = play(whole.path, told)
    assert told.count == 0 and (again.decided, again.state, again.num_before) == (whole.decided, whole.state, 12)


def test_interrupted_anywhere_it_ends_with_the_same_episodes_and_the_same_answer(tmp_path: Path, whole: Verdict) -> None:
    for after in (3, 5, 4):
        with pytest.raises(KeyboardInterrupt):
            play(tmp_path / "c", Told(after))
    last = play(tmp_path / "c")
    assert (last.decided, last.state, last.order) == (whole.decided, whole.state, whole.order)
    assert stored(last.first) == stored(whole.first) and stored(last.second) == stored(whole.second)


def test_a_limit_ends_it_undecided_and_it_can_go_on(tmp_path: Path, whole: Verdict) -> None:
    first = play(tmp_path / "c", max_episodes=6)
    assert (first.ending, first.decided, first.num_played) == ("limit", None, 6)
    last = play(tmp_path / "c")
    assert last.decided == "first" and last.state.decided_at == whole.state.decided_at and last.num_before == 6


def test_the_order_follows_from_the_episodes_and_the_two_policies(tmp_path: Path, whole: Verdict) -> None:
    turned = play(tmp_path / "turned", first=IDLE, second=CARRIER, alpha=0.1, difference=0.3, max_episodes=8)
    assert turned.order == whole.order[:8], "neither a folder, an alpha nor who is named first brings another order"
    assert play(tmp_path / "other", first=Contender(policy="uniform"), max_episodes=8).order != whole.order[:8]


def test_the_journal_knows_the_order_of_the_looks_and_whose_runs_it_is_of(tmp_path: Path, whole: Verdict) -> None:
    told = of_runs(whole.second, whole.first)
    assert told is not None and told["order"] == whole.order and len(whole.order) == 12
    assert of_runs(whole.first, tmp_path) is None


@pytest.mark.slow
def test_worker_processes_give_the_same(tmp_path: Path) -> None:
    here = play(tmp_path / "a", order_seed=3)  # the order follows from the names of the policies otherwise
    found = play(tmp_path / "c", executor="processes", workers=2, first=Contender(policy="fakes:CARRIER:in_worker"), order_seed=3)
    assert (found.decided, found.state, found.order) == (here.decided, here.state, here.order)


def test_another_seed_plays_another_order(tmp_path: Path, whole: Verdict) -> None:
    assert play(tmp_path / "c", order_seed=1, max_episodes=4).order != whole.order[:4]


def test_policies_that_do_the_same_are_equivalent_or_undecided_at_the_end_of_the_suite(tmp_path: Path) -> None:
    undecided = play(tmp_path / "a", first=IDLE, count=8)
    assert (undecided.ending, undecided.decided, undecided.num_played) == ("suite", None, 8)
    assert Store.open(undecided.first).header.finished is not None
    equivalent = play(tmp_path / "b", first=IDLE, difference=0.5, count=30)
    assert (equivalent.ending, equivalent.decided) == ("decided", "equivalent") and equivalent.num_played < 30


def test_errors_are_set_aside_and_a_decision_must_hold_if_they_were_failures(tmp_path: Path) -> None:
    faulty = Contender(policy="fakes:FAULTY:act/0,1,2,3,4,5,6,7")
    found = play(tmp_path / "c", first=faulty, second=faulty, count=10)
    assert (found.state.n, found.state_if_failures.n, found.decided) == (2, 10, None)
    better = play(tmp_path / "d", first=Contender(policy="fakes:FAULTY:act/0,1"), order_seed=0)
    assert better.decided == "first" and better.state.n < better.state_if_failures.n


def test_variations_of_a_scene_are_played_with_it_and_looked_at_together(tmp_path: Path) -> None:
    twins = specs(6)
    varied = [fakes.spec(s.seed, horizon_s=1.5, axes={"camera": 1}, base=s.digest(), instruction="look here") for s in twins]
    design = Design(first=CARRIER, second=IDLE, suite=SUITE)
    means = Means(executor="serial", look_every=2, max_episodes=5, make_world=fakes.make_world)
    found = drive(design, means, tmp_path / "c", lambda: [*twins, *varied], (Told(), Told()))
    assert found.num_played == 4 and found.state.n == 2
    base = [s.base or s.digest() for s in (*twins, *varied) if s.digest() in dict(stored(found.first))]
    assert sorted(base) == sorted(2 * found.order)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"difference": 0.2}, "difference was 0.1 and is 0.2"),
        ({"alpha": 0.2}, "alpha was 0.05 and is 0.2"),
        ({"order_seed": 5}, "order_seed was null and is 5"),
        ({"retries": 2}, "retries was 0 and is 2"),
        ({"episode_timeout_s": 9.0}, "episode_timeout_s was null and is 9"),
        ({"second": CARRIER}, "second was"),
    ],
)
def test_what_is_asked_cannot_be_changed_after_a_look(whole: Verdict, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(BadData, match=f"holds another comparison: {told}.*fixed before its first look"):
        play(whole.path, **changes)


def test_other_episodes_are_another_comparison(tmp_path: Path) -> None:
    play(tmp_path / "c", max_episodes=4)
    with pytest.raises(BadData, match="cannot be resumed like this|begun with other episodes"):
        play(tmp_path / "c", count=20)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(BadData, match="exists already and is no comparison. Choose another folder with --out"):
        play(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_design_is_read_back_as_it_was_written(whole: Verdict, tmp_path: Path) -> None:
    assert load_design(whole.path) == Design(first=CARRIER, second=IDLE, suite=SUITE, difference=0.1)
    with pytest.raises(BadData, match=f"is not the folder of a comparison: it has no {FILE}"):
        load_design(tmp_path)
    (tmp_path / FILE).write_text('{"schema": 1, "design": {}, "digest": "", "looks": [], "runs": [], "order": []}', encoding="utf-8")
    with pytest.raises(BadData, match="does not hold the design of a comparison: KeyError"):
        load_design(tmp_path)
    (tmp_path / FILE).write_text("{", encoding="utf-8")
    with pytest.raises(BadData, match="is not JSON"):
        load_design(tmp_path)


@pytest.mark.parametrize(
    ("what", "message"), [({"max_episodes": 0}, "largest number of episodes is 1 or more, not 0"), ({"look_every": 0}, "between two looks")]
)
def test_nothing_cannot_be_played(what: dict[str, int], message: str) -> None:
    with pytest.raises(BadData, match=message):
        Means(**what)  # type: ignore[arg-type]
