"""LeRobot's dataset format v2.1 with the columns that openpi's configurations of LIBERO read: image, wrist_image, state and actions.

Images are stored one by one, as PNG within the parquet files. Everything else is as in lerobot_v21. The camera `front` is `image`, `wrist` is
`wrist_image`, another is `<camera>_image`.
"""

from __future__ import annotations

from vlagym.results.formats._lerobot import Flavour
from vlagym.results.formats.lerobot_v21 import format_of

FLAVOUR = Flavour(
    name="lerobot_v21_openpi",
    state="state",
    action="actions",
    images="image",
    camera="{camera}_image",
    cameras=(("front", "image"), ("wrist", "wrist_image")),
)
FORMAT = format_of(FLAVOUR)
