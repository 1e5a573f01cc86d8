"""`vlagym play` on the command line and in a browser: one line for what cannot be, a page without an error, keys that move the hand."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import browsing
import numpy as np
import pytest

from vlagym.benchmark.cli import main
from vlagym.benchmark.teleoperation.inputs import Input
from vlagym.benchmark.teleoperation.seat import Seat
from vlagym.benchmark.teleoperation.server import Server
from vlagym.envs import catalog
from vlagym.results.demonstration import Demonstration

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("websockets", reason="websockets is not installed: pip install 'vlagym[play]'")
LIMIT_S = 240.0


# ---------------------------------------------------------------------------------------------------------------------- what cannot be
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "place_onn"], "no task is called 'place_onn'. Did you mean place_on?"),
        (["--task", "place_on", "--robot", "pandda"], "no robot is called 'pandda'. Did you mean panda?"),
        (["--task", "hand_over", "--robot", "panda"], "panda"),
        (["--task", "place_on", "--format", "lerobot_v9"], "no format is called 'lerobot_v9'"),
        (["--task", "place_on", "--cameras", "frnt"], "no camera of the scenes with 'panda' is called 'frnt'. Did you mean front?"),
        (["--task", "place_on", "--image-size", "7"], "--image-size is a number of pixels from 16 to 1024, not 7"),
        (["--task", "place_on", "--first-seed", "3"], "seeds below 1,000,000 are those that suites test with"),
        (["--task", "place_on", "--first-seed", "1000000000"], "seeds from 1,000,000,000 on are those of the seasons of leaderboards"),
        (["--task", "place_on", "--layout", "unseen"], "what is held out for tests: unseen places of place_on"),
        (["--task", "place_on", "--horizon", "0"], "an episode lasts 0.1 to 100 times as long as usual, not 0 times"),
        (["--task", "place_on", "--fast", "3"], "the fast one no slower, at most 1"),
        (["--task", "place_on", "--port", "70000"], "a port is 0 to 65535, not 70000"),
        (["--task", "place_on", "--host", ""], "'' is no host to listen at"),
        (["--task", "place_on", "--finish"], "nothing was saved, so there is no dataset to finish"),
    ],
)
def test_what_cannot_be_played_is_one_line_and_leaves_nothing(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = [] if "--port" in words else ["--port", "0"]
    assert main(["play", "--out", str(tmp_path / "played.hdf5"), *port, *words]) == 2
    told = capsys.readouterr()
    assert message in told.err and told.out == "" and "Traceback" not in told.err and len(told.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_told_before_anything_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plug:
        words = ["--task", "place_on", "--out", str(tmp_path / "played.hdf5"), "--port", str(plug.getsockname()[1])]
        assert main(["play", *words]) == 2
    assert "choose another port with --port, or 0 for any that is free" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_a_dataset_of_somebody_else_is_not_played_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "played.hdf5"
    out.write_bytes(b"theirs")
    assert main(["play", "--task", "place_on", "--out", str(out), "--port", "0"]) == 2
    assert "the list of what was tried for it, played.hdf5.attempts.jsonl, does not: write to another file" in capsys.readouterr().err
    assert out.read_bytes() == b"theirs"


def test_a_disk_without_room_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**6))
    assert main(["play", "--task", "place_on", "--out", str(tmp_path / "played.hdf5"), "--port", "0"]) == 2
    assert "has 1 MB free, and 67 MB are needed to begin with: make room" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------------------ for real
def _hears_ctrl_c() -> None:
    """A shell's background jobs ignore Ctrl-C, and whatever is started by them does too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def playing(*words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Starts the command in a process of its own, and yields the address of its page."""
    command = [sys.executable, "-m", "vlagym.benchmark.cli", "play", "--port", "0", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}, preexec_fn=_hears_ctrl_c
    )
    watchdog = threading.Timer(LIMIT_S, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), process.communicate()
        yield url, process
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.chromium() as found:
        yield found


@contextlib.contextmanager
def visiting(browser: Browser, url: str) -> Iterator[Page]:
    """Opens the page, and afterwards objects to whatever the console said and to every request that went elsewhere."""
    wrong: list[str] = []
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(LIMIT_S * 400)
    page = context.new_page()
    page.add_init_script("window.pad = null; navigator.getGamepads = () => [window.pad];")
    page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith((url, "data:", "blob:")) else wrong.append(f"asked for {request.url}"))
    page.on("response", lambda response: wrong.append(f"{response.status} {response.url}") if response.status >= 400 else None)
    page.goto(url)
    yield page
    context.close()
    assert not wrong


PAD = {"connected": True, "id": "pad", "mapping": "standard", "axes": [-1.0, 0.05, 0, 0], "buttons": [{"pressed": i == 9} for i in range(16)]}
"""A gamepad whose Start is pressed and whose left stick leans to the left."""


def phase(page: Page, name: str) -> None:
    page.wait_for_selector(f"body[data-phase={name}]")


def until(page: Page, what: str) -> None:
    """Waits for what the page's own policy forbids to be waited for in it."""
    for _ in range(int(LIMIT_S * 20)):
        if page.evaluate(what):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"it never came true: {what}")


def brightness(page: Page) -> float:
    """Returns the mean of what the large picture shows."""
    code = """() => {
      const shown = document.getElementById('large'), copy = new OffscreenCanvas(shown.width, shown.height);
      const at = copy.getContext('2d', {willReadFrequently: true});
      at.drawImage(shown, 0, 0);
      return at.getImageData(0, 0, copy.width, copy.height).data.reduce((a, b) => a + b);
    }"""
    return float(page.evaluate(code))


READY = {"type": "state", "phase": "ready", "episode": 1, "can": ["start", "another"], "saved": 0, "note": "", "task": "pick_up", "robot": "panda"}
READY |= {"seed": 1_000_000, "instruction": "pick up the mug", "horizon_steps": 200, "rate_hz": 20.0, "cameras": ["front"], "fixed": ["front"]}
READY |= {"limbs": ["hand"], "hands": [""], "base": "fixed", "speeds": [0.1, 0.4], "wait_s": 60.0, "out": "played.hdf5"}
PLAYING = {**READY, "phase": "playing", "can": ["pause", "again", "another", "give_up"], "step": 60, "pace_hz": 20.0, "goal_met": [False]}
"""What the page is told of an episode that nobody simulates."""


def test_the_page_shows_what_it_is_told_and_sends_what_the_keys_say(browser: Browser) -> None:
    seat = Seat()
    seat.tell(READY)
    with Server(seat, "127.0.0.1", 0) as server, visiting(browser, server.url) as page:
        phase(page, "ready")
        assert "Not recording" in page.locator("#banner").inner_text() and "pick up the mug" in page.locator("body").inner_text()
        page.keyboard.press("Enter")
        ordered = seat.order(LIMIT_S)
        assert ordered is not None and (ordered.order, ordered.episode) == ("start", 1)
        seat.tell(PLAYING)
        phase(page, "playing")
        assert "RECORDING" in page.locator("#banner").inner_text() and page.locator("#step").inner_text() == "60 / 200"
        page.keyboard.press("Space")
        page.keyboard.down("KeyW")
        until_heard(page, seat, lambda heard: heard.axes == (1.0, 0.0, 0.0, 0.0, 0.0, 0.0) and heard.closed == (True,) and heard.device == "keyboard")
        page.keyboard.up("KeyW")
        until_heard(page, seat, lambda heard: not any(heard.axes) and heard.closed == (True,))


def until_heard(page: Page, seat: Seat, is_it: Callable[[Input], bool]) -> None:
    """Waits until the page has sent an input."""
    for _ in range(int(LIMIT_S * 20)):
        heard = seat.heard().input
        if heard is not None and is_it(heard):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"it was never sent; last came {seat.heard().input}")


@pytest.mark.slow
@pytest.mark.gl
def test_keys_and_buttons_of_the_page_move_the_hand_and_what_was_saved_is_a_dataset(browser: Browser, tmp_path: Path) -> None:
    out = tmp_path / "played.hdf5"
    words = ["--task", "pick_up", "--catalogue", "core", "--image-size", "64", "--view-size", "96", "--keep-failures", "--horizon", "0.6"]
    with playing("--out", str(out), "--operator", "tester", "--json", *words) as (url, process):
        with visiting(browser, url) as page:
            phase(page, "ready")
            assert "Not recording" in page.locator("#banner").inner_text() and page.title().endswith("vlagym play")
            until(page, "seen > 0")
            before = brightness(page)
            page.keyboard.press("KeyC")
            assert page.locator("#speed").get_attribute("aria-pressed") == "true"
            page.keyboard.down("KeyW")
            page.keyboard.press("Enter")
            phase(page, "playing")
            page.keyboard.press("Space")
            until(page, "state.step > 12")
            page.keyboard.press("KeyP")
            phase(page, "paused")
            assert page.locator(".pad button[data-down]").get_attribute("aria-label") == "forward"
            assert page.evaluate("document.activeElement.id") == "stage"
            page.keyboard.up("KeyW")
            paused_at = page.locator("#step").inner_text()
            with visiting(browser, url) as second:
                phase(second, "taken")
                assert "Somebody else is playing" in second.locator("#banner").inner_text()
            assert page.locator("#step").inner_text() == paused_at
            page.get_by_role("button", name="up", exact=True).hover()
            page.mouse.down()
            page.keyboard.press("KeyP")
            until(page, "state.phase === 'playing' || state.phase === 'ended'")
            until(page, f"state.step > 8 + {int(paused_at.split(' ')[0])}")
            assert "RECORDING" in page.locator("#banner").inner_text()
            page.keyboard.press("KeyP")
            phase(page, "paused")
            page.mouse.up()
            page.evaluate(f"window.pad = {json.dumps(PAD)}")
            phase(page, "ended")
            assert page.locator("#note").inner_text().startswith("The time is over.") and brightness(page) != before
            page.get_by_role("button", name="Save").click()
            phase(page, "ready")
            assert page.locator("#note").inner_text().startswith("Saved: ")
            page.get_by_role("button", name="Finish the dataset").click()
            page.get_by_role("button", name="Really finish?").click()
            phase(page, "finished")
        told, _ = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0 and json.loads(told) == {"out": str(out), "format": "hdf5", "saved": 1, "played": 1}
        assert (tmp_path / "played.hdf5.card" / "card.json").is_file()
    (stored,) = catalog.load("format", "hdf5").read(out)
    assert_moved(stored)


def assert_moved(stored: Demonstration) -> None:
    """Away from the camera, which is towards the robot; then up; then to the left of the picture; with a closed hand."""
    about: Any = stored.extra["teleoperation"]
    assert about["operator"] == "tester" and set(about["devices"]) == {"keyboard", "buttons", "gamepad"}
    action, at = stored.actions, stored.proprio["ee_pos_base_m"]
    forth, up = np.flatnonzero(action[:, 0] < -0.1), np.flatnonzero(action[:, 2] > 0.1)
    left = np.flatnonzero(action[:, 1] < -0.1)
    assert len(forth) >= 8 and len(up) >= 8 and len(left) >= 2 and forth[-1] < up[0] <= up[-1] < left[0]
    assert at[forth[-1], 0] < at[0, 0] - 0.02 and at[up[-1], 2] > at[up[0], 2] + 0.02 and at[-1, 1] < at[left[0], 1]
    assert (action[forth[-1] :, 6] == 1.0).all(), "closed by the space bar"


@pytest.mark.gl
def test_ctrl_c_ends_it_and_leaves_nothing_where_nothing_was_saved(tmp_path: Path) -> None:
    with playing("--task", "place_on", "--out", str(tmp_path / "played"), "--format", "lerobot_v3", "--cameras", "front") as (_, process):
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 130 and "interrupted; nothing was saved" in said and "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
