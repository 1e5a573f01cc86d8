"""The skills that a planner may call, as it knows them: their names, what they take, and how a call is written as a tool, a line or a function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vlagym.envs.errors import VlagymError
from vlagym.policies.wire import openai_chat

SlotKind = Literal["thing", "word"]
RELATIONS = (
    *("on", "in", "at", "left_of", "right_of", "in_front_of", "behind", "next_to", "between"),
    *("viewer_left_of", "viewer_right_of", "viewer_in_front_of", "viewer_behind"),
)
WAYS = ("into", "along", "off")
NAME_MAX = 60
"""Characters of a name."""
_PIXEL_MAX = 1e6


class BadCall(VlagymError):
    """A call that is none by the grammar of the skills. The message is for the planner."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One argument of a skill."""

    name: str
    kind: SlotKind
    about: str
    words: tuple[str, ...] = ()
    """Those that may be said; empty: any, or a thing."""
    is_optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Primitive:
    """A skill as a planner knows it."""

    name: str
    slots: tuple[Slot, ...]
    about: str
    line: str
    """How a step in words is written: {slot} stands for an argument, [ ] for what may be left out."""


@dataclass(frozen=True, kw_only=True)
class Referent:
    """How a planner says which thing it means: by a name, a pixel, or both; with both, the name means that thing from then on."""

    name: str | None = None
    pixel: tuple[float, float] | None = None

    def __str__(self) -> str:
        where = "" if self.pixel is None else f"({self.pixel[0]:g}, {self.pixel[1]:g})"
        return f'"{self.name}" {where}'.strip() if self.name else where


@dataclass(frozen=True, kw_only=True)
class Call:
    """A skill that a planner calls."""

    skill: str
    things: Mapping[str, Any]
    """Slot -> Referent, or what stands for a thing in a program."""
    words: Mapping[str, str]
    """Slot -> word."""

    def __str__(self) -> str:
        return " ".join([self.skill, *(f"{k}={v}" for k, v in {**self.words, **self.things}.items())])


def _thing(name: str, about: str, *, is_optional: bool = False) -> Slot:
    return Slot(name=name, kind="thing", about=about, is_optional=is_optional)


def _word(name: str, about: str, words: tuple[str, ...] = ()) -> Slot:
    return Slot(name=name, kind="word", about=about, words=words)


_ALL = (
    Primitive(name="pick", slots=(_thing("object", "what to take"),), about="takes a thing and raises it by 10 cm", line="pick {object}"),
    Primitive(
        name="place",
        slots=(
            _word("relation", "where to, counted from the target", RELATIONS),
            _thing("target", "what it is put on, in or beside; for `at` a point of the table"),
            _thing("other", "only for `between`: the second of the two", is_optional=True),
        ),
        about="puts down what the hand holds and lets it go. left_of, right_of, in_front_of and behind are as the robot sees them from its base, "
        "those with viewer_ as somebody sees them who sits opposite the robot. `in` is for bowls, open drawers and holes, `at` for a free point",
        line="place {relation} {target}[ and {other}]",
    ),
    Primitive(name="open", slots=(_thing("target", "a drawer or a door"),), about="opens a drawer or a door by its handle", line="open {target}"),
    Primitive(name="close", slots=(_thing("target", "a drawer or a door"),), about="pushes a drawer or a door shut", line="close {target}"),
    Primitive(name="press", slots=(_thing("target", "a button"),), about="presses a button", line="press {target}"),
    Primitive(
        name="turn",
        slots=(_thing("target", "a knob"), _word("setting", "the setting that it is turned to")),
        about="turns a knob to a setting",
        line="turn {target} to {setting}",
    ),
    Primitive(
        name="flip",
        slots=(_thing("target", "a switch or lever"), _word("setting", "the setting that it is brought to")),
        about="flips a switch or lever to a setting",
        line="flip {target} to {setting}",
    ),
    Primitive(
        name="push",
        slots=(
            _thing("object", "what is pushed"),
            _word("way", "into a marked zone, along a line to its end, or off a mat", WAYS),
            _thing("target", "the zone, line or mat"),
        ),
        about="pushes a thing over the table with closed fingers",
        line="push {object} {way} {target}",
    ),
    Primitive(
        name="pour",
        slots=(_thing("object", "the cup"), _thing("target", "the bowl")),
        about="takes a cup and pours what is in it into a bowl",
        line="pour {object} into {target}",
    ),
    Primitive(name="stand_up", slots=(_thing("object", "what lies"),), about="stands a lying bottle, can or cup up", line="stand_up {object}"),
    Primitive(name="touch", slots=(_thing("object", "what is touched"),), about="touches a thing from above", line="touch {object}"),
    Primitive(name="retreat", slots=(), about="raises the hand by 10 cm", line="retreat"),
)
PRIMITIVES: Mapping[str, Primitive] = {p.name: p for p in _ALL}
"""Name -> skill."""
DONE = "done"


def make_call(skill: str, things: Mapping[str, Any], words: Mapping[str, str]) -> Call:
    """Returns a call after comparing it with the grammar.

    Raises:
      BadCall: If there is no such skill, an argument is missing, unknown, or no word that may be said.
    """
    primitive = PRIMITIVES.get(skill)
    if primitive is None:
        raise BadCall(f"there is no skill {skill[:40]!r}. There are: {', '.join(PRIMITIVES)}")
    slots = {slot.name: slot for slot in primitive.slots}
    for name in (*things, *words):
        if name not in slots:
            raise BadCall(f"{skill} takes no {name[:40]!r}; it takes: {', '.join(slots) or 'nothing'}")
    for slot in primitive.slots:
        given = (things if slot.kind == "thing" else words).get(slot.name)
        if given is None and not slot.is_optional:
            raise BadCall(f"{skill} lacks {slot.name}: {slot.about}")
        if slot.words and given is not None and given not in slot.words:
            raise BadCall(f"{slot.name} of {skill} is one of {', '.join(slot.words)}, not {str(given)[:40]!r}")
    if skill == "place" and (words["relation"] == "between") != (things.get("other") is not None):
        raise BadCall("place takes other together with the relation between, and only with it")
    return Call(skill=skill, things=dict(things), words=dict(words))


# -------------------------------------------------------------------------------------------------------------------------------- tools
def tools() -> tuple[dict[str, Any], ...]:
    """Returns the skills as tools of a chat, and `done` behind them."""
    out = []
    for primitive in _ALL:
        properties: dict[str, Any] = {}
        for slot in primitive.slots:
            if slot.kind == "word":
                properties[slot.name] = {"type": "string", "description": slot.about, **({"enum": list(slot.words)} if slot.words else {})}
                continue
            properties[slot.name] = {"type": "string", "description": f"your name for {slot.about}"}
            pixel = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
            properties[f"{slot.name}_xy"] = {**pixel, "description": f"pixel [x, y] on {slot.about}, in the latest image"}
        required = [slot.name for slot in primitive.slots if slot.kind == "word"]
        out.append(openai_chat.tool(primitive.name, primitive.about, properties, required))
    done = {"summary": {"type": "string", "description": "one sentence on what was done"}}
    return (*out, openai_chat.tool(DONE, "says that the task is done, or that nothing more can be done", done, ()))


def read_arguments(skill: str, arguments: Mapping[str, Any]) -> Call:
    """Returns the call of a tool.

    Raises:
      BadCall: As `make_call`, and for a pixel that is none.
    """
    primitive = PRIMITIVES.get(skill)
    if primitive is None:
        return make_call(skill, {}, {})
    things: dict[str, Any] = {}
    words: dict[str, str] = {}
    kinds = {slot.name: slot.kind for slot in primitive.slots}
    for key, value in arguments.items():
        slot = key.removesuffix("_xy")
        if value is None or value == "":
            continue
        if kinds.get(slot) == "thing" and key.endswith("_xy"):
            things[slot] = Referent(name=things[slot].name if slot in things else None, pixel=_pixel(key, value))
        elif kinds.get(key) == "thing":
            if not isinstance(value, str):
                raise BadCall(f"{key} is a name, not {type(value).__name__}; the pixel stands in {key}_xy")
            things[key] = Referent(name=clean(value), pixel=things[key].pixel if key in things else None)
        else:
            words[key] = value if isinstance(value, str) else str(value)[:NAME_MAX]
    return make_call(skill, things, words)


def _pixel(key: str, value: Any) -> tuple[float, float]:
    numbers = value if isinstance(value, (list, tuple)) else ()
    if len(numbers) != 2 or not all(isinstance(n, (int, float)) and not isinstance(n, bool) and abs(n) <= _PIXEL_MAX for n in numbers):
        raise BadCall(f"{key} is a pixel [x, y], two numbers")
    return float(numbers[0]), float(numbers[1])


def clean(name: str) -> str:
    """Returns a name without article, quotes and needless spaces, in small letters."""
    words = name.strip().strip("\"'`").casefold().split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("the", "a", "an") else words)[:NAME_MAX]


# ------------------------------------------------------------------------------------------------------------------------------ program
LOCATE = "locate"


def read_function(skill: str, args: Sequence[Any], named: Mapping[str, Any], thing_of: Any) -> Call:
    """Returns the call of a function in a program; arguments come in the order of the skill's.

    Args:
      skill: Its name.
      args: In order.
      named: By name.
      thing_of: Makes of an argument what stands for a thing; raises BadCall.

    Raises:
      BadCall: As `make_call`.
    """
    slots = PRIMITIVES[skill].slots
    if len(args) > len(slots):
        raise BadCall(f"{skill} takes {len(slots)} arguments, not {len(args)}: {', '.join(s.name for s in slots)}")
    given = {slot.name: value for slot, value in zip(slots, args, strict=False)}
    for name, value in named.items():
        if name in given:
            raise BadCall(f"{skill} is given {name} twice")
        given[name] = value
    kinds = {slot.name: slot.kind for slot in slots}
    things = {name: thing_of(value) for name, value in given.items() if kinds.get(name) == "thing" and value is not None}
    words = {name: value for name, value in given.items() if kinds.get(name) != "thing"}
    for name, value in words.items():
        if not isinstance(value, str):
            raise BadCall(f"{name} of {skill} is a word")
    return make_call(skill, things, words)


def signature(primitive: Primitive) -> str:
    """Returns a skill as a function of a program."""
    return f"{primitive.name}({', '.join(slot.name + ('=None' if slot.is_optional else '') for slot in primitive.slots)})"
