"""Pictures of a dataset: how long its demonstrations are, what its actions are like, how many each task has, which words are said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vlagym.results.canvas import COLOURS, PNG, new_figure, plain, save, styled
from vlagym.results.datacard.numbers import NumberTally
from vlagym.results.datacard.tally import Tally

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_BINS = 40
_MOST_WORDS = 40
_MOST_PANELS = 48
"""Numbers of an action that are drawn; bodies with two hands have up to 40."""
_COLUMNS = 4
_DOTS_AN_INCH = 130
_OTHER_GREY = "#b9b9b9"


def draw(tally: Tally, folder: Path) -> dict[str, str]:
    """Draws what was counted as PNG files.

    Args:
      tally: With at least one demonstration.
      folder: Which is there.

    Returns:
      What is drawn -> name of the file.

    Raises:
      MissingPackage: If matplotlib is not installed.
    """
    contents = tally.contents()
    with styled():
        figures = {
            "lengths": lengths_figure(tally.lengths),
            "actions": actions_figure(tally.action_names, tally.actions),
            "tasks": tasks_figure({t.task: (t.successes, t.demonstrations) for t in contents.tasks}),
            "words": words_figure(contents.words, contents.demonstrations),
        }
        return {name: save(figure, folder, name, (PNG,), _DOTS_AN_INCH)[0].name for name, figure in figures.items() if figure is not None}


def lengths_figure(lengths: Mapping[str, Sequence[int]]) -> Figure:
    """Returns a histogram of the control steps of all demonstrations, with the range of each task below it.

    Args:
      lengths: Task -> steps of its demonstrations.
    """
    every = [steps for of in lengths.values() for steps in of]
    of_tasks = sorted(lengths, key=lambda task: (float(np.median(lengths[task])), task))
    is_split = len(of_tasks) > 1
    figure = new_figure(6.4, 2.2 + (0.5 + 0.2 * len(of_tasks)) * is_split)
    panels = figure.subplots(1 + is_split, 1, sharex=True, squeeze=False, height_ratios=[1.7, 0.3 + 0.2 * len(of_tasks)][: 1 + is_split])
    upper = panels[0][0]
    low, high = min(every), max(every)
    upper.hist(every, bins=min(_BINS, max(1, high - low + 1)), range=(low - 0.5, high + 0.5), color=COLOURS[0], alpha=0.85)
    upper.set(ylabel="demonstrations")
    _count_whole(upper.yaxis)
    upper.set_title(f"lengths of {len(every)} demonstrations, median {np.median(every):g} steps", loc="left")
    if not is_split:
        upper.set(xlabel="control steps")
        return figure
    lower = panels[1][0]
    for at, task in enumerate(of_tasks):
        steps = lengths[task]
        q25, q50, q75 = np.quantile(steps, [0.25, 0.5, 0.75])
        lower.plot([min(steps), max(steps)], [at, at], color=COLOURS[0], linewidth=0.8)
        lower.plot([q25, q75], [at, at], color=COLOURS[0], linewidth=5, solid_capstyle="butt", alpha=0.6)
        lower.plot([q50], [at], "o", color="black", markersize=3)
    lower.set(xlabel="control steps: extremes, middle half, median", yticks=range(len(of_tasks)), ylim=(-0.7, len(of_tasks) - 0.3))
    lower.set_yticklabels([plain(task or "task not known") for task in of_tasks], fontsize=7.5)
    return figure


def actions_figure(names: Sequence[tuple[str, str]], tallies: Sequence[NumberTally]) -> Figure:
    """Returns a histogram of each number of the actions, all rows counted; the scale of counts is logarithmic, for one value may rule.

    Args:
      names: Name and unit of each number.
      tallies: Of each number.
    """
    from matplotlib.ticker import MaxNLocator, NullFormatter

    shown = list(zip(names, tallies, strict=True))[:_MOST_PANELS]
    columns = min(_COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(0.4 + 2.0 * columns, 0.5 + 1.45 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for panel, ((name, unit), tally) in zip(grid.flat, shown, strict=False):
        summary = tally.summary(name, unit)
        low, high = (summary.min, summary.max) if summary.max > summary.min else (summary.min - 0.5, summary.max + 0.5)
        edges = np.linspace(low, high, _BINS + 1)
        panel.stairs(tally.histogram(edges), edges, fill=True, color=COLOURS[0], alpha=0.85)
        panel.set_yscale("log")
        panel.set_ylim(bottom=0.7)
        panel.yaxis.set_minor_formatter(NullFormatter())
        panel.xaxis.set_major_locator(MaxNLocator(nbins=4))
        panel.set_title(plain(name, 26), loc="left", fontsize=8)
        panel.set_xlabel(plain(f"1.0 = {unit}" if unit[:1].isdigit() else unit, 26), fontsize=7)
        panel.tick_params(labelsize=6.5)
    for panel in grid.flat[len(shown) :]:
        panel.set_visible(False)
    left_out = len(names) - len(shown)
    beside = f"; {left_out} more are not drawn" if left_out else ""
    title = f"actions, {tallies[0].count:,} rows; their number is drawn on a logarithmic scale{beside}"
    figure.suptitle(title, fontsize=9, fontweight="bold", x=0.01, ha="left")
    return figure


def tasks_figure(tasks: Mapping[str, tuple[int, int]]) -> Figure:
    """Returns how many demonstrations each task has, those that failed in grey.

    Args:
      tasks: Task -> successes and demonstrations.
    """
    order = sorted(tasks, key=lambda task: (tasks[task][1], task))
    figure = new_figure(6.4, 0.8 + 0.22 * len(order))
    axes = figure.subplots()
    most = max(count for _, count in tasks.values())
    for at, task in enumerate(order):
        successes, count = tasks[task]
        axes.barh(at, successes, height=0.7, color=COLOURS[0], alpha=0.85)
        axes.barh(at, count - successes, left=successes, height=0.7, color=_OTHER_GREY)
        axes.text(count + 0.01 * most, at, f"{count}" if successes == count else f"{count}, {count - successes} failed", va="center", fontsize=7)
    axes.set(xlabel="demonstrations", yticks=range(len(order)), ylim=(-0.6, len(order) - 0.4), xlim=(0, 1.16 * most))
    axes.set_yticklabels([plain(task or "task not known") for task in order], fontsize=7.5)
    axes.set_title("demonstrations of each task", loc="left")
    _count_whole(axes.xaxis)
    return figure


def words_figure(words: Mapping[str, int], demonstrations: int) -> Figure | None:
    """Returns how often the most frequent words are said; None where sentences hold no word.

    Args:
      words: Word -> how often it is said.
      demonstrations: How many sentences there are.
    """
    shown = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:_MOST_WORDS]
    if not shown:
        return None
    figure = new_figure(max(3.6, 0.9 + 0.2 * len(shown)), 2.8)
    axes = figure.subplots()
    axes.bar(range(len(shown)), [count for _, count in shown], color=COLOURS[0], alpha=0.85)
    axes.set(xticks=range(len(shown)), xlim=(-0.7, len(shown) - 0.3), ylabel="times")
    axes.set_xticklabels([plain(word, 20) for word, _ in shown], rotation=60, ha="right", rotation_mode="anchor", fontsize=7.5)
    _count_whole(axes.yaxis)
    of = f"the {len(shown)} most frequent of {len(words)} words" if len(words) > len(shown) else f"all {len(words)} words"
    axes.set_title(f"{of} in {demonstrations} sentences", loc="left")
    return figure


def _count_whole(axis: Axis) -> None:
    """Puts ticks at whole numbers: there are no halves of demonstrations."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))
