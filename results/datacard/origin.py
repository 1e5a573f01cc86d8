"""How a dataset was made, on the page of its card: the command, the versions, the options, the conversions."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vlagym.results.datacard import escaping as md
from vlagym.results.datacard.card import DataCard

_LONGEST_CELL = 160
"""Characters of what a dataset says of its making; what is longer is folded."""


def origin(card: DataCard) -> Iterator[str]:
    """Yields what a dataset says of its making: the command, versions, options, and what it was converted from."""
    told = card.provenance
    command = told.get("command")
    if isinstance(command, Sequence) and not isinstance(command, str) and command:
        yield md.block(shlex.join(map(str, command)), "bash")
    rows: list[tuple[str, str]] = []
    if card.suite:
        version = f"version {card.suite['version']}" if "version" in card.suite else "of which version was not written down"
        rows.append(("suite", f"{md.code(str(card.suite.get('name', '')))}, {md.text(version)}"))
    if isinstance(told.get("packages"), Mapping):
        rows.append(("versions", ", ".join(f"{md.text(str(k))} {md.text(str(v))}" for k, v in told["packages"].items())))
    rest = {str(key): value for key, value in told.items() if key not in ("command", "packages", "suite", "held_out", "conversions")}
    short = {key: json.dumps(value, ensure_ascii=False) if isinstance(value, (Mapping, list)) else str(value) for key, value in rest.items()}
    rows += [(md.text(key.replace("_", " ")), md.code(said)) for key, said in short.items() if len(said) <= _LONGEST_CELL]
    if rows:
        yield md.table(["", ""], rows)
    conversions = told.get("conversions")
    for conversion in conversions if isinstance(conversions, list) else ():
        yield _converted(conversion)
    long = {key: value for key, value in rest.items() if len(short[key]) > _LONGEST_CELL}
    if long:
        yield md.details("all that the dataset says of its making", md.block(_json(long), "json"))
    if not told:
        yield "Not known: the dataset says nothing of its making."


def _converted(told: Any) -> str:
    """Returns from what a dataset was converted to what, and what was lost on the way."""
    if not isinstance(told, Mapping):
        return f"Then converted: {md.text(str(told))}"
    lost = [loss for loss in told.get("lost", ()) if isinstance(loss, (list, tuple)) and len(loss) == 2]
    lines = [f"- {md.text(str(what))}: {md.text(str(how))}" for what, how in lost]
    head = f"Then converted from {md.code(str(told.get('from', '')))} to {md.code(str(told.get('to', '')))}"
    return "\n".join([f"{head}, with a loss of:\n", *lines]) if lines else f"{head}, without a loss."


def _json(table: Mapping[str, Any]) -> str:
    """Returns JSON with an entry of a list, or a key of the table, on each line."""

    def told(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    lines = []
    for key, value in table.items():
        is_list = isinstance(value, list) and any(isinstance(entry, (dict, list)) for entry in value)
        lines.append(f"{told(key)}: " + ("[\n    " + ",\n    ".join(map(told, value)) + "\n  ]" if is_list else told(value)))
    return "{\n  " + ",\n  ".join(lines) + "\n}"
