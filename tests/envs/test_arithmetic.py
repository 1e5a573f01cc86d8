"""Equal actions give equal states on processors with and without AVX-512: the arithmetic is chosen before NumPy is loaded, and told."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from vlagym.benchmark.header import machine
from vlagym.envs import arithmetic

HAS_AVX2 = platform.machine() == "x86_64" and {"avx2", "fma"} <= arithmetic._flags()
needs_avx2 = pytest.mark.skipif(not HAS_AVX2, reason="this processor has no AVX2, and nothing is chosen for it")
VARIABLES = ("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES")
FIRSTS = """
import vlagym
from vlagym.benchmark.suite import digest_of
from vlagym.benchmark.suite_files import load_suite
print(digest_of([entry.sample(entry.first_seed) for entry in load_suite("humanoid_smoke").entries]))
"""


def said(code: str, **variables: str) -> str:
    env = {name: value for name, value in os.environ.items() if name not in VARIABLES} | variables
    done = subprocess.run([sys.executable, "-W", "error::ImportWarning", "-c", code], capture_output=True, text=True, check=True, env=env, timeout=300)
    return done.stdout.strip()


TOLD = "import vlagym; from vlagym.envs import arithmetic; print(arithmetic.told())"


@needs_avx2
def test_vlagym_that_is_imported_first_chooses_what_every_processor_with_avx2_has() -> None:
    assert said(TOLD) in ("OpenBLAS Haswell, NumPy X86_V3", "OpenBLAS Haswell, NumPy AVX2")


@needs_avx2
def test_what_somebody_has_chosen_stays() -> None:
    assert said(TOLD, OPENBLAS_CORETYPE="Nehalem", NPY_DISABLE_CPU_FEATURES="").startswith("OpenBLAS Nehalem, ")


@needs_avx2
def test_numpy_that_was_loaded_before_keeps_its_own_and_processes_that_are_started_do_not() -> None:
    own = "import numpy; import vlagym; from vlagym.envs import arithmetic; print(arithmetic.told())"
    run = f"subprocess.run([sys.executable, '-c', 'import numpy; {TOLD}'], capture_output=True, text=True)"
    assert said(f"import numpy, vlagym, subprocess, sys; print({run}.stdout)") == said(TOLD) and "unknown" not in said(own)


@needs_avx2
def test_the_episodes_of_humanoids_are_the_ones_that_were_pinned_whatever_the_processor_could_do() -> None:
    """Their cameras are turned by products of matrices, whose last bits are others with AVX-512."""
    pinned = tomllib.loads((Path(__file__).resolve().parent.parent / "golden" / "suites.toml").read_text(encoding="utf-8"))
    assert said(FIRSTS) == pinned["humanoid_smoke"]["firsts"]


def test_without_avx2_nothing_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("flags\t\t: fpu sse2 avx\n")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(arithmetic, "_CPUINFO", info)
    arithmetic.settle()
    monkeypatch.setattr(arithmetic, "_CPUINFO", tmp_path / "nowhere")
    arithmetic.settle()
    assert not set(VARIABLES) & set(os.environ)


@pytest.mark.parametrize(
    ("version", "first", "last"),
    [
        ((1, 26), "AVX512F", "AVX512_ICL"),
        ((2, 2), "AVX512F", "AVX512_ICL"),
        ((2, 3), "AVX512F", "AVX512_SPR"),
        ((2, 4), "X86_V4", "AVX512_SPR"),
        ((3, 0), "X86_V4", "AVX512_SPR"),
    ],
)
def test_each_numpy_is_told_in_its_own_words(version: tuple[int, int], first: str, last: str) -> None:
    words = arithmetic._wide(version).split()
    assert (words[0], words[-1]) == (first, last)


def test_the_numpy_that_is_here_has_nothing_to_say_against_these_words() -> None:
    named = {**os.environ, "NPY_DISABLE_CPU_FEATURES": arithmetic._wide(arithmetic._numpy_version())}
    command = [sys.executable, "-W", "always", "-c", "import numpy"]
    done = subprocess.run(command, env=named, capture_output=True, text=True, timeout=60, check=True)
    assert "NPY_DISABLE_CPU_FEATURES" not in done.stderr


def test_the_header_of_a_run_tells_the_arithmetic() -> None:
    assert machine()["arithmetic"] == arithmetic.told() and arithmetic.told().startswith("OpenBLAS ")
