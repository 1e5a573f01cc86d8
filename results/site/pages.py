"""The pages as HTML: templates filled with content, every text of a run escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vlagym.envs.errors import MissingPackage
from vlagym.envs.types import canonical_json, to_plain
from vlagym.results.aggregate import Column
from vlagym.results.pooling import Run
from vlagym.results.site import charts, curves, heatmap, words
from vlagym.results.site.breakdown import modes_in_order
from vlagym.results.site.content import Content, Entry, Policy, Suite
from vlagym.results.site.paired_lines import ArmLine, GapLine, Paired, Whole, paired

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

FOLDER = Path(__file__).parent
STATIC = ("style.css", "page.js", "episodes.js", "icon.svg")
"""Files that are copied as they are."""

_HEADER_PARTS = (
    *("suite", "quality", "robot_looks", "robot_bases", "safety", "seeds", "packages", "gl_renderer", "machine", "command", "started", "finished"),
    "conventions",
)
"""What a page shows of a run header, in this order; the policy has its card."""


_FOLDED_FROM = 24
"""A card of more values is folded."""


class _Card(NamedTuple):
    """What the headers of some runs say of their policy."""

    said: Mapping[str, Any]
    was_given: bool
    """Whether there is a card besides the options."""
    is_long: bool
    runs: list[str]


class _Beside(NamedTuple):
    """What a policy's page shows of varied episodes beside their twins, for one row of the leaderboard."""

    whole: Whole | None
    gaps: list[GapLine]
    arms: list[ArmLine]

    @staticmethod
    def of(entry: Entry, found: Paired) -> _Beside:
        gaps, arms = [g for g in found.gaps if g.entry is entry], [a for a in found.arms if a.entry is entry]
        return _Beside(found.wholes.get(entry.index), gaps, arms)

    @property
    def score(self) -> ArmLine | None:
        return next((line for line in self.arms if line.is_score), None)


def render(content: Content) -> Iterator[tuple[str, str]]:
    """Yields (path within the site, HTML) of every page.

    Raises:
      MissingPackage: If Jinja2 is not installed.
    """
    environment = _environment(content)
    beside_twins = {suite.name: paired(suite) for suite in content.suites}
    scores = {name: {line.entry.index: line for line in found.arms if line.is_score} for name, found in beside_twins.items()}
    wholes = {name: found.wholes for name, found in beside_twins.items()}
    yield "index.html", _page(environment, "index", "index", "", scores=scores, wholes=wholes)
    for suite in content.suites:
        yield f"suites/{suite.slug}.html", _page(environment, "suite", f"suite:{suite.slug}", "../", **_suite(suite, beside_twins[suite.name]))
    for policy in content.policies:
        page = f"policy:{policy.slug}"
        beside = [_Beside.of(entry, beside_twins[entry.pool.suite]) for entry in policy.entries]
        yield f"policies/{policy.slug}.html", _page(environment, "policy", page, "../", beside=beside, **_policy(policy))
        yield f"episodes/{policy.slug}.html", _page(environment, "episodes", page, "../", policy=policy)


def _environment(content: Content) -> jinja2.Environment:
    try:
        import jinja2
    except ImportError as missing:
        raise MissingPackage("the HTML leaderboard needs Jinja2: pip install 'jinja2>=3.1'") from missing

    import vlagym

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(content=content, version=vlagym.__version__, nothing=words.Cell(text=words.NONE))
    environment.filters.update(
        clipped=words.clipped,
        counted=words.counted,
        failures=_failures,
        for_readers=_for_readers(content),
        grouped=words.grouped,
        measure=_measure,
        p_value=words.p_value,
        percent=words.percent,
        plain_list=lambda value: all(v is None or isinstance(v, (str, int, float)) for v in value),
        rate_whisker=lambda rate: charts.whisker(rate.share, *rate.ends),
        slug=words.slug,
        spaced=lambda text: str(text).replace("_", " "),
        step=heatmap.step,
        if_failed=_if_failed,
        success=_success,
        unit=_unit,
        whisker=_whisker,
    )
    return environment


def _page(environment: jinja2.Environment, template: str, page: str, root: str, **values: Any) -> str:
    return environment.get_template(f"{template}.html.j2").render(page=page, root=root, **values)


# ---------------------------------------------------------------------------------------------------------------- one kind of page
def _suite(suite: Suite, beside_twins: Paired) -> dict[str, Any]:
    levels = curves.levels(suite)
    modes = modes_in_order(mode for e in suite.entries for mode in e.counts.by_failure)
    sections = [
        ("gaps", "Generalization gap", bool(beside_twins.gaps)),
        ("curves", "Levels", bool(levels.panels)),
        ("combinations", "Combinations", bool(beside_twins.combos)),
        ("language", "Language use", bool(beside_twins.arms)),
        ("heat", "Tasks and axes" if suite.is_varied else "Tasks", True),
        ("failures", "Why episodes fail", bool(modes)),
        ("measures", "All measures", True),
    ]
    return {
        "suite": suite,
        "sections": [(name, text) for name, text, is_there in sections if is_there],
        "paired": beside_twins,
        "legend": levels.legend,
        "is_few": levels.is_few,
        "panels": levels.panels,
        "levels": levels.levels,
        "level_rows": levels.lines,
        "maps": heatmap.maps(suite) if suite.is_varied else (),
        "tasks": () if suite.is_varied else heatmap.tasks(suite),
        "modes": modes,
    }


def _policy(policy: Policy) -> dict[str, Any]:
    cards: dict[str, _Card] = {}
    for run in policy.runs:
        said = {key: value for key, value in run.header.policy.items() if key not in ("name", "card") and value not in (None, {}, [])}
        card = to_plain({**said, **({"card": given} if (given := run.header.policy.get("card")) else {})})
        found = cards.setdefault(canonical_json(card), _Card(card, "card" in card, _leaves(card) > _FOLDED_FROM, []))
        found.runs.append(run.name)
    return {"policy": policy, "cards": list(cards.values()), "headers": [_header(run) for run in policy.runs]}


def _header(run: Run) -> dict[str, Any]:
    plain: Mapping[str, Any] = to_plain(run.header)
    shown = {name: plain[name] for name in _HEADER_PARTS if plain.get(name) not in (None, {}, [])}
    return shown | ({"command": " ".join(run.header.command)} if run.header.command else {})


# ------------------------------------------------------------------------------------------------------------------------ cells
def _success(entry: Entry) -> words.Cell:
    return entry.counts.headline.cell()


def _if_failed(entry: Entry) -> str:
    """Returns what success would be if every errored episode were a failure; empty where there is none, or nothing else."""
    counted = entry.counts.headline
    return words.cell(counted.successes / (counted.n + counted.errors), None, None).text if counted.errors and counted.n else ""


def _measure(entry: Entry, column: Column) -> words.Cell:
    value = entry.record[column.name]
    return words.cell(value["mean"], value["low"], value["high"], column.unit, n=value["n"], of=entry.record["n"])


def _unit(column: Column) -> str:
    """Returns the unit of a column unless its name says it, or there is none."""
    return "" if column.unit in ("share", "1") or f"_{column.unit.lower()}" in column.name else column.unit


def _whisker(entry: Entry) -> Markup:
    counted = entry.counts.headline
    return charts.whisker(counted.share, *counted.ends, role=entry.role)


def _failures(entry: Entry) -> Sequence[tuple[str, float, int]]:
    """Returns (mode, share of the episodes of the headline, failures), the most frequent first."""
    counts, n = entry.counts.by_failure, entry.counts.headline.n
    return sorted(((mode, count / n, count) for mode, count in counts.items()), key=lambda line: -line[1])


def _for_readers(content: Content) -> Callable[[Iterable[str]], Sequence[str]]:
    names = [policy.name for policy in content.policies]
    return lambda notes: words.for_readers(notes, names)


def _leaves(value: Any) -> int:
    """Returns how many values a card holds."""
    if isinstance(value, Mapping):
        return sum(map(_leaves, value.values()))
    return sum(map(_leaves, value)) if isinstance(value, list) else 1
