"""What docs/ shows is there and works: its pictures, its commands, its example of an arena."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from vlagym import assets
from vlagym.envs import catalog, split
from vlagym.envs.arenas import read_arena

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
COMMANDS = sorted({line.strip() for page in PAGES for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("vlagym ")})
_PICTURE_BYTES_MAX = 600_000


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.name)
def test_every_picture_exists_and_is_small(page: Path) -> None:
    for picture in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        assert 1000 < (page.parent / picture).stat().st_size < _PICTURE_BYTES_MAX, picture


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_pages_exists_with_its_options(line: str) -> None:
    verb, *words = shlex.split(line)[1:]
    assert verb in catalog.names("command")
    done = subprocess.run([sys.executable, "-m", "vlagym.benchmark.cli", verb, "--help"], capture_output=True, text=True, timeout=60, check=True)
    assert {w for w in words if w.startswith("--")} <= set(re.findall(r"--[a-z-]+", done.stdout))


def test_the_arena_that_the_page_adds_can_be_read(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "tabletop.md").read_text(encoding="utf-8")
    example = next(block for block in re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S) if block.startswith("about"))
    studio = assets.path("arenas/studio.toml").read_text(encoding="utf-8")
    path = tmp_path / "bench.toml"
    path.write_text(example + "\n" + studio[studio.index("[[light]]") :], encoding="utf-8")
    assert read_arena(path).table.texture == "oak"


def test_the_page_draws_the_layout_that_is_used_and_names_the_arenas_that_are_kept() -> None:
    page = (ROOT / "docs" / "tabletop.md").read_text(encoding="utf-8")
    drawn = next(block for block in re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S) if block.startswith("[layout]"))
    assert tomllib.loads(drawn)["layout"]["cells"] == list(split.rules().layout.cells)
    assert f"| {', '.join(split.arenas_of('unseen'))} |" in page


FAMILIES = (
    *("OpenVLA", "OpenVLA-OFT", "Octo", "π0", "π0.5", "RT-1", "RT-1-X", "RT-2", "RT-X", "BC-Z", "GR-2", "PaLM-E", "Instruct2Act", "Mobile ALOHA"),
    *("GPT-4V-style", "SmolVLA", "GR00T"),
)


def test_the_table_of_models_has_every_family_and_names_tests_commands_and_profiles_that_exist() -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in page.splitlines() if line.startswith("| ")][2:]
    assert {len(row) for row in rows} == {6}
    families = [name.strip() for row in rows for name in row[0].split(",")]
    assert [f for f in FAMILIES if not any(f in name for name in families)] == []
    assert [path for path in re.findall(r"tests/[\w/]+\.py", page) if not (ROOT / path).is_file()] == []
    commands = [command for row in rows for command in re.findall(r"`(vlagym [^`]+)`", row[3])]
    assert len(commands) > 15
    known: dict[str, set[str]] = {}
    for verb, *words in (shlex.split(command)[1:] for command in commands):
        if verb not in known:
            run = [sys.executable, "-m", "vlagym.benchmark.cli", verb, "--help"]
            told = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True).stdout
            known[verb] = set(re.findall(r"--[a-z-]+", told))
        assert {w for w in words if w.startswith("--")} <= known[verb]
        after = dict(zip(words, words[1:], strict=False))
        for option, folder in (("--suite", "suites"), ("--rig", "rigs")):
            assert option not in after or (ROOT / "benchmark" / folder / f"{after[option]}.toml").is_file()
        assert after.get("--robot", "panda") in catalog.names("robot")
        profiles = [word.removeprefix("profile=") for word in words if word.startswith("profile=")]
        assert all(name == "mine.toml" or (ROOT / "policies" / "profiles" / f"{name}.toml").is_file() for name in profiles)
        assert "--policy" not in after or after["--policy"].partition(":")[0] in catalog.names("policy")
