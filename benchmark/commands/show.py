"""Prints the episodes of a suite, or one of a task, for a person to read; or the first frame of every camera; or pictures of all objects."""

from __future__ import annotations

import contextlib
import math
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlagym.benchmark import console
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, UnknownName, VlagymError, unknown_name

if TYPE_CHECKING:
    from vlagym.benchmark.suite import Suite
    from vlagym.envs.types import EpisodeSpec

_SHEET_COLUMNS = 6
"""Episodes of a suite in a row of one."""
_OF_TASKS = ("objects", "phrases", "robot", "base", "level", "arena", "layout", "catalogue", "rig")
"""Options that say which episode of a task is shown; fields of an `Entry`."""
_OF_EPISODES = (*_OF_TASKS, "axis")
_OF_SUITES = ("episodes", "task")
"""Options that say which episodes of a suite are shown."""
_OF_FILMS = ("frames", "camera", "columns")
"""Options that say how the episodes of a suite are pictured."""
_PICTURE_PX = 320
"""Both sides of each of their pictures."""


def main(args: Sequence[str]) -> int:
    """Prints specs."""
    parser = console.parser(
        prog="vlagym show",
        description="Prints the episodes of a suite as a table, or one episode of a task in full. `objects`, `fixtures` and `arenas` show what the "
        "world is made of.",
        example="vlagym show smoke\nvlagym show place_on --seed 7 --png first_frames.png\nvlagym show smoke --episodes 2 --png tasks.png\n"
        "vlagym show g1 --frames 4 --png g1.png\nvlagym show lighting --task push --png lighting.png\n"
        "vlagym show objects --png objects.png\nvlagym show arenas --png arenas.png",
    )
    what = "a suite, a path that ends in .toml, a task, package.module:TASK, a robot (one episode a task), an axis (its levels), or objects, "
    what += "fixtures or arenas"
    parser.add_argument("what", metavar="SUITE|TASK|ROBOT|AXIS|SORT", help=what)
    parser.add_argument("--kind", action="append", default=[], metavar="K", help="only objects or fixtures of this kind; may be repeated")
    parser.add_argument("--episodes", type=int, metavar="N", help="of a suite: only the first N of each entry")
    parser.add_argument("--seed", type=int, metavar="N", help="the episode of this seed; a task's is 0 by default, a suite shows all")
    parser.add_argument("--task", action="append", default=[], metavar="T", help="only this task of the suite; may be repeated")
    parser.add_argument("--objects", choices=("seen", "unseen"), help="of a task's episode; seen by default")
    parser.add_argument("--phrases", choices=("seen", "unseen"), help="of a task's episode; seen by default")
    parser.add_argument("--robot", help="of a task's episode; the first that the task names by default")
    parser.add_argument("--base", help="of a task's episode: what carries the robot, fixed, planar or legs; the task's first by default")
    parser.add_argument("--level", help="of a task's sentence: plain (default), paraphrase, compositional, indirect or mixed")
    parser.add_argument("--arena", help="of a task's episode: a name (studio by default), or seen, unseen or any, which draws one of that split")
    parser.add_argument("--layout", help="of a task's episode: the places in which things start: any, seen or unseen")
    parser.add_argument("--rig", help="of a task's episode: the station of foreign checkpoints, a name of `vlagym list rigs` or a path")
    parser.add_argument("--catalogue", help="of a task's episode: full (default) or core")
    parser.add_argument("--axis", action="append", default=[], metavar="NAME=LEVEL", help="varies a task's episode; may be repeated")
    parser.add_argument("--json", action="store_true", help="prints the specs as canonical JSON, one a line")
    sheet = "a contact sheet: of a task, the first frame of each camera; of a suite, that of `front` with the sentence"
    parser.add_argument("--png", type=Path, metavar="FILE", help=sheet)
    parser.add_argument("--frames", type=int, metavar="N", help="of a suite or robot: N frames of each episode as the expert plays it")
    parser.add_argument("--camera", metavar="NAME", help="of a suite or robot: front (default), another one, or overview, which sees more")
    parser.add_argument("--columns", type=int, metavar="N", help="of a suite or robot: episodes in a row of the contact sheet")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="of each picture on the contact sheet of a suite or a sort")
    parser.add_argument("--small", action="store_true", help="writes the contact sheet with 256 colours, a third of the size")
    parser.add_argument("--quality", default="high", help="of those images: fast, medium or high (default)")
    parser.add_argument("--look", default="auto", help="of the robot in them")
    options = parser.parse_args(args)
    if options.png is not None:
        from vlagym.benchmark.contact_sheets import check_out

        check_out(options.png, is_small=options.small)
    if options.size is not None and not 32 <= options.size <= 1024:
        raise BadData(f"pictures of a contact sheet are 32 to 1024 pixels wide, not {options.size}")
    for name in ("frames", "columns"):
        if (number := getattr(options, name)) is not None and not 1 <= number <= 16:
            raise BadData(f"--{name} is 1 to 16, not {number}")

    from vlagym.benchmark import inventory
    from vlagym.benchmark.entry import Entry
    from vlagym.benchmark.suite_files import load_suite
    from vlagym.envs import backend

    backend.choose()
    if options.what in inventory.sorts():
        _refuse(options, (*_OF_SUITES, *_OF_EPISODES, *_OF_FILMS, "seed", "json"), f"the table of {options.what}")
        wanted = inventory.Wanted(
            kinds=tuple(options.kind), png=options.png, size_px=options.size, is_small=options.small, quality=options.quality, look=options.look
        )
        inventory.show(options.what, wanted)
        return 0
    is_file = options.what.endswith(".toml")
    if options.what in catalog.names("task") or (":" in options.what and not is_file and not options.what.startswith("axis:")):
        catalog.known("task", options.what)
        _refuse(options, ("kind", "size", *_OF_SUITES, *_OF_FILMS), "an episode of a task")
        seed = 0 if options.seed is None else options.seed
        entry = Entry(task=options.what, episodes=1, first_seed=seed, axes=tuple(options.axis), **_given(options, _OF_TASKS))
        specs: tuple[EpisodeSpec, ...] = (entry.sample(seed),)
        suite: Suite | None = None
    elif options.what in catalog.names("robot"):
        _refuse(options, ("kind", "episodes", "robot", "base", "axis"), "a robot in all of its tasks")
        suite = _of_robot(options)
        specs = _specs(suite, None)
    elif is_file or options.what in catalog.toml_names("benchmark/suites"):
        _refuse(options, ("kind", *_OF_EPISODES), "a suite")
        suite = load_suite(options.what).restrict(tasks=options.task, episodes=options.episodes)
        specs = _specs(suite, options.seed)
        if options.what in catalog.names("axis"):
            console.note(f"{options.what} is an axis too; its levels: vlagym show axis:{options.what}")
    elif options.what.removeprefix("axis:") in catalog.names("axis"):
        _refuse(options, ("kind", "episodes", "axis"), "the levels of an axis")
        options.what = options.what.removeprefix("axis:")
        if options.level is not None and options.level.isdecimal():
            told = f"vlagym show place_on --axis {options.what}={options.level}"
            raise BadData(f"--level is that of the sentence; an axis is shown at all of its levels, and at one by: {told}")
        suite = _of_axis(options)
        specs = _specs(suite, None)
    else:
        raise _unknown(options.what)

    if options.png is not None:
        count = _write_sheet(specs, options, is_suite=suite is not None)
        which = "the first frames" if options.frames is None else f"{options.frames} frames each"
        console.note(f"{options.png}: {which} of {count} episode{'s' if count > 1 else ''}")
    if options.json:
        console.answer("\n".join(spec.to_json() for spec in specs))
    elif suite is None:
        console.answer(describe(specs[0]))
    else:
        console.answer(_table(suite, specs))
    return 0


def _of_robot(options: Namespace) -> Suite:
    """Returns a suite of one episode of each task that a robot does, on the base that it has there if none is asked for."""
    from vlagym.benchmark.entry import Entry
    from vlagym.benchmark.suite import Suite

    robot, seed = options.what, 0 if options.seed is None else options.seed
    tasks = [name for name in catalog.names("task") if robot in catalog.load("task", name).robots]
    chosen = [catalog.require(tasks, task, f"task of {robot}") for task in options.task] or tasks
    given = {**_given(options, _OF_TASKS), "robot": robot}
    entries = tuple(Entry(task=task, episodes=1, first_seed=seed, **given) for task in chosen)
    return Suite(name=robot, version=1, entries=entries, about=f"an episode of each task of {robot}")


def _of_axis(options: Namespace) -> Suite:
    """Returns a suite of one episode of each of some tasks, and of its twins at every level of an axis."""
    from vlagym.benchmark.entry import Entry
    from vlagym.benchmark.suite import Suite

    axis, seed = catalog.load("axis", options.what), 0 if options.seed is None else options.seed
    vary = (f"{options.what}={','.join(map(str, axis.levels[1:]))}",)
    tasks = [catalog.require(catalog.names("task"), task, "task") for task in options.task] or ["place_on"]
    given = _given(options, _OF_TASKS)
    entries = tuple(Entry(task=task, episodes=1, first_seed=seed, vary=vary, each=1, **given) for task in tasks)
    return Suite(name=options.what, version=1, entries=entries, about=catalog.summary("axis", options.what))


def _given(options: Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Returns those of some options that were given."""
    return {name: value for name in names if (value := getattr(options, name)) not in (None, [], False)}


def _refuse(options: Namespace, names: Sequence[str], what: str) -> None:
    """Raises BadData if one of some options was given: it would change nothing."""
    given = [f"--{name}" for name in _given(options, names)]
    if given:
        verb, them = ("means", "it") if len(given) == 1 else ("mean", "them")
        raise BadData(f"{' and '.join(given)} {verb} nothing for {what}: leave {them} out")


def _unknown(what: str) -> VlagymError:
    """Returns the error for what is neither suite nor task nor sort, which says so where it is something else."""
    from vlagym.benchmark import inventory
    from vlagym.envs.arenas import arena_names
    from vlagym.envs.fixtures import fixtures
    from vlagym.envs.objects import catalog as objects

    for sort, word, kind in (
        ("objects", "an object", objects()[what].kind if what in objects() else None),
        ("fixtures", "a fixture", fixtures()[what].kind if what in fixtures() else None),
    ):
        if kind is not None:
            return UnknownName(f"{what!r} is {word}, not a suite or task. Its kind is shown by: vlagym show {sort} --kind {kind}")
    if what in arena_names():
        return UnknownName(f"{what!r} is an arena, not a suite or task. A task is shown in it by: vlagym show place_on --arena {what}")
    file = Path(f"{what}.toml")
    hint = f"{file} is there: write that." if file.exists() else "A suite of your own is written as the path of its .toml file."
    known = [*catalog.toml_names("benchmark/suites"), *catalog.names("task"), *catalog.names("axis"), *inventory.sorts()]
    return unknown_name("suite or task", what, known, hint)


def describe(spec: EpisodeSpec) -> str:
    """Returns an episode in words."""
    scene, physics = spec.scene, spec.scene.physics
    components = ", ".join(f"{c.name}[{c.size}] {c.convention} (1 = {c.scale:g} {c.unit})" for c in spec.control.components)
    lines = [
        f"{spec.task}, seed {spec.seed}, {_body(spec)}, {spec.split}  (episode {spec.digest()})",
        f"  sentence      {spec.instruction!r}  (template {spec.phrase})",
        f"  goal          {' and '.join(map(str, spec.goal))}, held for {spec.hold_s:g} s",
        f"  stages        {' -> '.join(map(str, spec.stages))}",
        f"  alternatives  {'; '.join(' and '.join(map(str, goal)) for goal in spec.alternatives) or 'none'}",
        f"  horizon       {spec.horizon_s:g} s: {spec.horizon_steps} steps at {spec.control.rate_hz:g} Hz",
        f"  control       {spec.control.name}: {components}",
        f"  arena         {scene.arena}; physics at {physics.timestep_s * 1000:g} ms, settled for {physics.settle_s:g} s",
    ]
    if spec.axes:
        lines.append(f"  varied        {', '.join(f'{axis}={level}' for axis, level in spec.axes)}  (of episode {spec.base})")
    rows: list[list[object]] = [
        [p.name, p.asset, *(f"{v:.3f}" for v in p.pos_world), f"{math.degrees(_yaw(p.quat_world_wxyz)):.0f}", "named" if p.name in spec.named else ""]
        for p in scene.props
    ]
    rows += [
        [f.name, f.asset, *(f"{v:.3f}" for v in f.pos_world), f"{math.degrees(f.yaw_rad):.0f}", "named" if f.name in spec.named else ""]
        for f in scene.fixtures
    ]
    lines += ["", console.table(rows, ["thing", "asset", "x_m", "y_m", "z_m", "yaw_deg", "in the goal"])]
    cameras = [[c.name, c.parent, f"{c.width}x{c.height}", f"{c.fovy_deg:g}"] for c in scene.cameras]
    lines += ["", console.table(cameras, ["camera", "on", "pixels", "fovy_deg"])]
    return "\n".join(lines)


def _body(spec: EpisodeSpec) -> str:
    return spec.robot if spec.robot_base == "fixed" else f"{spec.robot} ({spec.robot_base})"


def _specs(suite: Suite, seed: int | None) -> tuple[EpisodeSpec, ...]:
    if seed is None:
        with console.Progress(suite.num_episodes, f"sampling {suite.name}") as progress:
            return suite.expand(advance=progress.advance)
    found = [entry.sample(seed) for entry in suite.entries if seed in entry.seeds]
    if not found:
        reach = sorted({f"{e.seeds.start} to {e.seeds.stop - 1}" for e in suite.entries})
        raise unknown_name(f"seed of the suite {suite.name!r}", str(seed), reach)
    return tuple(found)


def _table(suite: Suite, specs: Sequence[EpisodeSpec]) -> str:
    from vlagym.benchmark.suite import digest_of

    rows = [
        [s.digest()[:8], s.task, s.seed, s.split, " ".join(f"{a}={level}" for a, level in s.axes), len(s.alternatives) + 1, s.instruction]
        for s in specs
    ]
    head = f"{suite.name}, version {suite.version}: {suite.about}\n"
    table = console.table(rows, ["episode", "task", "seed", "split", "axes", "goals", "sentence"])
    return f"{head}\n{table}\n\n{len(specs)} episodes (digest {digest_of(specs)})"


def _write_sheet(specs: Sequence[EpisodeSpec], options: Namespace, *, is_suite: bool) -> int:
    from vlagym.benchmark import contact_sheets
    from vlagym.benchmark.episode import WorldOptions, make_world
    from vlagym.benchmark.scene_pictures import episode_films, episode_pictures
    from vlagym.envs.cameras import contact_sheet

    rendered = WorldOptions(quality=options.quality, look=options.look)
    if is_suite:
        size_px = options.size or _PICTURE_PX
        if options.frames is None:
            pictures = episode_pictures(specs, rendered, options.camera or "front", size_px)
        else:
            with console.Progress(len(specs), "playing") as progress:
                pictures = episode_films(specs, rendered, options.frames, options.camera, size_px, advance=progress.advance)
        columns = options.columns or max(1, _SHEET_COLUMNS // (options.frames or 1))
        contact_sheets.save(contact_sheets.sheet(pictures, columns=columns), options.png, is_small=options.small)
        return len(specs)
    images, columns = [], max(len(s.scene.cameras) for s in specs)
    with contextlib.closing(make_world(rendered)) as world:
        for spec in specs:
            world.start(spec)
            images += list(world.observe().images.values())
    contact_sheets.save(contact_sheet(images, columns), options.png, is_small=options.small)
    return len(specs)


def _yaw(quat_wxyz: tuple[float, float, float, float]) -> float:
    w, x, y, z = quat_wxyz
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
