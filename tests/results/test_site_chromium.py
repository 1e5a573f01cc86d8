"""The HTML leaderboard in a browser: it opens from disk and from a host, sorts, filters, plays, and asks for nothing outside its folder."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import browsing
import numpy as np
import pytest

from vlagym.results import site
from vlagym.results.aggregate import Column
from vlagym.results.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

COLUMNS = (
    Column(name="success", unit="share", better="higher", kind="rate"),
    Column(name="path_length_m", unit="m", better="lower", kind="mean", headline=True),
)
NASTY = "<script>alert(1)</script>"
SENTENCE = 'say "no"\u2028<img src=x onerror=alert(2)>'
AXES = ("camera", "lighting", "blank", "wrong")
EPISODES = 130
"""Of each policy: three pages of the list."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.chromium() as found:
        yield found


def _results(traces: ModuleType, strength: float, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    results: list[Any] = []
    for i in range(EPISODES):
        group, part = divmod(i, 5)
        task = ("place_on", "stack", "push")[group % 3]
        twin = traces.make_spec(seed=group, task=task, instruction=SENTENCE if group == 0 else f"put mug {group} on the plate")
        spec = twin if part == 0 else dataclasses.replace(twin, axes=((AXES[part - 1], 1 + group % 5),), base=twin.digest())
        met = rng.random() < strength - 0.1 * part
        outcome = "error" if i == 7 else "success" if met else "failure"
        mode = None if met or i == 7 else ("never_reached", "dropped")[i % 2]
        measures = {} if i == 7 else {"success": float(met), "path_length_m": float(rng.random())}
        results.append(traces.make_result(spec, outcome=outcome, measures=measures, failure_mode=mode, steps=10 + i, time_s=i / 10))
    return results


@pytest.fixture(scope="module")
def folder(traces: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of four policies, two of which are floor and ceiling, one of a hostile name, with two films."""
    import imageio.v2 as imageio

    top = tmp_path_factory.mktemp("site")
    runs = []
    for seed, (policy, strength) in enumerate([("expert", 1.3), ("hold", 0.1), ("minivla", 0.8), (NASTY, 0.5)]):
        results = _results(traces, strength, seed)
        runs.append(top / f"run-{seed}")
        header = traces.make_header(suite="tiny")
        header = dataclasses.replace(header, policy={"name": policy, "card": None, "privileged": policy == "expert"})
        with Store.create(runs[-1], header) as store:
            for result in results:
                store.append(result, None)
    films = {}
    for digest, blue in zip(Store.open(runs[2]).digests()[:2], (40, 200), strict=True):
        film = top / f"{digest}.mp4"
        frames: list[Any] = [np.full((64, 64, 3), (12 * i, 90, blue), np.uint8) for i in range(20)]
        imageio.mimwrite(film, frames, fps=10, macro_block_size=2)
        films[runs[2], digest] = film
    return site.build(runs, top / "out", columns=COLUMNS, media=site.Media(files=films)).path


class Visit:
    """A page that is open, and everything that went wrong in it."""

    def __init__(self, page: Page, root: str) -> None:
        self.page, self.root = page, root
        self.wrong: list[str] = []
        page.on("console", lambda message: self.wrong.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        page.on("requestfailed", self._failed)
        page.on("request", lambda request: None if request.url.startswith(root) else self.wrong.append(f"asked for {request.url}"))
        page.on("response", lambda response: self.wrong.append(f"{response.status} {response.url}") if response.status >= 400 else None)

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page was left before its icon had come
            self.wrong.append(f"{request.url}: {request.failure}")

    def to(self, path: str) -> Page:
        self.page.goto(f"{self.root}/{path}")
        return self.page


@contextlib.contextmanager
def visiting(browser: Browser, root: str, **options: Any) -> Iterator[Visit]:
    """Opens a page, and afterwards objects to whatever the console said and to every request that left the folder."""
    context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
    context.set_default_timeout(20_000)  # a busy machine may take seconds to open a page
    visit = Visit(context.new_page(), root)
    yield visit
    context.close()
    assert not visit.wrong


def first_column(page: Page, table: str) -> list[str]:
    """Returns the policies of the rows that are shown."""
    rows = page.locator(f"{table} tbody tr:visible th a")
    return [text.strip() for text in rows.all_inner_texts()]


def test_the_table_sorts_filters_and_leads_to_a_policy_and_its_episodes(browser: Browser, folder: Path) -> None:
    with visiting(browser, f"file://{folder}") as visit:
        page = visit.to("index.html")
        assert page.title() == "Leaderboard"
        assert first_column(page, "#table-tiny") == ["expert", "minivla", NASTY, "hold"]
        errors = page.locator("#table-tiny th", has_text="Success").first
        assert errors.get_attribute("aria-sort") == "descending"
        page.get_by_role("button", name="Success", exact=True).click()
        assert first_column(page, "#table-tiny")[0] == "hold" and errors.get_attribute("aria-sort") == "ascending"
        page.get_by_role("button", name="Policy", exact=True).click()
        assert first_column(page, "#table-tiny") == [NASTY, "expert", "hold", "minivla"] and errors.get_attribute("aria-sort") == "none"

        page.get_by_role("searchbox").fill("mini")
        assert first_column(page, "#table-tiny") == ["minivla"] and page.get_by_role("status").first.inner_text() == "1 of 4 rows"
        page.get_by_role("searchbox").fill("")
        page.get_by_role("checkbox").uncheck()
        assert first_column(page, "#table-tiny") == [NASTY, "minivla"]

        page.locator("#table-tiny").get_by_role("link", name=NASTY).click()
        assert page.locator("h1").inner_text() == NASTY
        page.get_by_role("link", name="never reached").click()
        page.get_by_text(" of 130 episodes").wait_for()
        assert page.get_by_label("Failure or error").input_value() == "never_reached" and page.get_by_label("Axis").input_value() == "none"
        page.go_back()
        page.get_by_role("link", name="130 episodes").click()
        page.locator("#list a").first.click()
        assert page.locator("#sentence").inner_text().replace("\u2028", "").replace("\n", "") == SENTENCE.replace("\u2028", "")


def test_episodes_are_filtered_paged_sorted_and_shown_beside_their_twin(browser: Browser, folder: Path) -> None:
    with visiting(browser, f"file://{folder}") as visit:
        page = visit.to("episodes/minivla.html")
        told = page.locator("#told")
        assert told.inner_text() == "130 episodes" and page.locator("#place").inner_text() == "Page 1 of 3"
        assert page.locator("#list tbody tr").count() == 50 and page.get_by_role("button", name="Previous").is_disabled()
        page.get_by_role("button", name="Next").click()
        page.get_by_role("button", name="Next").click()
        assert page.locator("#list tbody tr").count() == 30 and page.get_by_role("button", name="Next").is_disabled()
        page.get_by_role("button", name="Steps").click()
        page.get_by_role("button", name="Steps").click()
        assert page.locator("#list tbody tr td.num").nth(1).inner_text() == "139", "the longest of 130 episodes"

        page.get_by_label("Outcome").select_option("error")
        assert told.inner_text() == "1 of 130 episodes" and "ValueError" in page.locator("#list tbody").inner_text()
        page.get_by_label("Outcome").select_option("")
        page.get_by_label("Axis").select_option("camera")
        page.get_by_label("Task").select_option("stack")
        page.get_by_label("Sentence, seed or digest").fill("MUG 4 ")
        assert told.inner_text() == "1 of 130 episodes" and "axis=camera" in page.url
        page.locator("#list a").click()
        assert page.locator("#sentence").inner_text() == "put mug 4 on the plate"
        assert [h.inner_text() for h in page.locator(".pair h3").all()] == ["This episode", "Its unvaried twin"]
        measures = page.locator("#episode table")
        measures.wait_for()
        assert measures.locator("thead th").all_inner_texts() == ["Measure", "This episode", "Its twin", "Unit", "Better"]
        page.locator("#back").click()
        assert told.inner_text() == "1 of 130 episodes", "the filter is still there"
        page.reload()
        assert told.inner_text() == "1 of 130 episodes", "and it stands in the address"
        page.get_by_role("button", name="Clear").click()
        page.get_by_text("130 episodes", exact=True).wait_for()
        page.evaluate("location.hash = '#e=nothing'")
        page.get_by_role("heading", name="No such episode").wait_for()


def test_films_of_an_episode_and_its_twin_play(browser: Browser, folder: Path) -> None:
    with visiting(browser, f"file://{folder}") as visit:
        page = visit.to("episodes/minivla.html")
        page.get_by_label("with pictures").check()
        assert page.locator("#told").inner_text() == "2 of 130 episodes"
        page.locator("#list a").nth(1).click()
        page.locator("video").nth(1).wait_for()
        assert page.evaluate("[...document.querySelectorAll('video')].map(v => v.paused)") == [True, True], "nothing moves unasked"
        page.get_by_role("button", name="Play both from the start").click()
        for _ in range(100):
            if page.evaluate("[...document.querySelectorAll('video')].every(v => v.currentTime > 0.3 && v.videoWidth === 64)"):
                return
            page.wait_for_timeout(100)
        pytest.fail(f"the films do not play: {page.evaluate('[...document.querySelectorAll(`video`)].map(v => [v.currentTime, v.readyState])')}")


def test_everything_is_reached_with_the_keyboard_alone(browser: Browser, folder: Path) -> None:
    with visiting(browser, f"file://{folder}") as visit:
        page = visit.to("index.html")
        focused = "(document.activeElement.textContent || document.activeElement.type).trim()"
        page.keyboard.press("Tab")
        assert page.evaluate(focused) == "Skip to the content"
        page.keyboard.press("Enter")
        seen = []
        for _ in range(12):
            page.keyboard.press("Tab")
            seen.append(page.evaluate(focused))
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline in ("solid", "auto"), f"{seen[-1]} shows no focus"
            if seen[-1] == "Success":
                break
        page.keyboard.press("Enter")
        assert first_column(page, "#table-tiny")[0] == "hold", seen
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate(focused) == "minivla":
                break
        page.keyboard.press("Enter")
        page.wait_for_url("**/policies/minivla.html*")
        page.goto(f"{visit.root}/episodes/minivla.html")
        page.locator("#list a").first.focus()
        page.keyboard.press("Enter")
        page.locator("#sentence:focus").wait_for()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        page.locator("#list a:focus").wait_for()


def test_the_page_of_a_suite_switches_curves_and_the_colours_of_its_grid(browser: Browser, folder: Path) -> None:
    with visiting(browser, f"file://{folder}") as visit:
        page = visit.to("suites/tiny.html")
        curve = page.locator("g[data-curve='1']").first
        drawn = "g => ['.band', '.end'].map((part) => getComputedStyle(g.querySelector(part)).display !== 'none')"
        assert curve.is_visible() and curve.evaluate(drawn) == [False, True], "three bands would cover one another"
        page.locator(".legend").get_by_role("button", name="expert").click()
        assert curve.evaluate(drawn) == [True, False], "two do not"
        page.locator(".legend").get_by_role("button", name="minivla").click()
        assert not curve.is_visible() and not page.locator(".under [data-curve='1']").first.is_visible()
        shown = page.locator(".heatmap:visible")
        assert shown.count() == 1 and shown.locator("h3").inner_text() == "minivla"
        cell = shown.locator("tbody td").nth(1)
        before = cell.inner_text(), cell.evaluate("e => getComputedStyle(e).backgroundColor")
        page.get_by_role("button", name="Gap to the twins").click()
        assert cell.inner_text() != before[0] and cell.evaluate("e => getComputedStyle(e).backgroundColor") != before[1]
        page.locator("[data-heat-policy]").select_option(label="expert")
        assert page.locator(".heatmap:visible h3").inner_text().startswith("expert")


_CONTRASTS = """() => {
  const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const light = (colour) => {
    context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((m, n) => n - m); return (x + 0.05) / (y + 0.05); };
  const table = document.querySelector("table.grid");
  const row = table.tBodies[0].insertRow();
  const out = {};
  for (const [show, letter, first] of [["rate", "h", 0], ["gap", "g", -5]]) {
    table.dataset.show = show;
    for (let i = first; i <= first + 10; i++) {
      const step = `${letter}${i}`;
      const cell = row.insertCell();
      cell.className = `heat ${step}`;
      const style = getComputedStyle(cell);
      out[step] = ratio(style.color, style.backgroundColor);
    }
  }
  const page = getComputedStyle(document.documentElement);
  for (const name of ["--soft", "--accent", "--warn", "--ink"]) out[name] = ratio(page.getPropertyValue(name), page.getPropertyValue("--paper"));
  return out;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_can_be_read_on_every_colour_of_the_scales(browser: Browser, folder: Path, scheme: str) -> None:
    with visiting(browser, f"file://{folder}", color_scheme=scheme) as visit:
        contrasts = visit.to("suites/tiny.html").evaluate(_CONTRASTS)
        assert len(contrasts) == 26
        assert not {name: round(ratio, 2) for name, ratio in contrasts.items() if ratio < 4.5}, "WCAG 2.1 asks for 4.5"


def test_dark_is_what_the_system_says_until_somebody_chooses(browser: Browser, folder: Path) -> None:
    with visiting(browser, f"file://{folder}", color_scheme="dark") as visit:
        page = visit.to("index.html")
        paper = "getComputedStyle(document.documentElement).backgroundColor"
        assert page.evaluate(paper) == "rgb(21, 24, 27)"
        page.get_by_role("button", name="Light colours").click()
        assert page.evaluate(paper) == "rgb(255, 255, 255)"
        page = visit.to("policies/minivla.html")
        assert page.evaluate(paper) == "rgb(255, 255, 255)", "the choice is kept"


def test_no_page_is_wider_than_a_phone(browser: Browser, folder: Path) -> None:
    with visiting(browser, f"file://{folder}", viewport={"width": 400, "height": 800}) as visit:
        digest = Store.open(folder.parent / "run-2").digests()[1]
        pages = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*.html"))]
        for path in [*pages, f"episodes/minivla.html#e={digest}"]:
            page = visit.to(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 400, path


def test_it_opens_from_a_static_host_too(browser: Browser, folder: Path) -> None:
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with visiting(browser, f"http://127.0.0.1:{server.server_address[1]}") as visit:
            page = visit.to("index.html")
            page.locator("#table-tiny").get_by_role("link", name="minivla").click()
            page.get_by_role("link", name="130 episodes").click()
            page.locator("#list a").first.click()
            page.locator("#episode table").wait_for()
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""
