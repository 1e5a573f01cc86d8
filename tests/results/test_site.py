"""The HTML leaderboard as files: what its pages say, what they escape, and which folders it leaves alone."""

from __future__ import annotations

import dataclasses
import html.parser
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vlagym.envs.errors import BadData, MissingPackage
from vlagym.results import site
from vlagym.results.aggregate import Column
from vlagym.results.site import charts, heatmap, words
from vlagym.results.site.breakdown import UNVARIED, Rate, breakdown
from vlagym.results.site.episodes import CHUNK
from vlagym.results.store import Store

COLUMNS = (
    Column(name="success", unit="share", better="higher", kind="rate"),
    Column(name="path_length_m", unit="m", better="lower", kind="mean", headline=True),
)
NASTY = "<script>alert(1)</script>"
SENTENCE = 'put "it"\u2028</script><img src=x onerror=alert(1)> & `${1}` \\ on the mug\'s plate'

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(traces: ModuleType, tmp_path: Path) -> MakeRun:
    """Returns a function that writes a run folder of results without traces."""

    def make(name: str, results: Sequence[Any], **header: Any) -> Path:
        path = tmp_path / "runs" / name
        with Store.create(path, traces.make_header(**{"policy": name, "suite": "tiny", **header})) as store:
            for result in results:
                store.append(result, None)
        return path

    return make


def paired_results(traces: ModuleType, twins: str, varied: str, *, axis: str = "camera", level: int = 2, first_seed: int = 0) -> list[Any]:
    """Returns twins and their varied episodes with the outcomes that the letters say: s, f, e."""
    outcomes = {"s": "success", "f": "failure", "e": "error"}
    results = []
    for i, (twin, other) in enumerate(zip(twins, varied, strict=True)):
        spec = traces.make_spec(seed=first_seed + i)
        again = dataclasses.replace(spec, axes=((axis, level),), base=spec.digest())
        for one, letter in ((spec, twin), (again, other)):
            measures = {} if letter == "e" else {"success": float(letter == "s"), "path_length_m": 1.0 + i / 10}
            mode = "never_reached" if letter == "f" else None
            results.append(traces.make_result(one, outcome=outcomes[letter], measures=measures, failure_mode=mode))
    return results


def build(runs: Sequence[Path], out: Path, **options: Any) -> site.Site:
    return site.build(runs, out, columns=COLUMNS, **options)


def data_of(path: Path) -> tuple[str, Any]:
    """Returns what a data file hands to the page."""
    text = path.read_text(encoding="ascii")
    found = re.fullmatch(r"vlagymData\((\"\w+\"),(.*)\);\n", text, re.S)
    assert found is not None
    return json.loads(found[1]), json.loads(found[2])


class Reader(html.parser.HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def pages(folder: Path) -> dict[Path, Reader]:
    return {path: Reader(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}


# ---------------------------------------------------------------------------------------------------------------------- what it says
def test_every_link_of_the_site_leads_to_a_file_and_a_place_in_it(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run("mine", paired_results(traces, "ssff", "sfff"))]
    runs.append(make_run("other", paired_results(traces, "ssss", "ssse"), suite="second suite!"))
    built = build(runs, tmp_path / "out")
    found = pages(built.path)
    assert built.pages == len(found) == 1 + 2 + 2 * 2
    for path, page in found.items():
        for tag, attribute in (("a", "href"), ("script", "src"), ("link", "href"), ("img", "src")):
            for attributes in page.all(tag):
                target, _, fragment = str(attributes[attribute]).partition("#")
                led_to = (path.parent / target).resolve() if target else path
                assert led_to.is_file(), f"{path.name} leads to {target}"
                if fragment and led_to.suffix == ".html" and led_to.parent.name != "episodes":  # there it is a filter
                    ids = {a.get("id") for _, a in found[led_to].tags}
                    assert fragment in ids, f"{path.name} leads to {target}#{fragment}"


def test_pages_load_nothing_from_elsewhere_and_hold_no_script_of_their_own(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    built = build([make_run("mine", paired_results(traces, "sf", "ff"))], tmp_path / "out")
    for path, page in pages(built.path).items():
        policy = next(m for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")["content"]
        assert policy is not None and "default-src 'none'; script-src 'self' file:; style-src 'self' file:" in policy and "unsafe" not in policy
        ids = [a["id"] for _, a in page.tags if "id" in a]
        assert len(ids) == len(set(ids)), f"{path.name}: an id is given twice"
        assert not page.all("style") and all(a.get("src") for a in page.all("script")), path
        for tag, attributes in page.tags:
            assert not [name for name in attributes if name.startswith("on") or name == "style"], f"{path.name}: <{tag} {attributes}>"
        assert not re.search(r'(src|href)="(https?:)?//', path.read_text(encoding="utf-8"))
    for script in built.path.glob("*.js"):
        risky = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://"
        assert not re.search(risky, script.read_text(encoding="utf-8"))


def test_everything_of_a_run_is_only_text(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    results = [traces.make_result(traces.make_spec(seed=1, instruction=SENTENCE, task='t"><b>'), outcome="error")]
    results.append(traces.make_result(traces.make_spec(seed=2, instruction="", task="x" * 300), outcome="failure", failure_mode="<i>odd</i>"))
    card = {"<u>name</u>": NASTY, "nothing": None, "list": [NASTY, 1, None], "deep": {"a": [{"b": NASTY}]}}
    nasty, long = make_run("nasty", results, policy=NASTY, suite=NASTY), make_run("long", results, policy="p" * 5000, suite=NASTY)
    for run, changes in ((nasty, {"options": {"o": NASTY}, "card": card}), (long, {"card": None})):
        with Store.resume(run) as store:
            store.update_header(dataclasses.replace(store.header, policy={**store.header.policy, **changes}))
    built = build([nasty, long], tmp_path / "out", title=NASTY)
    for path, page in pages(built.path).items():
        assert not page.all("b") and not page.all("u") and not page.all("i") and not page.all("img"), path
        assert all(re.fullmatch(r"[\w./-]+\.js", a.get("src") or "") for a in page.all("script"))
        assert NASTY in page.text, path
    names = [p.relative_to(built.path).as_posix() for p in built.path.rglob("*")]
    assert all(re.fullmatch(r"[\w./-]{1,200}", name) for name in names), "names of files are plain whatever policies are called"
    index = next(p for p in built.path.glob("data/*/index.js") if json.dumps(NASTY) in p.read_text())
    _, data = data_of(index)
    assert data["policy"] == NASTY and data["sentences"] == [SENTENCE, ""] and data["modes"] == ["ValueError", "<i>odd</i>"]


def test_errors_and_notes_stand_in_the_page(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    results = paired_results(traces, "sse", "ffe")
    built = build([make_run("mine", results, episodes=8), make_run("expert", paired_results(traces, "sss", "sss"))], tmp_path / "out")
    index = (built.path / "index.html").read_text(encoding="utf-8")
    assert '<td class="num warn" data-label="Errors" data-v="1"' in index, "the errors of mine in its unvaried episodes"
    assert 'title="Errors enter no rate. If they were failures, success would be 66.7 %."' in index and "66.7 % if failed" in index
    assert "6 of 8 episodes are stored" in index and "if these were failures" not in index
    assert "reads the true state of the scene" in index and '<span class="tag" title="Reads the true state' in index


def test_a_run_of_nothing_but_errors_is_shown_without_a_rate(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    built = build([make_run("mine", paired_results(traces, "ee", "ee")), make_run("rival", paired_results(traces, "ss", "ff"))], tmp_path / "out")
    rows = re.findall(r"<tr data-role.*?</tr>", (built.path / "index.html").read_text(encoding="utf-8"), re.S)
    assert ">2<" in rows[1] and "mine" in rows[1] and ">0.0 %" not in rows[1], "two unvaried errors, and no rate of nothing"


def test_runs_that_must_not_be_pooled_have_rows_that_say_why(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    results = paired_results(traces, "sf", "ff")
    later = paired_results(traces, "sf", "ff", first_seed=10)
    runs = [make_run("a", results, policy="mine"), make_run("b", later, policy="mine", quality="high")]
    built = build(runs, tmp_path / "out")
    index = (built.path / "index.html").read_text(encoding="utf-8")
    assert "quality=fast" in index and "quality=high" in index
    assert "quality=high" in (built.path / "policies" / "mine.html").read_text(encoding="utf-8")


def test_gaps_levels_and_language_stand_on_the_page_of_the_suite(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    results = paired_results(traces, "ssssffff", "ssffffff") + paired_results(traces, "ssss", "sfff", level=4, first_seed=50)
    results += paired_results(traces, "ssss", "ffff", axis="wrong", level=1, first_seed=90)
    built = build([make_run("mine", results)], tmp_path / "out")
    page = pages(built.path)[built.path / "suites" / "tiny.html"]
    said = " ".join(page.text.split())
    assert {"gaps", "curves", "language", "heat", "failures", "measures"} <= {a.get("id") for _, a in page.tags}
    assert re.search(r"camera ?(12 pairs)? ?−41\.7", said), "5 of 12 pairs were lost along the camera"
    assert re.search(r"wrong score ?\+100\.0", said)
    told = "mine, level 4: −75.0 points ["
    assert told in said and "25.0 % against 100.0 % of the twins, 4 pairs" in said, "each level beside its own twins, not beside those of all"
    assert "mine, level 2: −25.0 points [" in said and "25.0 % against 50.0 % of the twins, 8 pairs" in said


def test_equal_runs_give_equal_files(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("mine", paired_results(traces, "sfsf", "ffsf"))
    first, second = (build([run], tmp_path / name).path for name in ("one", "two"))
    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(second) for p in second.rglob("*") if p.is_file())
    assert all((first / f).read_bytes() == (second / f).read_bytes() for f in files)


# ------------------------------------------------------------------------------------------------------------------------- the data
def test_the_data_files_hold_every_episode_with_its_twin(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    results = paired_results(traces, "sf", "fe")
    built = build([make_run("mine", results), make_run("rival", results)], tmp_path / "out")
    kind, data = data_of(built.path / "data" / "mine" / "index.js")
    columns = data["columns"]
    assert kind == "index" and columns["digest"] == [r.digest for r in results]
    assert [data["outcomes"][o] for o in columns["outcome"]] == ["success", "failure", "failure", "error"]
    assert columns["twin"] == [-1, 0, -1, 2]
    assert [data["axes"][a] for a in columns["axes"]] == ["", "camera 2", "", "camera 2"]
    assert data["others"] == [{"name": "rival", "href": "rival.html"}]
    kind, details = data_of(built.path / "data" / "mine" / "details-0.js")
    names = [name for name, _, _ in data["measures"]]
    attempt, _, base, _, error, measures = details["rows"][3]
    assert kind == "details" and (attempt, base) == (1, results[2].digest)
    assert error == ["ValueError", "no"], "the traceback, which names folders, stays in the run"
    assert details["rows"][0][5][names.index("path_length_m")] == 1 and measures == [None] * len(names)


def test_measures_lie_in_chunks_that_are_loaded_when_asked_for(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    one = traces.make_result(traces.make_spec())
    results = [dataclasses.replace(one, digest=f"{i:032x}", seed=i) for i in range(CHUNK + 1)]
    built = build([make_run("mine", results)], tmp_path / "out")
    sizes = [len(data_of(built.path / "data" / "mine" / f"details-{i}.js")[1]["rows"]) for i in range(2)]
    assert sizes == [CHUNK, 1] and not (built.path / "data" / "mine" / "details-2.js").exists()


def test_counts_by_axis_and_failure_are_those_of_the_episodes(traces: ModuleType) -> None:
    found = breakdown(paired_results(traces, "ssfe", "sfff"))
    assert found.headline == found.by_task["place_on"] == Rate(2, 3, 1) and found.by_axis["camera"].rate == Rate(1, 4, 0)
    paired = found.by_axis["camera"].paired
    assert (paired.n, paired.varied, paired.twin) == (3, 1, 2), "the pair whose twin is an error is in no gap"
    assert found.by_failure == {"never_reached": 1}, "of the unvaried episodes, as the headline"
    assert found.by_task_and_axis["place_on", UNVARIED].rate == found.headline


def test_neither_variations_nor_control_sentences_are_in_the_success_of_a_policy(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    results = paired_results(traces, "sssf", "ffff") + paired_results(traces, "ss", "ff", axis="wrong", level=1, first_seed=50)
    built = build([make_run("mine", results)], tmp_path / "out")
    index = pages(built.path)[built.path / "index.html"]
    said = " ".join(index.text.split())
    assert "Success unvaried" in said and "mine 83.3 %" in said, "5 of 6 unvaried episodes"
    assert re.search(r"−75\.0 [^a-z]* to ", said), "the gap of the camera alone, with its interval"
    assert re.search(r"\+100\.0 [^a-z]* to ", said), "language use has a column of its own"


def test_the_front_table_holds_what_tells_policies_apart_and_no_more(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    results = paired_results(traces, "ssf", "sff") + paired_results(traces, "ss", "ff", axis="wrong", level=1, first_seed=50)
    built = build([make_run("mine", results), make_run("rival", results)], tmp_path / "out")
    head = re.findall(r'data-sort="\w+">(.*?)</button>', (built.path / "index.html").read_text(encoding="utf-8"))
    assert head == ["Policy", "Letters", "Success", "Gap", "Language use", "n", "Errors"]
    assert "path_length_m" in (built.path / "suites" / "tiny.html").read_text(encoding="utf-8")


def test_the_page_of_a_policy_tells_its_gap_and_its_language_use_with_interval_and_pairs(
    traces: ModuleType, make_run: MakeRun, tmp_path: Path
) -> None:
    results = paired_results(traces, "sssf", "sfff") + paired_results(traces, "ss", "sf", axis="wrong", level=1, first_seed=50)
    built = build([make_run("mine", results)], tmp_path / "out")
    said = " ".join(pages(built.path)[built.path / "policies" / "mine.html"].text.split())
    assert re.search(r"Success, unvaried ?83\.3 %", said)
    assert re.search(r"Gap to the twins, points ?−50\.0 \S+ to \S+, 4 pairs", said)
    assert re.search(r"Language use, points ?\+50\.0 \S+ to \S+, 2 pairs", said) and "wrong score" in said
    assert "No card was given" in said and "none" not in said.partition("Card")[2].partition("Runs")[0]


def test_a_long_card_is_folded(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    results = paired_results(traces, "s", "f")
    runs = [make_run("short", results), make_run("long", results)]
    for run, size in zip(runs, (3, 40), strict=True):
        with Store.resume(run) as store:
            policy = {**store.header.policy, "card": {f"key {i}": i for i in range(size)}}
            store.update_header(dataclasses.replace(store.header, policy=policy))
    built = build(runs, tmp_path / "out")
    short, long = ((built.path / "policies" / f"{name}.html").read_text(encoding="utf-8") for name in ("short", "long"))
    assert "<summary>The card</summary>" in long and "<summary>The card</summary>" not in short and "key 2" in short


def test_notes_are_folded_and_hold_no_advice_for_the_command_line(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    name = "p" * 300
    run = make_run("mine", paired_results(traces, "sse", "ffe"), policy=name, episodes=9)
    built = build([run, make_run("expert", paired_results(traces, "sss", "sss"))], tmp_path / "out")
    for path in ("index.html", "suites/tiny.html"):
        page = pages(built.path)[built.path / path]
        assert page.all("details") and "--" not in page.text and name not in page.text, path
    assert words.for_readers(["a; --by robot gives each a row", f"between {name} (--safety clip)"], [name]) == ("a", f"between {words.clipped(name)}")


def test_what_is_no_score_has_no_better_direction(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    result = traces.make_result(traces.make_spec(), measures={"success": 1.0, "chance": 0.5, "path_length_m": 1.0})
    chance = Column(name="chance", unit="share", better="higher", kind="mean")
    built = site.build([make_run("mine", [result])], tmp_path / "out", columns=(*COLUMNS, chance))
    _, data = data_of(built.path / "data" / "mine" / "index.js")
    assert {name: better for name, _, better in data["measures"]} == {"success": "higher", "chance": "", "path_length_m": "lower"}


def test_at_first_three_curves_are_drawn_and_policies_come_before_floors(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    results = paired_results(traces, "ssss", "sfff") + paired_results(traces, "ssss", "ffff", level=4, first_seed=50)
    built = build([make_run(name, results) for name in ("expert", "hold", "a", "b", "c")], tmp_path / "out")
    page = (built.path / "suites" / "tiny.html").read_text(encoding="utf-8")
    shown = re.findall(r'aria-pressed="true">.*?<span>(\w+)</span></button>', page)
    assert sorted(shown) == ["a", "b", "c"] and '<div class="panels">' in page, "whiskers, for bands would cover one another"
    assert "a: </span>twins 100 %, pairs 4</span>" in page
    built = build([make_run("alone", results)], tmp_path / "single")
    assert '<div class="panels few">' in (built.path / "suites" / "tiny.html").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------------------ the place
def test_a_folder_of_somebody_else_is_left_alone(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("mine", paired_results(traces, "s", "f"))
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.tex").write_text("years of work")
    with pytest.raises(BadData, match=r"theirs exists and is no leaderboard that vlagym made \(it has no site.json\); nothing was overwritten"):
        build([run], theirs)
    (theirs / "site.json").write_text('{"made_by": "hand"}')
    with pytest.raises(BadData, match="nothing was overwritten"):
        build([run], theirs)
    with pytest.raises(BadData, match="is no folder"):
        build([run], theirs / "thesis.tex")
    with pytest.raises(BadData, match="nothing was overwritten"):
        build([run], run)
    assert (theirs / "thesis.tex").read_text() == "years of work" and sorted(p.name for p in tmp_path.iterdir()) == ["runs", "theirs"]


def test_a_site_of_ours_is_replaced_whole_and_kept_when_the_new_one_fails(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    mine, rival = (make_run(name, paired_results(traces, "s", "f")) for name in ("mine", "rival"))
    out = build([mine, rival], tmp_path / "out").path
    with pytest.raises(BadData, match=r"out is a leaderboard that shows rival, and no run of theirs is named; nothing was overwritten.*--replace"):
        build([mine], out)
    assert (out / "policies" / "rival.html").exists()
    assert build([mine], out, replace=True).removed == ("the policy rival",)
    assert not (out / "policies" / "rival.html").exists() and build([mine, rival], out).removed == ()
    before = (out / "index.html").read_bytes()
    with pytest.raises(BadData, match="which is neither a film|neither a film"):
        build([mine], out, replace=True, media=site.Media(files={(mine, Store.open(mine).digests()[0]): mine / "header.json"}))
    assert (out / "index.html").read_bytes() == before and sorted(p.name for p in tmp_path.iterdir()) == ["out", "runs"]


def test_a_site_of_an_older_version_is_replaced_only_when_told(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("mine", paired_results(traces, "s", "f"))
    out = build([run], tmp_path / "out").path
    (out / "site.json").write_text('{"made_by": "vlagym table --format html", "schema": 1}')
    with pytest.raises(BadData, match="of an older vlagym, which does not say whom it shows; nothing was overwritten"):
        build([run], out)
    build([run], out, replace=True)


def test_films_of_episodes_that_are_still_there_are_kept(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    results = paired_results(traces, "sf", "ff")
    run = make_run("mine", results)
    films = {}
    for result in results[:3]:
        films[run, result.digest] = tmp_path / f"{result.digest}.mp4"
        films[run, result.digest].write_bytes(b"film")
    out = build([run], tmp_path / "out", media=site.Media(files=films)).path
    again = build([run], out)
    assert (again.media, again.kept, again.removed) == (3, 3, ())
    with Store.resume(run) as store:
        store.append(dataclasses.replace(results[0], attempt=2, outcome="failure"), None)
    later = build([run], out)
    assert (later.media, later.kept, later.removed) == (2, 2, ("1 film or strip",)), "a film of another attempt would lie"
    _, data = data_of(out / "data" / "mine" / "index.js")
    kept = [m for m in data["columns"]["media"] if m >= 0]
    assert len(kept) == 2 and all((out / "episodes" / data["media"][m]).read_bytes() == b"film" for m in kept)


def test_a_run_that_is_named_twice_is_refused(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("mine", paired_results(traces, "s", "f"))
    with pytest.raises(BadData, match="is named twice; name each run once"):
        build([run, run], tmp_path / "out")
    with pytest.raises(BadData, match="at least one run"):
        build([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_can_be_read_of_a_damaged_run_is_shown_and_the_page_says_what_is_missing(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    whole, cut, gone = (make_run(name, paired_results(traces, "sf", "ff")) for name in ("whole", "cut", "gone"))
    ledger = (cut / "episodes.jsonl").read_bytes()
    (cut / "episodes.jsonl").write_bytes(ledger[:-30])
    (gone / "header.json").write_text("{")
    built = build([whole, cut, gone], tmp_path / "out")
    assert not any(str(tmp_path) in complaint for complaint in built.complaints), "a page for everybody names no folder of this machine"
    index = pages(built.path)[built.path / "index.html"]
    assert built.episodes == 7 and len(built.complaints) == 2
    assert "What could not be read" in index.text and all(" ".join(c.split()) in " ".join(index.text.split()) for c in built.complaints)
    with pytest.raises(BadData, match="at least one run that can be read: .*header.json"):
        build([gone], tmp_path / "none")


def test_films_of_a_run_are_copied_and_empty_ones_refused(traces: ModuleType, make_run: MakeRun, tmp_path: Path) -> None:
    results = paired_results(traces, "s", "f")
    run, rival = make_run("mine", results), make_run("rival", results)
    (run / "videos").mkdir()
    film, strip = run / "videos" / f"{results[0].digest}.mp4", tmp_path / "strip.png"
    film.write_bytes(b"film")
    (run / "videos" / "notes.txt").write_text("not shown")
    strip.write_bytes(b"strip")
    built = build([run, rival], tmp_path / "out", media=site.Media(files={(rival, results[1].digest): strip}))
    assert built.media == 2
    _, data = data_of(built.path / "data" / "mine" / "index.js")
    assert data["columns"]["media"] == [0, -1] and (built.path / "episodes" / data["media"][0]).read_bytes() == b"film"
    _, data = data_of(built.path / "data" / "rival" / "index.js")
    assert data["media"][0].endswith(f"{results[1].digest}.png") and (built.path / "episodes" / data["media"][0]).read_bytes() == b"strip"
    strip.write_bytes(b"")
    with pytest.raises(BadData, match="should show episode .* and is empty. Render it again, or remove it"):
        build([run, rival], tmp_path / "out", media=site.Media(files={(rival, results[1].digest): strip}))


def test_without_jinja_the_advice_is_to_install_it(traces: ModuleType, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("mine", paired_results(traces, "s", "f"))
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingPackage, match="pip install 'jinja2>=3.1'"):
        build([run], tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------------------------------------------------------ words and shapes
def test_numbers_are_written_as_precisely_as_they_are_known() -> None:
    assert words.cell(0.62, 0.551, 0.684) == words.Cell(text="62.0 %", interval="55.1 – 68.4", sort=0.62, low=0.551, high=0.684)
    assert words.cell(3.0, 3.0, 3.0, "J").interval == "", "equal values resampled have no width"
    seconds = words.Cell(text="5.61", interval="5.40 – 5.83", n="n = 3", sort=5.607, low=5.40, high=5.83)
    assert words.cell(5.607, 5.40, 5.83, "s", n=3, of=5) == seconds
    assert words.cell(None, None, None).text == words.cell(float("nan"), None, None).text == "–"
    assert words.points(-0.4167, -0.6, -0.2).text == "−41.7" and words.points(0.0).text == "0.0" and words.points(0.03).text == "+3.0"
    assert [words.percent(share) for share in (0, 0.001, 0.5, 0.999, 1)] == ["0", "1", "50", "99", "100"]
    assert words.counted(1, "policy", "policies") == "1 policy" and words.counted(20_000, "episode") == "20\u202f000 episodes"
    assert [words.p_value(p) for p in (None, 0.5, 0.0123, 0.00123, 1e-9)] == ["–", "0.50", "0.01", "0.0012", "< 0.0001"]


@pytest.mark.parametrize("names", [("pi0", "Pi0"), ("a b", "a-b"), (NASTY, "script alert 1 script"), ("é", "è"), ("p" * 300, "p" * 301)])
def test_different_names_have_different_files(names: tuple[str, str]) -> None:
    first, second = map(words.slug, names)
    assert first != second and all(re.fullmatch(r"[a-z0-9-]{1,60}", s) for s in (first, second))


def test_a_whisker_runs_from_end_to_end_of_the_interval() -> None:
    drawn = charts.whisker(0.5, 0.25, 1.0)
    assert '<circle cx="66" cy="9"' in drawn and '<line x1="35" y1="9" x2="128" y2="9" class="range"/>' in drawn
    assert "range" not in charts.whisker(0.5, None, None) and "circle" not in charts.whisker(None, None, None)
    assert '<circle cx="35" cy="9"' in charts.difference(-0.5, None, None), "a quarter of the line from -1 to 1"


def test_a_chart_escapes_the_names_in_it() -> None:
    point = charts.Point(level=1, gap=-0.5, low=-0.6, high=-0.4, varied=0.5, twin=1.0, n=10)
    drawn = charts.levels(NASTY, [charts.Curve(name=NASTY, series=0, role="", points=(point,))])
    assert "<script" not in drawn and "&lt;script&gt;" in drawn


@pytest.mark.parametrize(("share", "step"), [(0, 0), (0.001, 1), (0.44, 4), (0.5, 5), (0.999, 9), (1, 10)])
def test_only_none_and_all_have_the_ends_of_the_scale(share: float, step: int) -> None:
    assert heatmap.step(share) == step


# ----------------------------------------------------------------------------------------------------------------------------- scale
_BUILD = """
import sys, time
from pathlib import Path
from vlagym.results import site
from vlagym.results.aggregate import Column
began = time.process_time()
columns = [Column(name=f"m{i}", unit="m", better="lower", kind="mean", headline=i < 4) for i in range(40)]
built = site.build([Path(p) for p in sys.argv[2:]], Path(sys.argv[1]), columns=columns)
(peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))  # ru_maxrss would count the parent's
print(built.episodes, time.process_time() - began, int(peak.split()[1]) / 1024)
"""


@pytest.mark.slow
def test_twenty_thousand_episodes_are_built_in_under_20_s_and_1_gb(traces: ModuleType, tmp_path: Path) -> None:
    from vlagym.envs.types import stream
    from vlagym.results.schema import header_to_json, result_to_line

    rng = stream(0, "site", "scale")
    one = traces.make_result(traces.make_spec())
    runs = []
    for policy in ("expert", "hold", "mine", "rival"):
        lines = []
        for i in range(5000):
            measures: Mapping[str, float | None] = {f"m{k}": float(v) for k, v in enumerate(rng.random(40))}
            axes, base = ({f"axis_{i % 5}": 1 + i // 5 % 5}, f"{i - i % 5:032x}") if i % 5 else ({}, None)
            changed = {"digest": f"{i:032x}", "seed": i // 5, "task": f"task_{i // 5 % 20}", "axes": axes, "base": base, "measures": measures}
            outcome = "success" if rng.random() < 0.5 else "failure"
            lines.append(result_to_line(dataclasses.replace(one, outcome=outcome, certificate=None, **changed)))
        runs.append(tmp_path / policy)
        runs[-1].mkdir()
        (runs[-1] / "traces").mkdir()
        (runs[-1] / "header.json").write_text(header_to_json(traces.make_header(policy=policy, suite="large")))
        (runs[-1] / "episodes.jsonl").write_text("".join(line + "\n" for line in lines))
    command = [sys.executable, "-c", _BUILD, str(tmp_path / "out"), *map(str, runs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    episodes, seconds, megabytes = map(float, done.stdout.split())
    assert episodes == 20_000 and seconds < 20 and megabytes < 1000
