"""Says before a run how many episodes an interval of a given width or a difference needs, and what the sizes of a suite buy."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vlagym.benchmark import console
from vlagym.envs.errors import BadData

if TYPE_CHECKING:
    from vlagym.benchmark.suite import Suite

_DISCORDANCE = 0.2
"""Where none is given: two policies, or an axis and its twins, that go apart on one episode in five."""

_SHOWN_DISCORDANCES = (0.1, 0.2, 0.3, 0.5)


def main(args: Sequence[str]) -> int:
    """Prints a plan."""
    options = _parse(args)
    if options.width is None and options.difference is None and options.suite is None:
        raise BadData("say what is planned: --width W, --difference D or --suite S")
    plan: dict[str, Any] = {}
    lines: list[str] = []
    for is_asked, part in ((options.width is not None, _width), (options.difference is not None, _difference), (options.suite is not None, _suite)):
        if is_asked:
            found, told = part(options)
            plan |= found
            lines += [*([""] if lines else []), *told]
    console.answer(json.dumps(plan, indent=2) if options.json else "\n".join(lines))
    return 0


def _parse(args: Sequence[str]) -> Namespace:
    parser = console.parser(
        prog="vlagym plan",
        description="Says how many episodes a result needs before any is played, and which intervals and differences the sizes of a suite buy.",
        example="vlagym plan --width 0.1 --rate 0.8\nvlagym plan --difference 0.1 --power 0.8 --discordance 0.2\nvlagym plan --suite smoke",
    )
    parser.add_argument("--width", type=float, metavar="W", help="of the interval of a rate, from end to end: 0.1 is ten points")
    parser.add_argument("--rate", type=float, metavar="R", help="the rate that is expected; default: 0.5, where intervals are widest")
    parser.add_argument("--difference", type=float, metavar="D", help="of two policies' success that shall be seen: 0.1 is ten points")
    parser.add_argument("--power", type=float, default=0.8, metavar="P", help="chance that it is seen; 0.8 by default")
    parser.add_argument("--discordance", type=float, metavar="S", help="share of episodes in which one succeeds and the other does not")
    parser.add_argument("--alpha", type=float, default=0.05, metavar="A", help="of tests, and 1 minus the confidence of intervals; 0.05 by default")
    parser.add_argument("--suite", metavar="S", help="a name of `vlagym list suites`, or a path that ends in .toml")
    parser.add_argument("--json", action="store_true", help="prints the plan as JSON")
    return parser.parse_args(args)


def _width(options: Namespace) -> tuple[dict[str, Any], list[str]]:
    from vlagym.results.planning import episodes_for_width, width_of

    rate = 0.5 if options.rate is None else options.rate
    n = episodes_for_width(options.width, rate, 1 - options.alpha)
    width = width_of(n, rate, 1 - options.alpha)
    plan = {"width": {"asked": options.width, "rate": rate, "episodes": n, "width": width}}
    at = f"a rate of {100 * rate:g} %" + ("" if options.rate is not None else ", where it is widest,")
    return plan, [f"{n} episodes: the interval of {at} is {100 * width:.1f} points wide (Wilson, {100 * (1 - options.alpha):g} %)"]


def _difference(options: Namespace) -> tuple[dict[str, Any], list[str]]:
    from vlagym.results.planning import discordance_of, episodes_for_difference

    d = options.difference
    rate = (1 - d) / 2 if options.rate is None else options.rate
    strangers = episodes_for_difference(d, options.power, rate=rate, alpha=options.alpha)
    if options.discordance is not None:
        discordances = [options.discordance]
    else:
        discordances = sorted({abs(d), *(s for s in _SHOWN_DISCORDANCES if s > abs(d)), round(discordance_of(rate, rate + d), 3)})
    rows = []
    for share in discordances:
        found = episodes_for_difference(d, options.power, discordance=share, alpha=options.alpha)
        rows.append({"paired": True, "discordance": share, "episodes": found.n, "power": found.power})
    rows.append({"paired": False, "discordance": None, "episodes": strangers.n, "power": strangers.power})
    plan = {"difference": {"asked": d, "power": options.power, "alpha": options.alpha, "rates": [rate, rate + d], "plans": rows}}
    cells = [["the same" if r["paired"] else "other", r["discordance"], r["episodes"], f"{r['power']:.3f}"] for r in rows]
    lines = [
        f"to see {100 * d:g} points with power {options.power:g} (two-sided test at {options.alpha:g}), each policy plays:",
        console.table(cells, ["episodes are", "discordance", "episodes", "power"]),
        f"the same episodes: McNemar's exact test. discordance: of a pilot, or a guess; {d:g} is the least there can be, "
        f"{discordance_of(rate, rate + d):.3g} what policies have that know nothing of each other ({100 * rate:g} and {100 * (rate + d):g} %)",
        f"`vlagym compare --policies P Q --difference {d:g}` looks as it plays and stops when it knows: sooner where the difference is larger",
    ]
    return plan, lines


# ------------------------------------------------------------------------------------------------------------------------- suite
def _suite(options: Namespace) -> tuple[dict[str, Any], list[str]]:
    from vlagym.benchmark.suite_files import load_suite
    from vlagym.results.planning import detectable_difference, width_of

    suite = load_suite(options.suite)
    rate = 0.5 if options.rate is None else options.rate
    share = _DISCORDANCE if options.discordance is None else options.discordance
    twins = _twins(suite)
    num_twins = sum(twins.values())
    tasks: list[dict[str, Any]] = [
        {
            "task": task,
            "episodes": n,
            "width": width_of(n, rate, 1 - options.alpha),
            "detectable": detectable_difference(n, options.power, discordance=share, alpha=options.alpha),
        }
        for task, n in [*twins.items(), ("all", num_twins)]
    ]
    axes = _axes(suite, share, 1 - options.alpha)
    head = {"name": suite.name, "version": suite.version, "episodes": suite.num_episodes, "unvaried": num_twins}
    plan = {"suite": {**head, "rate": rate, "discordance": share, "power": options.power, "tasks": tasks, "axes": axes}}
    confidence = f"{100 * (1 - options.alpha):g} %"
    cells = [[r["task"], r["episodes"], _points(r["width"]), _points(r["detectable"])] for r in tasks]
    varied = f", {suite.num_episodes - num_twins} of them varied" if axes else ""
    lines = [
        f"{suite.name}: {suite.num_episodes} episodes{varied}",
        console.table(cells, ["task", "unvaried", "width", "difference"]),
        f"width: of the {confidence} interval of a rate of {100 * rate:g} %, in points. "
        f"difference: the smallest that is seen with power {options.power:g} between two policies that go apart on {100 * share:g} % of the episodes",
    ]
    if axes:
        widths = ("width", "width_if_alike", "width_level")
        rows = [[r["axis"], r["levels"], r["pairs"], r["twins"], *(_points(r[key]) for key in widths)] for r in axes]
        columns = ["axis", "levels", "pairs", "twins", "gap width", "at most", "one level"]
        lines += ["", console.table(rows, columns)]
        lines.append(
            f"gap width: of the {confidence} interval of the gap where {100 * share:g} % of the pairs are discordant, in points; "
            "at most: if the pairs of a twin all go alike; one level: of a gap at a single level"
        )
    return plan, lines


def _twins(suite: Suite) -> dict[str, int]:
    """Returns task -> unvaried episodes."""
    twins: dict[str, int] = {}
    for entry in suite.entries:
        twins[entry.task] = twins.get(entry.task, 0) + entry.episodes
    return twins


def _axes(suite: Suite, discordance: float, confidence: float) -> list[dict[str, Any]]:
    """Returns a row for each axis, or axes that are varied together: its levels, pairs and twins, and the widths of its gap in points of 1."""
    from vlagym.results.planning import width_of_difference

    pairs: dict[str, int] = {}
    twins: dict[str, int] = {}
    levels: dict[str, dict[tuple[int, ...], int]] = {}
    for entry in suite.entries:
        used: dict[str, set[int]] = {}
        for index, variation in enumerate(entry.variations):
            name = " + ".join(axis for axis, _ in variation)
            of_level = levels.setdefault(name, {})
            level = tuple(level for _, level in variation)
            of_level[level] = of_level.get(level, 0) + entry.each
            pairs[name] = pairs.get(name, 0) + entry.each
            used.setdefault(name, set()).update((index * entry.each + turn) % entry.episodes for turn in range(entry.each))
        for name, seeds in used.items():
            twins[name] = twins.get(name, 0) + len(seeds)
    rows = []
    for name in pairs:
        widths = {
            "width": width_of_difference(pairs[name], discordance, confidence=confidence),
            "width_if_alike": width_of_difference(twins[name], discordance, confidence=confidence),
            "width_level": width_of_difference(min(levels[name].values()), discordance, confidence=confidence),
        }
        rows.append({"axis": name, "levels": len(levels[name]), "pairs": pairs[name], "twins": twins[name], **widths})
    return rows


def _points(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"
