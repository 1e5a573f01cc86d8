"""What a planner is told before it plans: what it sees, how it points, what it can do, and how it says so."""

from __future__ import annotations

from collections.abc import Sequence

from vlagym.policies.planners.grammar import DONE, LOCATE, PRIMITIVES, signature
from vlagym.policies.planners.steps import usage


def common(cameras: Sequence[str], size: tuple[int, int], names: Sequence[str]) -> str:
    """Returns what is said in every manner.

    Args:
      cameras: Whose images are shown; pixels count in that of the first.
      size: Width and height of the images, in pixels.
      names: Of the scene, where the planner is told them.
    """
    width, height = size
    more = "" if len(cameras) == 1 else f" You also see: {', '.join(cameras[1:])}; pixels do not count there."
    lines = [
        "You plan for a robot arm with a two-finger gripper at a table. You are told a task and shown camera images; the robot carries out skills.",
        f"Pixels count in the latest image of the {cameras[0]} camera, which is {width} pixels wide and {height} high: (x, y), x to the right and "
        f"y down, (0, 0) at the top left and ({width - 1}, {height - 1}) at the bottom right.{more}",
        "Point at the middle of a thing that is visible. You may give things names of your own: once said together with a pixel, a name means that "
        "thing.",
        "The hand holds one thing at a time. Do only what the task asks for; touching or moving other things counts against you.",
    ]
    if names:
        lines.append(f"The things of the scene are called: {', '.join(names)}. You may use these names without a pixel.")
    return "\n".join(lines)


def for_tools() -> str:
    """Returns what is said where skills are tools of the server."""
    return f"Call one tool at a time. After each you are told what came of it and shown the scene anew. Call {DONE} when the task is done."


def for_json() -> str:
    """Returns what is said where skills are called by JSON in the text, for servers without tools."""
    lines = ["Answer with one JSON object in a fenced block: the skill and its arguments. A thing is said by name, by pixel as <name>_xy, or both:"]
    lines += ['```json\n{"tool": "pick", "arguments": {"object": "red mug", "object_xy": [120, 88]}}\n```', "Skills:"]
    lines += [f"- {signature(p)}: {p.about}{_words(p.name)}" for p in PRIMITIVES.values()]
    lines.append("After each you are told what came of it and shown the scene anew.")
    lines.append(f'Answer {{"tool": "{DONE}", "arguments": {{}}}} when the task is done.')
    return "\n".join(lines)


def for_text() -> str:
    """Returns what is said where a plan is numbered steps in words."""
    lines = ["Answer with a plan: numbered steps, one skill a line, written exactly as follows. A name suffices once it was said with its pixel."]
    lines += [f"- {usage(p)}: {p.about}" for p in PRIMITIVES.values()]
    lines.append("End the plan with a line DONE. For example:")
    lines.append('1. pick "red mug" at (120, 88)\n2. place on "plate" at (60, 140)\nDONE')
    lines.append("If a step fails, the rest is not done; you are told so, shown the scene anew, and asked for another plan.")
    return "\n".join(lines)


def for_program() -> str:
    """Returns what is said where a plan is a program."""
    lines = [
        "Answer with one program in a fenced block. It is a small part of Python: numbers, words, lists, arithmetic, comparisons, if, for over lists "
        "and ranges, while, and calls of these functions and of len, range, min, max and sorted. There are no imports, definitions, attributes or "
        "comprehensions.",
        f"- {LOCATE}(x, y): the thing at a pixel, or None. It looks at the image that you were shown, not at what has changed since",
    ]
    lines += [f"- {signature(p)}: {p.about}{_words(p.name)}" for p in PRIMITIVES.values()]
    lines += [
        "Skills return True if they were carried out. A thing is what locate returned, a pixel (x, y), or a name.",
        f"- {DONE}(): says that the task is done. Otherwise you are shown the scene anew and asked for another program. For example:",
        "```python\nmug = locate(120, 88)\nif pick(mug):\n    place('on', locate(60, 140))\n    done()\n```",
    ]
    return "\n".join(lines)


def _words(skill: str) -> str:
    said = [f"{slot.name} is one of {', '.join(slot.words)}" for slot in PRIMITIVES[skill].slots if slot.words]
    return f" ({'; '.join(said)})" if said else ""
