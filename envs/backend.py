"""The GL backend: chosen once, before mujoco is imported, MUJOCO_GL respected."""

from __future__ import annotations

import ctypes.util
import importlib
import os
import sys
from typing import Any

from vlagym.envs.errors import NoRenderer

INSTALL_LINE = "apt-get install libegl1 libgl1-mesa-dri"
BACKENDS = ("egl", "osmesa", "glfw")


def choose() -> str:
    """Returns the name of the GL backend: egl | osmesa | glfw, or what MUJOCO_GL says; sets MUJOCO_GL where it is unset.

    EGL is preferred on Linux, with or without a screen; then OSMesa; then GLFW. Whether the backend really renders is seen when it does, or
    by `vlagym doctor`. Frames are drawn with this backend even where mujoco was imported before and settled on another one.
    """
    wanted = os.environ.get("MUJOCO_GL", "").lower().strip()
    if wanted:
        return wanted
    backend = _guess()
    os.environ["MUJOCO_GL"] = backend
    return backend


def _guess() -> str:
    if sys.platform != "linux":
        return "glfw"
    if ctypes.util.find_library("EGL"):
        return "egl"
    if ctypes.util.find_library("OSMesa"):
        return "osmesa"
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return "glfw"
    return "egl"


def make_context(width: int, height: int) -> Any:
    """Returns a GL context of the chosen backend, made current.

    Raises:
      NoRenderer: If the backend is unknown, switched off, or does not work here.
    """
    name = choose()
    if name not in BACKENDS:
        raise no_renderer(f"MUJOCO_GL must be one of {', '.join(BACKENDS)}")
    try:
        context = importlib.import_module(f"mujoco.{name}").GLContext(width, height)
        context.make_current()
    except Exception as error:  # whatever a GL loader raises: ImportError, RuntimeError, EGLError, AttributeError …
        raise no_renderer(f"{type(error).__name__}: {error}") from error
    return context


def no_renderer(cause: str) -> NoRenderer:
    """Returns the error for a machine on which the chosen backend does not render."""
    backend = os.environ.get("MUJOCO_GL", "none")
    return NoRenderer(
        f"no frame could be rendered with the GL backend {backend!r} ({cause}). On Debian or Ubuntu: {INSTALL_LINE}. "
        "`vlagym doctor` tries every backend and says which ones work"
    )
