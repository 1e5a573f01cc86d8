"""The data card as a page of Markdown, with the front matter by which the Hugging Face hub files a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from vlagym.results.datacard import escaping as md
from vlagym.results.datacard.card import AgainstSuite, DataCard
from vlagym.results.datacard.numbers import NumberSummary
from vlagym.results.datacard.origin import origin

MARK = "<!-- data card, made by vlagym -->"
"""Stands in every page of ours: only those are written over."""
_MOST_ROWS = 15
"""Of a table of frequencies on the page; card.json holds all."""
_UNFOLDED_NUMBERS = 16
"""Tables with more numbers are folded."""
_SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))
"""Of the hub, by the number of rows."""


def page(card: DataCard, pictures: str) -> str:
    """Returns README.md.

    Args:
      card: The card.
      pictures: Folder of its pictures, relative to the page; "" where they lie beside it.
    """
    at = f"{pictures.rstrip('/')}/" if pictures else ""
    sections = [_front_matter(card, is_in_the_dataset=bool(pictures)), MARK, f"# {md.text(card.name)}", _first_words(card)]
    if "episodes" in card.pictures:
        sections.append(md.picture("first, middle and last frames of some demonstrations, with their sentences", at + card.pictures["episodes"]))
    sections += list(_glance(card))
    for title, section in _SECTIONS.items():
        if body := [part for part in section(card, at) if part]:
            sections += [f"## {title}", *body]
    return "\n\n".join(sections) + "\n"


# ----------------------------------------------------------------------------------------------------------------------- the beginning
def _front_matter(card: DataCard, *, is_in_the_dataset: bool) -> str:
    rows = card.contents.steps.total
    lines = ["---", f"pretty_name: {md.yaml_text(card.name)}"]
    lines += [f"license: {card.licence.lower()}"] if card.licence else []
    lines += ["task_categories:", "- robotics", "language:", "- en"] if card.is_ours else ["task_categories:", "- robotics"]
    tags = [*(["LeRobot"] if card.format.startswith("lerobot") else []), *(["vlagym"] if card.is_ours else []), "vision-language-action"]
    lines += ["tags:", *(f"- {tag}" for tag in tags)]
    lines += ["size_categories:", f"- {next((word for most, word in _SIZES if rows < most), 'n>10M')}"]
    if card.format.startswith("lerobot") and is_in_the_dataset:
        lines += ["configs:", "- config_name: default", "  data_files: data/*/*.parquet"]
    return "\n".join([*lines, "---"])


def _first_words(card: DataCard) -> str:
    c = card.contents
    tasks = [t for t in c.tasks if t.task]
    of = f" of {_count(len(tasks), 'task')}" if tasks else ""
    robots = " and ".join(md.code(robot) for robot in c.robots if robot)
    by = f" with {robots}" if robots else ""
    what = f"{_count(c.demonstrations, 'demonstration')}{of}{by}: {c.steps.total:,} control steps, {_duration(c.seconds)}"
    made = "made in simulation with vlagym" if c.without_spec == 0 and card.is_ours else ""
    told = f", {_count(len(c.sentences), 'different sentence')}{', ' + made if made else ''}."
    return what + told


def _glance(card: DataCard) -> Iterator[str]:
    c, rate = card.contents, float(card.action.get("rate_hz", 0.0))
    cameras = ", ".join(f"{md.code(x.name)} {x.width} × {x.height}{' with depth' if x.has_depth else ''}" for x in card.cameras) or "none"
    stride = f"; an image every {card.frame_stride} steps" if card.frame_stride > 1 else ""
    ended = "all" if c.successes == c.demonstrations else f"{c.successes:,} of {c.demonstrations:,}"
    commands = f"; also {', '.join(map(md.code, card.commands))}" if card.commands else ""
    rows = [
        ("format", md.code(card.format)),
        ("on the disk", f"{_bytes(card.size_bytes)} in {_count(card.num_files, 'file')}"),
        ("successful", ended),
        ("length", f"{c.steps.min} to {c.steps.max} steps, median {c.steps.median:g}, mean {c.steps.mean:.1f}"),
        ("actions", f"{md.code(str(card.action.get('name', '')))}, {len(c.actions)} numbers at {rate:g} Hz{commands}"),
        ("cameras", cameras + stride),
        ("can be simulated again", _of(c.demonstrations - c.without_spec, c.demonstrations)),
        ("have a certificate", _of(c.with_certificate, c.demonstrations)),
        ("other sentences for the same", f"{c.paraphrases:,}"),
        ("digest of the demonstrations", md.code(card.digest)),
    ]
    yield md.table(["", ""], rows)


# ------------------------------------------------------------------------------------------------------------------------ the sections
def _tasks(card: DataCard, at: str) -> Iterator[str]:
    tried = {} if card.yields is None else {t.task: t for t in card.yields.tasks}
    columns = ["task", "demonstrations", "steps, median", "min to max", "sentences", "robots"] + (["tried", "yield"] if tried else [])
    rows = []
    for t in card.contents.tasks:
        row = [md.code(t.task) or "not known", f"{t.demonstrations:,}", f"{t.steps.median:g}", f"{t.steps.min} to {t.steps.max}", f"{t.sentences:,}"]
        row.append(", ".join(f"{md.code(robot) or 'not known'}{f' ({n})' if len(t.robots) > 1 else ''}" for robot, n in t.robots.items()))
        if tried:
            found = tried.get(t.task)
            row += [f"{found.tried:,}", f"{100 * found.kept_successes / found.tried:.1f} %"] if found else ["", ""]
        rows.append(row)
    yield md.table(columns, rows, right=(1, 2, 3, 4, 6, 7))
    yield _drawn(card, at, "tasks", "demonstrations of each task")
    yield _drawn(card, at, "lengths", "how long demonstrations are")


def _yield(card: DataCard, at: str) -> Iterator[str]:
    found = card.yields
    if found is None:
        yield "Not known: there is no list of what was tried."
        return
    tried, successes = sum(t.tried for t in found.tasks), sum(t.kept_successes for t in found.tasks)
    failures = sum(t.kept_failures for t in found.tasks)
    kept = f"{_count(successes, 'successful demonstration')} kept ({100 * successes / tried:.1f} %)"
    kept += f", and {_count(failures, 'failure')} beside" if failures else ""
    each = f"Playing took {found.play_s:.2f} s a try, rendering {found.render_s:.2f} s and storing {found.store_s:.2f} s a demonstration"
    yield f"{_count(tried, 'seed')} tried, {kept}. {each} (wall time of one worker)."
    lost = [(t.task, how, n) for t in found.tasks for how, n in t.lost.items()]
    if lost:
        yield md.table(["task", "why not kept", "tries"], [[md.code(t), md.text(how), f"{n:,}"] for t, how, n in lost], right=(2,))


def _sentences(card: DataCard, at: str) -> Iterator[str]:
    c = card.contents
    yield _frequencies("sentence", c.sentences, c.demonstrations, written=md.text)
    if c.templates:
        yield _frequencies("template", c.templates, c.demonstrations)
        yield _frequencies("level", c.levels, c.demonstrations)
    yield _drawn(card, at, "words", "how often words are said")


def _things(card: DataCard, at: str) -> Iterator[str]:
    c = card.contents
    if not c.objects:
        return
    yield "What goals name; one demonstration may name several."
    for sort, counts in (("object", c.objects), ("kind", c.kinds), ("colour", c.colours)):
        yield _frequencies(sort, counts, c.demonstrations)
    for sort, counts in (("arena", c.arenas), ("variation", c.variations), ("stage", c.stages)):
        if counts:
            yield _frequencies(sort, counts, c.demonstrations)


def _numbers(card: DataCard, at: str) -> Iterator[str]:
    c = card.contents
    same = "the labels are what was executed"
    if c.disturbed_steps:
        same = f"something else than the label was executed in {c.disturbed_steps:,} steps"
    yield f"Over {c.steps.total:,} rows; {same}. q01 and q99 are within a thousandth of the range."
    yield "### Actions"
    yield _summaries("what each number of an action is like", c.actions)
    yield _drawn(card, at, "actions", "histogram of each number of the actions")
    if c.state:
        yield "### State"
        yield _summaries("what each number of the state is like", c.state)


def _splits(card: DataCard, at: str) -> Iterator[str]:
    d, h, n = card.disjoint, card.held_out, card.contents.demonstrations
    unknown = n - d.looked_at
    if not d.looked_at:
        yield "**Not known**: the demonstrations name no episode, so that nobody can tell whether they show what suites test with."
        return
    seeds = f"Their seeds run from {d.first_seed:,} to {d.last_seed:,}"
    verdict = "**No demonstration is a test episode**" if d.is_proven and not d.seeds_of_suites else (
        "**No demonstration is an episode of the suites below, but some have seeds that suites test with**" if d.is_proven else
        "**Some demonstrations are test episodes, or may be**"
    )  # fmt: skip
    of = f", of those {d.looked_at:,} that name their episode (of the other {unknown:,} nobody can tell)" if unknown else ""
    yield f"{verdict}{of}. {seeds}: " + (
        f"suites test with seeds below 1,000,000 ({_count(d.seeds_of_suites, 'demonstration')} there), seasons of leaderboards with those from "
        f"1,000,000,000 on ({d.seeds_of_seasons:,} there). A seed is part of the digest of an episode, so that episodes of other seeds are others. "
        "Demonstrations that share task, robot and seed with a suite were compared with its episodes one by one."
    )
    near, far = ([s for s in d.suites if bool(s.near or s.sampled) is is_near] for is_near in (True, False))
    if near:
        columns = ["suite", "version", "episodes", "share task, robot and seed", "are test episodes", "same scene and goal", "same sentence"]
        yield md.table(columns, [_against(s) for s in near], right=(1, 2, 3, 4, 5, 6))
    if far:
        total, names = sum(s.episodes for s in far), ", ".join(f"{md.code(s.suite)} {s.version}" for s in far)
        yield f"None shares task, robot and seed with one of the {total:,} episodes of {names}."
    if not all(s.sampled for s in d.suites):
        dash = "–: not compared. " if any(not s.sampled for s in near) else ""
        yield f"{dash}`vlagym card DATASET --against SUITE` samples all episodes of a suite and compares scenes, goals and sentences too."
    yield "### What is kept for evaluation"
    if h.looked_at == 0:
        yield "Not known: the episodes name what this version of vlagym does not have."
    elif h.demonstrations:
        yield f"**{_of(h.demonstrations, h.looked_at).capitalize()} demonstrations show, say or ask for what is held out.**"
        yield _frequencies("held out", h.things, h.looked_at, written=md.text)
    else:
        what = "an object, colour, material, word, sentence, arena or place that is held out"
        yield f"None of {h.looked_at:,} demonstrations shows, says or asks for {what}."
    if h.allowed:
        yield "The collector was told to demonstrate (`--i-know`):\n\n" + "\n".join(f"- {md.text(what)}" for what in h.allowed)


def _duplicates(card: DataCard, at: str) -> Iterator[str]:
    d = card.duplicates
    rows = [("the same digest", d.same_digest), ("the same sentence and executed actions", d.same_recording)]
    rows += [("the same things in the same places, start posture and goal", d.same_scene)] if card.disjoint.looked_at else []
    yield md.table(["demonstrations that repeat an earlier one with", ""], [(what, f"{count:,}") for what, count in rows], right=(1,))


def _unknown(card: DataCard, at: str) -> Iterator[str]:
    if card.unknown:
        yield "\n".join(f"- {md.text(line)}" for line in card.unknown)


def _licence(card: DataCard, at: str) -> Iterator[str]:
    yield f"{md.text(card.licence)}." if card.licence else "Not known: the dataset does not say. Ask whoever made it."


_SECTIONS: Mapping[str, Callable[[DataCard, str], Iterator[str]]] = {
    "Tasks": _tasks,
    "Yield": _yield,
    "Sentences": _sentences,
    "What is named": _things,
    "Numbers": _numbers,
    "Training and test": _splits,
    "Duplicates": _duplicates,
    "How it was made": lambda card, at: origin(card),
    "What is not known": _unknown,
    "Licence": _licence,
}


# ---------------------------------------------------------------------------------------------------------------------------- in common
def _against(s: AgainstSuite) -> list[str]:
    named = md.code(s.suite) + (f" in the season {md.text(s.season)}" if s.season else "")
    compared = [f"{n:,}" if n is not None else "–" for n in (s.same_scene, s.same_sentence)]
    return [named, str(s.version), f"{s.episodes:,}", f"{s.near:,}", f"{s.same_digest:,}", *compared]


def _summaries(what: str, numbers: Sequence[NumberSummary]) -> str:
    columns = ["number", "unit", "min", "q01", "mean", "q99", "max", "std"]
    rows = [[md.code(n.name), md.text(n.unit), *(_number(v) for v in (n.min, n.q01, n.mean, n.q99, n.max, n.std))] for n in numbers]
    table = md.table(columns, rows, right=range(2, 8))
    return table if len(rows) <= _UNFOLDED_NUMBERS else md.details(f"{what}: {len(rows)} numbers", table)


def _frequencies(what: str, counts: Mapping[str, int], of: int, *, written: Callable[[str], str] = md.code) -> str:
    shown = list(counts.items())[:_MOST_ROWS]
    rows = [[written(name) or "none", f"{count:,}", f"{100 * count / of:.1f} %"] for name, count in shown]
    more = len(counts) - len(shown)
    columns = [f"{what} ({len(shown)} of {len(counts):,})" if more else what, "demonstrations", "share"]
    return md.table(columns, rows, right=(1, 2))


def _drawn(card: DataCard, at: str, name: str, what: str) -> str:
    return md.picture(what, at + card.pictures[name]) if name in card.pictures else ""


def _number(value: float) -> str:
    return f"{value:.4g}"


def _of(count: int, total: int) -> str:
    return f"all {total:,}" if count == total else f"{count:,} of {total:,}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _bytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.2f} MB"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 7200 else f"{seconds / 60:.1f} minutes" if seconds >= 120 else f"{seconds:.1f} seconds"
