"""The GL backend is chosen once, and a word or a library that does not exist is told in one line."""

from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys

import pytest

from vlagym.envs import backend
from vlagym.envs.errors import NoRenderer


def vlagym(gl: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYOPENGL_PLATFORM"} | {"MUJOCO_GL": gl}
    command = [sys.executable, "-m", "vlagym.benchmark.cli", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(("word", "chosen"), [("EGL", "egl"), (" osmesa ", "osmesa"), ("none", "disable"), ("off", "disable")])
def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, word: str, chosen: str) -> None:
    monkeypatch.setenv("MUJOCO_GL", word)
    assert backend.wanted() == chosen


@pytest.mark.parametrize("word", ["", "on", None])
def test_where_it_says_nothing_one_is_guessed(monkeypatch: pytest.MonkeyPatch, word: str | None) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    if word is not None:
        monkeypatch.setenv("MUJOCO_GL", word)
    assert backend.wanted() in backend.BACKENDS


def test_a_word_that_names_no_backend_is_refused_in_one_line() -> None:
    done = vlagym("foo", "show", "open_drawer")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "with the GL backend 'foo' (MUJOCO_GL must be one of egl, osmesa, glfw, or none where nothing is rendered)" in done.stderr


@pytest.mark.skipif(ctypes.util.find_library("OSMesa") is not None, reason="OSMesa is installed here")
def test_a_backend_whose_library_is_missing_is_refused_in_one_line() -> None:
    done = vlagym("osmesa", "show", "open_drawer")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "with the GL backend 'osmesa' (mujoco does not import with it: " in done.stderr and "vlagym doctor" in done.stderr


def test_without_a_renderer_everything_works_that_renders_nothing() -> None:
    done = vlagym("none", "show", "open_drawer")
    assert done.returncode == 0 and done.stdout.startswith("open_drawer, seed 0")


def test_what_renders_is_refused_where_rendering_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "none")
    with pytest.raises(NoRenderer, match="MUJOCO_GL says that nothing is rendered; let it be one of egl, osmesa, glfw, or unset it"):
        backend.make_context(8, 8)
