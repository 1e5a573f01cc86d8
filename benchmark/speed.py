"""How fast the environment is, and where each millisecond goes, beside bare MuJoCo calls on the same compiled model in the same run."""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.executor import one_thread_each
from vlagym.envs import catalog
from vlagym.envs.errors import BadSpec, VlagymError
from vlagym.envs.robot import Robot
from vlagym.envs.types import Base, EpisodeSpec, stream

FIRST_SEED = 950_000
"""Seeds that neither a suite nor a demonstration has."""

PHYSICS = ("mj_step",)
RENDER = ("mjv_updateScene", "mjr_setBuffer", "mjr_render", "mjr_readPixels")
"""MuJoCo calls that count as physics and as rendering, wherever in the environment they are made."""

_START_TIMEOUT_S = 300.0


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """What is measured."""

    robot: str = "panda"
    base: str = "default"
    """What carries it; default: the first base of each task that it has."""
    tasks: tuple[str, ...] = ()
    """Empty: all that it does on that base."""
    cameras: tuple[str, ...] | None = None
    """None: front and wrist, with two hands head and both wrists, as far as the robot has them."""
    size: int | None = None
    """Side of the square images in pixels; None: 256, with two hands 224, which is what policies for them read."""
    quality: str = "fast"
    look: str = "auto"
    steps: int = 60
    """Control steps of each episode that are timed."""
    repeats: int = 5

    @property
    def body(self) -> Robot:
        """The robot. Raises UnknownName if there is none of that name."""
        catalog.known("robot", self.robot)
        found: Robot = catalog.load("robot", self.robot)
        return found

    @property
    def views(self) -> tuple[str, ...]:
        """The cameras."""
        if self.cameras is not None:
            return self.cameras
        robot = self.body
        mounted = {camera.name for camera in robot.cameras}
        return tuple(name for name in BODY_CAMERAS if name in mounted) if robot.has_two_hands else ARM_CAMERAS

    @property
    def side_px(self) -> int:
        """Side of the images in pixels."""
        if self.size is not None:
            return self.size
        return BODY_SIZE if self.body.has_two_hands else ARM_SIZE

    def chosen(self) -> list[str]:
        """Returns the tasks that are played.

        Raises:
          UnknownName: If there is no such task, robot or base.
          BadSpec: If the robot cannot do a task, or the task does not run on the base.
        """
        from vlagym.envs.sampling import base_for, check_body

        robot = self.body
        for task in self.tasks:
            catalog.known("task", task)
            check_body(task, catalog.load("task", task), self.robot)
            base_for(task, catalog.load("task", task), robot, self.base)
        if self.tasks:
            return list(self.tasks)
        catalog.require([*get_args(Base), "default"], self.base, "base")
        there = [name for name in catalog.names("task") if self.robot in catalog.load("task", name).robots]
        found = [name for name in there if self.base in ("default", *catalog.load("task", name).bases)]
        if not found or (self.base != "default" and self.base not in robot.bases):
            raise BadSpec(f"{self.robot!r} does no task on base {self.base!r}; it has: {', '.join(robot.bases)}")
        return found


ARM_CAMERAS, ARM_SIZE = ("front", "wrist"), 256
BODY_CAMERAS, BODY_SIZE = ("head", "left_wrist", "right_wrist"), 224


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A number that was measured several times."""

    median: float
    low: float
    """The smallest."""
    high: float
    """The largest."""

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        return Spread(median=float(np.median(values)), low=float(min(values)), high=float(max(values)))


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Milliseconds of a control step with its images, each the spread over the repeats."""

    environment_ms: Spread
    """`World.advance` and `World.observe`, untouched."""
    physics_ms: Spread
    """mj_step, inside of the environment."""
    ik_ms: Spread
    """From the action to joint targets."""
    balance_ms: Spread
    """What keeps a robot on its legs; 0 with another base."""
    render_ms: Spread
    """Scene update, drawing and reading the pixels, inside of the environment."""
    overhead_ms: Spread
    """What is left of the environment's time."""
    bare_ms: Spread
    """The same control inputs and cameras on the same model, with MuJoCo calls alone."""
    overhead_above_bare: Spread
    """environment / bare - 1, of neighbouring measurements."""
    reset_ms: Spread
    """From a spec to the first observation, once warm."""
    episodes: int
    renderer: str | None
    """What the GL driver calls itself."""


class Workload(NamedTuple):
    """An episode to be timed, and the actions that are played in it."""

    spec: EpisodeSpec
    actions: NDArray[np.float32]
    """(T, D)"""


class _Pass(NamedTuple):
    """One way through a workload."""

    total_s: float
    parts_s: Mapping[str, float]
    """physics, ik, balance and render; empty where nothing was taken apart."""
    state: NDArray[np.float64]
    """The physics state at its end."""


def workloads(options: BenchOptions) -> list[Workload]:
    """Returns one episode of each task, with smooth motions around the start posture that close and open the hands.

    Raises:
      UnknownName, BadSpec: As `BenchOptions.chosen`, and if there is no such camera.
    """
    from vlagym.envs.sampling import sample

    found = []
    for index, task in enumerate(options.chosen()):
        spec = with_cameras(sample(task, seed=FIRST_SEED + index, robot=options.robot, base=options.base), options)
        rng = stream(spec.seed, "bench", task)
        waves = rng.uniform(0.05, 0.2, (2, spec.control.size))
        at = np.arange(options.steps)[:, None] / spec.control.rate_hz
        low, high = spec.control.low, spec.control.high
        actions = (low + high) / 2 + 0.3 * (high - low) / 2 * np.sin(2 * np.pi * (4 * waves[0] * at + waves[1]))
        closing = np.repeat([c.convention == "gripper_closed_positive" for c in spec.control.components], [c.size for c in spec.control.components])
        actions[:, closing] = np.sign(actions[:, closing])
        found.append(Workload(spec, actions.astype(np.float32)))
    return found


def with_cameras(spec: EpisodeSpec, options: BenchOptions) -> EpisodeSpec:
    """Returns the episode with the wanted cameras only, in the wanted size.

    Raises:
      UnknownName: If it has no such camera.
    """
    import dataclasses

    there = {c.name: c for c in spec.scene.cameras}
    for name in options.views:
        catalog.require(sorted(there), name, "camera")
    cameras = tuple(dataclasses.replace(there[name], width=options.side_px, height=options.side_px) for name in options.views)
    return dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, cameras=cameras))


def measure(options: BenchOptions, advance: Callable[[], None] = lambda: None) -> Speed:
    """Measures in this process; the three ways through an episode take turns, so that a busy moment of the machine hits all of them.

    Args:
      options: What is measured.
      advance: Called after each pass.

    Raises:
      VlagymError: If the bare calls end in another state than the environment: then they did not do the same work.
    """
    from vlagym.envs.world import World

    episodes = workloads(options)
    world = World(quality=options.quality, look=options.look)
    bare = _Bare(options)
    timed: list[dict[str, float]] = []
    resets_ms: list[float] = []
    try:
        for work in episodes:  # warm: caches are read, the context is made, every mesh is uploaded once
            _reset(world, work)
            _through(world, work._replace(actions=work.actions[:3]))
        for repeat in range(options.repeats):
            sums = {"environment": 0.0, "bare": 0.0, "taken_apart": 0.0, "physics": 0.0, "ik": 0.0, "balance": 0.0, "render": 0.0}
            for index, work in enumerate(episodes):
                resets_ms.append(1e3 * _reset(world, work))
                bare.record(world)
                with _taken_apart(bare.record_ctrl) as parts_s:
                    apart = _through(world, work, parts_s)
                advance()

                def ours(work: Workload = work) -> _Pass:
                    resets_ms.append(1e3 * _reset(world, work))
                    return _through(world, work)

                if (repeat + index) % 2:
                    clean, plain = ours(), bare.through()
                else:
                    plain, clean = bare.through(), ours()
                advance()
                if not np.array_equal(clean.state, plain.state) or not np.array_equal(clean.state, apart.state):
                    raise VlagymError(f"the bare calls end {work.spec.task!r} in another state than the environment: the comparison would be void")
                sums["environment"] += clean.total_s
                sums["bare"] += plain.total_s
                sums["taken_apart"] += apart.total_s
                for part, spent_s in apart.parts_s.items():
                    sums[part] += spent_s
            timed.append(sums)
        renderer = world.gl_renderer()
    finally:
        bare.close()
        world.close()
    steps = options.steps * len(episodes)

    def per_step(value: Callable[[dict[str, float]], float]) -> Spread:
        return Spread.of([1e3 * value(t) / steps for t in timed])

    return Speed(
        environment_ms=per_step(lambda t: t["environment"]),
        physics_ms=per_step(lambda t: t["physics"]),
        ik_ms=per_step(lambda t: t["ik"]),
        balance_ms=per_step(lambda t: t["balance"]),
        render_ms=per_step(lambda t: t["render"]),
        overhead_ms=per_step(lambda t: t["taken_apart"] - t["physics"] - t["ik"] - t["balance"] - t["render"]),
        bare_ms=per_step(lambda t: t["bare"]),
        overhead_above_bare=Spread.of([t["environment"] / t["bare"] - 1.0 for t in timed]),
        reset_ms=Spread.of(resets_ms),
        episodes=len(episodes),
        renderer=renderer,
    )


def _reset(world: Any, work: Workload) -> float:
    """Starts the episode and looks once; returns the seconds it took."""
    began_s = time.perf_counter()
    world.start(work.spec)
    world.observe()
    return time.perf_counter() - began_s


def _through(world: Any, work: Workload, parts_s: Mapping[str, float] | None = None) -> _Pass:
    began_s = time.perf_counter()
    for action in work.actions:
        world.advance(action)
        world.observe()
    return _Pass(time.perf_counter() - began_s, dict(parts_s or {}), world.simulation.state())


@contextlib.contextmanager
def _taken_apart(see_ctrl: Callable[[Any], None]) -> Iterator[dict[str, float]]:
    """Times MuJoCo's calls and the controller while it lasts.

    Args:
      see_ctrl: Is shown the data before each physics step.
    """
    import mujoco

    from vlagym.envs.balance import Balance
    from vlagym.envs.body_control import BodyController
    from vlagym.envs.control import Controller

    spent_s = {"physics": 0.0, "ik": 0.0, "balance": 0.0, "render": 0.0}
    clock = time.perf_counter

    def timed(call: Callable[..., Any], part: str, is_step: bool = False) -> Callable[..., Any]:
        def timing(*args: Any, **kwargs: Any) -> Any:
            if is_step:
                see_ctrl(args[1])
            began_s = clock()
            try:
                return call(*args, **kwargs)
            finally:
                spent_s[part] += clock() - began_s

        return timing

    targets: list[tuple[Any, str, str]] = [(mujoco, name, "physics") for name in PHYSICS] + [(mujoco, name, "render") for name in RENDER]
    targets += [(Controller, "command", "ik"), (BodyController, "command", "ik"), (Balance, "update", "balance")]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in targets]
    try:
        for (owner, name, part), (_, _, call) in zip(targets, originals, strict=True):
            setattr(owner, name, timed(call, part, is_step=name in PHYSICS))
        yield spent_s
    finally:
        for owner, name, call in originals:
            setattr(owner, name, call)


class _Bare:
    """What an episode costs with MuJoCo alone: recorded control inputs, the same cameras, nothing returned."""

    def __init__(self, options: BenchOptions) -> None:
        self._options, self._side_px = options, options.side_px
        self._context: Any = None
        self._ctrl: list[NDArray[np.float64]] = []

    def record(self, world: Any) -> None:
        """Takes the model and the start state of the running episode, and forgets the control inputs of the one before."""
        self._model, self._state, self._spec = world.scene.model, world.simulation.state(), world.spec
        self._substeps = world.simulation.num_substeps
        self._ctrl = []

    def record_ctrl(self, data: Any) -> None:
        """Takes the control input of the next physics step."""
        self._ctrl.append(np.array(data.ctrl))

    def through(self) -> _Pass:
        """Plays the recorded episode and returns the time it took."""
        import mujoco

        from vlagym.envs.cameras import quality

        model, look = self._model, quality(self._options.quality)
        data = mujoco.MjData(model)
        mujoco.mj_setState(model, data, self._state, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(model, data)
        mujoco.mj_setState(model, data, self._state, mujoco.mjtState.mjSTATE_INTEGRATION)
        model.vis.quality.offsamples, model.vis.quality.shadowsize = look.samples, look.shadow_size
        model.vis.global_.offwidth = model.vis.global_.offheight = self._side_px
        self.close()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)  # in the GL context that the world has made current
        visual, option, view = mujoco.MjvScene(model, 400), mujoco.MjvOption(), mujoco.MjvCamera()
        visual.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = look.shadow_size > 0
        visual.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = look.reflection
        visual.flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = False
        view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        cameras = [model.camera(name).id for name in self._options.views]
        rectangle = mujoco.MjrRect(0, 0, self._side_px, self._side_px)
        pixels = np.empty((self._side_px, self._side_px, 3), np.uint8)

        def draw() -> None:
            mujoco.mj_kinematics(model, data)
            mujoco.mj_camlight(model, data)
            for camera in cameras:
                view.fixedcamid = camera
                mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
                mujoco.mjv_updateScene(model, data, option, None, view, mujoco.mjtCatBit.mjCAT_ALL, visual)
                mujoco.mjr_render(rectangle, visual, self._context)
                mujoco.mjr_readPixels(pixels, None, rectangle, self._context)

        draw()
        began_s = time.perf_counter()
        for begin in range(0, len(self._ctrl), self._substeps):
            for ctrl in self._ctrl[begin : begin + self._substeps]:
                data.ctrl[:] = ctrl
                mujoco.mj_step(model, data)
            draw()
        total_s = time.perf_counter() - began_s
        state = np.empty(mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION))
        mujoco.mj_getState(model, data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
        return _Pass(total_s, {}, state)

    def close(self) -> None:
        """Frees what lies in the renderer."""
        if self._context is not None:
            self._context.free()
            self._context = None


# ---------------------------------------------------------------------------------------------------------------- many processes
def rate_of(options: BenchOptions, processes: int, advance: Callable[[], None] = lambda: None) -> Spread:
    """Returns observations per second of several processes together, each with an environment of its own; resets are not counted.

    One process may use every core; of several each has one thread, as the workers of `vlagym run` do. They begin each episode at the same
    moment, and it counts until the last of them has ended it.

    Args:
      options: What is measured.
      processes: How many.
      advance: Called when they are done.

    Raises:
      VlagymError: If a process died before it had measured.
    """
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(processes), context.Queue()
    with one_thread_each() if processes > 1 else contextlib.nullcontext():
        crew = [context.Process(target=_work, args=(options, barrier, answers), daemon=True) for _ in range(processes)]
        for worker in crew:
            worker.start()
    try:
        spans_s = np.array([_answer(answers, crew) for _ in crew])
    finally:
        for worker in crew:
            worker.terminate()
            worker.join()
    advance()
    # (processes, repeats, episodes, begin and end) on the clock that processes share
    episode_s = spans_s[..., 1].max(axis=0) - spans_s[..., 0].min(axis=0)
    return Spread.of([processes * options.steps * len(spent) / spent.sum() for spent in episode_s])


def _answer(answers: Any, crew: Sequence[Any]) -> list[list[tuple[float, float]]]:
    """Returns what the next process has measured."""
    while True:
        with contextlib.suppress(queue.Empty):
            answer: list[list[tuple[float, float]]] = answers.get(timeout=0.5)
            return answer
        if dead := [w.exitcode for w in crew if w.exitcode not in (None, 0)]:
            raise VlagymError(f"a process of the benchmark ended with exit status {dead[0]} before it had measured; its own words stand above")


def _work(options: BenchOptions, barrier: Any, answers: Any) -> None:
    """Plays every episode as often as it is repeated, in a process of its own; answers with the begin and end of each."""
    from vlagym.envs.world import World

    world = World(quality=options.quality, look=options.look)
    episodes = workloads(options)
    for work in episodes:
        _reset(world, work)
    spans_s: list[list[tuple[float, float]]] = []
    for _ in range(options.repeats):
        spans_s.append([])
        for work in episodes:
            _reset(world, work)
            barrier.wait(_START_TIMEOUT_S)
            began_s = time.monotonic()
            _through(world, work)
            spans_s[-1].append((began_s, time.monotonic()))
    answers.put(spans_s)
    world.close()
