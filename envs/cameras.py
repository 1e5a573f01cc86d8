"""Cameras: the renderer's life cycle, quality profiles, and images that are uint8 HWC, RGB, row 0 on top."""

from __future__ import annotations

import atexit
import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.envs import backend
from vlagym.envs.errors import NoRenderer, UnknownName, unknown_name
from vlagym.envs.scene import SceneModel


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How much work a frame is worth."""

    samples: int
    """Of multi-sample antialiasing."""
    shadow_size: int
    """Pixels across the shadow map; 0: no shadows."""
    reflection: bool


QUALITIES = {
    "fast": Quality(samples=0, shadow_size=0, reflection=False),
    "medium": Quality(samples=4, shadow_size=1024, reflection=False),
    "high": Quality(samples=8, shadow_size=4096, reflection=True),
}

_BACKGROUND, _ROBOT, _ARENA, _FIRST_THING = 0, 1, 2, 3


def quality(name: str) -> Quality:
    """Returns a quality profile.

    Raises:
      UnknownName: With the known ones.
    """
    if name not in QUALITIES:
        raise unknown_name("quality", name, QUALITIES)
    return QUALITIES[name]


class Cameras:
    """Renders one world, episode after episode, in one GL context that the process shares.

    A context holds the uploaded meshes and textures of a model. Scenes of one robot, look and arena begin with the same ones, so another
    scene only uploads the meshes and textures behind those; anything else, and more of them than before, makes a new MjrContext.
    """

    def __init__(self, quality_name: str) -> None:
        self._quality = quality(quality_name)
        self._scene: SceneModel | None = None
        self._base: tuple[str, str, str] | None = None
        self._capacity = (0, 0)
        self._context: Any = None
        self._visual: Any = None
        self._option: Any = None
        self._size = (0, 0)
        self._pixels = np.empty((0, 0, 3), np.uint8)

    def show(self, scene: SceneModel) -> None:
        """Makes a compiled scene the one that is rendered. Cheap: uploads happen with the first frame."""
        self._scene = scene
        self._views: dict[str, Any] = {}
        self._loaded = False

    def render(self, data: Any, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Returns a fresh `(H, W, 3)` uint8 RGB image.

        Raises:
          UnknownName: If the scene has no such camera.
          NoRenderer: If the GL backend does not render here.
        """
        import mujoco

        self._draw(data, camera, width, height)
        if self._pixels.shape != (height, width, 3):
            self._pixels = np.empty((height, width, 3), np.uint8)
        mujoco.mjr_readPixels(self._pixels, None, mujoco.MjrRect(0, 0, width, height), self._context)
        return self._pixels[::-1].copy()

    def depth(self, data: Any, camera: str, width: int, height: int) -> NDArray[np.float32]:
        """Returns a fresh `(H, W)` float32 image of distances along the viewing axis in m; the far plane where nothing is."""
        import mujoco

        self._draw(data, camera, width, height)
        image = np.empty((height, width), np.float32)
        mujoco.mjr_readPixels(None, image, mujoco.MjrRect(0, 0, width, height), self._context)
        model = self._require_scene().model
        near, far = (float(v) * float(model.stat.extent) for v in (model.vis.map.znear, model.vis.map.zfar))
        # MuJoCo's depth buffer is reversed nowhere on mjr_readPixels: 0 at the near plane, 1 at the far plane.
        return (near / (1.0 - image[::-1] * (1.0 - near / far))).astype(np.float32)

    def segmentation(self, data: Any, camera: str, width: int, height: int) -> NDArray[np.int32]:
        """Returns a fresh `(H, W)` int32 image: 0 background, 1 robot, 2 arena, then fixtures and props in the order of the spec."""
        import mujoco

        self._draw(data, camera, width, height, segment=True)
        image = np.empty((height, width, 3), np.uint8)
        mujoco.mjr_readPixels(image, None, mujoco.MjrRect(0, 0, width, height), self._context)
        code = image.astype(np.int64) @ np.array([1, 256, 65536])
        label = np.zeros(int(self._visual.ngeom) + 1, np.int32)
        scene = self._require_scene()
        for i in range(self._visual.ngeom):
            geom = self._visual.geoms[i]
            if geom.objtype == mujoco.mjtObj.mjOBJ_GEOM and geom.segid >= 0:
                label[geom.segid + 1] = self._label(scene, int(scene.geom_party[geom.objid]))
        return np.ascontiguousarray(label[code][::-1])

    def close(self) -> None:
        """Frees what lies on the GPU or in the software renderer."""
        if self._context is not None and _gl_is_alive():
            _gl_context(os.getpid()).make_current()
            self._context.free()
        self._context = None
        self._scene = None

    @staticmethod
    def _label(scene: SceneModel, party: int) -> int:
        if party < scene.num_robot:
            return _ROBOT
        if party < scene.num_robot + scene.num_arena:
            return _ARENA
        return _FIRST_THING + party - scene.num_robot - scene.num_arena

    def _require_scene(self) -> SceneModel:
        if self._scene is None:
            raise UnknownName("no scene is shown yet; reset the environment first")
        return self._scene

    def _draw(self, data: Any, camera: str, width: int, height: int, segment: bool = False) -> None:
        import mujoco

        scene = self._require_scene()
        if camera not in scene.cameras:
            raise unknown_name("camera", camera, scene.cameras)
        self._prepare(scene, width, height)
        flags = self._visual.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = self._quality.shadow_size > 0 and not segment
        flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = self._quality.reflection and not segment
        flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = False
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = segment
        flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = segment
        view = self._views.get(camera)
        if view is None:
            view = self._views[camera] = mujoco.MjvCamera()
            view.type, view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, scene.model.camera(camera).id
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        mujoco.mjv_updateScene(scene.model, data, self._option, None, view, mujoco.mjtCatBit.mjCAT_ALL, self._visual)
        mujoco.mjr_render(mujoco.MjrRect(0, 0, width, height), self._visual, self._context)

    def _prepare(self, scene: SceneModel, width: int, height: int) -> None:
        import mujoco

        _gl_context(os.getpid()).make_current()
        larger = width > self._size[0] or height > self._size[1]
        if self._loaded and not larger:
            return
        model = scene.model
        if self._context is None or larger or scene.base_key != self._base or not self._fits(model):
            if self._context is not None:
                self._context.free()
            self._size = (max(width, self._size[0]), max(height, self._size[1]))
            model.vis.global_.offwidth, model.vis.global_.offheight = self._size
            model.vis.quality.offsamples = self._quality.samples
            model.vis.quality.shadowsize = self._quality.shadow_size
            try:
                self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)
            except mujoco.FatalError as error:
                raise backend.no_renderer(str(error)) from error
            self._base, self._capacity = scene.base_key, (model.nmesh, model.ntex)
            self._visual = mujoco.MjvScene(model, 1200)
            self._option = mujoco.MjvOption()
        else:
            for mesh in range(scene.num_base_meshes, model.nmesh):
                mujoco.mjr_uploadMesh(model, self._context, mesh)
            for image in range(scene.num_base_textures, model.ntex):
                mujoco.mjr_uploadTexture(model, self._context, image)
            # Which texture a material shows is copied when a context is made, and by none of the uploads.
            for name in ("mat_texid", "mat_texuniform", "mat_texrepeat"):
                values = getattr(model, name).ravel()
                getattr(self._context, name)[: len(values)] = values
        self._loaded = True

    def _fits(self, model: Any) -> bool:
        """Tells whether the context has a slot for each mesh and texture of a model."""
        return bool(model.nmesh <= self._capacity[0] and model.ntex <= self._capacity[1])


@functools.lru_cache(maxsize=2)
def _gl_context(pid: int) -> Any:
    """Returns the GL context of this process."""
    if _gl_context.cache_info().currsize:
        # Drivers do not survive a fork: without this, the first frame would hang.
        raise NoRenderer(
            "this process was forked from one that had rendered already, and GL does not survive that; start workers with the context 'spawn', "
            "which asynchronous vector environments take as vector_kwargs={'context': 'spawn'}"
        )
    context = backend.make_context(64, 64)
    atexit.register(_free, context, pid)
    return context


def make_current() -> None:
    """Makes the GL context of this process current, for those who render without a `Cameras`.

    Raises:
      NoRenderer: If the GL backend does not render here, or the process was forked from one that had rendered.
    """
    _gl_context(os.getpid()).make_current()


def release() -> None:
    """Lets another thread of this process render: the GL context belongs to the thread that rendered last. Whoever renders next takes it."""
    if not _gl_is_alive():
        return
    name = backend.wanted()
    if name == "egl":
        from mujoco.egl import EGL_DISPLAY
        from OpenGL import EGL

        EGL.eglBindAPI(EGL.EGL_OPENGL_API)  # of this thread; what is released is the context of that
        EGL.eglMakeCurrent(EGL_DISPLAY, EGL.EGL_NO_SURFACE, EGL.EGL_NO_SURFACE, EGL.EGL_NO_CONTEXT)
    elif name == "osmesa":
        from OpenGL import GL, osmesa

        osmesa.OSMesaMakeCurrent(None, None, GL.GL_FLOAT, 0, 0)
    elif name == "glfw":
        import glfw

        none: Any = None  # its types know nothing of it
        glfw.make_context_current(none)


def _gl_is_alive() -> bool:
    return _gl_context.cache_info().currsize > 0


def _free(context: Any, pid: int) -> None:
    """Frees the GL context at exit. A forked process leaves it alone, for it is not its own."""
    if pid != os.getpid():
        return
    _gl_context.cache_clear()
    if _display_has_ended():
        context._context = None  # went with the display; else freeing it would raise, here and again when the object is collected
    else:
        context.free()


def _display_has_ended() -> bool:
    """Returns whether somebody has ended the EGL display, which is one for all of a process.

    dm_control's renderer does so at exit if it was imported, and before us if that was after our first frame.
    """
    if backend.wanted() != "egl":
        return False
    from mujoco import egl
    from OpenGL import EGL
    from OpenGL.error import GLError

    try:
        return not EGL.eglQueryString(egl.EGL_DISPLAY, EGL.EGL_VENDOR)
    except GLError as error:
        return bool(error.err == EGL.EGL_NOT_INITIALIZED)


def gl_renderer() -> str | None:
    """Returns what the GL driver calls itself, e.g. "llvmpipe (LLVM 15.0.6, 256 bits)"; None with a backend that cannot be asked.

    Raises:
      NoRenderer: If the GL backend does not render here.
    """
    _gl_context(os.getpid()).make_current()
    from OpenGL import GL

    name = GL.glGetString(GL.GL_RENDERER)
    return name.decode() if name else None


def contact_sheet(images: Sequence[NDArray[np.uint8]], columns: int, gap: int = 4) -> NDArray[np.uint8]:
    """Returns images side by side in rows on white, each in the upper left corner of a field as large as the largest."""
    height, width = (max(image.shape[side] for image in images) for side in (0, 1))
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = divmod(i, columns)
        top, left = y * (height + gap), x * (width + gap)
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet
