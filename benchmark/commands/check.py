"""Holds tasks, metrics, policies and other files, ours or yours, against the contract of their kind and says what is wrong."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from vlagym.benchmark import check, console
from vlagym.envs import backend, catalog
from vlagym.envs.errors import BadData


def main(args: Sequence[str]) -> int:
    """Prints a line for each thing, one for each complaint, and tables of what was measured; returns 1 if there was a complaint."""
    parser = console.parser(
        prog="vlagym check",
        description="Holds things against the contract of their kind and says what is wrong with them, and what to do. "
        "Without an argument, everything that ships. Exits with 1 if anything is wrong.",
        example="vlagym check metric\nvlagym check task:stack\nvlagym check metric:vlagym.benchmark.metrics.drops:METRIC\n"
        "vlagym check axis:friction --seeds 2 --task stack --task open_drawer --level 5\n"
        "vlagym check policy:minivla --png shown.png\nvlagym check --profile libero --rig libero",
    )
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"KIND, KIND:NAME or package.module:ATTRIBUTE; kinds: {' '.join(check.kinds())}")
    parser.add_argument("--json", action="store_true", help="prints a list of verdicts")
    axes = parser.add_argument_group("axes", "An axis that is named is proved: varied, held against the premises and played by the expert.")
    axes.add_argument("--seeds", type=int, metavar="N", help="episodes of each task and level (5)")
    axes.add_argument("--task", action="append", metavar="NAME", help="only these tasks; all of them where there is none")
    axes.add_argument("--level", action="append", type=int, metavar="N", help="only these levels")
    axes.add_argument("--robot", metavar="NAME", help="the tasks that it does, with it; also of a policy: the robot that it is probed on")
    axes.add_argument("--workers", type=int, metavar="N", help="processes in which axes are proved; default: the usable cores")
    policies = parser.add_argument_group("policies", "A policy that is named is probed: what it is shown, what its actions do.")
    policies.add_argument("--policy-option", action="append", default=[], metavar="KEY=VALUE", help="is passed to the policy; may be repeated")
    policies.add_argument("--profile", metavar="NAME", help="probes a profile, or a .toml file, with no policy behind it")
    policies.add_argument("--rig", metavar="NAME", help="the station that it is probed at; default: the rig that the policy or profile was made for")
    policies.add_argument("--control", metavar="NAME", help="the episodes' action convention; default: the first that takes what is sent")
    policies.add_argument("--demonstrations", type=int, metavar="N", help="of the expert, of each of three tasks (4); policies are asked about all")
    policies.add_argument("--png", metavar="FILE", help="writes what the policy is shown")
    options = parser.parse_args(args)
    whats = options.what or ([] if options.profile else check.kinds())
    targets = [target for text in whats for target in check.targets(text)]
    named = [name for kind, name in targets if kind == "axis"] if options.what else []
    probed = [name for text in options.what if ":" in text for kind, name in check.targets(text) if kind == "policy"]
    _refuse_beside_axes(options, named, is_probe=bool(probed or options.profile))
    _refuse_beside_policies(options, is_probe=bool(probed or options.profile))
    backend.choose()
    others = [(kind, name) for kind, name in targets if name not in {"axis": named, "policy": probed}.get(kind, [])]
    verdicts = []
    if others:
        with console.Progress(len(others), "check", unit="thing") as progress:
            for kind, name in others:
                verdicts.append(check.check(kind, name))
                progress.advance(note=f"{kind}:{name}")
    if named:
        verdicts += _proved(named, options)
    if probed or options.profile:
        verdicts += _probed(probed, options)
    wrong = [v for v in verdicts if v.complaints]
    if options.json:
        console.answer(json.dumps([dataclasses.asdict(v) for v in verdicts], indent=2, ensure_ascii=False))
        return 1 if wrong else 0
    for verdict in verdicts:
        console.answer(_told(verdict))
    for kind in dict.fromkeys(v.kind for v in verdicts if v.rows):
        rows = [row for v in verdicts if v.kind == kind for row in v.rows]
        if kind in ("policy", "profile"):
            _answer_tables(rows)
            continue
        columns = list(dict.fromkeys(column for row in rows for column in row))
        lines = [[row.get(c, "") for c in columns] for row in rows]
        if kind == "axis":
            from vlagym.benchmark.axis_proof import pivot

            columns, lines = pivot(rows)
        console.answer("\n" + console.table(lines, columns) + "\n")
    skipped = sum(1 for v in verdicts if v.skipped)
    fine = len(verdicts) - len(wrong) - skipped
    console.answer(f"{len(verdicts)} checked: {fine} fulfil their contract, {len(wrong)} do not, {skipped} could not be checked")
    return 1 if wrong else 0


def _answer_tables(rows: Sequence[check.Row]) -> None:
    """Prints rows, those of the same columns that follow each other as one table."""
    for columns, some in itertools.groupby(rows, key=tuple):
        console.answer("\n" + console.table([list(row.values()) for row in some], columns))
    console.answer("")


def _refuse_beside_policies(options: argparse.Namespace, *, is_probe: bool) -> None:
    """Raises BadData for an option of policies where none is named."""
    words = ("policy_option", "rig", "control", "demonstrations", "png")
    given = [f"--{name.replace('_', '-')}" for name in words if getattr(options, name) not in (None, [])]
    if given and not is_probe:
        raise BadData(f"{given[0]} says how a policy is probed, and none is named: vlagym check policy:NAME {given[0]} ..., or --profile NAME")
    if options.demonstrations is not None and options.demonstrations < 1:
        raise BadData(f"there is at least 1 demonstration of each task, not {options.demonstrations}")


def _probed(names: Sequence[str], options: argparse.Namespace) -> list[check.Verdict]:
    """Returns the verdicts on policies that are named, and on a profile."""
    from vlagym.benchmark.checks.policy import complaints
    from vlagym.benchmark.probe.meeting import Asked, Where
    from vlagym.benchmark.probe.report import probe
    from vlagym.policies.loading import parse_options
    from vlagym.policies.profile import load_profile

    where = Where(options.rig, options.robot or "default", options.control or "default")
    asked = Asked(where, options.demonstrations or 4, Path(options.png) if options.png else None)
    settings = parse_options(options.policy_option)
    with console.Progress(len(names) + bool(options.profile), "probe", unit="policy") as progress:

        def telling(name: str) -> Asked:
            return asked._replace(tell=lambda step: progress.advance(0, note=f"{name}: step {step}"))

        verdicts = []
        for name in names:
            verdicts.append(check.check("policy", name, partial(complaints, options=settings, asked=telling(name))))
            progress.advance(note=name)
        if options.profile:
            profile = load_profile(options.profile)
            at = telling(options.profile)._replace(where=where._replace(rig=options.rig or profile.rig))
            verdicts.append(check.check("profile", options.profile, lambda name: probe(profile.spec(profile.name), None, at)))
            progress.advance(note=options.profile)
    return verdicts


def _refuse_beside_axes(options: argparse.Namespace, named: Sequence[str], *, is_probe: bool) -> None:
    """Raises BadData for an option of axes where none is named."""
    words = ("seeds", "task", "level", "workers") if is_probe else ("seeds", "task", "level", "robot", "workers")
    given = [f"--{name}" for name in words if getattr(options, name) is not None]
    if given and not named:
        raise BadData(f"{given[0]} says on what an axis is proved, and no axis is named: vlagym check axis {given[0]} ..., or axis:NAME")


def _proved(names: Sequence[str], options: argparse.Namespace) -> list[check.Verdict]:
    """Returns the verdicts on axes over many episodes, with a bar that counts these."""
    from vlagym.benchmark.axis import Axis
    from vlagym.benchmark.axis_proof import Prover, Scope
    from vlagym.benchmark.checks.axis import complaints
    from vlagym.benchmark.header import usable_cores

    workers = usable_cores() if options.workers is None else options.workers
    if workers < 1:
        raise BadData(f"there is at least 1 worker, not {workers}")
    tasks = tuple(options.task or catalog.names("task"))
    for task in tasks:
        catalog.known("task", task)
    if options.robot is not None:
        catalog.known("robot", options.robot)
        unable = [task for task in tasks if options.robot not in catalog.load("task", task).robots]
        if options.task and unable:
            raise BadData(f"{unable[0]!r} is not done with {options.robot!r}, but with: {', '.join(catalog.load('task', unable[0]).robots)}")
        tasks = tuple(task for task in tasks if task not in unable)
    seeds = 5 if options.seeds is None else options.seeds
    scope = Scope(tasks=tasks, num_seeds=seeds, robot=options.robot or "default", levels=tuple(options.level or ()))
    loaded = {name: catalog.load("axis", name) for name in names}
    for level in scope.levels:
        if not any(level in getattr(axis, "levels", ()) for axis in loaded.values()):
            raise BadData(f"none of the axes has a level {level}: {', '.join(names)}")
    total = sum(len(case.levels) for name, axis in loaded.items() if isinstance(axis, Axis) for case in scope.cases(name))
    with console.Progress(total, "prove") as progress, Prover(workers, progress.advance) as prover:
        return [check.check("axis", name, partial(complaints, scope=scope, prover=prover)) for name in names]


def _told(verdict: check.Verdict) -> str:
    what = f"{verdict.kind}:{verdict.name}"
    notes = [f"         . {note}" for note in verdict.notes]
    if verdict.skipped:
        return f"{console.paint('skipped', 'yellow')}  {what}: {verdict.skipped}"
    if not verdict.complaints:
        return "\n".join([f"{console.paint('ok', 'green')}       {what}", *notes])
    return "\n".join([f"{console.paint('wrong', 'red')}    {what}", *(f"         - {complaint}" for complaint in verdict.complaints), *notes])
