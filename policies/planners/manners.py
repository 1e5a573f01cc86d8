"""The manners of planning: tool calls one after another, a plan in words, a program. Each is a conversation that yields what is to be done."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from vlagym.envs.errors import BadReply
from vlagym.policies.planners import prompts
from vlagym.policies.planners.bounds import BadProgram, Request
from vlagym.policies.planners.desk import Desk, Order
from vlagym.policies.planners.execution import Outcome
from vlagym.policies.planners.grammar import DONE, LOCATE, PRIMITIVES, BadCall, Referent, clean, read_arguments, read_function
from vlagym.policies.planners.grounding import NothingThere
from vlagym.policies.planners.sandbox import Program
from vlagym.policies.planners.steps import read_plan
from vlagym.policies.planners.talk import Talk
from vlagym.policies.planners.work import Thing
from vlagym.policies.wire import openai_chat
from vlagym.policies.wire.openai_chat import Reply, ToolCall, first_object

Dialogue = Generator[Order, Outcome, None]
"""Yields what is to be done and is sent what came of it; ends when the planner has nothing left to do."""
Manner = Callable[[Talk, Desk, str, str], Dialogue]
"""(talk, desk, what is said in every manner, the sentence of the task) -> the conversation of an episode."""
_NUDGES = 3
"""Answers in a row without anything that could be done, after which a planner is given up."""


# -------------------------------------------------------------------------------------------------------------------------- tool calls
def by_tools(talk: Talk, desk: Desk, common: str, task: str) -> Dialogue:
    """Tool calls with pixels, one after another, an image after each: the manner of GPT-4V."""
    talk.system(f"{common}\n{prompts.for_tools()}")
    yield from _tool_calls(talk, desk, task)


def by_json(talk: Talk, desk: Desk, common: str, task: str) -> Dialogue:
    """The same for servers without tools: the first JSON object of the text is the call."""
    talk.system(f"{common}\n{prompts.for_json()}")
    yield from _tool_calls(talk, desk, task)


def _tool_calls(talk: Talk, desk: Desk, task: str) -> Dialogue:
    idle, text = 0, f"The task: {task}"
    while True:
        reply = _asked(talk, desk, text)
        if reply is None:
            return
        calls = reply.calls or _spoken(reply)
        idle = 0 if calls else idle + 1
        if not calls:
            talk.tally.malformed += 1
            if idle >= _NUDGES:
                talk.event("given up: nothing that could be done was said")
                return
            text = f"That is no call of a skill. Call one, or {DONE}."
            continue
        said: list[str] = []
        is_over, has_failed = False, False
        # All of a message speak of the image that it answers: what is meant is looked up before anything moves.
        for call, order in [(call, _order(talk, desk, call)) for call in calls]:
            if is_over or has_failed:
                answer = "not done: the call before it ended the plan" if is_over else "not done: the call before it failed"
            elif isinstance(order, str):
                answer, has_failed = order, True
            elif order is None:
                answer, is_over = "good", True
            else:
                outcome = yield order
                answer, has_failed = outcome.text, not outcome.is_done
            said.append(f"{call.name}: {answer}")
            if reply.calls:
                talk.tool(call.id, answer)
        if is_over:
            return
        text = "This is the scene now." if reply.calls else "; ".join(said) + ". This is the scene now."


def _order(talk: Talk, desk: Desk, call: ToolCall) -> Order | str | None:
    """Returns what a tool call asks for; what is wrong with it, for the planner; None for `done`."""
    if call.name == DONE:
        return None
    try:
        asked = read_arguments(call.name, openai_chat.read_arguments(call.arguments))
    except (BadCall, BadReply) as error:
        talk.tally.malformed += 1
        return f"error: {error}"
    talk.tally.well_formed += 1
    try:
        return desk.order(asked)
    except NothingThere as error:
        talk.tally.add_failure()
        return f"error: {error}"


def _spoken(reply: Reply) -> tuple[ToolCall, ...]:
    """Returns the call that stands as JSON in the text of a model, or of a server, that knows no tools."""
    found = first_object(reply.content)
    if found is None:
        return ()
    name = next((found[key] for key in ("tool", "name", "function", "skill") if isinstance(found.get(key), str)), None)
    if name is None:
        return ()
    arguments: Any = next((found[key] for key in ("arguments", "parameters", "args") if isinstance(found.get(key), (dict, str))), {})
    return (ToolCall(id="", name=name, arguments=arguments if isinstance(arguments, str) else json.dumps(arguments)),)


# ------------------------------------------------------------------------------------------------------------------------------- words
def by_text(talk: Talk, desk: Desk, common: str, task: str) -> Dialogue:
    """A plan of numbered steps in words, made anew where a step fails: the manner of PaLM-E."""
    talk.system(f"{common}\n{prompts.for_text()}")
    idle, text = 0, f"The task: {task}"
    while (reply := _asked(talk, desk, text)) is not None:
        plan = read_plan(reply.content)
        talk.tally.well_formed += len(plan.calls)
        wrong = plan.wrong if plan.num_steps or plan.is_done else "there is no numbered step"
        orders: list[Order] = []
        if wrong is None:
            try:
                orders += [desk.order(call) for call in plan.calls]
            except NothingThere as error:
                talk.tally.add_failure()
                text = f"Step {len(orders) + 1}: {error}. Nothing was done. Write the plan again."
                orders, idle = [], idle + 1
            else:
                if not orders:
                    return  # DONE
        else:
            talk.tally.malformed += 1
            text, idle = f"That is no plan: {wrong}. Nothing was done. Write the plan again.", idle + 1
        if idle >= _NUDGES:
            talk.event("given up: there is no plan that could be begun")
            return
        if not orders:
            continue
        idle = 0
        told: list[str] = []
        outcome = Outcome(True, "")
        for number, order in enumerate(_with_company(orders), start=1):
            outcome = yield order
            told.append(f"step {number} ({order.call.skill}): {outcome.text}")
            if not outcome.is_done:
                break
        if plan.is_done and outcome.is_done:
            return
        text = f"{'; '.join(told)}. This is the scene now. Write a plan for what is left to do, or DONE."


def _with_company(orders: Sequence[Order]) -> list[Order]:
    """Returns the orders of a plan; those that put several things on or into one target know of each other."""
    held: str | None = None
    puts: dict[int, tuple[str, str]] = {}
    for i, order in enumerate(orders):
        if order.call.skill == "pick":
            held = order.things["object"].name
        elif order.call.skill == "place" and held is not None:
            target = order.things["target"]
            if order.call.words["relation"] in ("on", "in") and target.name is not None:
                puts[i] = (held, target.joint or target.name)
            held = None
    out = list(orders)
    for i, (_, where) in puts.items():
        company = tuple(dict.fromkeys(thing for thing, there in puts.values() if there == where))
        out[i] = orders[i]._replace(company=company if len(company) > 1 else ())
    return out


# ----------------------------------------------------------------------------------------------------------------------------- program
def by_program(talk: Talk, desk: Desk, common: str, task: str) -> Dialogue:
    """A program that calls skills and hears what came of them: the manner of Instruct2Act. It runs in `vlagym.policies.planners.sandbox`."""
    talk.system(f"{common}\n{prompts.for_program()}")
    idle, text = 0, f"The task: {task}"
    while (reply := _asked(talk, desk, text)) is not None:
        told: list[str] = []
        try:
            is_over = yield from _run(talk, desk, _source(reply.content), told)
            end = "The program has come to its end"
        except BadProgram as error:
            talk.tally.malformed += 1
            is_over, end = False, f"The program was stopped: {error}"
        if is_over:
            return
        idle = 0 if told else idle + 1
        if idle >= _NUDGES:
            talk.event("given up: there is no program that did anything")
            return
        done = f" What was done: {'; '.join(told)}." if told else " Nothing was done."
        text = f"{end}.{done} This is the scene now. Write a program for what is left to do, or one that calls {DONE}()."


def _run(talk: Talk, desk: Desk, source: str, told: list[str]) -> Generator[Order, Outcome, bool]:
    """Runs a program; returns whether it says that the task is done."""
    is_over = False
    answer: Any = None
    run = Program(source, [*PRIMITIVES, LOCATE, DONE]).run()
    while True:
        try:
            request = run.send(answer)
        except StopIteration:
            return is_over
        if request.function == DONE:
            is_over, answer = True, None
        elif request.function == LOCATE:
            answer = _located(desk, request)
        else:
            try:
                call = read_function(request.function, request.args, request.named, _thing_of)
            except BadCall as error:
                raise BadProgram(request.line, str(error)) from None
            talk.tally.well_formed += 1
            try:
                order = desk.order(call)
            except NothingThere as error:
                talk.tally.add_failure()
                outcome = Outcome(False, str(error))
            else:
                outcome = yield order
            told.append(f"line {request.line} ({call.skill}): {outcome.text}")
            answer = outcome.is_done


def _located(desk: Desk, request: Request) -> Thing | None:
    given: Mapping[str, Any] = {**dict(zip(("x", "y"), request.args, strict=False)), **request.named}
    x, y = given.get("x"), given.get("y")
    if len(request.args) > 2 or set(given) != {"x", "y"} or not isinstance(x, (int, float)) or not isinstance(y, (int, float)):
        raise BadProgram(request.line, f"{LOCATE} takes two numbers: {LOCATE}(x, y)")
    try:
        return desk.at(float(x), float(y))
    except NothingThere:
        return None


def _thing_of(value: Any) -> Thing | Referent:
    if isinstance(value, Thing):
        return value
    if isinstance(value, str) and clean(value):
        return Referent(name=clean(value))
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value):
        return Referent(pixel=(float(value[0]), float(value[1])))
    raise BadCall("a thing is what locate returned, a pixel (x, y), or a name")


def _source(content: str) -> str:
    """Returns the program of an answer: the first fenced block, or all of it where there is none."""
    parts = content.split("```")
    if len(parts) < 2:
        return content
    first, _, rest = parts[1].partition("\n")
    return rest if first.strip().casefold() in ("", "python", "py", "python3") else parts[1]


def _asked(talk: Talk, desk: Desk, text: str) -> Reply | None:
    """Says something, shows the scene, and returns what the model answers."""
    talk.user(text)
    assert talk.seen is not None
    desk.look(talk.seen)
    return talk.ask()


MANNERS: Mapping[str, Manner] = {"tools": by_tools, "text": by_text, "program": by_program}
"""Name -> manner."""
