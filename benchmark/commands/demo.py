"""Collects expert episodes into a dataset: in parallel, resumable, only successes kept."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlagym.benchmark import console
from vlagym.envs import catalog
from vlagym.envs.errors import BadData

if TYPE_CHECKING:
    from vlagym.benchmark.demos import DemoOptions, DemoReport
    from vlagym.benchmark.entry import Entry
    from vlagym.envs.images import Shrink

_ARENA = "studio"
"""Whose cameras are those of every arena."""
_CAMERA_SIZE = 256
"""Of the cameras, unless --size or --crop says otherwise."""


def main(args: Sequence[str]) -> int:
    """Collects demonstrations; returns 3 if episodes ended in an error, 1 if none was kept."""
    said = _parse(args)
    options = _options(said, args)
    from vlagym.benchmark.demos import Collection

    collection = Collection(options)
    if collection.done:
        console.note(f"going on with {options.out}: {collection.done} of {collection.total} episodes were tried before")
    console.note(f"{collection.total - collection.done} episodes in {options.workers} worker process{'es' if options.workers > 1 else ''}")
    kept = collection.report()
    with console.Progress(collection.total, options.out.name, done=collection.done) as progress:
        try:
            for attempt in collection:
                if not attempt.digest:
                    console.note(f"{attempt.task} seed {attempt.seed}: {attempt.how}")
                kept = collection.report()
                progress.advance(note=f"{sum(a.kept for a in kept.attempts)} kept")
        except KeyboardInterrupt:
            console.note("interrupted; what was stored is kept. The same command goes on with it")
            raise
    return _answer(kept, as_json=said.json)


def _parse(args: Sequence[str]) -> Namespace:
    parser = console.parser(
        prog="vlagym demo",
        description="Collects episodes of the expert into a dataset. Only successes are kept. The same command again goes on where it was left.",
        example="vlagym demo --task place_on --task stack --episodes 500 --noise 1 --out demos/train.hdf5 \\\n"
        "    --crop front=192 --size front=96 --size wrist=64 --frame-stride 3",
    )
    parser.add_argument("--suite", metavar="S", help="takes tasks, splits, robot and axes from a suite; never its seeds")
    parser.add_argument("--task", action="append", default=[], metavar="T", help="a task, or one of the suite's; may be repeated")
    parser.add_argument("--robot", metavar="R", help="instead of the suite's, or of the first that each task names")
    parser.add_argument("--control", metavar="C", help="instead of the suite's action convention; `vlagym list robots` says which each takes")
    parser.add_argument("--base", metavar="B", help="what carries the robot, instead of the suite's: fixed, planar or legs")
    parser.add_argument("--catalogue", metavar="C", help="instead of the suite's part of the assets: full, or core, the small world of minivla")
    parser.add_argument("--arena", metavar="A", help="instead of the suite's: of `vlagym list arenas`, or seen, unseen or any, which draws one")
    parser.add_argument("--level", metavar="L", help="of the sentences, instead of the suite's: plain, paraphrase, compositional, indirect or mixed")
    parser.add_argument("--layout", metavar="L", help="the places in which things start, instead of the suite's: any, seen or unseen")
    parser.add_argument("--rig", metavar="R", help="the station of foreign checkpoints: of `vlagym list rigs`, a path that ends in .toml, or none")
    parser.add_argument("--episodes", type=int, required=True, metavar="N", help="seeds that are tried, of each task")
    parser.add_argument("--first-seed", type=int, metavar="N", help="1,000,000 by default, and never less: suites test with those below")
    parser.add_argument("--allow-unseen", action="store_true", help="demonstrates what is held out for tests too; the dataset will tell")
    parser.add_argument("--noise", type=float, default=0.0, metavar="X", help="disturbs what is executed, never the labels; 1: as measured")
    parser.add_argument("--cameras", nargs="+", metavar="NAME", help="by default front, and those that are mounted on every robot that demonstrates")
    parser.add_argument("--size", action="append", default=[], metavar="CAMERA=PIXELS", help="side of the stored image; must divide the crop")
    parser.add_argument("--crop", action="append", default=[], metavar="CAMERA=PIXELS", help="centre crop before that; default: the whole image")
    parser.add_argument("--frame-stride", type=int, default=1, metavar="K", help="an image every K control steps; 1 by default")
    parser.add_argument("--policy", default="expert", metavar="P", help="who demonstrates; must run in a worker")
    parser.add_argument("--quality", default="fast", help="of the images: fast (default), medium or high")
    parser.add_argument("--look", default="auto", help="of the robot: auto (default) or one of its looks")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: the usable cores; 1 plays in this process")
    parser.add_argument("--format", default="hdf5", metavar="F", help="of the dataset: a name of `vlagym list formats`; hdf5 by default")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the dataset")
    parser.add_argument("--json", action="store_true", help="prints the yield of each task, and where the dataset lies, as JSON")
    return parser.parse_args(args)


def _options(options: Namespace, args: Sequence[str]) -> DemoOptions:
    import dataclasses

    from vlagym.benchmark.demos import DemoOptions
    from vlagym.benchmark.header import usable_cores
    from vlagym.benchmark.noise import Noise

    if not 0 <= options.noise <= 2:
        raise BadData(f"the noise is a factor between 0 (none) and 2, not {options.noise:g}")
    recipe = Noise()
    noise = dataclasses.replace(
        recipe,
        burst_probability=recipe.burst_probability if options.noise else 0.0,
        burst_sigma=recipe.burst_sigma * options.noise,
        sigma=recipe.sigma * options.noise,
    )
    workers = usable_cores() if options.workers is None else options.workers
    entries = _entries(options)
    return DemoOptions(
        entries=entries,
        allow_unseen=options.allow_unseen,
        out=options.out,
        policy=options.policy,
        noise=noise,
        images=_images(options, entries),
        frame_stride=options.frame_stride,
        format=options.format,
        executor="serial" if workers == 1 else "processes",
        workers=workers,
        quality=options.quality,
        look=options.look,
        command=("vlagym", "demo", *args),
    )


def _entries(options: Namespace) -> tuple[Entry, ...]:
    from vlagym.benchmark.entry import FIRST_DEMO_SEED
    from vlagym.benchmark.suite_files import load_suite, task_suite

    if options.suite is None and not options.task:
        raise BadData(f"say what is demonstrated: --task T or --suite S. Tasks: {', '.join(catalog.names('task'))}")
    for task in options.task:
        catalog.known("task", task)
    suite = load_suite(options.suite) if options.suite else task_suite(options.task, episodes=1)
    first = FIRST_DEMO_SEED if options.first_seed is None else options.first_seed
    wanted = suite.restrict(
        tasks=options.task,
        episodes=options.episodes,
        first_seed=first,
        robot=options.robot,
        control=options.control,
        base=options.base,
        catalogue=options.catalogue,
        arena=options.arena,
        level=options.level,
        layout=options.layout,
        rig=options.rig,
    )
    return wanted.check_names().entries


def _images(options: Namespace, entries: Sequence[Entry]) -> Mapping[str, Shrink]:
    from vlagym.envs.arenas import arena
    from vlagym.envs.images import Shrink
    from vlagym.envs.robot import Robot

    robots: list[Robot] = [catalog.load("robot", name) for name in dict.fromkeys(e.body for e in entries)]
    mounted = [c.name for c in robots[0].cameras if all(c.name in {other.name for other in r.cameras} for r in robots)]
    cameras = options.cameras or ["front", *mounted]
    for robot in robots:
        there = [c.name for c in arena(_ARENA).camera] + [c.name for c in robot.cameras]
        for camera in cameras:
            catalog.require(there, camera, f"camera of the scenes with {robot.name!r}")
    sizes, crops = _pixels(options.size, cameras, "--size"), _pixels(options.crop, cameras, "--crop")
    images = {}
    for camera in cameras:
        crop = crops.get(camera, _CAMERA_SIZE)
        images[camera] = Shrink(crop=crop, size=sizes.get(camera, crop))
        images[camera].check(_CAMERA_SIZE, _CAMERA_SIZE)
    return images


def _pixels(pairs: Sequence[str], cameras: Sequence[str], option: str) -> dict[str, int]:
    out: dict[str, int] = {}
    for pair in pairs:
        camera, _, number = pair.partition("=")
        if not number.isdecimal():
            raise BadData(f"{option} is written CAMERA=PIXELS, not {pair!r}")
        out[catalog.require(cameras, camera, "camera of this dataset")] = int(number)
    return out


def _answer(report: DemoReport, *, as_json: bool) -> int:
    tasks: list[dict[str, Any]] = []
    for task, (kept, tried) in report.by_task().items():
        of_task = [a for a in report.attempts if a.task == task]
        steps = sum(a.steps for a in of_task if a.kept)
        tasks.append({"task": task, "tried": tried, "kept": kept, "steps": steps, "not_kept": sorted(a.seed for a in of_task if not a.kept)})
    kept = sum(t["kept"] for t in tasks)
    if as_json:
        told = {"out": str(report.out), "episodes": len(report.attempts), "demonstrations": kept, "errors": report.num_errored, "tasks": tasks}
        console.answer(json.dumps(told, indent=2))
    else:
        rows = [[t["task"], t["tried"], t["kept"], f"{100 * t['kept'] / t['tried']:.1f} %", t["steps"], _some(t["not_kept"])] for t in tasks]
        console.answer(console.table(rows, ["task", "tried", "kept", "yield", "steps", "seeds not kept"]))
        console.answer(f"\n{kept} demonstrations of {len(report.attempts)} episodes ({report.out})")
    if report.num_errored:
        console.note(f"{report.num_errored} of {len(report.attempts)} episodes ended in an error; the same command tries them again")
        return 3
    return 0 if kept else 1


def _some(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds[:8])) + (f" and {len(seeds) - 8} more" if len(seeds) > 8 else "")
