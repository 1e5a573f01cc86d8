"""The folder is the registry: names of a kind are files of its folder, and a name becomes the thing that its file defines."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlagym.envs.errors import BadData, UnknownName, VlagymError, unknown_name

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of thing that is found by its file name."""

    name: str
    folder: str
    """Below the package root."""
    attribute: str
    """What the file defines."""
    plural: str


_KINDS = (
    Kind(name="task", folder="envs/tasks", attribute="TASK", plural="tasks"),
    Kind(name="robot", folder="envs/robots", attribute="ROBOT", plural="robots"),
    Kind(name="policy", folder="policies/adapters", attribute="POLICY", plural="policies"),
    Kind(name="axis", folder="benchmark/axes", attribute="AXIS", plural="axes"),
    Kind(name="metric", folder="benchmark/metrics", attribute="METRIC", plural="metrics"),
    Kind(name="format", folder="results/formats", attribute="FORMAT", plural="formats"),
    Kind(name="executor", folder="benchmark/executors", attribute="EXECUTOR", plural="executors"),
    Kind(name="command", folder="benchmark/commands", attribute="main", plural="commands"),
)


def kinds() -> tuple[Kind, ...]:
    """Returns every kind that lives in a folder of Python files."""
    return _KINDS


def kind(name: str) -> Kind:
    """Returns a kind by its singular or plural name."""
    for k in _KINDS:
        if name in (k.name, k.plural):
            return k
    raise unknown_name("kind", name, [k.name for k in _KINDS])


def names(kind_name: str) -> list[str]:
    """Returns the sorted names of a kind. Reads a folder listing, imports nothing."""
    folder = _ROOT / kind(kind_name).folder
    return sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_"))


def summary(kind_name: str, name: str) -> str:
    """Returns the first line of the docstring of a named thing, read from its source without importing it."""
    import ast

    path = _ROOT / kind(kind_name).folder / f"{name}.py"
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return (doc or "").split("\n", 1)[0]


def load(kind_name: str, name: str) -> Any:
    """Returns the thing of that name: a file of the kind's folder, or `package.module:ATTRIBUTE` of anyone's.

    Raises:
      UnknownName: If neither exists; the message holds the near names.
      BadData: If the file exists and does not define the kind's attribute, or does not import.
    """
    k = kind(kind_name)
    if ":" in name and not name.split(":", 1)[0] in names(kind_name):
        return _load_outside(k, name)
    if name not in names(kind_name):
        raise unknown_name(k.name, name, names(kind_name), f"An outsider's {k.name} is written package.module:ATTRIBUTE.")
    module_name = f"vlagym.{k.folder.replace('/', '.')}.{name}"
    module = importlib.import_module(module_name)
    if not hasattr(module, k.attribute):
        raise BadData(f"{module.__file__} defines no {k.attribute}; a file of {k.folder}/ must")
    return getattr(module, k.attribute)


def _load_outside(k: Kind, name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except VlagymError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            near = unknown_name(k.name, name, names(k.name))
            raise UnknownName(f"{near} And no module {module_name!r} is importable from here") from error
        raise BadData(f"{module_name} does not import: {error}") from error
    thing: Any = module
    for part in attribute.split("."):
        if not hasattr(thing, part):
            known = [a for a in dir(module) if not a.startswith("_")]
            raise unknown_name("attribute", attribute, known, f"It was looked for in {module_name}.")
        thing = getattr(thing, part)
    return thing


def known(kind_name: str, name: str) -> str:
    """Returns the name if there is such a thing. A file of ours is not imported; an outsider's module is, for nothing else would tell.

    Raises:
      UnknownName: If there is none; the message holds the near names.
      BadData: If an outsider's module does not import.
    """
    if ":" in name:
        load(kind_name, name)
        return name
    return require(names(kind_name), name, kind(kind_name).name)


def toml_names(folder: str) -> list[str]:
    """Returns the sorted names of the TOML files of a folder below the package root, e.g. "benchmark/suites"."""
    return sorted(p.stem for p in (_ROOT / folder).glob("*.toml"))


def require(names_known: Sequence[str], name: str, what: str) -> str:
    """Returns the name if it is known.

    Raises:
      UnknownName: With the near names.
    """
    if name not in names_known:
        raise unknown_name(what, name, names_known)
    return name
