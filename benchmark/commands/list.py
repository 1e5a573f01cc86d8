"""Lists what there is: tasks, robots, suites, policies, profiles, rigs, axes, metrics, formats, objects, fixtures, arenas, executors or commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from vlagym.benchmark import console
from vlagym.envs import catalog
from vlagym.envs.errors import BadData

if TYPE_CHECKING:
    from vlagym.envs.fixtures import FixtureAsset
    from vlagym.envs.objects import ObjectAsset

Row = Mapping[str, object]

_SINGULARS = {
    "suite": "suites", "object": "objects", "fixture": "fixtures", "arena": "arenas", "rig": "rigs", "profile": "profiles",
}  # fmt: skip
_ONLY_JSON = ("cannot", "changes", "tells")
"""Keys of rows that a line of a terminal has no room for."""
SUITES = "benchmark/suites"
"""Folder of the suites, below the package root."""
_OF_TOML = {"suites": SUITES, "arenas": "assets/arenas", "rigs": "benchmark/rigs", "profiles": "policies/profiles"}
"""Kinds of which each is a TOML file of a folder."""


def main(args: Sequence[str]) -> int:
    """Prints the names of a kind, one a line with what each is for; without a kind, the kinds."""
    listings = _listings()
    parser = console.parser(
        prog="vlagym list",
        description="Lists the names of a kind with what each is for; without a kind, the kinds and how many there are.",
        example="vlagym list metrics\nvlagym list objects --json",
    )
    parser.add_argument("kind", nargs="?", metavar="KIND", help=f"one of: {' '.join(listings)}")
    parser.add_argument("--json", action="store_true", help="prints a list of objects, each with at least a name")
    options = parser.parse_args(args)
    if options.kind is None:
        rows: list[Row] = [{"name": kind, "count": len(_names(kind))} for kind in listings]
    else:
        singulars = {k.name: k.plural for k in catalog.kinds()} | _SINGULARS
        kind = singulars.get(options.kind, options.kind)
        rows = listings[catalog.require(list(listings), kind, "kind")]()
    if options.json:
        console.answer(json.dumps(rows, indent=2, ensure_ascii=False))
    elif rows:
        columns = [c for c in rows[0] if c not in _ONLY_JSON]
        console.answer(console.table([[_cell(row[c]) for c in columns] for row in rows], columns))
        reasons = [(str(row["name"]), body, why) for row in rows for body, why in _items(row.get("cannot"))]
        if reasons:
            console.answer("\nwhat a body cannot do:")
            console.answer(console.table([list(reason) for reason in reasons], ["task", "robot", "reason"]))
    return 0


def _listings() -> dict[str, Callable[[], list[Row]]]:
    listings: dict[str, Callable[[], list[Row]]] = {k.plural: partial(_files, k.name) for k in catalog.kinds()}
    listings |= {"tasks": _tasks, "robots": _robots, "metrics": _metrics, "suites": _suites, "axes": _axes}
    listings |= {"objects": _objects, "fixtures": _fixtures, "arenas": _arenas, "rigs": _rigs, "profiles": _profiles}
    return dict(sorted(listings.items()))


def _names(kind: str) -> Sequence[str]:
    """Returns the names of a plural kind without opening a file."""
    if kind in _OF_TOML:
        return catalog.toml_names(_OF_TOML[kind])
    if kind in ("objects", "fixtures"):
        from vlagym.assets import path

        return sorted(p.parent.name for p in path(kind).glob(f"**/{kind[:-1]}.toml"))
    return catalog.names(kind)


def _files(kind: str) -> list[Row]:
    return [{"name": name, "summary": catalog.summary(kind, name)} for name in catalog.names(kind)]


def _tasks() -> list[Row]:
    rows: list[Row] = []
    for name in catalog.names("task"):
        try:
            task = catalog.load("task", name)
        except BadData as error:
            rows.append({"name": name, "robots": [], "bases": [], "summary": f"({error})", "cannot": {}})
            continue
        summary = catalog.summary("task", name)
        rows.append({"name": name, "robots": list(task.robots), "bases": list(task.bases), "summary": summary, "cannot": dict(task.cannot)})
    return rows


def _robots() -> list[Row]:
    rows: list[Row] = []
    for name in catalog.names("robot"):
        try:
            robot = catalog.load("robot", name)
        except BadData as error:
            empty: dict[str, object] = {"bases": [], "controls": [], "groups": {}, "looks": []}
            rows.append({"name": name, **empty, "summary": f"({error})"})
            continue
        groups = {group.name: len(group.joints) for group in robot.groups}
        parts = {"bases": list(robot.bases), "controls": list(robot.controls), "groups": groups, "looks": list(robot.looks)}
        rows.append({"name": name, **parts, "summary": robot.summary})
    return rows


def _metrics() -> list[Row]:
    rows: list[Row] = []
    for name in catalog.names("metric"):
        try:
            metric = catalog.load("metric", name)
        except BadData as error:
            rows.append({"name": name, "unit": "", "better": "", "summary": f"({error})"})
            continue
        rows.append({"name": name, "unit": metric.unit, "better": metric.better, "summary": catalog.summary("metric", name)})
    return rows


def _axes() -> list[Row]:
    rows: list[Row] = []
    for name in catalog.names("axis"):
        axis = catalog.load("axis", name)
        levels = f"{axis.levels[0]}-{axis.levels[-1]}"
        more = {"summary": catalog.summary("axis", name), "changes": axis.changes, "tells": axis.tells}
        rows.append({"name": name, "group": axis.group, "levels": levels, **more})
    return sorted(rows, key=lambda row: (catalog.load("axis", str(row["name"])).rank, str(row["name"])))


def _suites() -> list[Row]:
    from vlagym.benchmark.suite_files import load_suite

    suites = [load_suite(name) for name in catalog.toml_names(SUITES)]
    return [{"name": s.name, "version": s.version, "episodes": s.num_episodes, "summary": s.about} for s in suites]


def _objects() -> list[Row]:
    from vlagym.envs.objects import catalog as objects

    return [_asset_row(o) for o in objects().values()]


def _fixtures() -> list[Row]:
    from vlagym.envs.fixtures import fixtures

    return [_asset_row(f) for f in fixtures().values()]


def _arenas() -> list[Row]:
    from vlagym.envs.arenas import arena, arena_names
    from vlagym.envs.split import arena_split

    return [{"name": name, "split": arena_split(name), "summary": arena(name).about} for name in arena_names()]


def _rigs() -> list[Row]:
    from vlagym.benchmark.rig import load_rig, rig_names

    rigs = [load_rig(name) for name in rig_names()]
    return [{"name": r.name, "robot": r.robot, "control": f"{r.control.convention} {r.control.rate_hz:g} Hz", "summary": r.about} for r in rigs]


def _profiles() -> list[Row]:
    from vlagym.policies.profile import load_profile, profile_names

    profiles = [load_profile(name) for name in profile_names()]
    return [{"name": p.name, "rig": p.rig or "", "rate": f"{p.action.rate_hz:g} Hz", "summary": p.about} for p in profiles]


def _asset_row(asset: ObjectAsset | FixtureAsset) -> Row:
    return {"name": asset.id, "kind": asset.kind, "colour": asset.colour, "split": asset.split, "names": list(asset.names)}


def _cell(value: object) -> object:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {number}" for key, number in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _items(value: object) -> list[tuple[str, str]]:
    return [(str(key), str(why)) for key, why in value.items()] if isinstance(value, Mapping) else []
