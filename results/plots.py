"""Figures for papers and talks: success, level curves, task x axis, language use. PNG and SVG, equal for equal runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlagym.envs.errors import BadData
from vlagym.results import standings
from vlagym.results.aggregate import rate
from vlagym.results.canvas import COLOURS, new_figure, plain, save, styled
from vlagym.results.ceiling import EXPERT
from vlagym.results.gaps import CONTROLS, Gap, curves, gaps
from vlagym.results.language_use import LanguageUse, language_use
from vlagym.results.leaderboard import FLOORS
from vlagym.results.pairing import plain_episodes
from vlagym.results.pooling import Pool, Run, pools

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKS = "os^Dvp*X"
_BOUND_GREY = "#8a8a8a"
"""Of the floor and the ceiling, which frame the policies and are not of them."""
_GAPS = "RdBu"
"""Diverging, from loss to gain; distinguishable to the colour-blind by ColorBrewer's account (Harrower and Brewer 2003)."""


def draw(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Draws every figure that the runs hold something for, each as PNG and as SVG.

    `success`: success of each policy with its interval. `levels`: the gap over the levels of each axis. `gaps-<policy>`: the gap of each task and
    axis. `language`: success with the right sentence and in each control arm, beside 1/k.

    Args:
      runs: At least one.
      folder: Where files go; made if it is not there. Figures of the same names are replaced.

    Returns:
      The files that were written.

    Raises:
      MissingPackage: If matplotlib is not installed.
      BadData: If there are no runs, or the folder is a file.
    """
    if not runs:
        raise BadData("a figure needs at least one run folder")
    if folder.exists() and not folder.is_dir():
        raise BadData(f"{folder} is a file; --plots wants a folder")
    folder.mkdir(parents=True, exist_ok=True)
    of_rows = pools(runs)
    written: list[Path] = []
    with styled():
        for suite in sorted({pool.suite for pool in of_rows}):
            end = "" if len({pool.suite for pool in of_rows}) == 1 else f"-{suite}"
            of_suite = [run for pool in of_rows if pool.suite == suite for run in pool.runs]
            written += save(success_figure(of_suite), folder, f"success{end}")
            by_level = gaps(of_suite, "level").rows
            if curves(by_level):
                written += save(level_figure(by_level), folder, f"levels{end}")
            by_task = gaps(of_suite, "task").rows
            for key in dict.fromkeys((g.policy, g.differs) for g in by_task):
                found = [g for g in by_task if (g.policy, g.differs) == key]
                written += save(gap_figure(found), folder, f"gaps-{' '.join(filter(None, key))}{end}")
            uses = language_use(of_suite).rows
            if any(arm.n for use in uses for arm in use.arms):
                written += save(language_figure(uses), folder, f"language{end}")
    return written


def success_figure(runs: Sequence[Run]) -> Figure:
    """Returns success of each policy of one suite as bars with Wilson intervals, the best on top, letters beside them.

    Of runs that hold varied episodes too, only the unvaried are counted.
    """
    rows = [(pool, plain_episodes(pool.results())) for pool in pools(runs)]
    is_parted = any(len(results) < len(pool.results()) for pool, results in rows)
    letters = standings.letters({pool.label: results for pool, results in rows})
    found = []
    for pool, results in rows:
        counted = [r for r in results if r.outcome != "error"]
        found.append((pool, rate(sum(r.outcome == "success" for r in counted), len(counted)), len(results) - len(counted)))
    found.sort(key=lambda row: (-1.0 if row[1].mean is None else row[1].mean, row[0].label))
    figure = new_figure(6.0, 0.8 + 0.42 * len(found))
    axes = figure.subplots()
    for at, (pool, interval, errors) in enumerate(found):
        if interval.mean is None or interval.low is None or interval.high is None:
            continue
        mean, low, high = 100 * interval.mean, 100 * interval.low, 100 * interval.high
        axes.barh(at, mean, height=0.62, color=_BOUND_GREY if _is_bound(pool) else COLOURS[0], alpha=0.55 if _is_bound(pool) else 0.85)
        axes.errorbar(mean, at, xerr=[[mean - low], [high - mean]], color="black", elinewidth=1.0, capsize=2.5)
        axes.text(high + 1.5, at, f"{mean:.0f} %  {letters.get(pool.label, '')}", va="center", fontsize=8)
    what = "success on unvaried episodes" if is_parted else "success"
    axes.set(yticks=range(len(found)), ylim=(-0.6, len(found) - 0.4), xlim=(0, 118), xticks=range(0, 101, 25), xlabel=f"{what} in %, Wilson 95 %")
    told = [f"n = {interval.n}" + (f", {errors} errors" if errors else "") for _, interval, errors in found]
    axes.set_yticklabels([f"{plain(pool.label)}\n{of}" for (pool, _, _), of in zip(found, told, strict=True)])
    axes.set_title(found[0][0].suite if found else "", loc="left")
    return figure


def level_figure(rows: Sequence[Gap]) -> Figure:
    """Returns the gap over the levels of each axis, a panel an axis and a line a policy, with bands of its paired 95 % interval.

    Not success itself: levels may be played on different scenes, and those of one are as hard for every axis.

    Args:
      rows: Gaps by level, of one suite.
    """
    of_policy = curves(rows)
    names = [f"{policy} ({differs})" if differs else policy for policy, _, differs in of_policy]
    axes_names = sorted({axis for of in of_policy.values() for axis in of}, key=lambda axis: (axis == "all", axis))
    columns = min(5, len(axes_names))
    lines = math.ceil(len(axes_names) / columns)
    figure = new_figure(0.6 + 2.1 * columns, 0.9 + 1.75 * lines)
    grid = figure.subplots(lines, columns, sharex=False, sharey=True, squeeze=False)
    coloured = [name for name in names if name not in (*FLOORS, EXPERT)]
    order = {name: i for i, name in enumerate([*coloured, *(name for name in names if name not in coloured)])}
    for panel, axis in zip(grid.flat, axes_names, strict=False):
        for name, of in zip(names, of_policy.values(), strict=True):
            if axis in of:
                _curve(panel, of[axis], order[name], name)
        panel.set(title=axis, ylim=(-104, 104), yticks=(-100, -50, 0, 50, 100))
        panel.axhline(0, color="black", linewidth=0.7)
        played = sorted({g.levels[0] for of in of_policy.values() for g in of.get(axis, ()) if g.levels is not None})
        panel.set(xticks=played, xlim=(played[0] - 0.4, played[-1] + 0.4))
        panel.grid(alpha=0.25, linewidth=0.5)
    for panel in grid.flat[len(axes_names) :]:
        panel.set_visible(False)
    handles = {label: handle for panel in grid.flat for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), map(plain, handles), loc="outside upper center", ncols=min(4, len(handles)))
    figure.supxlabel("level", fontsize=9)
    figure.supylabel("varied - unvaried twins, points", fontsize=9)
    return figure


def gap_figure(rows: Sequence[Gap]) -> Figure:
    """Returns the gap of each task and axis of one policy as a heat map, numbers in percentage points; grey where nothing was played.

    Args:
      rows: Gaps by task.
    """
    import numpy as np

    tasks = sorted({g.task for g in rows if g.task is not None})
    axes_names = sorted({g.axis for g in rows}, key=lambda axis: ("+" in axis, axis == "all", axis))
    values = np.full((len(tasks), len(axes_names)), np.nan)
    for g in rows:
        if g.gap.mean is not None and g.task is not None:
            values[tasks.index(g.task), axes_names.index(g.axis)] = 100 * g.gap.mean
    figure = new_figure(2.4 + 0.42 * len(axes_names), 1.9 + 0.3 * len(tasks))
    axes = figure.subplots()
    axes.set_facecolor("#d9d9d9")
    image = axes.imshow(values, cmap=_GAPS, vmin=-100, vmax=100, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if not math.isnan(value):
            axes.text(j, i, f"{value:+.0f}" if round(value) else "0", ha="center", va="center", fontsize=7, color=_ink(value))
    axes.set(xticks=range(len(axes_names)), yticks=range(len(tasks)))
    axes.set_xticklabels(axes_names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticklabels(tasks)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    first = rows[0]
    counts = [g.n for g in rows if g.n]
    of = f", {min(counts)} to {max(counts)} pairs a cell" if counts else ""
    axes.set_title(f"{plain(f'{first.policy} ({first.differs})' if first.differs else first.policy)} on {first.suite}{of}", loc="left")
    figure.colorbar(image, ax=axes, label="varied - unvaried, points", shrink=0.8, pad=0.02)
    return figure


def language_figure(rows: Sequence[LanguageUse]) -> Figure:
    """Returns success with the right sentence and in each control arm, a group of bars a policy, with Wilson intervals and the bound 1/k."""
    names = [name for name in CONTROLS if any(arm.name.split(":")[0] == name for use in rows for arm in use.arms)]
    figure = new_figure(max(5.5, 1.8 + 1.5 * len(rows)), 3.2)
    axes = figure.subplots()
    width = 0.8 / (len(names) + 1)
    for i, use in enumerate(rows):
        widest = max(use.arms, key=lambda arm: arm.n)
        bars: list[tuple[str, Any]] = [("right sentence", widest.right)]
        bars += [(name, next((arm.success for arm in use.arms if arm.name.split(":")[0] == name), None)) for name in names]
        for j, (name, interval) in enumerate(bars):
            if interval is None or interval.mean is None:
                continue
            at, mean = i + (j - len(names) / 2) * width, 100 * interval.mean
            axes.bar(at, mean, width * 0.92, color=COLOURS[j], alpha=0.9, label=name if i == 0 else "_")
            axes.errorbar(at, mean, yerr=[[mean - 100 * interval.low], [100 * interval.high - mean]], color="black", elinewidth=0.9, capsize=2)
        if use.chance is not None:
            axes.hlines(100 * use.chance, i - 0.45, i + 0.45, colors="black", linestyles="dashed", linewidth=0.9, label="1/k" if i == 0 else "_")
    axes.set(xticks=range(len(rows)), ylim=(0, 105), ylabel="success in %, Wilson 95 %")
    axes.set_xticklabels([plain(f"{use.policy} ({use.differs})" if use.differs else use.policy) for use in rows])
    axes.set_title(rows[0].suite, loc="left")
    figure.legend(loc="outside lower center", ncols=len(names) + 2, handlelength=1.2, columnspacing=1.2)
    return figure


# ------------------------------------------------------------------------------------------------------------------------ in common
def _curve(panel: Axes, levels: Sequence[Gap], i: int, name: str) -> None:
    known = [g for g in levels if g.gap.mean is not None and g.levels is not None]
    if not known:
        return
    x = [g.levels[0] for g in known if g.levels is not None]
    middle, low, high = ([100 * (getattr(g.gap, end) or 0.0) for g in known] for end in ("mean", "low", "high"))
    is_bound = name in (*FLOORS, EXPERT)
    colour = _BOUND_GREY if is_bound else COLOURS[i % len(COLOURS)]
    if len(x) == 1:  # a band of one level has no width
        panel.vlines(x, low, high, color=colour, linewidth=1.0)
    panel.fill_between(x, low, high, color=colour, alpha=0.08 if is_bound else 0.18, linewidth=0)
    style = "dashed" if is_bound else "solid"
    panel.plot(x, middle, color=colour, linestyle=style, marker=_MARKS[i % len(_MARKS)], markersize=3.5, linewidth=1.2, label=name)


def _ink(points: float) -> str:
    """Returns the colour of a number on its cell: light on the dark ends of the scale."""
    return "white" if abs(points) > 60 else "black"


def _is_bound(pool: Pool) -> bool:
    return pool.policy in FLOORS or pool.is_privileged
