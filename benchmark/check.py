"""The contract of each kind of thing, and what breaks it: `vlagym check` and the tests ask the same functions."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vlagym.envs import catalog
from vlagym.envs.errors import VlagymError, unknown_name

Row = Mapping[str, object]
"""Something that was measured on the way: a row of the table that `vlagym check` prints, by column."""


class Note(str):
    """Something worth telling that is no complaint."""


Complaints = Callable[[str], Iterator[str | Row]]
"""Name -> sentences that say what is wrong with the thing of that name and what to do, notes, and rows of what was measured; no sentence but
notes where it fulfils its contract."""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """`CONTRACT` of a file in `benchmark/checks`, which is named like the kind that it is about."""

    names: Callable[[], list[str]]
    """Returns the names of ours that it is checked on."""
    complaints: Complaints


class NotCheckable(VlagymError):
    """Nothing can be said about a thing of this name; the message says how to write it so that it can."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a check found."""

    kind: str
    name: str
    complaints: tuple[str, ...]
    skipped: str = ""
    """Why it could not be checked; empty where it was."""
    rows: tuple[Row, ...] = ()
    """What was measured."""
    notes: tuple[str, ...] = ()
    """What is worth telling and no complaint."""


def kinds() -> list[str]:
    """Returns the kinds that have a contract: the files of `benchmark/checks`."""
    return sorted(p.stem for p in (Path(__file__).parent / "checks").glob("*.py") if not p.stem.startswith("_"))


def contract(kind: str) -> Contract:
    """Returns the contract of a kind.

    Raises:
      UnknownName: If the kind has none.
    """
    catalog.require(kinds(), kind, "contract")
    found: Contract = importlib.import_module(f"vlagym.benchmark.checks.{kind}").CONTRACT
    return found


def check(kind: str, name: str, complaints: Complaints | None = None) -> Verdict:
    """Holds one thing against the contract of its kind.

    An exception is a complaint too: the thing is somebody's code, and to say where it broke is what a check is for.

    Args:
      kind: "metric", "policy" …
      name: A name of that kind, or `package.module:ATTRIBUTE` of anyone's.
      complaints: What is asked; None: what the contract of the kind asks.
    """
    complaints = contract(kind).complaints if complaints is None else complaints
    found: list[str] = []
    notes: list[str] = []
    rows: list[Row] = []
    try:
        for finding in complaints(name):
            if isinstance(finding, Note):
                notes.append(str(finding))
            elif isinstance(finding, str):
                found.append(finding)
            else:
                rows.append(finding)
    except NotCheckable as error:
        return Verdict(kind=kind, name=name, complaints=(), skipped=str(error))
    except VlagymError as error:
        found.append(str(error))
    except Exception as error:
        found.append(f"raises {described(error)}")
    return Verdict(kind=kind, name=name, complaints=tuple(found), rows=tuple(rows), notes=tuple(notes))


def described(error: BaseException) -> str:
    """Returns an exception as one line: its type, its message, and the file and line it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}{f': {message}' if message else ''}{where}"


def targets(text: str) -> list[tuple[str, str]]:
    """Returns the (kind, name) pairs that are meant by KIND, KIND:NAME or package.module:ATTRIBUTE.

    Of an outsider's attribute the kind is told by its name (METRIC, POLICY …); another one is written KIND:package.module:ATTRIBUTE.

    Raises:
      UnknownName: If the kind has no contract or cannot be told, or if nothing of ours bears the name.
    """
    head, colon, rest = text.partition(":")
    singular = {k.plural: k.name for k in catalog.kinds()} | {"suites": "suite", "objects": "object"}
    kind = singular.get(head, head)
    if kind in kinds():
        if not (colon and rest):
            return [(kind, name) for name in contract(kind).names()]
        if ":" not in rest and not rest.endswith(".toml"):
            ours = {*contract(kind).names(), *(catalog.names(kind) if kind in {k.name for k in catalog.kinds()} else ())}
            catalog.require(sorted(ours), rest, kind)
        return [(kind, rest)]
    if colon:
        attribute = rest.split(":")[0].split(".")[-1]
        for known in catalog.kinds():
            if known.attribute == attribute and known.name in kinds():
                return [(known.name, text)]
        raise unknown_name("contract", head, kinds(), f"Write KIND:{text} if {text} is an outsider's.")
    raise unknown_name("contract", head, kinds())


def first_sentence_complaint(kind: str, name: str) -> Iterator[str]:
    """Complains about a file that does not begin with a sentence: that is what `vlagym list` and `--help` show."""
    if ":" in name:
        first = (importlib.import_module(name.split(":")[0]).__doc__ or "").strip().split("\n", 1)[0]
    else:
        first = catalog.summary(kind, name)
    if not first.endswith((".", "?", "!")):
        yield f"the docstring of its file begins with {first!r}: write a sentence that says what it is for, `vlagym list` shows it"
