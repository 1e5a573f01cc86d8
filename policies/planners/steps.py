"""Plans in words: numbered steps, each a skill as a line writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from vlagym.policies.planners.grammar import NAME_MAX, PRIMITIVES, BadCall, Call, Primitive, Referent, clean, make_call

_LINE_MAX = 300
_NUMBER = r"-?\d{1,5}(?:\.\d{1,6})?"
_STEP = re.compile(r"^\s*(?:step\s*)?(\d{1,3})\s*[.):]\s*(.+?)\s*$", re.IGNORECASE)
_DONE_LINE = re.compile(r"^\W{0,4}done\W{0,4}$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class TextPlan:
    """The steps of a plan in words."""

    calls: tuple[Call, ...]
    """Up to the first step that is none."""
    num_steps: int
    wrong: str | None
    """What is wrong with the first step that is none."""
    is_done: bool
    """Whether it says that nothing is left to do."""


def read_plan(text: str) -> TextPlan:
    """Returns the numbered steps of a text; what stands in other lines is not read. A line "DONE", numbered or not, ends the plan."""
    calls: list[Call] = []
    num_steps, wrong, is_done = 0, None, False
    for line in text.splitlines():
        step = _STEP.match(line[:_LINE_MAX])
        words = step[2] if step else line
        if _DONE_LINE.match(words[:_LINE_MAX]):
            is_done = True
            break
        if step is None:
            continue
        num_steps += 1
        if wrong is not None:
            continue
        try:
            calls.append(read_line(words))
        except BadCall as error:
            wrong = f"step {step[1]}: {error}"
    return TextPlan(calls=tuple(calls), num_steps=num_steps, wrong=wrong, is_done=is_done)


def read_line(line: str) -> Call:
    """Returns the call that a step in words asks for, e.g. `place on "plate" at (120, 88)`.

    Raises:
      BadCall: If it is none; with how it is written.
    """
    line = line.strip().strip("*`").rstrip(".").strip()
    head = re.match(r"[A-Za-z_]+", line)
    skill = head[0].casefold() if head else ""
    if re.match(r"stand\s+up\b", line, re.IGNORECASE):
        skill = "stand_up"
    primitive = PRIMITIVES.get(skill)
    if primitive is None:
        raise BadCall(f"{line[:60]!r} begins with no skill. There are: {', '.join(PRIMITIVES)}")
    found = _pattern(primitive).fullmatch(line[:_LINE_MAX])
    if found is None:
        raise BadCall(f"{line[:60]!r} is not written as {usage(primitive)!r}")
    things: dict[str, Any] = {}
    words: dict[str, str] = {}
    for slot in primitive.slots:
        said = found[slot.name]
        if said is not None and slot.kind == "word":
            words[slot.name] = clean(said).replace(" ", "_") if slot.words else clean(said)
        elif said is not None:
            things[slot.name] = _referent(said)
    return make_call(skill, things, words)


def usage(primitive: Primitive) -> str:
    """Returns how a step in words is written."""
    example = primitive.line
    for slot in primitive.slots:
        shown = slot.name.upper() if slot.kind == "word" and not slot.words else "|".join(slot.words) if slot.words else f'"{slot.name}" at (X, Y)'
        example = example.replace(f"{{{slot.name}}}", shown)
    return example


def _pattern(primitive: Primitive) -> re.Pattern[str]:
    thing = rf'(?:"[^"]{{1,{NAME_MAX}}}"|[A-Za-z][\w /\-]{{0,{NAME_MAX}}}?)?\s*(?:at\s*)?(?:\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\))?'
    out = re.escape(primitive.line).replace(r"\ ", r"\s+").replace(r"\[", "(?:").replace(r"\]", ")?")
    for slot in primitive.slots:
        if slot.kind == "thing":
            form = thing
        elif slot.words:
            form = "|".join(re.escape(word).replace("_", r"[_\s]") for word in sorted(slot.words, key=len, reverse=True))
        else:
            form = rf"\"?[\w .\-]{{1,{NAME_MAX}}}\"?"
        out = out.replace(re.escape(f"{{{slot.name}}}"), f"(?P<{slot.name}>{form})")
    if primitive.name == "pick":
        out = out.replace("pick", r"pick(?:\s+up)?", 1)
    if primitive.name == "stand_up":
        out = out.replace("stand_up", r"stand[_\s]+up", 1)
    return re.compile(out, re.IGNORECASE)


def _referent(said: str) -> Referent:
    numbers = re.search(rf"\(\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\)\s*$", said)
    name = re.sub(r"\bat\s*$", "", said[: numbers.start()] if numbers else said, flags=re.IGNORECASE)
    pixel = (float(numbers[1]), float(numbers[2])) if numbers else None
    if not clean(name) and pixel is None:
        raise BadCall('a thing is written as "name", "name" at (X, Y), or (X, Y)')
    return Referent(name=clean(name) or None, pixel=pixel)
