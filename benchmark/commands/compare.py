"""Compares policies on the episodes that they share: stored runs, or two policies that it plays itself until the answer is known."""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlagym.benchmark import console
from vlagym.envs import catalog
from vlagym.envs.errors import BadData

if TYPE_CHECKING:
    from vlagym.benchmark.comparison import Design, Verdict
    from vlagym.benchmark.suite import Suite
    from vlagym.envs.types import EpisodeResult
    from vlagym.results.comparison import Comparison
    from vlagym.results.sequential import State


def main(args: Sequence[str]) -> int:
    """Prints a comparison; returns 3 if episodes that it played ended in an error."""
    options = _parse(args)
    if options.policies or options.resume:
        if options.run:
            other = "--resume" if options.resume else "--policies"
            raise BadData(f"name run folders, or policies to be played, not both: {options.run[0]} and {other}")
        return _play(options, args)
    shared = ("--alpha", "--difference")
    strays = [word for word in (*_OF_DESIGN, *_OF_MEANS) if word not in shared and _is_given(options, word)]
    if strays:
        raise BadData(f"{strays[0]} goes with --policies P Q, which are then played; stored runs are compared as they are")
    return _stored(options)


_OF_MEANS = ("--max-episodes", "--look-every", "--workers", "--executor")
"""Options of how two policies are played, which may change when a comparison is resumed."""

_OF_DESIGN = (
    "--policies",
    "--alpha",
    "--difference",
    "--suite",
    "--task",
    "--episodes",
    "--season",
    "--order-seed",
    "--retries",
    "--out",
    "--quality",
    "--look",
    "--safety",
    "--first-option",
    "--second-option",
)
"""Options of what is asked, which may not."""

def _parse(args: Sequence[str]) -> Namespace:
    parser = console.parser(
        prog="vlagym compare",
        description="Compares stored runs pair by pair, each episode with itself; or plays two policies on the same episodes, in an order that "
        "follows from both, and stops when it is known which is better or that it does not matter.",
        example="vlagym compare runs/a runs/b\nvlagym compare --policies minivla hold --suite smoke --difference 0.1 --out runs/minivla-hold\n"
        "vlagym compare --resume runs/minivla-hold",
    )
    parser.add_argument("run", nargs="*", metavar="RUN", type=Path, help="two run folders or more; of more, each is compared with each")
    parser.add_argument("--alpha", type=float, metavar="A", help="chance of a wrong answer, however often one looks; 0.05 by default")
    parser.add_argument("--difference", type=float, metavar="D", help="the smallest difference of success that matters: 0.1 is ten points")
    parser.add_argument("--json", action="store_true", help="prints everything as JSON")
    play = parser.add_argument_group("two policies that are played")
    play.add_argument("--policies", nargs=2, metavar=("P", "Q"), help="name, name:argument or package.module:ATTRIBUTE")
    for which in ("first", "second"):
        play.add_argument(f"--{which}-option", action="append", default=[], metavar="K=V", help=f"an option of the {which} policy; repeats")
    play.add_argument("--suite", metavar="S", help="a name of `vlagym list suites`, or a path that ends in .toml")
    play.add_argument("--task", action="append", default=[], metavar="T", help="only this task of the suite, or without a suite this task; repeats")
    play.add_argument("--episodes", type=int, metavar="N", help="of each task; without a suite, 50")
    play.add_argument("--season", metavar="NAME", help="plays fresh episodes, whose seeds are derived from the name")
    play.add_argument("--max-episodes", type=int, metavar="N", help="of each policy; then it stops undecided, and can be resumed")
    play.add_argument("--order-seed", type=int, metavar="N", help="an order of your own; the answer tells, for several orders find what one seeks")
    play.add_argument("--look-every", type=int, metavar="N", help="episodes of each policy between two looks; default: 8, or two for each worker")
    play.add_argument("--out", type=Path, metavar="DIR", help="the comparison, with a run folder of each; default: runs/<UTC time>-P-Q-<suite>")
    play.add_argument("--resume", type=Path, metavar="DIR", help="goes on with a comparison as it was begun")
    play.add_argument("--workers", type=int, metavar="N", help="processes of each policy; default: the usable cores, 8 at most")
    play.add_argument("--executor", help="processes (default) or serial")
    play.add_argument("--retries", type=int, metavar="N", help="further attempts of an episode that ends in an error; 0 by default")
    play.add_argument("--quality", help="of the images: fast (default), medium or high")
    play.add_argument("--look", help="of the robot: auto (default) or one of its looks")
    play.add_argument("--safety", choices=("off", "clip", "stop"), help="a filter before the robot; off by default")
    return parser.parse_args(args)


def _is_given(options: Namespace, word: str) -> bool:
    return getattr(options, word[2:].replace("-", "_")) not in (None, [])


# ----------------------------------------------------------------------------------------------------------------------- stored runs
def _stored(options: Namespace) -> int:
    from vlagym.benchmark import comparison_text as text
    from vlagym.benchmark import journal
    from vlagym.results.comparison import compare, compare_all
    from vlagym.results.pooling import Run

    if len(options.run) < 2:
        raise BadData("name two run folders or more, or two policies that are to be played: --policies P Q --suite S")
    paths = [path.resolve() for path in options.run]
    for i, path in enumerate(paths):
        if path in paths[:i]:
            raise BadData(f"{options.run[i]} is named twice: a run does not differ from itself")
    runs = [Run.load(path) for path in options.run]
    asked = {"alpha": 0.05 if options.alpha is None else options.alpha, "difference": options.difference}
    if len(runs) > 2:
        standing = compare_all(runs, **asked)
        console.answer(json.dumps(text.plain(standing), indent=2) if options.json else "\n".join(text.standing_lines(standing)))
        return 0
    told = journal.of_runs(paths[0], paths[1])
    found = compare(runs[0], runs[1], **asked, order=None if told is None else told["order"])
    found = dataclasses.replace(found, notes=(*found.notes, *text.looking_notes(told, options.difference)))
    console.answer(json.dumps(text.plain(found), indent=2) if options.json else "\n".join(text.comparison_lines(found)))
    return 0


# ---------------------------------------------------------------------------------------------------------------- policies to play
def _play(options: Namespace, args: Sequence[str]) -> int:
    from vlagym.benchmark.comparison import Means, drive, load_design
    from vlagym.benchmark.runner import default_folder, expand
    from vlagym.envs import backend
    from vlagym.envs.types import EpisodeSpec

    if options.resume:
        fixed = [word for word in _OF_DESIGN if _is_given(options, word)]
        if fixed:
            raise BadData(f"a comparison is resumed as it was begun: leave out {', '.join(fixed)}")
        design, path = load_design(options.resume), options.resume
    else:
        design = _design(options)
        path = options.out or default_folder(f"{design.first.policy}-{design.second.policy}", design.suite.name)
    backend.choose()
    means = Means(
        executor=options.executor or "processes",
        workers=options.workers,
        max_episodes=options.max_episodes,
        look_every=options.look_every,
        command=("vlagym", "compare", *args),
    )

    def episodes() -> tuple[EpisodeSpec, ...]:
        with console.Progress(design.suite.num_episodes, f"sampling {design.suite.name}") as progress:
            return expand(design.suite, 1 if means.executor == "serial" else means.workers, progress.advance)

    names = _names(design)
    with _Told(names) as told:
        try:
            verdict = drive(design, means, path, episodes, (told.of(0), told.of(1)), told.looked)
        except KeyboardInterrupt:
            kept = f"what was stored is kept. Go on with: vlagym compare --resume {path}" if path.exists() else "nothing had been played yet"
            console.note(f"interrupted; {kept}")
            raise
    return _say_verdict(design, verdict, names, as_json=options.json)


def _design(options: Namespace) -> Design:
    from vlagym.benchmark.comparison import Contender, Design
    from vlagym.policies.loading import parse_options

    first, second = options.policies
    return Design(
        first=Contender(policy=first, options=parse_options(options.first_option)),
        second=Contender(policy=second, options=parse_options(options.second_option)),
        suite=_suite(options),
        difference=options.difference,
        alpha=0.05 if options.alpha is None else options.alpha,
        order_seed=options.order_seed,
        retries=options.retries or 0,
        quality=options.quality or "fast",
        look=options.look or "auto",
        safety=options.safety or "off",
    )


def _suite(options: Namespace) -> Suite:
    from vlagym.benchmark.suite_files import load_suite, task_suite

    if options.suite is None and not options.task:
        raise BadData(f"say on what they are compared: --suite S or --task T. Suites: {', '.join(catalog.toml_names('benchmark/suites'))}")
    if options.suite is not None:
        suite = load_suite(options.suite)
    else:
        suite = task_suite(options.task, episodes=options.episodes or 50)
    if options.season is not None:
        suite = suite.in_season(options.season)  # before it is restricted: a part of a suite has the seeds of the whole
    return (suite if options.suite is None else suite.restrict(tasks=options.task, episodes=options.episodes)).check()


def _names(design: Design) -> tuple[str, str]:
    first, second = design.first.policy, design.second.policy
    return (first, second) if first != second else (f"{first} (first)", f"{second} (second)")


class _Told:
    """Shows on the console how both runs go on, and what each look told."""

    def __init__(self, names: tuple[str, str]) -> None:
        self._names = names
        self._progress: console.Progress | None = None
        self._total = self._done = 0

    def __enter__(self) -> _Told:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if self._progress is not None:
            self._progress.__exit__(None, None, None)

    def of(self, which: int) -> _Side:
        return _Side(self, self._names[which])

    def begins(self, name: str, path: Path, total: int, done: int) -> None:
        console.note(f"{name}: {total} episodes at most, {done} of them stored before, into {path}")
        self._total, self._done = self._total + total, self._done + done

    def stored(self, name: str, result: EpisodeResult) -> None:
        if self._progress is None:
            self._progress = console.Progress(self._total, "compare", done=self._done)
            self._progress.__enter__()
        if result.error is not None:
            console.note(f"{name}, {result.task} seed {result.seed} ({result.digest[:8]}): {result.error.type}: {result.error.message}")
        self._progress.advance()

    def looked(self, state: State, num_played: int) -> None:
        from vlagym.benchmark import comparison_text as text

        console.note(f"{num_played} episodes each: {text.state_in_words(state, *self._names)}")


class _Side:
    """The reporter of one of the two runs."""

    def __init__(self, told: _Told, name: str) -> None:
        self._told, self._name = told, name

    def begins(self, path: Path, total: int, done: int, workers: int) -> None:
        self._told.begins(self._name, path, total, done)

    def stored(self, result: EpisodeResult) -> None:
        self._told.stored(self._name, result)


def _say_verdict(design: Design, verdict: Verdict, names: tuple[str, str], *, as_json: bool) -> int:
    from vlagym.benchmark import comparison_text as text
    from vlagym.results.comparison import compare
    from vlagym.results.pooling import Run

    runs = [Run.load(path) for path in (verdict.first, verdict.second)]
    found = compare(runs[0], runs[1], alpha=design.alpha, difference=design.difference, order=verdict.order, names=names)
    found = dataclasses.replace(found, notes=(*found.notes, *text.order_notes(design.order_seed)))
    num_errors = sum(r.outcome == "error" for run in runs for r in run.results)
    fixed = _fixed_plan(design, found)
    saved = 2 * (verdict.num_episodes - verdict.num_played)
    if as_json:
        head = {"path": str(verdict.path), "first_run": str(verdict.first), "second_run": str(verdict.second), "ending": verdict.ending}
        played = {"played": verdict.num_played, "played_before": verdict.num_before}
        counts = {"episodes": verdict.num_episodes, **played, "saved": saved, "fixed_plan": fixed}
        console.answer(json.dumps({**head, "decided": verdict.decided, **counts, "comparison": text.plain(found)}, indent=2))
        return 3 if num_errors else 0
    lines = [_ended(design, verdict, names), "", *text.comparison_lines(found), ""]
    if fixed is not None:
        total = found.total
        share = f"{(total.first_only + total.second_only) / total.n:.0%} of the pairs discordant"
        lines.append(f"who plans a test of fixed size for differences as small as {design.difference:g} needs {fixed} pairs (power 0.8, {share})")
    each = f"{verdict.num_played} of {verdict.num_episodes} episodes of each policy were played"
    console.answer("\n".join([*lines, f"{each}; {saved} of {2 * verdict.num_episodes} were saved ({verdict.path})"]))
    return 3 if num_errors else 0


def _ended(design: Design, verdict: Verdict, names: tuple[str, str]) -> str:
    """Returns the answer in a sentence."""
    if verdict.decided == "equivalent":
        return f"the answer: {names[0]} and {names[1]} differ by less than {100 * (design.difference or 0):g} points"
    if verdict.decided is not None:
        return f"the answer: {names[0] if verdict.decided == 'first' else names[1]} is better"
    if verdict.state.decided != verdict.state_if_failures.decided:
        return "not decided: the answer depends on whether errors are set aside or count as failures; mend them and play them again"
    if verdict.ending == "limit":
        return f"not decided: as many episodes were played as were allowed. Go on with: vlagym compare --resume {verdict.path}"
    return "not decided: the whole suite was played; only more episodes could tell"


def _fixed_plan(design: Design, found: Comparison) -> int | None:
    """Returns the pairs that a test of fixed size needs for the difference that matters, at the discordance that was met."""
    from vlagym.results.planning import episodes_for_difference

    total = found.total
    if design.difference is None or not total.n:
        return None
    discordance = (total.first_only + total.second_only) / total.n
    return episodes_for_difference(design.difference, discordance=max(discordance, design.difference), alpha=design.alpha).n
