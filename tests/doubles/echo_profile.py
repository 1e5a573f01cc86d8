"""The profile of the policy in `served`, as a user would write it for a server that says nothing of itself."""

from __future__ import annotations

from pathlib import Path

from served import ACTION, OBSERVATION


def write(folder: Path, tables: str = "", *, state: bool = True, images: int = 2, execute: int = 3) -> str:
    """Writes mine.toml and returns its path; `tables` is appended to it."""
    rows = ['name = "mine"', "chunk_steps = 4", f"execute_steps = {execute}", "[action]", 'name = "ee_delta"', "rate_hz = 20.0"]
    for c in ACTION.components:
        rows += ["[[action.components]]", f'name = "{c.name}"', f"size = {c.size}", f'convention = "{c.convention}"', f'frame = "{c.frame}"']
        rows += [f'unit = "{c.unit}"', f"scale = {c.scale}", f"low = {list(c.low)}", f"high = {list(c.high)}"]
    rows += ["[observation]", "rate_hz = 20.0"]
    for i in OBSERVATION.images[:images]:
        rows += ["[[observation.images]]", f'name = "{i.name}"', f"width = {i.width}", f"height = {i.height}"]
    for s in OBSERVATION.state if state else ():
        rows += ["[[observation.state]]", f'name = "{s.name}"', f"size = {s.size}"]
    path = folder / "mine.toml"
    path.write_text("\n".join([*rows, tables, ""]), encoding="utf-8")
    return str(path)
