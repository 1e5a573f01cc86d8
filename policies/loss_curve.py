"""The course of a training: a table that any program reads, and a picture of it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vlagym.envs.errors import MissingPackage


@dataclass(frozen=True, kw_only=True)
class Point:
    """Where a training stood after some steps."""

    step: int
    elapsed_s: float
    samples: int
    learning_rate: float
    losses: Mapping[str, float] = field(default_factory=dict)
    """Means since the point before."""
    success: Mapping[str, float] = field(default_factory=dict)
    """Of an evaluation at this point, task -> share; empty at points without one."""


def write_csv(points: Sequence[Point], path: Path) -> None:
    """Writes one row a point; cells without a value are empty."""
    losses = sorted({name for p in points for name in p.losses})
    tasks = sorted({name for p in points for name in p.success})
    head = ["step", "elapsed_s", "samples", "learning_rate", *(f"loss_{n}" for n in losses), *(f"success_{n}" for n in tasks)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for p in points:
            cells = [p.step, f"{p.elapsed_s:.1f}", p.samples, f"{p.learning_rate:.3g}"]
            cells += [_cell(p.losses, n) for n in losses] + [_cell(p.success, n) for n in tasks]
            writer.writerow(cells)


def draw(points: Sequence[Point], path: Path) -> None:
    """Draws each loss, and success where there were evaluations, over the steps, as a PNG.

    Raises:
      MissingPackage: If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MissingPackage("the loss curve as a picture needs: pip install 'vlagym[train]'; loss.csv holds its numbers") from missing
    tasks = sorted({name for p in points for name in p.success})
    figure = Figure(figsize=(8, 6 if tasks else 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    upper, *below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2)) if tasks else [figure.subplots()]
    for name in sorted({name for p in points for name in p.losses}):
        upper.plot(*_line(points, "losses", name), label=name, linewidth=2 if name == "total" else 1)
    upper.set(yscale="log", ylabel="loss")
    if any(p.losses for p in points):
        upper.legend(ncols=4, fontsize="small")
    for lower in below:
        for name in tasks:
            lower.plot(*_line(points, "success", name), "o-", label=name)
        lower.set(ylabel="success on fresh episodes", ylim=(-0.02, 1.02))
        lower.legend(fontsize="small")
    for axes in (upper, *below):
        axes.grid(alpha=0.3)
    axes.set(xlabel="step")
    figure.savefig(path)


def _line(points: Sequence[Point], which: str, name: str) -> tuple[list[int], list[float]]:
    found = [(p.step, getattr(p, which)[name]) for p in points if name in getattr(p, which)]
    return [x for x, _ in found], [y for _, y in found]


def _cell(values: Mapping[str, float], name: str) -> str:
    return f"{values[name]:.6g}" if name in values else ""
