"""The folder is the registry: names of a kind are files of its folder, and a name becomes the thing that its file defines."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
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
    besides: tuple[str, ...] = ()
    """Files of the folder that are none of the kind, and serve those that are."""


_KINDS = (
    Kind(name="task", folder="envs/tasks", attribute="TASK", plural="tasks"),
    Kind(name="robot", folder="envs/robots", attribute="ROBOT", plural="robots"),
    Kind(name="policy", folder="policies/adapters", attribute="POLICY", plural="policies"),
    Kind(name="axis", folder="benchmark/axes", attribute="AXIS", plural="axes"),
    Kind(name="metric", folder="benchmark/metrics", attribute="METRIC", plural="metrics"),
    Kind(name="format", folder="results/formats", attribute="FORMAT", plural="formats"),
    Kind(name="protocol", folder="policies/serving", attribute="SERVER", plural="protocols", besides=("counter", "host", "websocket_server")),
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
    k = kind(kind_name)
    return sorted(p.stem for p in (_ROOT / k.folder).glob("*.py") if not p.stem.startswith("_") and p.stem not in k.besides)


def summary(kind_name: str, name: str) -> str:
    """Returns the first line of the docstring of a named thing, read from its source without importing it.

    Of a file that does not parse it says so, and where: one half-written file does not keep the others from being listed.
    """
    import ast

    path = _ROOT / kind(kind_name).folder / f"{name}.py"
    try:
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        return f"(does not parse: {getattr(error, 'msg', error)}{line})"
    return (doc or "").split("\n", 1)[0]


def load(kind_name: str, name: str) -> Any:
    """Returns the thing of that name: a file of the kind's folder, or `package.module:ATTRIBUTE` of anyone's.

    Raises:
      UnknownName: If neither exists; the message holds the near names.
      BadData: If the file exists and does not define the kind's attribute, or does not import.
    """
    k = kind(kind_name)
    module_name = f"vlagym.{k.folder.replace('/', '.')}.{name}"
    is_of_kind = not name.startswith("_") and name not in k.besides
    if is_of_kind and module_name in sys.modules and (_ROOT / k.folder / f"{name}.py").is_file():
        return _attribute(k, _import(module_name))  # it is asked for many times an episode: the folder is not listed again
    if ":" in name and not name.split(":", 1)[0] in names(kind_name):
        return _load_outside(k, name)
    if name not in names(kind_name):
        raise unknown_name(k.name, name, names(kind_name), f"An outsider's {k.name} is written package.module:ATTRIBUTE.")
    return _attribute(k, _import(module_name))


def _attribute(k: Kind, module: ModuleType) -> Any:
    """Returns what a file of a kind defines."""
    if not hasattr(module, k.attribute):
        raise BadData(f"{module.__file__} defines no {k.attribute}; a file of {k.folder}/ must")
    return getattr(module, k.attribute)


def _load_outside(k: Kind, name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    try:
        module = _import(module_name)
    except BadData as error:
        absent = error.__cause__
        if isinstance(absent, ModuleNotFoundError) and absent.name and f"{module_name}.".startswith(f"{absent.name}."):
            near = unknown_name(k.name, name, names(k.name))
            raise UnknownName(f"{near} And no module {module_name!r} is importable from here") from error
        raise
    thing: Any = module
    for part in attribute.split("."):
        if not hasattr(thing, part):
            known = [a for a in dir(module) if not a.startswith("_")]
            raise unknown_name("attribute", attribute, known, f"It was looked for in {module_name}.")
        thing = getattr(thing, part)
    return thing


def _import(module_name: str) -> ModuleType:
    """Returns a module; whatever its import raises becomes BadData that says where, for the file may be one that somebody is writing."""
    try:
        return importlib.import_module(module_name)
    except VlagymError:
        raise
    except Exception as error:
        raise BadData(f"{module_name} does not import: {_told(error)}") from error


def _told(error: Exception) -> str:
    """Returns what an import raised, and in which line of which file."""
    import traceback  # not on top: nothing that merely lists names needs it

    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({error.filename}, line {error.lineno})"
    what = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
    frame = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")][-1]
    return what if frame.filename == importlib.__file__ else f"{what} ({frame.filename}, line {frame.lineno})"


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
