"""The HTML leaderboard: one folder of pages, data and pictures that opens from disk and from any static host, without a network.

`build` writes it. Needs no simulator: whoever has films of episodes hands them in as `Media`.
"""

from __future__ import annotations

from vlagym.results.site.folder import Site, build
from vlagym.results.site.media import Media
from vlagym.results.site.standing import check_place

__all__ = ["Media", "Site", "build", "check_place"]
