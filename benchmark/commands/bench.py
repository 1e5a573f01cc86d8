"""Measures observations per second of the environment and where each millisecond goes, beside bare MuJoCo calls in the same run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vlagym.benchmark import console
from vlagym.envs import backend

if TYPE_CHECKING:
    from vlagym.benchmark import speed

_NAMED = ("python", "vlagym", "mujoco", "numpy")
"""Packages on which the time depends."""


def main(args: Sequence[str]) -> int:
    """Prints the split of a control step, the comparison with bare calls, and the rate for each number of processes."""
    parser = console.parser(
        prog="vlagym bench",
        description="Measures observations per second of the environment, split into physics, inverse kinematics, rendering and the rest, "
        "beside bare mj_step and render calls on the same compiled model; they take turns in one run. "
        "Numbers are medians over the repeats, with the smallest and the largest.",
        example="vlagym bench\nvlagym bench --robot g1 --base legs\nvlagym bench --processes 1 2 --repeats 7 --json\n"
        "vlagym bench --demos lerobot_v3 hdf5 --repeats 10",
    )
    parser.add_argument("--processes", type=int, nargs="+", default=[1], metavar="N", help="numbers of processes whose common rate is measured")
    parser.add_argument(
        "--demos", nargs="+", metavar="FORMAT", help="measures instead what demonstrations cost in these formats; --task is then place_on by default"
    )
    parser.add_argument("--robot", default="panda", metavar="R", help="panda by default")
    parser.add_argument("--base", default="default", metavar="B", help="what carries it: fixed, planar or legs; default: as in each task")
    parser.add_argument("--task", action="append", default=[], metavar="T", help="one episode of each is played; default: all that the robot does")
    parser.add_argument("--cameras", nargs="+", metavar="CAMERA", help="default: front wrist, with two hands head left_wrist right_wrist")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="side of the images; default: 256, with two hands 224")
    parser.add_argument("--quality", default="fast", help="fast (default), medium or high")
    parser.add_argument("--look", default="auto", help="look of the robot")
    parser.add_argument("--steps", type=int, default=60, help="control steps of each episode, 60 by default")
    parser.add_argument("--repeats", type=int, default=5, help="of each episode, with --demos episodes of each task; 5 by default")
    parser.add_argument("--json", action="store_true", help="prints everything that was measured")
    options = parser.parse_args(args)
    if min(options.steps, options.repeats, 1 if options.size is None else options.size, *options.processes) < 1:
        parser.error("--steps, --repeats, --size and --processes are 1 or more")
    backend.choose()

    from vlagym.benchmark import speed

    what = speed.BenchOptions(
        robot=options.robot,
        base=options.base,
        tasks=tuple(dict.fromkeys(options.task)),
        cameras=tuple(options.cameras) if options.cameras else None,
        size=options.size,
        quality=options.quality,
        look=options.look,
        steps=options.steps,
        repeats=options.repeats,
    )
    if options.demos:
        return _demos(what, options.demos, as_json=options.json)
    passes = 2 * options.repeats * len(what.chosen()) + len(options.processes)
    with console.Progress(passes, "bench", unit="pass") as progress:
        found = speed.measure(what, progress.advance)
        rates = {n: speed.rate_of(what, n, progress.advance) for n in options.processes}
    machine = _machine(renderer=found.renderer or "unknown")
    if options.json:
        resolved = {**dataclasses.asdict(what), "tasks": what.chosen(), "cameras": what.views, "size": what.side_px}
        report = {"machine": machine, "options": resolved, "step": dataclasses.asdict(found)}
        console.answer(json.dumps({**report, "observations_per_s": {n: dataclasses.asdict(rate) for n, rate in rates.items()}}, indent=2))
        return 0
    console.answer(", ".join(f"{key} {value}" for key, value in machine.items()))
    pictures = f"{', '.join(what.views)} at {what.side_px}x{what.side_px}, {what.quality}"
    body = what.robot if what.base == "default" else f"{what.robot} ({what.base})"
    console.answer(f"{body}: {found.episodes} episodes x {what.steps} steps x {what.repeats} repeats; {pictures}\n")
    total_ms = found.environment_ms.median
    parts = {"physics": found.physics_ms, "inverse kinematics": found.ik_ms, "balance": found.balance_ms, "rendering": found.render_ms}
    parts["the rest"] = found.overhead_ms
    rows = [[name, *_spread(part, 3), f"{100 * part.median / total_ms:.1f} %"] for name, part in parts.items()]
    rows += [["environment", *_spread(found.environment_ms, 3), ""], ["bare MuJoCo calls", *_spread(found.bare_ms, 3), ""]]
    console.answer(console.table(rows, ["ms a step", "median", "min", "max", "share"]))
    above = found.overhead_above_bare
    console.answer(f"\noverhead above bare calls: {100 * above.median:.1f} % [{100 * above.low:.1f}, {100 * above.high:.1f}]")
    console.answer(f"reset to first observation: {found.reset_ms.median:.0f} ms [{found.reset_ms.low:.0f}, {found.reset_ms.high:.0f}]\n")
    console.answer(console.table([[n, *_spread(rate, 1)] for n, rate in rates.items()], ["processes", "observations a second", "min", "max"]))
    return 0


def _demos(what: speed.BenchOptions, names: Sequence[str], *, as_json: bool) -> int:
    """Prints what demonstrations cost, format by format."""
    from vlagym.benchmark import demo_speed

    chosen = demo_speed.formats(names)
    tasks = what.tasks or (demo_speed.TASK,)
    with console.Progress(len(chosen) * len(tasks) * (what.repeats + 1), "bench", unit="ep") as progress:
        found = [demo_speed.measure(name, what, progress.advance) for name in chosen]
    machine = _machine()
    if as_json:
        resolved = {**dataclasses.asdict(what), "tasks": tasks, "cameras": what.views, "size": what.side_px}
        rows = {f.format: {**dataclasses.asdict(f), "share_of_writing": f.share_of_writing, "per_minute": f.episodes_per_minute} for f in found}
        console.answer(json.dumps({"machine": machine, "options": resolved, "demonstrations": rows}, indent=2))
        return 0
    console.answer(", ".join(f"{key} {value}" for key, value in machine.items()))
    pictures = f"{', '.join(what.views)} at {what.side_px}x{what.side_px}, {what.quality}"
    console.answer(f"{what.robot}, {', '.join(tasks)}: {found[0].episodes} episodes a format, {pictures}; processor time of one process\n")
    columns = ["ms a step", "play", "render", "write", "build", "share of writing", "demos a minute", "MB of 150 steps"]
    cells = [
        [f.format, *(f"{ms:.2f}" for ms in (f.played_ms, f.rendered_ms, f.written_ms, f.built_ms)), f"{100 * f.share_of_writing:.1f} %"]
        + [f"{f.episodes_per_minute:.0f}", f"{f.episode_mb:.2f}"]
        for f in found
    ]
    console.answer(console.table(cells, columns))
    console.answer(f"\nwithout cameras and without writing: {max(f.played_per_minute for f in found):.0f} demonstrations a minute and core")
    return 0


def _machine(**told: str) -> dict[str, str]:
    from vlagym.benchmark import header

    return {**header.machine(), **told, **{k: v for k, v in header.packages().items() if k in _NAMED}}


def _spread(spread: object, decimals: int) -> list[str]:
    return [f"{value:.{decimals}f}" for value in dataclasses.astuple(spread)]  # type: ignore[call-overload]
