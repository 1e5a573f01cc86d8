"""What is shipped: the wheel holds what the checkout holds, is small, and type checks."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ("assets", "envs", "policies", "results", "benchmark")
MAX_WHEEL_BYTES = 30_000_000
SHIPPED = {".py", ".toml", ".json", ".safetensors", ".png", ".xml", ".typed", ".j2", ".css", ".js", ".svg", ".html"}
"""Endings of what the package reads when it is installed."""


PUBLISHED = ROOT / "results" / "published"
"""Runs that stand in the repository."""


def shipped_files() -> set[str]:
    """Returns what a wheel must hold, by the names of the checkout."""
    found = {p for floor in FLOORS for p in (ROOT / floor).rglob("*") if p.is_file() and p.suffix in SHIPPED}
    found = {p for p in found if PUBLISHED not in p.parents}  # for whoever reads the repository: no code looks for them
    return {p.relative_to(ROOT).as_posix() for p in found} | {"__init__.py", "py.typed"}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean copy of the checkout: a stale build folder must not help."""
    folder = tmp_path_factory.mktemp("copy")
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    for name in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def wheel(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of the clean copy."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(out.glob("vlagym-*.whl")))


def test_the_wheel_holds_every_file_that_the_checkout_reads(wheel: zipfile.ZipFile) -> None:
    names = {name.removeprefix("vlagym/") for name in wheel.namelist() if name.startswith("vlagym/")}
    assert names == shipped_files(), f"missing: {sorted(shipped_files() - names)}; too many: {sorted(names - shipped_files())}"


def test_the_wheel_is_small(wheel: zipfile.ZipFile) -> None:
    assert Path(str(wheel.filename)).stat().st_size < MAX_WHEEL_BYTES


def test_the_wheel_carries_licence_entry_points_and_what_it_needs(wheel: zipfile.ZipFile) -> None:
    info = next(name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name)
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert re.search(r"^Requires-Dist: mujoco<4,>=3\.17$", metadata, re.M), "a score depends on mujoco: its version is bounded"
    assert any(name.endswith("/LICENSE") for name in wheel.namelist())
    entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    assert "vlagym = vlagym.benchmark.cli:main" in entry_points and "vlagym = vlagym.envs.gym:register" in entry_points


def test_the_wheel_works_without_the_checkout(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    code = """
import sys, vlagym
from vlagym.benchmark import cli
from vlagym.envs.sampling import sample
from vlagym.envs.world import World
print(vlagym.__file__)
World(render=False).start(sample("stack", seed=0))
sys.exit(cli.main(["list", "objects"]))
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path)) and "block_red" in done.stdout


def test_the_source_distribution_holds_what_the_wheel_is_made_of(wheel: zipfile.ZipFile, copy: Path, tmp_path: Path) -> None:
    code = f"from setuptools import build_meta; print(build_meta.build_sdist({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=copy, capture_output=True, text=True, timeout=300, check=True)
    with tarfile.open(next(tmp_path.glob("vlagym-*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert shipped_files() <= names, f"missing: {sorted(shipped_files() - names)}"
    assert {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "setup.cfg", "pyproject.toml", "tests/test_packaging.py"} <= names


def test_the_quick_start_has_two_blocks_that_run_as_they_stand() -> None:
    section = re.search(r"^## Quick start\s*$(.*?)(?=^## |\Z)", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    assert section is not None
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", section[1], re.M | re.S)
    assert [language for language, _ in blocks] == ["bash", "bash"]
    assert "pip install -e ." in blocks[0][1] and "vlagym run --policy minivla --suite smoke" in blocks[0][1]
    assert "pip install -e '.[test]'" in blocks[1][1] and "pytest" in blocks[1][1]


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    broken = [link for link in links if not link.startswith("http") and not (ROOT / link).exists()]
    assert not broken


SHARED = ("vlagym.envs.types", "vlagym.envs.errors", "vlagym.envs.catalog", "vlagym.policies.base", "vlagym.benchmark.metric")
"""What every floor is written against."""


def type_check(*words: str) -> None:
    link = ROOT / ".typing" / "vlagym"  # type checkers cannot follow a mapped editable install
    link.parent.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):  # an earlier run, or the test next door
        link.symlink_to("..")
    command = [sys.executable, "-m", "mypy", "--cache-dir", os.devnull, *words]  # several runs on one cache spoil it
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


def test_what_every_floor_is_written_against_type_checks() -> None:
    """Checked by itself in two seconds: what comes from another file counts as anything there."""
    type_check("--follow-imports=skip", "--no-warn-return-any", "--allow-subclassing-any", *(word for name in SHARED for word in ("-m", name)))


@pytest.mark.slow
def test_the_whole_package_type_checks() -> None:
    type_check("-p", "vlagym")
