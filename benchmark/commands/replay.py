"""Renders a stored episode into a film or a strip of pictures, from any camera, at any quality."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from vlagym.benchmark import console


def main(args: Sequence[str]) -> int:
    """Writes a video of a stored episode."""
    parser = console.parser(
        prog="vlagym replay",
        description="Simulates the stored actions of an episode again and renders it: .mp4, .gif, or .png (a strip of 8 frames).",
        example="vlagym replay runs/20250101T120000-minivla-smoke 3f9a --out film.mp4 --camera front --camera wrist --quality high --size 480",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run folder, as `vlagym run` printed it")
    parser.add_argument("digest", metavar="DIGEST", help="of the episode: the first digits are enough")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="ends in .mp4, .gif or .png")
    parser.add_argument("--camera", action="append", metavar="NAME", help="front by default; several stand side by side")
    parser.add_argument("--quality", default="high", help="fast, medium or high (default)")
    parser.add_argument("--look", default="auto", help="of the robot: auto (default) or one of its looks")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="height of the image; default: as in the episode")
    parser.add_argument("--as-seen", action="store_true", help="with the blur, noise and lost images of a varied episode, as its policy saw it")
    parser.add_argument("--json", action="store_true", help="prints what was filmed, and where it lies, as JSON")
    options = parser.parse_args(args)

    from vlagym.benchmark.replay import film
    from vlagym.results.store import Store

    store = Store.open(options.run)
    count = film(
        store,
        options.digest,
        options.out,
        cameras=tuple(options.camera or ("front",)),
        quality=options.quality,
        look=options.look,
        size=options.size,
        as_seen=options.as_seen,
    )
    result = store.result(options.digest)
    if options.json:
        told = {name: getattr(result, name) for name in ("digest", "task", "seed", "outcome", "instruction")}
        console.answer(json.dumps({"out": str(options.out), "frames": count, **told}, indent=2, ensure_ascii=False))
        return 0
    console.answer(f"{options.out}: {count} frames of {result.task} seed {result.seed}, {result.outcome}: {result.instruction!r}")
    return 0
