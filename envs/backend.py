"""The GL backend: chosen once, before mujoco is imported, MUJOCO_GL respected."""

from __future__ import annotations

import ctypes.util
import os
import sys

from vlagym.envs.errors import NoRenderer

INSTALL_LINE = "apt-get install libegl1 libgl1-mesa-dri"
BACKENDS = ("egl", "osmesa", "glfw")


def choose() -> str:
    """Sets MUJOCO_GL where it is unset, and returns the backend's name: egl | osmesa | glfw | disabled.

    EGL is preferred on Linux, with or without a screen; then OSMesa; then GLFW where there is a screen. Does nothing else: whether the
    backend really renders is seen when it does, or by `vlagym doctor`.
    """
    wanted = os.environ.get("MUJOCO_GL", "").lower().strip()
    if wanted:
        return wanted
    if "mujoco" in sys.modules and hasattr(sys.modules["mujoco"], "gl_context"):
        return "chosen before"
    backend = _guess()
    os.environ["MUJOCO_GL"] = backend
    if backend in ("egl", "osmesa"):
        os.environ.setdefault("PYOPENGL_PLATFORM", backend)
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


def no_renderer(cause: str) -> NoRenderer:
    """Returns the error for a machine on which the chosen backend does not render."""
    backend = os.environ.get("MUJOCO_GL", "none")
    return NoRenderer(
        f"no frame could be rendered with the GL backend {backend!r} ({cause}). On Debian or Ubuntu: {INSTALL_LINE}. "
        "`vlagym doctor` tries every backend and says which ones work"
    )
