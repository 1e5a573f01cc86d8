"""Calls of skills: the same whether they come as a tool, a line or a function, and an answer that helps where they are none."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from vlagym.policies.planners.grammar import PRIMITIVES, BadCall, Call, Referent, read_arguments, read_function, tools
from vlagym.policies.planners.steps import read_line, read_plan


def test_every_skill_is_a_tool_with_a_name_that_servers_take() -> None:
    declared = [tool["function"]["name"] for tool in tools()]
    assert declared == [*PRIMITIVES, "done"]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in declared)


@pytest.mark.parametrize(
    ("line", "skill", "things", "words"),
    [
        ('pick "red mug" at (120, 88)', "pick", {"object": Referent(name="red mug", pixel=(120.0, 88.0))}, {}),
        ("Pick up the red mug at (120, 88).", "pick", {"object": Referent(name="red mug", pixel=(120.0, 88.0))}, {}),
        ("pick (12.5, 8)", "pick", {"object": Referent(pixel=(12.5, 8.0))}, {}),
        ("place on the plate", "place", {"target": Referent(name="plate")}, {"relation": "on"}),
        ("place left of (3, 4)", "place", {"target": Referent(pixel=(3.0, 4.0))}, {"relation": "left_of"}),
        ("place in_front_of \"can\" at (3, 4)", "place", {"target": Referent(name="can", pixel=(3.0, 4.0))}, {"relation": "in_front_of"}),
        (
            'place between "can" at (3, 4) and "box"',
            "place",
            {"target": Referent(name="can", pixel=(3.0, 4.0)), "other": Referent(name="box")},
            {"relation": "between"},
        ),
        ("open cabinet/drawer", "open", {"target": Referent(name="cabinet/drawer")}, {}),
        ('turn "knob" at (3, 4) to high', "turn", {"target": Referent(name="knob", pixel=(3.0, 4.0))}, {"setting": "high"}),
        ("push sponge at (1, 2) into the blue zone at (3, 4)", "push", {}, {"way": "into"}),
        ("pour cup into bowl", "pour", {"object": Referent(name="cup"), "target": Referent(name="bowl")}, {}),
        ("stand up the bottle", "stand_up", {"object": Referent(name="bottle")}, {}),
        ("retreat", "retreat", {}, {}),
    ],
)
def test_a_line_is_read(line: str, skill: str, things: dict[str, Referent], words: dict[str, str]) -> None:
    call = read_line(line)
    assert call.skill == skill and call.words == words
    assert {**call.things, **things} == call.things


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("dance", "'dance' begins with no skill. There are: pick, place"),
        ("pick", "is not written as 'pick \"object\" at .X, Y.'"),
        ("place under the plate", "is not written as 'place on|in"),
        ("place between can", "place takes other together with the relation between"),
        ("place on can and box", "only with it"),
        ("turn knob", "is not written as 'turn \"target\" at .X, Y. to SETTING'"),
    ],
)
def test_a_line_that_is_no_step_is_answered_with_how_it_is_written(line: str, why: str) -> None:
    with pytest.raises(BadCall, match=why):
        read_line(line)


def test_a_plan_is_its_numbered_lines() -> None:
    plan = read_plan('Sure! Here is my plan:\n1. pick "can" at (1, 2)\n  2) place on (3, 4)\n\nGood luck.\n3: DONE\n4. dance')
    assert [str(call) for call in plan.calls] == ['pick object="can" (1, 2)', "place relation=on target=(3, 4)"]
    assert (plan.num_steps, plan.wrong, plan.is_done) == (2, None, True)
    wrong = read_plan("1. pick can\n2. juggle\n3. place on box")
    assert len(wrong.calls) == 1 and wrong.num_steps == 3 and wrong.wrong is not None and wrong.wrong.startswith("step 2: 'juggle' begins with no")
    assert read_plan("I am sorry.").num_steps == 0


def test_a_hostile_line_is_read_in_no_time() -> None:
    began = time.monotonic()
    for line in ("place between " + "a and " * 20_000, "push " + "a " * 100_000, 'pour "' + "into " * 50_000, "1" * 100_000, "pick " + "(" * 100_000):
        read_plan(f"1. {line}\n" * 20)
    assert time.monotonic() - began < 30


def test_a_tool_call_says_things_by_name_by_pixel_or_by_both() -> None:
    call = read_arguments("place", {"relation": "on", "target": "The Plate", "target_xy": [3, 4.5]})
    assert call == Call(skill="place", things={"target": Referent(name="plate", pixel=(3.0, 4.5))}, words={"relation": "on"})
    assert read_arguments("pick", {"object_xy": [1, 2], "object": ""}).things == {"object": Referent(pixel=(1.0, 2.0))}


@pytest.mark.parametrize(
    ("skill", "arguments", "why"),
    [
        ("fly", {}, "there is no skill 'fly'. There are: pick"),
        ("pick", {}, "pick lacks object: what to take"),
        ("pick", {"object": 3}, "object is a name, not int; the pixel stands in object_xy"),
        ("pick", {"object_xy": [1]}, "object_xy is a pixel .x, y., two numbers"),
        ("pick", {"object_xy": [1, "2"]}, "two numbers"),
        ("pick", {"object_xy": [1, float("nan")]}, "two numbers"),
        ("pick", {"object": "can", "colour": "red"}, "pick takes no 'colour'; it takes: object"),
        ("place", {"relation": "under", "target": "can"}, "relation of place is one of on, in, at"),
        ("place", {"relation": "between", "target": "can"}, "place takes other together with"),
    ],
)
def test_a_tool_call_that_is_none_is_answered_with_why(skill: str, arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(BadCall, match=why):
        read_arguments(skill, arguments)


def test_a_function_takes_its_arguments_in_order_or_by_name() -> None:
    def thing(value: Any) -> Referent:
        return Referent(name=value)

    assert read_function("place", ("on", "plate"), {}, thing) == read_function("place", (), {"target": "plate", "relation": "on"}, thing)
    with pytest.raises(BadCall, match="pick takes 1 arguments, not 2: object"):
        read_function("pick", ("a", "b"), {}, thing)
    with pytest.raises(BadCall, match="pick is given object twice"):
        read_function("pick", ("a",), {"object": "b"}, thing)
    with pytest.raises(BadCall, match="relation of place is a word"):
        read_function("place", (3, "plate"), {}, thing)


def test_steps_that_put_several_things_into_one_know_of_each_other() -> None:
    from vlagym.policies.planners.desk import Order
    from vlagym.policies.planners.manners import _with_company
    from vlagym.policies.planners.work import Thing

    plan = read_plan("1. pick a\n2. place in bowl\n3. pick b\n4. place on plate\n5. pick c\n6. place in bowl\n7. place at (1, 2)")
    things = {name: Thing(name=name, joint=None, point=(0.0, 0.0, 0.0)) for name in ("a", "b", "c", "bowl", "plate")}
    table = Thing(name=None, joint=None, point=(0.5, 0.0, 0.0))
    orders = [Order(call, {slot: things.get(meant.name, table) for slot, meant in call.things.items()}) for call in plan.calls]
    assert [order.company for order in _with_company(orders)] == [(), ("a", "c"), (), (), (), ("a", "c"), ()]
