"""`vlagym play`: a scripted human at a real socket plays, saves and finishes; whoever is late, second, away or foreign is dealt with."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.benchmark.collecting.options import DemoOptions
from vlagym.benchmark.entry import FIRST_DEMO_SEED, Entry
from vlagym.benchmark.episode import WorldOptions, make_world, play_episode
from vlagym.benchmark.rollout import Decision, Rollout
from vlagym.benchmark.stored import STORED
from vlagym.benchmark.teleoperation import driver, seat
from vlagym.benchmark.teleoperation.pace import Pace, RealTime
from vlagym.benchmark.teleoperation.seat import Seat
from vlagym.benchmark.teleoperation.server import Server
from vlagym.benchmark.teleoperation.played import PlayOptions
from vlagym.benchmark.teleoperation.session import Session
from vlagym.benchmark.teleoperation.shelf import Shelf
from vlagym.benchmark.teleoperation.steering import Speeds
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, Divergence
from vlagym.envs.images import Shrink
from vlagym.envs.types import ActionChunk, EpisodeSpec, ObservationSpec
from vlagym.policies.chunking import Chunking
from vlagym.policies.conventions import connect
from vlagym.policies.loading import load_policy
from vlagym.results.demonstration import Demonstration
from vlagym.results.format import Format

pytest.importorskip("websockets", reason="websockets is not installed: pip install 'vlagym[play]'")
pytestmark = pytest.mark.gl

LIMIT_S = 60.0
FULL = Speeds(slow_m_s=0.5, fast_m_s=1.0)
"""At full speed a deflection of 1 is 1.0 of an action, in translation and rotation."""
STILL = [0.0] * 6


class Interrupt(Exception):
    """Ends a session, as ctrl-C does."""


class TestSeat(Seat):
    """Ends the session once the human has left."""

    __test__ = False

    def __init__(self) -> None:
        super().__init__()
        self.is_over = threading.Event()

    def order(self, timeout_s: float) -> Any:
        if self.is_over.is_set():
            raise Interrupt
        return super().order(timeout_s)


class LockStep:
    """A pace that waits for the input of each step instead of for its time: `seen` of the input counts the steps."""

    rate_hz, late_steps = 20.0, 0

    def __init__(self, at: Seat) -> None:
        self._at, self._step = at, 0

    def begin(self) -> None: ...

    def spare_s(self) -> float:
        return 1.0

    def wait(self) -> float:
        self._step += 1
        until = time.monotonic() + LIMIT_S
        while (heard := self._at.heard().input) is None or heard.seen < self._step:
            assert time.monotonic() < until, f"no input for step {self._step} came"
            time.sleep(0.0005)
        return time.monotonic()


class Human:
    """Somebody at the page, without the page."""

    def __init__(self, url: str) -> None:
        from websockets.sync.client import connect as dial

        self.connection = dial(url.replace("http://", "ws://") + "play", max_size=None, open_timeout=LIMIT_S).__enter__()
        self.state: dict[str, Any] = {}
        self.pictures: dict[int, bytes] = {}

    def read(self, timeout_s: float = LIMIT_S) -> dict[str, Any]:
        """Returns the next state."""
        while True:
            data = self.connection.recv(timeout=timeout_s)
            if isinstance(data, bytes):
                self.pictures[data[0]] = data[5:]
                continue
            self.state = json.loads(data)
            return self.state

    def until(self, phase: str) -> dict[str, Any]:
        """Reads until a phase has begun."""
        while self.state.get("phase") != phase:
            self.read()
        return self.state

    def order(self, order: str) -> None:
        self.connection.send(json.dumps({"type": "order", "order": order, "episode": self.state["episode"]}))

    def move(self, axes: list[float] = STILL, *, seen: int = 0, closed: bool = False, hands: int = 1, **more: Any) -> None:
        told = {"type": "input", "episode": self.state["episode"], "axes": axes, "limb": "hand", "fast": True, "view": ""}
        told["closed"] = [closed] * hands
        self.connection.send(json.dumps({**told, "device": "program", "large": 0, "seen": seen, **more}))

    def play(self, actions: Any) -> None:
        """Feeds actions, one for each step, until the episode is over."""
        self.order("start")
        self.until("playing")
        while self.state["phase"] == "playing":
            step = self.state.get("step", 0)
            action = actions[min(step, len(actions) - 1)]
            self.move([float(a) for a in action[:6]], seen=step + 1, closed=bool(action[6] > 0))
            self.read()

    def close(self) -> None:
        self.connection.close()


@dataclasses.dataclass
class Table:
    """Where a session is played: `run` plays it on this thread while a script is the human on another."""

    out: Path
    world: Any
    keeps_failures: bool = False
    format: str = "hdf5"
    play: PlayOptions = dataclasses.field(default_factory=lambda: PlayOptions(speeds=FULL, view_size=64))
    make_format: Callable[[Format], Format] = lambda found: found
    said: list[str] = dataclasses.field(default_factory=list)
    lock_step: bool = True
    url: str = ""
    entry: Entry = Entry(task="pick_up", episodes=1, first_seed=FIRST_DEMO_SEED, control="ee_delta", catalogue="core")
    images: Mapping[str, Shrink] = dataclasses.field(default_factory=lambda: {"front": Shrink(crop=256, size=64), "wrist": Shrink(crop=256, size=32)})

    def options(self) -> DemoOptions:
        return DemoOptions(
            entries=(self.entry,),
            out=self.out,
            policy="human",
            images=self.images,
            format=self.format,
            keep_failures=self.keeps_failures,
            state="all" if self.entry.robot == "g1" else "libero",
        )

    def run(self, script: Callable[[Human], object]) -> None:
        place = TestSeat()

        def pace(rate_hz: float) -> Pace:
            return LockStep(place) if self.lock_step else RealTime(rate_hz)

        failed: list[BaseException] = []

        def work(url: str) -> None:
            try:
                with contextlib.closing(Human(url)) as human:
                    script(human)
            except BaseException as error:
                failed.append(error)
            finally:
                place.is_over.set()

        shelf = Shelf(self.options(), self.play.horizon_factor)
        shelf._format = self.make_format(shelf._format)
        with Server(place, "127.0.0.1", 0) as server, shelf:
            self.url = server.url
            thread = threading.Thread(target=work, args=(server.url,), daemon=True)
            thread.start()
            with contextlib.suppress(Interrupt):
                Session(shelf, place, self.world, self.options(), dataclasses.replace(self.play, pace=pace), self.said.append).run()
            thread.join(LIMIT_S)
        if failed:
            raise failed[0]

    def stored(self) -> list[Demonstration]:
        return list(catalog.load("format", self.format).read(self.out))

    def tried(self) -> list[tuple[int, str, bool]]:
        return [(a["seed"] - FIRST_DEMO_SEED, a["how"], a["kept"]) for a in map(json.loads, self._attempts().splitlines()[1:])]

    def num_tried(self) -> int:
        """Returns how many attempts stand whole in the file, while it is written."""
        return self._attempts().count("\n") - 1

    def _attempts(self) -> str:
        return (self.out.parent / f"{self.out.name}.attempts.jsonl").read_text()


@pytest.fixture(scope="module")
def world() -> Iterator[Any]:
    with contextlib.closing(make_world(WorldOptions())) as made:
        yield made


@pytest.fixture
def table(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    monkeypatch.setattr(driver, "LIVE_S", LIMIT_S)  # a busy machine is no player who is late
    monkeypatch.setattr(seat, "SILENT_S", LIMIT_S)
    return Table(out=tmp_path / "played.hdf5", world=world)


def expert_of(world: Any, spec: EpisodeSpec) -> Any:
    """Returns the actions `(T, 7)` with which the expert solves an episode."""
    with contextlib.closing(load_policy("expert")) as policy:
        played = play_episode(world, spec, policy)
    assert played.result.outcome == "success" and played.trace is not None
    return played.trace.actions


def spec_of(table: Table, seed: int) -> EpisodeSpec:
    return table.options().entries[0].sample(FIRST_DEMO_SEED + seed)


def certificate_of(world: Any, demonstration: Demonstration) -> Any:
    """Plays the executed actions of a demonstration again, in the episode of its spec."""
    spec = demonstration.episode
    is_asked = False

    def decide(seen: Any) -> Decision:
        nonlocal is_asked
        assert not is_asked, "the actions have ended, and the episode has not"
        is_asked = True
        return Decision(ActionChunk(values=demonstration.executed_actions, spec=spec.control), 0.0)

    pipeline = connect(STORED, spec.control, ObservationSpec(images=(), state=(), rate_hz=spec.control.rate_hz))
    rollout = Rollout(world, spec, decide, pipeline=pipeline, chunking=Chunking(mode="whole")).play()
    assert rollout.ended_by == ("goal" if demonstration.is_success else "horizon")
    return rollout.certificate()


# ------------------------------------------------------------------------------------------------------------------------ a whole session
def test_a_human_plays_saves_and_finishes_and_what_is_stored_replays(table: Table) -> None:
    actions = [expert_of(table.world, spec_of(table, seed)) for seed in (0, 1)]
    told: list[dict[str, Any]] = []

    def script(human: Human) -> None:
        told.append(human.until("ready"))
        human.play(actions[0])
        told.append(human.until("ended"))
        human.order("discard")
        human.until("ready")
        human.play(actions[1])
        human.until("ended")
        human.order("save")
        told.append(human.until("ready"))
        human.order("finish")
        told.append(human.until("finished"))
        assert human.pictures[0][:2] == human.pictures[1][:2] == b"\xff\xd8"

    table.run(script)
    ready, ended, again, finished = told
    assert (ready["can"], ready["cameras"], ready["fixed"], ready["hands"]) == (["start", "another"], ["front", "wrist"], ["front", "side"], [""])
    assert (ended["outcome"], ended["can"], ended["how"]) == ("success", ["save", "discard", "again"], "Done: the goal is reached.")
    assert (again["saved"], again["seed"], again["can"]) == (1, FIRST_DEMO_SEED + 2, ["start", "another", "finish"])
    assert again["note"].startswith("Saved: ") and finished["saved"] == 1 and len(table.said) == 1
    assert table.tried() == [(0, "goal, discarded", False), (1, "goal", True)]

    (stored,) = table.stored()
    assert stored.is_success and stored.episode == spec_of(table, 1) and stored.certificate is not None
    np.testing.assert_array_equal(stored.actions, stored.executed_actions)
    np.testing.assert_allclose(stored.actions, actions[1][: stored.num_steps], atol=1e-6)
    assert certificate_of(table.world, stored) == stored.certificate
    assert stored.images["front"].shape == (stored.num_steps, 64, 64, 3) and stored.images["wrist"].shape[1:] == (32, 32, 3)
    assert set(stored.commands) == {"ee_pose", "joint_position", "joint_delta"} and stored.paraphrases
    about = stored.extra["teleoperation"]
    assert (about["by"], about["through"], list(about["devices"])) == ("human", "browser", ["program"])
    assert len(about["clock_s"]) == stored.num_steps and about["clock_s"] == sorted(about["clock_s"]) and about["held_steps"] == 0


@pytest.mark.slow
def test_what_was_saved_is_gone_on_with_and_no_seed_is_played_twice(table: Table) -> None:
    actions = expert_of(table.world, spec_of(table, 0))

    def saves(human: Human) -> None:
        human.until("ready")
        human.play(actions)
        human.until("ended")
        human.order("save")
        human.until("ready")
        human.order("another")
        human.read()

    table.run(saves)
    assert not table.out.exists() and table.tried() == [(0, "goal", True)]
    seen: list[dict[str, Any]] = []
    table.run(lambda human: seen.append(dict(human.until("ready"))))
    assert (seen[0]["seed"] - FIRST_DEMO_SEED, seen[0]["saved"]) == (1, 1), "a seed that was passed over without being played comes again"
    with Shelf(table.options()) as shelf:
        shelf.finish()
    assert len(table.stored()) == 1


def test_nothing_is_left_where_nothing_was_played(table: Table) -> None:
    table.run(lambda human: human.until("ready"))
    assert list(table.out.parent.iterdir()) == []


def test_an_episode_is_given_up_begun_again_and_changed_and_none_of_it_is_kept(table: Table) -> None:
    steps: list[tuple[str, int]] = []

    def script(human: Human) -> None:
        human.until("ready")
        for order in ("again", "give_up"):
            if human.state["phase"] == "ready":
                human.order("start")
                human.until("playing")
            episode = human.state["episode"]
            human.move(seen=1)
            human.read()
            human.order(order)
            human.move(seen=2)
            while human.state["episode"] == episode and human.state["phase"] == "playing":
                human.read()
            steps.append((human.state["phase"], human.state["seed"] - FIRST_DEMO_SEED))
        assert human.state["how"] == "Given up." and human.state["can"] == ["again", "another"]
        human.order("another")
        human.until("ready")
        human.order("start")
        human.until("playing")
        human.order("another")
        human.move(seen=1)
        while human.state["phase"] != "ready":
            human.read()
        steps.append((human.state["phase"], human.state["seed"] - FIRST_DEMO_SEED))

    table.run(script)
    assert steps == [("playing", 0), ("ended", 0), ("ready", 2)]
    assert [(seed, how) for seed, how, _ in table.tried()] == [(0, "begun again"), (0, "given up"), (1, "changed")]


def test_a_failure_is_asked_about_only_where_failures_are_kept(table: Table) -> None:
    table.play = dataclasses.replace(table.play, horizon_factor=0.1)

    def script(human: Human) -> None:
        human.until("ready")
        human.play(np.zeros((1, 7)))
        human.until("ended")
        if "save" in human.state["can"]:
            human.order("save")
            human.until("ready")
            human.order("finish")
            human.until("finished")

    table.run(script)
    assert not table.out.exists()
    table.out, table.keeps_failures = table.out.with_name("kept.hdf5"), True
    table.run(script)
    (stored,) = table.stored()
    assert not stored.is_success and certificate_of(table.world, stored) == stored.certificate
    assert stored.episode.horizon_s == pytest.approx(0.1 * spec_of(table, 0).horizon_s)


def finishes_a_failure(human: Human) -> None:
    """Moves the last limb a little, saves the failure, and finishes."""
    human.until("ready")
    human.order("start")
    human.until("playing")
    hands = len(human.state["hands"])
    while human.state["phase"] == "playing":
        axes = [0.3, 0.0, -0.1, 0.0, 0.0, 0.2]
        human.move(axes, seen=human.state.get("step", 0) + 1, limb=human.state["limbs"][-1], closed=True, hands=hands)
        human.read()
    human.until("ended")
    human.order("save")
    human.until("ready")
    human.order("finish")
    human.until("finished")


@pytest.mark.slow
@pytest.mark.parametrize("format", catalog.names("format"))
def test_every_format_takes_what_was_played(table: Table, format: str) -> None:
    table.play, table.keeps_failures, table.format = dataclasses.replace(table.play, horizon_factor=0.1), True, format
    table.out = table.out.with_name(f"played{catalog.load('format', format).suffix}")
    table.images = {"front": Shrink(crop=256, size=64), "wrist": Shrink(crop=256, size=64)}
    table.run(finishes_a_failure)
    (stored,) = table.stored()
    assert not stored.is_success and stored.num_steps == stored.episode.horizon_steps and len(stored.images["wrist"]) == stored.num_steps
    if "certificate" in catalog.load("format", format).holds:
        assert certificate_of(table.world, stored) == stored.certificate


@pytest.mark.slow
@pytest.mark.parametrize(("task", "base"), [("lift_tray", "planar"), ("reach_low", "legs")])
def test_a_body_with_two_hands_is_played_and_replays(table: Table, task: str, base: str) -> None:
    table.play, table.keeps_failures = dataclasses.replace(table.play, horizon_factor=0.1), True
    table.entry = Entry(task=task, robot="g1", base=base, episodes=1, first_seed=FIRST_DEMO_SEED, control="bimanual_ee_delta")
    table.images = dict.fromkeys(("front", "head", "left_wrist", "right_wrist"), Shrink(crop=256, size=64))
    table.run(finishes_a_failure)
    (stored,) = table.stored()
    assert certificate_of(table.world, stored) == stored.certificate and set(stored.images) == set(table.images)
    body = stored.episode.control.slices()["navigate_command" if base == "planar" else "base_height_command"]
    assert stored.actions[:, body].any() and (stored.actions[:, stored.episode.control.slices()["left_hand"]] == 1.0).all()


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_episode_can_be_saved_once_there_is_room(table: Table) -> None:
    actions = expert_of(table.world, spec_of(table, 0))
    fails = [True]

    def full(found: Format) -> Format:
        def store(*words: Any) -> Any:
            if fails:
                fails.clear()
                raise BadData("no space left on device")
            return found.store(*words)

        return dataclasses.replace(found, store=store)

    notes: list[str] = []

    def script(human: Human) -> None:
        human.until("ready")
        human.play(actions)
        human.until("ended")
        human.order("save")
        human.until("saving")
        notes.append(human.until("ended")["note"])
        human.order("save")
        human.until("ready")
        human.order("finish")
        human.until("finished")

    table.make_format = full
    table.run(script)
    assert notes == ["It could not be saved: no space left on device"] and table.said[0] == notes[0]
    assert len(table.stored()) == 1


def test_a_seed_that_does_not_settle_is_passed_over_and_put_down(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = table.world.start

    def start(spec: EpisodeSpec) -> Any:
        if spec.seed == FIRST_DEMO_SEED:
            raise Divergence("the bowl has left the table")
        return starts(spec)

    monkeypatch.setattr(table.world, "start", start)
    seeds: list[int] = []
    table.run(lambda human: seeds.append(human.until("ready")["seed"] - FIRST_DEMO_SEED))
    assert seeds == [1] and table.tried() == [(0, "Divergence: the bowl has left the table", False)] and len(table.said) == 1


# ----------------------------------------------------------------------------------------------------------- who is late, away, or second
def test_a_page_that_was_closed_is_waited_for_and_the_episode_goes_on_where_it_was(table: Table) -> None:
    table.lock_step = False
    steps: list[int] = []

    def script(human: Human) -> None:
        human.until("ready")
        human.order("start")
        human.until("playing")
        while human.state.get("step", 0) < 5:
            human.move()
            human.read()
        human.close()
        with contextlib.closing(Human(table.url)) as back:
            assert back.until("paused")["why"] == "away"
            steps.append(back.state["step"])
            back.order("resume")
            back.until("playing")
            steps.append(back.state["step"])
            while back.state["step"] < steps[0] + 3:
                back.read()
            back.order("give_up")
            back.until("ended")
            back.order("another")
            back.until("ready")

    table.run(script)
    assert 5 <= steps[0] <= steps[1] <= steps[0] + 20 and table.tried() == [(0, "given up", False)]


def test_a_page_that_stays_away_ends_the_episode_which_is_not_kept(table: Table) -> None:
    table.play = dataclasses.replace(table.play, wait_s=0.3)
    table.lock_step = False
    told: list[dict[str, Any]] = []

    def script(human: Human) -> None:
        human.until("ready")
        human.order("start")
        human.until("playing")
        human.close()
        until_s = time.monotonic() + LIMIT_S
        while table.num_tried() == 0:
            assert time.monotonic() < until_s, "the episode was not ended"
            time.sleep(0.02)
        with contextlib.closing(Human(table.url)) as back:
            told.append(back.until("ready"))

    table.run(script)
    assert told[0]["note"] == "Nobody was there any more: the episode was not kept." and told[0]["seed"] == FIRST_DEMO_SEED
    assert [how for _, how, _ in table.tried()] == ["left"] and len(table.said) == 1


def test_a_second_player_is_told_and_takes_the_seat_of_one_who_is_silent(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def script(human: Human) -> None:
        human.until("ready")
        with contextlib.closing(Human(table.url)) as second:
            told.append(second.read()["type"])
        monkeypatch.setattr(seat, "SILENT_S", 0.0)
        with contextlib.closing(Human(table.url)) as third:
            told.append(third.read()["phase"])
            monkeypatch.setattr(seat, "SILENT_S", LIMIT_S)
            while human.read()["type"] == "state":
                pass
            told.append(human.state["type"])

    table.run(script)
    assert told == ["taken", "ready", "replaced"]


# ------------------------------------------------------------------------------------------------------------------- what comes from where
def asked(url: str, path: str = "", **headers: str) -> tuple[int, str, Any]:
    request = urllib.request.Request(url + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(Seat(), "127.0.0.1", 0, ["robots.lab"]) as found:
        yield found


def test_the_page_is_whole_and_forbids_itself_to_ask_elsewhere(server: Server) -> None:
    status, text, headers = asked(server.url)
    assert (status, headers["Content-Type"], headers["X-Content-Type-Options"]) == (200, "text/html; charset=utf-8", "nosniff")
    assert "default-src 'none'" in headers["Content-Security-Policy"] and "unsafe-inline" not in headers["Content-Security-Policy"]
    assert "play.css */" not in text and "play.js */" not in text and "http://" not in text.replace("http://www.w3.org", "") and "src=" not in text
    assert asked(server.url, "else")[0] == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:9000"}, 200),  # through ssh -L
        ({"Host": "robots.lab"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:8010"}, 403),
        ({"Host": "localhost:9000", "Origin": "http://localhost:9000"}, 200),
        ({"Host": "localhost:9000", "Origin": "http://localhost:9001"}, 403),
        ({"Host": "localhost:9000", "Origin": "https://evil.example"}, 403),
        ({"Host": "localhost:9000", "Origin": "null"}, 403),
    ],
)
def test_requests_of_other_pages_and_under_other_names_are_refused(server: Server, headers: dict[str, str], status: int) -> None:
    assert asked(server.url, **headers)[0] == status


def test_a_socket_of_another_origin_is_refused(server: Server) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect as dial
    from websockets.typing import Origin

    with pytest.raises(InvalidStatus) as refused:
        dial(server.url.replace("http://", "ws://") + "play", origin=Origin("http://evil.example"), open_timeout=LIMIT_S).__enter__()
    assert refused.value.response.status_code == 403


GOOD = {"type": "input", "episode": 1, "axes": STILL, "limb": "hand", "closed": [False], "fast": True, "view": "", "device": "none"}
GOOD |= {"large": 0, "seen": 0}


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"\x00", "the message is binary; it must be JSON"),
        ("{", "the message is no JSON"),
        ("[]", "the message is JSON, but no object"),
        ('{"type": "shell"}', "the type of the message is shell; it must be input or order"),
        ('{"type": "order", "order": "erase", "episode": 1}', "order is erase; it must be one of: start, again"),
        ('{"type": "order", "order": "start"}', "order has the keys"),
        (json.dumps({**GOOD, "axes": [2.0, 0, 0, 0, 0, 0]}), "they must be 6 numbers from -1 to 1"),
        (json.dumps({**GOOD, "axes": [float("nan")] * 6}), "they must be 6 numbers from -1 to 1"),
        (json.dumps({**GOOD, "closed": []}), "closed is []; it must be true or false for each hand"),
        (json.dumps({**GOOD, "seen": -1}), "seen is -1; it must be a whole number, 0 or more"),
        (json.dumps({**GOOD, "fast": 1}), "fast is 1; it must be true or false"),
        (json.dumps({**GOOD, "view": "x" * 100}), "it must be a word"),
    ],
)
def test_what_is_no_message_closes_the_connection_with_the_reason(server: Server, message: str | bytes, why: str) -> None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect as dial

    with dial(server.url.replace("http://", "ws://") + "play", open_timeout=LIMIT_S) as connection:
        connection.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=LIMIT_S)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008 and why in closed.value.rcvd.reason
