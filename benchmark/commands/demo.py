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

    if options.even_sentences:
        console.note("seeds are chosen by their sentences before the first one is played")
    collection = Collection(options)
    if collection.done:
        console.note(f"going on with {options.out}: {collection.done} of {collection.total} episodes were tried before")
    console.note(_plan(options, collection.total - collection.done))
    kept = collection.report()
    wanted = sum(entry.episodes for entry in options.entries)
    num_won, num_tried = sum(a.succeeded for a in kept.attempts), len(kept.attempts)
    counted = (wanted, num_won) if options.counts_successes else (collection.total, collection.done)
    with console.Progress(counted[0], options.out.name, done=counted[1]) as progress:
        try:
            for attempt in collection:
                if not attempt.digest:
                    console.note(f"{attempt.task} seed {attempt.seed}: {attempt.how}")
                num_won, num_tried = num_won + attempt.succeeded, num_tried + 1
                step = int(attempt.succeeded or not options.counts_successes)
                progress.advance(step, note=f"{num_won} successes, {100 * num_won / num_tried:.0f} %")
        except KeyboardInterrupt:
            console.note("interrupted; what was stored is kept. The same command goes on with it")
            raise
    if not said.no_card:
        _card(options, said.suite)
    return _answer(collection.report(), as_json=said.json)


def _card(options: DemoOptions, suite: str | None) -> None:
    """Makes the data card of what was collected; a dataset that is whole does not fail for want of one."""
    from vlagym.benchmark.describing.making import renew_card
    from vlagym.benchmark.suite_files import load_suite

    found = None if suite is None else load_suite(suite)
    named = None if found is None else {"name": found.name, "version": found.version}
    if told := renew_card(options.out, options.format, suite=named):
        console.note(told)


def _plan(options: DemoOptions, tries: int) -> str:
    """Returns what is going to be done, in words: how many of each task, and by whom."""
    each = sorted({entry.episodes for entry in options.entries})
    number = f"{each[0]}" if len(each) == 1 else f"{each[0]} to {each[-1]}"
    what = f"{number} {'demonstrations' if options.counts_successes else 'tries'} of each of {len(options.entries)} entries"
    return f"{what}: {tries} episodes in {options.workers} worker process{'es' if options.workers > 1 else ''}"


def _parse(args: Sequence[str]) -> Namespace:
    parser = console.parser(
        prog="vlagym demo",
        description="Collects episodes of the expert into a dataset. Only successes are kept, unless told. The same command again goes on with it.",
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
    parser.add_argument("--split", metavar="train", help="the training split, which is what is demonstrated unless --i-know is said")
    parser.add_argument("--axis", action="append", default=[], metavar="A=LEVEL", help="varies every episode along an axis; needs --i-know")
    parser.add_argument("--episodes", type=int, metavar="N", help="seeds that are tried, of each task")
    parser.add_argument("--successes", type=int, metavar="N", help="instead: as many are tried of each task as it takes for N demonstrations")
    parser.add_argument("--total", type=int, metavar="N", help="instead: so many demonstrations in all, as many of each task as of the others")
    parser.add_argument(
        "--even-sentences", action="store_true", help="passes over seeds whose sentence has a template that was told more often than others"
    )
    parser.add_argument("--give-up-after", type=int, default=50, metavar="N", help="tries of a task without a demonstration; 50 by default")
    parser.add_argument("--first-seed", type=int, metavar="N", help="1,000,000 by default, and never less: suites test with those below")
    parser.add_argument(
        "--allow-unseen", "--i-know", action="store_true", dest="allow_unseen", help="demonstrates what is held out too; the dataset will tell"
    )
    parser.add_argument("--noise", type=float, default=0.0, metavar="X", help="disturbs what is executed, never the labels; 1: as measured")
    parser.add_argument("--cameras", nargs="+", metavar="NAME", help="by default front, and those that are mounted on every robot that demonstrates")
    parser.add_argument("--size", action="append", default=[], metavar="CAMERA=PIXELS", help="side of the stored image; must divide the crop")
    parser.add_argument("--crop", action="append", default=[], metavar="CAMERA=PIXELS", help="centre crop before that; default: the whole image")
    parser.add_argument("--image-size", type=int, metavar="PIXELS", help="side of all images: shrunk from 256 if it divides that, else rendered so")
    parser.add_argument("--depth", action="store_true", help="stores the depth of the cameras too, in mm")
    parser.add_argument("--state", default="libero", choices=("libero", "joints", "all"), help="vector of formats that have one for the state")
    parser.add_argument("--paraphrases", type=int, metavar="N", help="other seen sentences that are looked for of each episode; 4 by default")
    parser.add_argument("--keep-failures", action="store_true", help="stores episodes that failed too; they say so")
    parser.add_argument("--filter-noops", action="store_true", help="leaves out actions that do nothing, and keeps what succeeds without them")
    parser.add_argument("--frame-stride", type=int, default=1, metavar="K", help="an image every K control steps; 1 by default")
    parser.add_argument("--policy", default="expert", metavar="P", help="who demonstrates; must run in a worker")
    parser.add_argument("--quality", default="fast", help="of the images: fast (default), medium or high")
    parser.add_argument("--look", default="auto", help="of the robot: auto (default) or one of its looks")
    parser.add_argument("--workers", type=int, metavar="N", help="processes; default: the usable cores; 1 plays in this process")
    parser.add_argument("--format", metavar="F", help="a name of `vlagym list formats`; by default that of the suffix of --out")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="the dataset: a file, or a folder, as the format has it")
    parser.add_argument("--no-card", action="store_true", help="makes no data card of the dataset: see `vlagym card`")
    parser.add_argument("--json", action="store_true", help="prints the yield of each task, and where the dataset lies, as JSON")
    return parser.parse_args(args)


def _options(options: Namespace, args: Sequence[str]) -> DemoOptions:
    import dataclasses

    from vlagym.benchmark.collecting.options import PARAPHRASES
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
    if sum(number is not None for number in (options.episodes, options.successes, options.total)) != 1:
        raise BadData("say how many: --episodes N are tried of each task, or --successes N are wanted of each, or --total N of all together")
    if options.split not in (None, "train"):
        raise BadData(
            f"demonstrations are of the split 'train', not {options.split!r}: what suites test with is never demonstrated. Leave --split out; "
            "--i-know demonstrates unseen objects, phrases, arenas and places, and the dataset will tell"
        )
    if options.split == "train" and options.allow_unseen:
        raise BadData("--split train leaves out what is held out for tests, and --i-know demonstrates it: say one of them")
    workers = usable_cores() if options.workers is None else options.workers
    entries = _entries(options)
    return DemoOptions(
        entries=entries,
        counts_successes=options.episodes is None,
        even_sentences=options.even_sentences,
        allow_unseen=options.allow_unseen,
        out=options.out,
        policy=options.policy,
        noise=noise,
        images=images_of(options, entries),
        image_size=options.image_size if options.image_size and _CAMERA_SIZE % options.image_size else None,
        depth=options.depth,
        state=options.state,
        paraphrases=PARAPHRASES if options.paraphrases is None else options.paraphrases,
        keep_failures=options.keep_failures,
        filter_noops=options.filter_noops,
        frame_stride=options.frame_stride,
        patience=options.give_up_after,
        format=format_of(options.format, options.out),
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
        episodes=options.episodes if options.successes is None else options.successes,  # with --total: below
        first_seed=first,
        axes=options.axis,
        robot=options.robot,
        control=options.control,
        base=options.base,
        catalogue=options.catalogue,
        arena=options.arena,
        level=options.level,
        layout=options.layout,
        rig=options.rig,
    )
    entries = wanted.check_names().entries
    return entries if options.total is None else _shared(entries, options.total)


def _shared(entries: tuple[Entry, ...], total: int) -> tuple[Entry, ...]:
    """Returns the entries with so many episodes in all, as many of each as of the others, but for a rest that the first ones have."""
    import dataclasses

    if total < len(entries):
        raise BadData(f"--total {total} is less than one of each of the {len(entries)} entries; choose some of them with --task")
    return tuple(dataclasses.replace(e, episodes=total // len(entries) + (i < total % len(entries))) for i, e in enumerate(entries))


def images_of(options: Namespace, entries: Sequence[Entry]) -> Mapping[str, Shrink]:
    """Returns how the frames of each camera are stored, as --cameras, --size, --crop and --image-size say.

    Raises:
      UnknownName: If not every robot of the entries has such a camera.
      BadData: If a size is none.
    """
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
    if options.image_size is not None:
        return _equal_images(options, cameras)
    sizes, crops = _pixels(options.size, cameras, "--size"), _pixels(options.crop, cameras, "--crop")
    images = {}
    for camera in cameras:
        crop = crops.get(camera, _CAMERA_SIZE)
        images[camera] = Shrink(crop=crop, size=sizes.get(camera, crop))
        images[camera].check(_CAMERA_SIZE, _CAMERA_SIZE)
    return images


def _equal_images(options: Namespace, cameras: Sequence[str]) -> Mapping[str, Shrink]:
    """Returns images of one size: shrunk from those of the episode where that is exact, else as they are rendered at that size."""
    from vlagym.envs.images import Shrink

    size: int = options.image_size
    if options.size or options.crop:
        raise BadData("--image-size says the size of all images; leave out --size and --crop")
    if not 16 <= size <= 1024:
        raise BadData(f"--image-size is a number of pixels from 16 to 1024, not {size}")
    return dict.fromkeys(cameras, Shrink(crop=size if _CAMERA_SIZE % size else _CAMERA_SIZE, size=size))


def format_of(name: str | None, out: Path) -> str:
    """Returns the format that was named, or the one whose files end like `out`.

    Raises:
      BadData: If the path has the suffix of another format, or none was named and it has none that is known.
    """
    from vlagym.results.format import Format

    formats: dict[str, Format] = {found: catalog.load("format", found) for found in catalog.names("format")}
    suffixes = {fmt.suffix: found for found, fmt in formats.items() if fmt.suffix}
    if name is None:
        if out.suffix in suffixes:
            return suffixes[out.suffix]
        if out.suffix == ".h5":
            return "hdf5"
        what = f"ends in {out.suffix}, which is no file that is written here" if out.suffix else "has no suffix, so it is a folder"
        folders = " | ".join(found for found, fmt in formats.items() if not fmt.suffix)
        raise BadData(f"{out} {what}: say which folder it is to be, --format {folders}; or end it in {' or '.join(suffixes)}")
    catalog.known("format", name)
    wanted: Format = catalog.load("format", name)
    if out.suffix in suffixes and suffixes[out.suffix] != name and wanted.suffix != out.suffix:
        raise BadData(f"{out} ends like a file of {suffixes[out.suffix]}, and --format is {name}: give it another name")
    return name


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
        steps, successes = sum(a.steps for a in of_task if a.kept), sum(a.succeeded for a in of_task)
        sentences = report.by_sentence(task)
        told = {"task": task, "tried": tried, "succeeded": successes, "kept": kept, "steps": steps}
        told["not_kept"] = sorted(a.seed for a in of_task if not a.kept)
        tasks.append({**told, "sentences": len(sentences), "most_said": max(sentences.values(), default=0)})
    kept = sum(t["kept"] for t in tasks)
    if as_json:
        told = {"out": str(report.out), "episodes": len(report.attempts), "demonstrations": kept, "errors": report.num_errored, "tasks": tasks}
        console.answer(json.dumps(told, indent=2))
    else:
        rows = [
            [t["task"], t["tried"], t["kept"], f"{100 * t['succeeded'] / t['tried']:.1f} %", t["steps"], t["sentences"], _some(t["not_kept"])]
            for t in tasks
        ]
        console.answer(console.table(rows, ["task", "tried", "kept", "yield", "steps", "sentences", "seeds not kept"]))
        console.answer(f"\n{kept} demonstrations of {len(report.attempts)} episodes ({report.out})")
    if report.num_errored:
        again = "the dataset is whole without them" if report.out.is_dir() else "the same command tries them again"
        console.note(f"{report.num_errored} of {len(report.attempts)} episodes ended in an error; {again}")
        return 3
    return 0 if kept else 1


def _some(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds[:8])) + (f" and {len(seeds) - 8} more" if len(seeds) > 8 else "")
