"""The table of all axes, for people: what each level of each does, in the order in which axes are applied."""

from __future__ import annotations

from vlagym.benchmark.axis import Axis
from vlagym.envs import catalog


def markdown() -> str:
    """Returns a Markdown table with a line for each level above 0 of each axis of ours."""
    axes: dict[str, Axis] = {name: catalog.load("axis", name) for name in catalog.names("axis")}
    lines = ["| group | axis | level | what it does |", "| --- | --- | --: | --- |"]
    group = ""
    for name in sorted(axes, key=lambda name: (axes[name].rank, name)):
        axis = axes[name]
        for level, told in zip(axis.levels[1:], axis.tells, strict=True):
            is_first = level == axis.levels[1]
            about = axis.group if is_first and axis.group != group else ""
            lines.append(f"| {about} | {f'`{name}`' if is_first else ''} | {level} | {_cell(told)} |")
        group = axis.group
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
