"""The sheet that figures are drawn on: one style, colours that everybody tells apart, and files that are equal for equal figures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlagym.envs.errors import MissingPackage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Told apart by readers with any colour vision: Okabe and Ito 2008, Color Universal Design; the yellow last, for it is faint on white."""
PNG, SVG = ".png", ".svg"
_STYLE = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.0,
    "axes.titleweight": "bold",
    "axes.grid": False,
    "legend.frameon": False,
    "svg.hashsalt": "vlagym",  # ids in the SVG are equal for equal figures
    "svg.fonttype": "path",
}


@contextmanager
def styled() -> Iterator[None]:
    """Draws in our style what is drawn within the `with` statement.

    Raises:
      MissingPackage: If matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as missing:
        raise MissingPackage("figures need: pip install matplotlib") from missing
    style: Any = _STYLE  # matplotlib's stubs want every key as a literal
    with matplotlib.rc_context(style):
        yield


def new_figure(width_in: float, height_in: float) -> Figure:
    """Returns an empty figure that belongs to no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, folder: Path, name: str, suffixes: Sequence[str] = (PNG, SVG), dots_an_inch: float = 200) -> list[Path]:
    """Writes a figure into a folder, and returns its files.

    Args:
      figure: The figure.
      folder: Which is there.
      name: Of the files; what no file system likes is left out of it.
      suffixes: A file each.
      dots_an_inch: Of a PNG.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("_.") or "figure"
    paths = [folder / f"{stem[:120]}{suffix}" for suffix in suffixes]
    for path in paths:
        # Neither the date nor the version of matplotlib: equal figures give equal files.
        figure.savefig(path, dpi=dots_an_inch, metadata={"Date": None, "Creator": None} if path.suffix == SVG else {"Software": None})
    return paths


def plain(text: str, longest: int = 40) -> str:
    """Returns a text as it fits into a figure; matplotlib takes what stands between two dollars for mathematics, so they are escaped."""
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return cut.replace("$", r"\$")
