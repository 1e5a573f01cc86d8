"""`vlagym plan` as it is typed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from vlagym.benchmark.cli import main
from vlagym.benchmark.statistics import detectable_difference, episodes_for_difference, power_paired, width_of, width_of_difference

SUITE = """
name = "varied"
version = 1
[[entry]]
task = "stack"
episodes = 40
vary = ["blank=1", "shuffled=1"]
each = 30
[[entry]]
task = "open_drawer"
episodes = 60
vary = ["blank=1"]
each = 50
"""


@pytest.fixture
def suite(tmp_path: Path) -> str:
    path = tmp_path / "varied.toml"
    path.write_text(SUITE, encoding="utf-8")
    return str(path)


def test_a_width_is_answered_with_a_number_of_episodes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--width", "0.1", "--rate", "0.8"]) == 0
    assert capsys.readouterr().out == "245 episodes: the interval of a rate of 80 % is 10.0 points wide (Wilson, 95 %)\n"
    assert main(["plan", "--width", "0.1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["width"] == {"asked": 0.1, "rate": 0.5, "episodes": 381, "width": pytest.approx(width_of(381))}


def test_a_difference_is_answered_for_pairs_and_for_strangers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--difference", "0.1", "--power", "0.8", "--discordance", "0.2"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"^the same +0\.2 +168 +0\.801$", told, re.M) and re.search(r"^other +392 +0\.80\d$", told, re.M)
    assert main(["plan", "--difference", "0.1", "--json"]) == 0
    plans = json.loads(capsys.readouterr().out)["difference"]["plans"]
    paired = {p["discordance"]: p["episodes"] for p in plans if p["paired"]}
    assert paired[0.2] == 168 == episodes_for_difference(0.1, discordance=0.2).n and list(paired.values()) == sorted(paired.values())


def test_the_sizes_of_a_suite_are_told_with_what_they_buy_without_sampling(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--suite", suite, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["suite"]
    assert (told["episodes"], told["unvaried"]) == (40 + 60 + 30 + 30 + 50, 100)
    assert [(r["task"], r["episodes"]) for r in told["tasks"]] == [("stack", 40), ("open_drawer", 60), ("all", 100)]
    assert told["tasks"][2]["width"] == pytest.approx(width_of(100))
    blank, shuffled = told["axes"]
    assert (blank["axis"], blank["pairs"], blank["twins"], shuffled["pairs"], shuffled["twins"]) == ("blank", 80, 80, 30, 30)
    assert blank["width"] == pytest.approx(width_of_difference(80, 0.2)) and shuffled["width"] > blank["width"]
    assert main(["plan", "--suite", suite]) == 0
    told = capsys.readouterr().out
    assert "varied: 210 episodes, 110 of them varied" in told and re.search(r"^all +100 +19\.2 +\d+\.\d$", told, re.M)
    assert main(["plan", "--suite", "smoke"]) == 0
    assert "axis" not in capsys.readouterr().out


def test_the_smallest_difference_that_a_suite_shows_is_seen_with_the_power_that_is_said() -> None:
    found = detectable_difference(100, 0.8, discordance=0.2)
    assert found is not None
    assert power_paired(100, found, 0.2) >= 0.8 > power_paired(100, found - 2e-4, 0.2)
    assert detectable_difference(10, 0.8, discordance=0.2) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "say what is planned: --width W, --difference D or --suite S"),
        (["--width", "10"], "the width is 10; it must lie between 0 and 1: 0.1 is from 5 points below to 5 points above"),
        (["--difference", "0.3", "--discordance", "0.1"], "a difference of 0.3 needs a discordance of at least that"),
        (["--suite", "smok"], "Did you mean smoke?"),
        (["--difference", "0.1", "--power", "80"], "the power is 80; it must lie between 0 and 1, e.g. 0.8"),
    ],
)
def test_a_wrong_command_line_is_answered_in_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *words]) == 2
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told
