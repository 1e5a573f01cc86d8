"""Where on the table things start: a drawing of the table's cells, some of which are kept for evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from vlagym.envs.asset_files import Split
from vlagym.envs.errors import BadData, BadSpec, unknown_name

LAYOUTS = ("any", "seen", "unseen")
"""any: anywhere. seen: nothing starts in an unseen cell. unseen: what the goal is about starts in one, other things may."""

LAYOUT_WORDS = ("default", *LAYOUTS)
"""default: seen, and any with the catalogue core."""

UPON_M = 0.003
"""What starts higher above the table stands on or in something, and has that thing's place."""
_SEEN, _UNSEEN = ".", "#"


@dataclass(frozen=True, kw_only=True)
class LayoutSplit:
    """Cells of the table. Places beyond the drawing belong to its nearest cell."""

    x_m: tuple[float, float]
    """(nearest, farthest) from the robot's base, in the world frame."""
    y_m: tuple[float, float]
    """(rightmost, leftmost) as the robot sees it."""
    cells: tuple[str, ...]
    """Rows from the farthest to the nearest, columns from left to right: "." seen, "#" unseen."""

    def __post_init__(self) -> None:
        for name, (low, high) in (("x_m", self.x_m), ("y_m", self.y_m)):
            if not low < high:
                raise BadData(f"split.toml [layout].{name} is [{low}, {high}]; it must be [low, high]")
        if not self.cells or len({len(row) for row in self.cells}) != 1 or set("".join(self.cells)) != {_SEEN, _UNSEEN}:
            raise BadData('split.toml [layout].cells must be rows of one length with seen cells, ".", and unseen ones, "#"')

    def at(self, x_m: float, y_m: float) -> Split:
        """Returns the split of a place, in m of the world frame."""
        (near, far), (right, left) = self.x_m, self.y_m
        row = _clipped((far - x_m) / (far - near), len(self.cells))
        column = _clipped((left - y_m) / (left - right), len(self.cells[0]))
        return "unseen" if self.cells[row][column] == _UNSEEN else "seen"

    @property
    def unseen_share(self) -> float:
        """Share of the cells that are unseen."""
        drawn = "".join(self.cells)
        return drawn.count(_UNSEEN) / len(drawn)


def layout_for(word: str, catalogue: str) -> str:
    """Returns what a word of LAYOUT_WORDS means with a catalogue. Raises UnknownName."""
    if word not in LAYOUT_WORDS:
        raise unknown_name("layout", word, LAYOUT_WORDS)
    return word if word != "default" else "any" if catalogue == "core" else "seen"


def check_layout(layout: str) -> str:
    """Returns the word if it is one of LAYOUTS. Raises BadSpec."""
    if layout not in LAYOUTS:
        raise BadSpec(f"layout is {layout!r}; it must be {', '.join(LAYOUTS[:-1])} or {LAYOUTS[-1]}")
    return layout


def _clipped(share: float, count: int) -> int:
    return min(max(int(share * count), 0), count - 1) if share > 0.0 else 0
