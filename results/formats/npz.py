"""A folder with a NumPy archive for each demonstration and a list of them in JSON: exact, and read with NumPy alone.

episodes/000000.npz holds actions, executed_actions, images/<camera> (T, h, w, 3) uint8 RGB upright, image_steps, depth/<camera> (T, h, w) uint16 mm,
proprio/<name>, commands/<name>, privileged/<name>, timestamps_s where they are not t / rate_hz, and about, which is JSON:

    with np.load("set/episodes/000000.npz") as episode:
        actions, front, about = episode["actions"], episode["images/front"], json.loads(str(episode["about"]))
"""

from __future__ import annotations

from vlagym.results.formats._episode_files import Layout, make_format

_SAYS = (
    "episodes/*.npz: actions (T, D) in the convention dataset.action, executed_actions, images/<camera> uint8 (T, h, w, 3) RGB with row 0 on top, "
    "depth/<camera> uint16 in mm, proprio/<name> with unit and frame in the name, commands/<name>, privileged/<name>, about (JSON). "
    "Row t was seen before action t."
)

FORMAT = make_format(Layout(name="npz", says=_SAYS, images="images/", depth="depth/"))
