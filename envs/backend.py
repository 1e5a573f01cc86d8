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
_OFF = ("none", "disable", "disabled", "off", "false", "0")
_UNSAID = ("", "enable", "enabled", "on", "true", "1")
"""Words of MuJoCo's that name no backend."""


def choose() -> str:
    """Chooses the GL backend and imports mujoco with it; to be called before anything else imports mujoco, which settles it for the process.

    EGL is preferred on Linux, with or without a screen; then OSMesa; then GLFW. Whether the backend really renders is seen when it does, or
    by `vlagym doctor`. Frames are drawn with this backend even where mujoco was imported before and settled on another one.

    Returns:
      egl | osmesa | glfw, or "disable" where MUJOCO_GL says that nothing is rendered. MUJOCO_GL is set to it.

    Raises:
      NoRenderer: If MUJOCO_GL names no backend, or one whose library is not there: mujoco cannot be imported then, even where nothing is rendered.
    """
    backend = wanted()
    os.environ["MUJOCO_GL"] = backend
    if "mujoco" not in sys.modules:
        try:
            importlib.import_module("mujoco")
        except Exception as error:  # whatever a GL loader raises: ImportError, AttributeError, OSError …
            if isinstance(error, ModuleNotFoundError) and error.name == "mujoco":
                raise
            raise no_renderer(f"mujoco does not import with it: {type(error).__name__}: {error}") from error
    return backend


def wanted() -> str:
    """Returns the backend that MUJOCO_GL names, or the one that this machine probably has. Imports and changes nothing.

    Raises:
      NoRenderer: If MUJOCO_GL names no backend.
    """
    word = os.environ.get("MUJOCO_GL", "").lower().strip()
    if word in _UNSAID:
        return _guess()
    if word in _OFF:
        return "disable"
    if word not in BACKENDS:
        raise no_renderer(f"MUJOCO_GL must be one of {', '.join(BACKENDS)}, or none where nothing is rendered")
    return word


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
        raise no_renderer(f"MUJOCO_GL says that nothing is rendered; let it be one of {', '.join(BACKENDS)}, or unset it")
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
