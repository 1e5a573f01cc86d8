"""Names the season of a leaderboard in secret, commits to it before checkpoints come in, and checks a commitment once the name is revealed."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from vlagym.benchmark import console
from vlagym.envs.errors import BadData


def main(args: Sequence[str]) -> int:
    """Prints a commitment, or whether a name is the one that was committed to; returns 1 if it is not."""
    options = _parse(args)
    from vlagym.benchmark import season

    if options.verb == "new":
        return _new(options)
    episodes = season.episodes_of(options.name, options.suite, workers=options.workers)
    found = season.commitment(options.name, episodes)
    told = {"season": options.name, "commitment": found, "episodes": [e._asdict() for e in episodes]}
    if options.verb == "commit":
        if season.is_guessable(options.name):
            guessed = "has no secret part: whoever guesses the name knows the episodes"
            console.note(f"the season {options.name!r} {guessed}. Draw one with: vlagym season new")
        console.answer(json.dumps(told, indent=2) if options.json else found)
        return 0
    is_same = found == options.commitment.strip().lower()
    if options.json:
        console.answer(json.dumps({**told, "committed": options.commitment, "holds": is_same}, indent=2))
    elif is_same:
        console.answer(f"{options.name} is the season that was committed to. Its episodes: vlagym run --season {options.name} --suite S --policy P")
    else:
        with_suites = "" if options.suite else ". If the commitment covers suites, name the same ones with --suite"
        console.answer(f"{options.name} is not what was committed to: it gives {found}{with_suites}")
    return 0 if is_same else 1


def _parse(args: Sequence[str]) -> Namespace:
    parser = console.parser(
        prog="vlagym season",
        description="A season plays fresh episodes, whose seeds are derived from its name (vlagym run --season NAME). Publish the commitment of a "
        "secret name first, reveal the name after checkpoints were handed in: then everybody sees that "
        "no checkpoint was trained on the episodes by anyone but who drew the name.",
        example="vlagym season new 2027-spring --out season.json\nvlagym season check 2027-spring-3f… 9a41…",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    new = verbs.add_parser("new", help="draws a name with a secret part, keeps it in a file that only you can read, and prints its commitment")
    new.add_argument("label", metavar="LABEL", help="what the name begins with, e.g. 2027-spring")
    new.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the name is kept until it is revealed; never overwritten")
    commit = verbs.add_parser("commit", help="prints the commitment of a name")
    check = verbs.add_parser("check", help="says whether a revealed name is the one that was committed to")
    for verb in (commit, check):
        verb.add_argument("name", metavar="NAME", help="of the season")
    check.add_argument("commitment", metavar="COMMITMENT", help="64 hexadecimal digits, as they were published")
    for verb in (new, commit, check):
        verb.add_argument("--suite", action="append", default=[], metavar="S", help="commits to the episodes of this suite too; may be repeated")
        verb.add_argument("--workers", type=int, default=1, metavar="N", help="processes that sample the suites; 1 by default")
        verb.add_argument("--json", action="store_true", help="prints the answer as JSON")
    options = parser.parse_args(args)
    if options.verb == "check" and (len(options.commitment.strip()) != 64 or set(options.commitment.strip().lower()) - set("0123456789abcdef")):
        raise BadData(f"a commitment is 64 hexadecimal digits, not {options.commitment!r}")
    if options.workers < 1:
        raise BadData(f"there is at least 1 worker, not {options.workers}")
    return options


def _new(options: Namespace) -> int:
    from vlagym.benchmark import season

    out: Path = options.out
    if out.exists():
        raise BadData(f"{out} exists already; a season's secret is never overwritten. Choose another --out")
    name = season.new_name(options.label)
    episodes = season.episodes_of(name, options.suite, workers=options.workers)
    kept = {"season": name, "commitment": season.commitment(name, episodes), "episodes": [e._asdict() for e in episodes]}
    out.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(kept, indent=2) + "\n")
    console.note(f"the name is kept in {out}; keep it secret until the season is judged, and publish the commitment now")
    public = {"label": options.label, "commitment": kept["commitment"], "suites": [{"suite": e.suite, "version": e.version} for e in episodes]}
    console.answer(json.dumps(public, indent=2) if options.json else str(kept["commitment"]))
    return 0
