"""What a machine can do, tried for real: each probe runs in a process of its own, so that a GL library that crashes takes nothing with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from vlagym.benchmark import console
from vlagym.envs.errors import VlagymError

TIMEOUT_S = 120.0
"""A first frame takes 0.2 s warm; the robot's meshes are decimated once, in several seconds."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a function said that ran in a process of its own."""

    is_ok: bool
    text: str
    """Its answer, or the last line of what it complained about."""


def run(function: str, environment: Mapping[str, str]) -> Answer:
    """Runs a function of this file in a fresh interpreter: a GL library that crashes takes nothing with it.

    Args:
      function: Its name.
      environment: Variables that are added.
    """
    inherited = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    code = f"from vlagym.benchmark import probes; probes.{function}()"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], env={**inherited, **environment}, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Answer(is_ok=False, text=f"no answer within {TIMEOUT_S:.0f} s")
    answer = done.stdout.strip().splitlines()
    if done.returncode == 0 and answer:
        return Answer(is_ok=True, text=answer[-1])
    if done.returncode < 0:
        return Answer(is_ok=False, text=f"died of signal {-done.returncode}")
    complaints = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return Answer(is_ok=False, text=complaints[-1] if complaints else f"exit status {done.returncode} without a word")


def frame() -> None:
    """Renders a red box with the backend of MUJOCO_GL and says with which renderer."""
    import time

    import mujoco
    from OpenGL import GL

    xml = '<mujoco><worldbody><light pos="0 0 2"/><geom type="box" size=".2 .2 .2" rgba="1 0 0 1"/></worldbody></mujoco>'
    model = mujoco.MjModel.from_xml_string(xml)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    began_s = time.perf_counter()
    renderer = mujoco.Renderer(model, 64, 64)
    renderer.update_scene(data)
    image = renderer.render()
    spent_ms = 1e3 * (time.perf_counter() - began_s)
    if int(image[..., 0].max()) < 50 or int(image[..., 1].max()) > 50:
        raise SystemExit("it renders, but a red box does not come out red")
    console.answer(f"{GL.glGetString(GL.GL_RENDERER).decode()}, first frame after {spent_ms:.0f} ms")
    renderer.close()


def episode() -> None:
    """Samples an episode of the first task, starts it and looks once."""
    import time

    from vlagym.envs import catalog
    from vlagym.envs.sampling import sample
    from vlagym.envs.world import World

    task = catalog.names("task")[0]
    world = World()
    began_s = time.perf_counter()
    try:
        spec = sample(task, seed=0)
        world.start(spec)
        observation = world.observe()
    except VlagymError as error:
        raise SystemExit(str(error)) from error
    spent_s = time.perf_counter() - began_s
    cameras = ", ".join(f"{name} {image.shape[1]}x{image.shape[0]}" for name, image in observation.images.items())
    console.answer(f"{task} on {spec.robot}, {cameras}, after {spent_s:.1f} s")
    world.close()


def policy() -> None:
    """Loads the policy that ships with vlagym."""
    import time

    from vlagym.policies.loading import load_policy

    began_s = time.perf_counter()
    try:
        loaded = load_policy("minivla")
    except VlagymError as error:
        raise SystemExit(str(error)) from error
    loaded.close()

    import torch

    gpu = f"CUDA: {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "no CUDA, a CPU is enough"
    console.answer(f"loaded after {time.perf_counter() - began_s:.1f} s, {gpu}")
