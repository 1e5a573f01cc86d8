"""Lets a person play episodes in the browser, by keyboard, gamepad or buttons, and records them as demonstrations."""

from __future__ import annotations

import contextlib
import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlagym.benchmark import console
from vlagym.envs import catalog
from vlagym.envs.errors import BadData

if TYPE_CHECKING:
    from vlagym.benchmark.collecting.options import DemoOptions
    from vlagym.benchmark.entry import Entry
    from vlagym.benchmark.teleoperation.played import PlayOptions
    from vlagym.benchmark.teleoperation.shelf import Shelf

PORT = 8010
"""Where the page is, unless it is said otherwise."""
_CAMERA_SIZE = 256
"""Of the cameras of an episode."""


def main(args: Sequence[str]) -> int:
    """Serves the page until the dataset is finished there; ctrl-C leaves it to be gone on with."""
    said = _parse(args)
    options, play = _options(said, args), _play_options(said)
    from vlagym.benchmark.episode import WorldOptions
    from vlagym.benchmark.teleoperation.seat import Seat
    from vlagym.benchmark.teleoperation.server import Server
    from vlagym.benchmark.teleoperation.session import Session
    from vlagym.benchmark.teleoperation.shelf import Shelf
    from vlagym.benchmark.teleoperation.views import require_jpeg

    require_jpeg()
    seat = Seat()
    shelf = Shelf(options, play.horizon_factor)
    if said.finish:
        with shelf:
            shelf.finish()
        return _answer(shelf, options, said)
    try:
        with Server(seat, said.host, said.port, said.allow_host) as server, shelf:
            if shelf.num_saved:
                console.note(f"going on with {options.out}: {shelf.num_saved} episodes were saved before")
            with contextlib.closing(options.make_world(WorldOptions(quality=options.quality, look=options.look, depth=options.depth))) as world:
                console.answer(server.url)
                console.note(_how_to(server.url, said.host))
                Session(shelf, seat, world, options, play, console.note).run()
        return _answer(shelf, options, said)
    except KeyboardInterrupt:
        many = f"{shelf.num_saved} episode{'' if shelf.num_saved == 1 else 's'} of {options.out}"
        how = f"{many} are kept. The same command goes on with it, and with --finish makes it whole" if shelf.num_saved else "nothing was saved"
        console.note(f"interrupted; {how}")
        raise


def _parse(args: Sequence[str]) -> Namespace:
    parser = console.parser(
        prog="vlagym play",
        description="Opens a page at which a person plays episodes of a task, and records those that they save. The same command again goes on with "
        "the dataset; its page, or --finish, makes it whole. Whoever reaches the address may play: listen at 127.0.0.1 (the default), and reach it "
        "from elsewhere through ssh -L.",
        example="vlagym play --task place_on --out demos/mine.hdf5\nvlagym play --task hand_over --robot g1 --out demos/g1 --format lerobot_v3",
    )
    parser.add_argument("--task", required=True, metavar="T", help="what is played; `vlagym list tasks`")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="the dataset: a file, or a folder, as the format has it")
    parser.add_argument("--format", metavar="F", help="a name of `vlagym list formats`; by default that of the suffix of --out")
    parser.add_argument("--finish", action="store_true", help="plays nothing: makes the dataset whole of what was saved, and ends")
    parser.add_argument("--robot", metavar="R", help="instead of the first that the task names")
    parser.add_argument("--base", metavar="B", help="what carries the robot: fixed, planar or legs")
    parser.add_argument("--arena", metavar="A", help="of `vlagym list arenas`, or seen, which draws one")
    parser.add_argument("--catalogue", metavar="C", help="part of the assets: full, or core, the small world of minivla")
    parser.add_argument("--level", metavar="L", help="of the sentences: plain, paraphrase, compositional, indirect or mixed")
    parser.add_argument("--layout", metavar="L", help="the places in which things start: seen, any or unseen")
    parser.add_argument("--first-seed", type=int, metavar="N", help="1,000,000 by default, and never less: suites test with those below")
    parser.add_argument(
        "--allow-unseen", "--i-know", action="store_true", dest="allow_unseen", help="plays what is held out too; the dataset will tell"
    )
    parser.add_argument("--horizon", type=float, default=3.0, metavar="X", help="how many times as long as usual an episode may last; 3 by default")
    parser.add_argument("--slow", type=float, metavar="M_S", help="of a hand, in m/s; 0.08 by default, and turns in proportion")
    parser.add_argument("--fast", type=float, metavar="M_S", help="of a hand, in m/s; 0.3 by default")
    parser.add_argument("--cameras", nargs="+", metavar="NAME", help="shown and recorded; by default front, and those that are mounted on the robot")
    parser.add_argument("--image-size", type=int, metavar="PIXELS", help="side of the recorded images; 256 by default")
    parser.add_argument("--view-size", type=int, default=384, metavar="PIXELS", help="side of the images in the page; 384 by default")
    parser.add_argument("--depth", action="store_true", help="records the depth of the cameras too, in mm")
    parser.add_argument("--state", default="libero", choices=("libero", "joints", "all"), help="vector of formats that have one for the state")
    parser.add_argument("--keep-failures", action="store_true", help="asks about episodes that failed too; they say so")
    parser.add_argument("--operator", default="", metavar="NAME", help="who plays; stands in each demonstration")
    parser.add_argument("--wait", type=float, default=60.0, metavar="S", help="how long a page that was closed is waited for; 60 by default")
    parser.add_argument("--no-card", action="store_true", help="makes no data card of the dataset: see `vlagym card`")
    parser.add_argument("--quality", default="fast", help="of the images: fast (default), medium or high")
    parser.add_argument("--look", default="auto", help="of the robot: auto (default) or one of its looks")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 127.0.0.1 by default, which this machine alone reaches")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"{PORT} by default; 0 takes one that is free")
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="another name under which the page is opened")
    parser.add_argument("--json", action="store_true", help="prints at the end how many were saved, and where, as JSON")
    return parser.parse_args(args)


def _options(said: Namespace, args: Sequence[str]) -> DemoOptions:
    from vlagym.benchmark.collecting.options import DemoOptions
    from vlagym.benchmark.commands.demo import format_of, images_of

    entry = _entry(said)
    said.size, said.crop = [], []
    return DemoOptions(
        entries=(entry,),
        allow_unseen=said.allow_unseen,
        out=said.out,
        policy="human",
        images=images_of(said, (entry,)),
        image_size=said.image_size if said.image_size and _CAMERA_SIZE % said.image_size else None,
        depth=said.depth,
        state=said.state,
        keep_failures=said.keep_failures,
        format=format_of(said.format, said.out),
        executor="serial",
        quality=said.quality,
        look=said.look,
        command=("vlagym", "play", *args),
    )


def _entry(said: Namespace) -> Entry:
    from vlagym.benchmark.entry import FIRST_DEMO_SEED
    from vlagym.benchmark.suite_files import task_suite
    from vlagym.benchmark.teleoperation.steering import control_for

    catalog.known("task", said.task)
    suite = task_suite([said.task], episodes=1)
    robot = said.robot or suite.entries[0].body
    catalog.known("robot", robot)
    wanted = suite.restrict(
        first_seed=FIRST_DEMO_SEED if said.first_seed is None else said.first_seed,
        robot=said.robot,
        control=control_for(catalog.load("robot", robot)),
        base=said.base,
        catalogue=said.catalogue,
        arena=said.arena,
        level=said.level,
        layout=said.layout,
    )
    (entry,) = wanted.check_names().entries
    return entry


def _play_options(said: Namespace) -> PlayOptions:
    from vlagym.benchmark.teleoperation.played import PlayOptions
    from vlagym.benchmark.teleoperation.steering import Speeds

    if not 64 <= said.view_size <= 1024:
        raise BadData(f"--view-size is 64 to 1024 pixels, not {said.view_size}")
    if not 0.0 <= said.wait <= 86_400.0:
        raise BadData(f"--wait is 0 to 86,400 seconds, not {said.wait:g}")
    if len(said.operator) > 100 or not said.operator.isprintable():
        raise BadData("--operator is a name of at most 100 letters that can be printed")
    usual = Speeds()
    fast = usual.fast_m_s if said.fast is None else said.fast
    slow = min(usual.slow_m_s, fast) if said.slow is None else said.slow
    return PlayOptions(
        speeds=Speeds(slow_m_s=slow, fast_m_s=fast), view_size=said.view_size, wait_s=said.wait, horizon_factor=said.horizon, operator=said.operator
    )


def _how_to(url: str, host: str) -> str:
    from urllib.parse import urlsplit

    port = urlsplit(url).port
    is_local = host in ("127.0.0.1", "localhost", "::1")
    elsewhere = f" From elsewhere: ssh -L {port}:127.0.0.1:{port} THIS_MACHINE, then open it there" if is_local else ""
    return f"open this page and play; ctrl-C ends it, and nothing that was saved is lost.{elsewhere}"


def _answer(shelf: Shelf, options: DemoOptions, said: Namespace) -> int:
    """Tells what the dataset holds that has just been finished, and makes its data card."""
    from vlagym.benchmark.describing.making import renew_card

    if not said.no_card and (told_card := renew_card(options.out, options.format)):
        console.note(told_card)
    if said.json:
        told = {"out": str(options.out), "format": options.format, "saved": shelf.num_saved, "played": shelf.num_played}
        console.answer(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        many = f"{shelf.num_saved} demonstration{'' if shelf.num_saved == 1 else 's'}"
        console.answer(f"{options.out}: {many} in {options.format}; {shelf.num_played} episodes were played this time")
    return 0
