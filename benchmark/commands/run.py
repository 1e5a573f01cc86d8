"""Runs a policy on a suite, stores every episode as it ends, and prints the table."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vlagym.benchmark import console
from vlagym.envs import catalog
from vlagym.envs.errors import BadData

if TYPE_CHECKING:
    from vlagym.benchmark.runner import RunOptions, RunReport
    from vlagym.benchmark.suite import Suite
    from vlagym.envs.types import EpisodeResult, EpisodeSpec

_VIDEOS = ("none", "failures", "all")


def main(args: Sequence[str]) -> int:
    """Runs a policy; returns 3 if episodes ended in an error."""
    options = _parse(args)
    from vlagym.benchmark.runner import run
    from vlagym.envs import backend

    backend.choose()
    wanted = _resumed(options, args) if options.resume else _fresh(options, args)
    with _Told(wanted.suite.name) as told:
        try:
            report = run(wanted, partial(_expand, wanted), told)
        except KeyboardInterrupt:
            if told.path is not None:
                console.note(f"interrupted; what was stored is kept. Go on with: vlagym run --resume {told.path}")
            raise
    if options.video != "none":
        _film(report, wanted, options.video)
    _answer(report, as_json=options.json)
    return 3 if report.tally()["error"] else 0


def _parse(args: Sequence[str]) -> Namespace:
    parser = console.parser(
        prog="vlagym run",
        description="Runs a policy on a suite, or on some tasks, stores each episode as it ends, and prints the table.",
        example="vlagym run --policy minivla --suite smoke\nvlagym run --policy my_module:POLICY --task stack --episodes 20 --workers 4",
    )
    what = parser.add_argument_group("what is run")
    what.add_argument("--policy", metavar="P", help="name, name:argument or package.module:ATTRIBUTE; `vlagym list policies`")
    what.add_argument("--policy-option", action="append", default=[], metavar="K=V", help="an option of the policy; may be repeated")
    what.add_argument("--chunking", metavar="HOW", help="receding:STEPS, whole, ensemble or ensemble:DECAY; default: as the policy declares")
    what.add_argument("--suite", metavar="S", help="a name of `vlagym list suites`, or a path that ends in .toml")
    what.add_argument("--task", action="append", default=[], metavar="T", help="only this task of the suite, or without a suite this task; repeats")
    what.add_argument("--robot", metavar="R", help="instead of the suite's robot")
    what.add_argument("--control", metavar="C", help="instead of the suite's action convention; `vlagym list robots` says which each takes")
    what.add_argument("--base", metavar="B", help="what carries the robot, instead of the suite's: fixed, planar or legs")
    what.add_argument("--catalogue", metavar="C", help="instead of the suite's part of the assets: full, or core, what minivla was trained on")
    what.add_argument("--arena", metavar="A", help="instead of the suite's: a name of `vlagym list arenas`, or seen, unseen or any, which draws one")
    what.add_argument("--level", metavar="L", help="of the sentences, instead of the suite's: plain, paraphrase, compositional, indirect or mixed")
    what.add_argument("--layout", metavar="L", help="the places in which things start, instead of the suite's: any, seen or unseen")
    what.add_argument("--rig", metavar="R", help="the station of foreign checkpoints: of `vlagym list rigs`, a path that ends in .toml, or none")
    elsewhere = "plays a policy that was made for a rig at another one, or at none; without it that is refused, and the table says it"
    what.add_argument("--any-rig", action="store_true", help=elsewhere)
    what.add_argument("--episodes", type=int, metavar="N", help="of each task; without a suite, 10")
    what.add_argument("--seed", type=int, metavar="N", help="first seed of each task; without a suite, 0")
    axis = "varies every episode along an axis, to level 1 by default; may be repeated"
    what.add_argument("--axis", action="append", default=[], metavar="NAME[=LEVEL]", help=axis)
    season = "plays fresh episodes, whose seeds are derived from the name; `vlagym season` commits to a name that is still secret"
    what.add_argument("--season", metavar="NAME", help=season)
    how = parser.add_argument_group("how")
    how.add_argument("--executor", default="processes", help="processes (default) or serial")
    how.add_argument("--workers", type=int, metavar="N", help="processes; default: the usable cores, 8 at most")
    how.add_argument("--retries", type=int, metavar="N", help="further attempts of an episode that ends in an error; 0 by default")
    stop = "ends the run after so many episodes in a row that the policy brought down, 5 by default; 0: never. What was played is kept"
    how.add_argument("--stop-after-errors", type=int, default=5, metavar="N", help=stop)
    limit = "gives an episode up as an error after so many seconds of wall time; those for which its server is waited for do not count"
    how.add_argument("--episode-timeout", type=float, metavar="S", help=limit)
    how.add_argument("--shuffle", type=int, metavar="SEED", help="plays the episodes in another order; the results do not depend on it")
    how.add_argument("--quality", help="of the images: fast (default), medium or high")
    how.add_argument("--look", help="of the robot: auto (default) or one of its looks; of several robots: g1=menagerie,panda=auto")
    safety = "a filter before the robot: clip scales back what is too fast, too strong or out of bounds, stop ends the episode there; off by default"
    how.add_argument("--safety", choices=("off", "clip", "stop"), help=safety)
    where = parser.add_argument_group("where to")
    where.add_argument("--out", type=Path, metavar="DIR", help="the run folder; default: runs/<UTC time>-<policy>-<suite>")
    where.add_argument("--resume", type=Path, metavar="RUN", help="goes on with a run; policy and suite are then taken from it")
    where.add_argument("--retry-errors", action="store_true", help="with --resume: plays episodes that ended in an error again")
    where.add_argument("--video", default="none", choices=_VIDEOS, help="which episodes are rendered into videos/ afterwards; none by default")
    where.add_argument("--json", action="store_true", help="prints the rows of the table, and where the run lies, as JSON")
    return parser.parse_args(args)


def _fresh(options: Namespace, args: Sequence[str]) -> RunOptions:
    from vlagym.benchmark.runner import RunOptions
    from vlagym.policies.loading import parse_options

    if options.policy is None:
        raise BadData(f"say which policy runs: --policy P. There are: {', '.join(catalog.names('policy'))}, and package.module:ATTRIBUTE")
    if options.retry_errors:
        raise BadData("--retry-errors goes with --resume RUN; for errors of this run use --retries N")
    return RunOptions(
        policy=options.policy,
        policy_options=parse_options(options.policy_option),
        suite=_suite(options),
        chunking=options.chunking,
        executor=options.executor,
        workers=options.workers,
        quality=options.quality or "fast",
        look=options.look or "auto",
        safety=options.safety or "off",
        retries=options.retries or 0,
        stop_after_errors=options.stop_after_errors,
        episode_timeout_s=options.episode_timeout,
        shuffle=options.shuffle,
        out=options.out,
        any_rig=options.any_rig,
        command=("vlagym", "run", *args),
    )


def _resumed(options: Namespace, args: Sequence[str]) -> RunOptions:
    """Returns what the header of a run says, with what the command line says instead; the runner refuses if that makes another run of it."""
    from vlagym.benchmark.header import QUERY_LEFT_OUT
    from vlagym.benchmark.relocation import address_of
    from vlagym.benchmark.runner import RunOptions
    from vlagym.benchmark.suite_files import suite_of_header
    from vlagym.policies.loading import parse_options
    from vlagym.results.pooling import ANY_RIG
    from vlagym.results.store import Store

    header = Store.open(options.resume).header
    if options.policy is None and header.policy.get(QUERY_LEFT_OUT):
        raise BadData(f"the address of this run's policy, {header.policy['name']}, had a query, which is not stored: say it again with --policy")
    begun = suite_of_header(header.suite, f"{options.resume} suite")
    suite = _suite(options) if options.suite or options.task else _changed(begun, options)
    looks = ",".join(f"{robot}={look}" for robot, look in sorted(header.robot_looks.items()))
    return RunOptions(
        policy=options.policy or address_of(header),
        policy_options=parse_options(options.policy_option) if options.policy_option else dict(header.policy["options"]),
        suite=suite,
        chunking=options.chunking or str(header.policy["chunking"]),
        executor=options.executor,
        workers=options.workers,
        quality=options.quality or header.quality,
        look=options.look or looks or "auto",
        safety=options.safety or str(header.safety["mode"]),
        retries=int(header.policy.get("retries", 0)) if options.retries is None else options.retries,
        stop_after_errors=options.stop_after_errors,
        episode_timeout_s=options.episode_timeout,
        shuffle=options.shuffle,
        out=options.out,
        resume=options.resume,
        retry_errors=options.retry_errors,
        any_rig=options.any_rig or bool(header.policy.get(ANY_RIG)),
        command=("vlagym", "run", *args),
    )


def _suite(options: Namespace) -> Suite:
    from vlagym.benchmark.suite_files import load_suite, task_suite

    if options.suite is None and not options.task:
        raise BadData(f"say what is run: --suite S or --task T. Suites: {', '.join(catalog.toml_names('benchmark/suites'))}")
    if options.suite is not None:
        return _changed(load_suite(options.suite), options, tasks=options.task)
    for task in options.task:
        catalog.known("task", task)
    return _changed(task_suite(options.task, episodes=10), options)


def _changed(suite: Suite, options: Namespace, tasks: Sequence[str] = ()) -> Suite:
    """Returns the suite as the command line wants it."""
    if options.season is not None:
        if options.seed is not None:
            raise BadData("--seed means nothing beside --season, whose name says the seeds: leave one of them out")
        suite = suite.in_season(options.season)
    changed = suite.restrict(
        tasks=tasks,
        robot=options.robot,
        episodes=options.episodes,
        first_seed=options.seed,
        axes=options.axis,
        control=options.control,
        base=options.base,
        catalogue=options.catalogue,
        arena=options.arena,
        level=options.level,
        layout=options.layout,
        rig=options.rig,
    )
    return changed.check()


def _expand(options: RunOptions) -> tuple[EpisodeSpec, ...]:
    from vlagym.benchmark.runner import expand

    suite = options.suite
    with console.Progress(suite.num_episodes, f"sampling {suite.name}") as progress:
        return expand(suite, 1 if options.executor == "serial" else options.workers, progress.advance)


class _Told:
    """Shows on the console how the run goes on."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._progress: console.Progress | None = None
        self._counts = {"success": 0, "failure": 0, "error": 0}
        self.path: Path | None = None

    def __enter__(self) -> _Told:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if self._progress is not None:
            self._progress.__exit__(None, None, None)

    def begins(self, path: Path, total: int, done: int, workers: int) -> None:
        self.path = path
        where = f"{workers} worker process{'es' if workers > 1 else ''}" if workers else "this process"
        before = f", {done} of them stored before" if done else ""
        console.note(f"{total} episodes{before}, in {where}, into {path}")
        self._progress = console.Progress(total, self._label, done=done)
        self._progress.__enter__()

    def stored(self, result: EpisodeResult) -> None:
        assert self._progress is not None
        self._counts[result.outcome] += 1
        if result.error is not None:
            kept = f"kept in {self.path}/episodes.jsonl"
            console.note(f"{result.task} seed {result.seed} ({result.digest[:8]}): {result.error.type}: {result.error.message} ({kept})")
        counts = self._counts
        self._progress.advance(note=f"{counts['success']} success, {counts['failure']} failure, {counts['error']} errors")


def _film(report: RunReport, options: RunOptions, which: str) -> None:
    from vlagym.benchmark.replay import film
    from vlagym.results.store import VIDEOS, Store

    store = Store.open(report.path)
    wanted = [r for r in report.results if store.has_trace(r.digest) and (which == "all" or r.outcome != "success")]
    with console.Progress(len(wanted), "videos") as progress:
        for result in wanted:
            out = report.path / VIDEOS / f"{result.digest}.mp4"
            film(store, result.digest, out, quality=options.quality, look=options.look)
            progress.advance()


def _answer(report: RunReport, *, as_json: bool) -> None:
    from vlagym.benchmark import scoring
    from vlagym.results import aggregate, leaderboard
    from vlagym.results.clipping import clipping_remarks
    from vlagym.results.counted import variation_words
    from vlagym.results.pooling import pools

    run, columns = aggregate.Run.load(report.path), (*scoring.columns(), *scoring.stated(report.results))
    total = aggregate.aggregate([run], columns)
    by_task = aggregate.aggregate([run], columns, ["task"])
    counts = report.tally()
    for remark in clipping_remarks(pools([run])):
        console.note(remark)
    if as_json:
        rows = {"total": leaderboard.rows(total), "rows": leaderboard.rows(by_task)}
        console.answer(json.dumps({"run": str(report.path), "episodes": len(report.results), **counts, **rows}, indent=2))
        return
    varied = variation_words(report.results)
    if all(result.axes for result in report.results):
        twins = "vlagym run with the same options and without --axis, into TWINS"
        console.note(f"all episodes are varied ({varied}). A gap takes their unvaried twins: {twins}, then: vlagym table {report.path} TWINS --gaps")
    console.note(f"written to {report.path}; the policy is not needed to check it: vlagym verify {report.path}")
    several = len({r.task for r in report.results}) > 1
    console.answer(leaderboard.render(aggregate.with_total(by_task, total, "task") if several else by_task).rstrip("\n"))
    sums = f"{counts['success']} success, {counts['failure']} failure, {counts['error']} errors"
    console.answer(f"\n{len(report.results)} episodes: {sums} ({report.path})")
