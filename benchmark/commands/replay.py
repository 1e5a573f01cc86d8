"""Renders an episode of a run or a dataset into a film or a strip of pictures, from any camera, at any quality."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from vlagym.benchmark import console


def main(args: Sequence[str]) -> int:
    """Writes a video of an episode of a run or a dataset."""
    parser = console.parser(
        prog="vlagym replay",
        description="Simulates the stored actions of an episode again and renders it: .mp4, .gif, or .png (a strip of 8 frames). Of a dataset that "
        "was recorded elsewhere, or with --as-seen, it shows the images that are stored.",
        example="vlagym replay runs/20250101T120000-minivla-smoke 3f9a --out film.mp4 --camera front --camera wrist --quality high --size 480\n"
        "vlagym replay demos.hdf5 0 --out film.mp4",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run folder, as `vlagym run` printed it, or a dataset")
    parser.add_argument("digest", metavar="DIGEST", help="of the episode: the first digits are enough; of a dataset its number, too")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="ends in .mp4, .gif or .png")
    parser.add_argument("--camera", action="append", metavar="NAME", help="front by default; several stand side by side")
    parser.add_argument("--quality", default="high", help="fast, medium or high (default)")
    parser.add_argument("--look", default="auto", help="of the robot: auto (default) or one of its looks")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="height of the image; default: as in the episode")
    parser.add_argument("--as-seen", action="store_true", help="as its policy saw it, with blur, noise and lost images; as the dataset stores it")
    parser.add_argument("--json", action="store_true", help="prints what was filmed, and where it lies, as JSON")
    options = parser.parse_args(args)

    from vlagym.results.datasets import is_dataset

    if is_dataset(options.run):
        return _of_dataset(options)

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


def _of_dataset(options: Namespace) -> int:
    from vlagym.benchmark.dataset_replay import film_demonstration

    filmed = film_demonstration(
        options.run,
        options.digest,
        options.out,
        cameras=tuple(options.camera or ()),
        quality=options.quality,
        look=options.look,
        size=options.size,
        as_stored=options.as_seen,
    )
    d = filmed.demonstration
    task, seed = (None, None) if d.spec is None else (d.spec.task, d.spec.seed)
    outcome, shown = "success" if d.is_success else "failure", "simulated" if filmed.is_simulated else "stored images"
    if options.json:
        told = {"number": filmed.number, "digest": d.digest, "task": task, "seed": seed, "outcome": outcome, "instruction": d.instruction}
        console.answer(json.dumps({"out": str(options.out), "frames": filmed.frames, "shown": shown, **told}, indent=2, ensure_ascii=False))
        return 0
    name = f"demonstration {filmed.number}" if d.spec is None else f"demonstration {filmed.number}, {task} seed {seed}"
    console.answer(f"{options.out}: {filmed.frames} frames of {name} ({shown}), {outcome}: {d.instruction!r}")
    return 0
