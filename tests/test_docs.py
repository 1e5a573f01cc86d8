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
