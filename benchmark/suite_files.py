"""Suites as files: a TOML file each, and the tables of a run's header. The folder is the registry."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vlagym.benchmark.entry import Entry
from vlagym.benchmark.rig import NO_RIG, load_rig
from vlagym.benchmark.suite import Suite
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, UnknownName, unknown_name

FOLDER = "benchmark/suites"


def load_suite(name: str) -> Suite:
    """Returns the suite of that name from benchmark/suites, or from a file if the name ends in .toml.

    Raises:
      UnknownName: If there is none, or if a name in it does not exist.
      BadData: If its file does not hold what it should.
    """
    if name.endswith(".toml"):
        return read_suite(Path(name)).check()
    known = catalog.toml_names(FOLDER)
    if name not in known:
        raise unknown_name("suite", name, known, "One of your own is written as the path of its .toml file.")
    return read_suite(Path(__file__).parent / "suites" / f"{name}.toml").check()


def task_suite(tasks: Sequence[str], *, episodes: int, first_seed: int = 0) -> Suite:
    """Returns a suite of some tasks in their training distribution, named after them. A task that is named twice counts once."""
    tasks = list(dict.fromkeys(tasks))
    entries = tuple(Entry(task=task, episodes=episodes, first_seed=first_seed) for task in tasks)
    return Suite(name="+".join(tasks), version=1, entries=entries, about="made on the command line")


def read_suite(path: Path) -> Suite:
    """Reads a suite file.

    Raises:
      BadData: If it is absent, no TOML, lacks a key, has one that is unknown or of another type, or states a season.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadData(f"the suite {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadData(f"{path} is not TOML: {error}") from error
    suite = suite_from_plain(data, str(path))
    if suite.season:
        raise BadData(f"{path} states a season; its name makes the seeds, so no file states both: leave the key out and give --season {suite.season}")
    if suite.name != path.stem:
        raise BadData(f"{path} calls its suite {suite.name!r}; a suite bears the name of its file, {path.stem!r}")
    return suite


def suite_from_plain(data: Mapping[str, Any], where: str) -> Suite:
    """Reads a suite from TOML's or a run header's tables.

    Raises:
      BadData: As `read_suite`.
    """
    entries = data.get("entry", [])
    if not isinstance(entries, list):
        raise BadData(f"{where}: entry must be written [[entry]]")
    tables = [_check(Entry, e, f"{where} entry {i}") for i, e in enumerate(entries, start=1)]
    head = _check(Suite, {k: v for k, v in data.items() if k != "entry"}, where, skip=("entries",), known_as={"entries": "[[entry]]"})
    try:
        return Suite(**head, entries=tuple(Entry(**_with_tuples(table)) for table in tables))
    except (BadData, UnknownName) as error:
        raise BadData(f"{where}: {error}") from error


def _with_tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a table with its lists as tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def suite_to_plain(suite: Suite) -> dict[str, Any]:
    """Returns the suite as `suite_from_plain` reads it."""
    entries = [{f.name: getattr(e, f.name) for f in dataclasses.fields(e)} for e in suite.entries]
    for entry in entries:
        entry["axes"], entry["vary"] = list(entry["axes"]), list(entry["vary"])
        for key, default in (("base", "default"), ("vary", []), ("each", 0), ("rig", NO_RIG)):
            if entry[key] == default:
                del entry[key]  # runs from before there were such keys can still be resumed
    younger: dict[str, Any] = {"cost": dict(suite.cost), "season": suite.season}
    return {"name": suite.name, "version": suite.version, "about": suite.about, **{k: v for k, v in younger.items() if v}, "entry": entries}


def suite_of_header(told: Mapping[str, Any], where: str) -> Suite:
    """Reads the suite of a run's header, which says more of it than a file does.

    Raises:
      BadData: As `read_suite`.
    """
    return suite_from_plain({key: value for key, value in told.items() if key not in _TOLD_BESIDES}, where)


def rigs_of(suite: Suite) -> dict[str, str]:
    """Returns path -> digest of the rigs of files at which episodes of a suite are made; those that ship are known by their names.

    Raises:
      BadData: If such a file cannot be read.
    """
    return {path: load_rig(path).digest() for path in sorted({e.rig for e in suite.entries if e.rig.endswith(".toml")})}


_TOLD_BESIDES = ("digest", "episodes", "rigs")
"""What a run's header says of a suite besides its tables."""

_KINDS: Mapping[str, tuple[type, str]] = {
    "name": (str, "a text"),
    "about": (str, "a text"),
    "version": (int, "a whole number"),
    "task": (str, "a text"),
    "robot": (str, "a text"),
    "control": (str, "a text"),
    "base": (str, "a text"),
    "catalogue": (str, "a text"),
    "arena": (str, "a text"),
    "layout": (str, "a text"),
    "rig": (str, "a text"),
    "level": (str, "a text"),
    "objects": (str, "'seen' or 'unseen'"),
    "phrases": (str, "'seen' or 'unseen'"),
    "episodes": (int, "a whole number"),
    "first_seed": (int, "a whole number"),
    "axes": (list, "a list of texts"),
    "vary": (list, "a list of texts"),
    "each": (int, "a whole number"),
    "cost": (dict, "a table of numbers"),
    "season": (str, "a text"),
}


def _check(kind: type, table: Any, where: str, skip: Sequence[str] = (), known_as: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Returns the table if its keys are the fields of the dataclass `kind`, each of the right type."""
    if not isinstance(table, dict):
        raise BadData(f"{where} must be a table, not {type(table).__name__}")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    words = [(known_as or {}).get(name, name) for name in fields]
    for key, value in table.items():
        if key not in fields or key in skip:
            raise BadData(f"{where} has an unknown key {key!r}. Known: {', '.join(words)}")
        wanted, word = _KINDS[key]
        inner = [isinstance(v, str) for v in value] if isinstance(value, list) else []
        inner += [isinstance(v, (int, float)) and not isinstance(v, bool) for v in value.values()] if isinstance(value, dict) else []
        if not isinstance(value, wanted) or isinstance(value, bool) or not all(inner):
            raise BadData(f"{where}: {key} must be {word}, not {value!r}")
    for name, known in fields.items():
        is_needed = known.default is dataclasses.MISSING and known.default_factory is dataclasses.MISSING
        if is_needed and name not in table and name not in skip:
            raise BadData(f"{where} lacks the key {name!r}")
    return table
