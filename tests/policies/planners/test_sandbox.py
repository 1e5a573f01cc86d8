"""Programs of models: they compute, call what they are given, and reach nothing else, however they try."""

from __future__ import annotations

import time
from typing import Any

import pytest

from vlagym.policies.planners.bounds import BadProgram, Bounds, Handle, Request
from vlagym.policies.planners.sandbox import Program

FUNCTIONS = ("pick", "place", "tell")


def played(source: str, answers: dict[str, Any] | None = None, bounds: Bounds | None = None) -> list[Request]:
    """Returns what a program asked for; every function answers with True unless it is said otherwise."""
    run, asked, answer = Program(source, FUNCTIONS, bounds).run(), [], None
    try:
        while True:
            request = run.send(answer)
            asked.append(request)
            answer = (answers or {}).get(request.function, True)
    except StopIteration:
        return asked


def told(expression: str) -> Any:
    """Returns the value of an expression."""
    return played(f"tell({expression})")[0].args[0]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("7 // 2 - 7 % 4", 0),
        ("-(3 - 5) / 4", 0.5),
        ("[1, 2, 3][1:]", (2, 3)),
        ("'left' + '_of'", "left_of"),
        ("max([3, 9, 2]) - min(4, 5)", 5),
        ("sorted([3, 1, 2])[-1]", 3),
        ("len(range(2, 20, 3))", 6),
        ("1 < 2 <= 2 and not 3 == 4", True),
        ("'a' if 2 in [1, 2] else 'b'", "a"),
        ("None is None", True),
        ("0 or 'other'", "other"),
    ],
)
def test_a_program_computes(expression: str, value: Any) -> None:
    assert told(expression) == value


def test_a_program_asks_for_skills_in_order_and_hears_what_came_of_them() -> None:
    source = """
for (x, y) in [(1, 2), (3, 4)]:
    if not pick(x, at=y):
        continue
    place('on', x)
count = 0
while count < 5:
    count += 1
    if count == 2:
        break
tell(count)
"""
    assert [r.function for r in played(source)] == ["pick", "place", "pick", "place", "tell"]
    assert [r.function for r in played(source, {"pick": False})] == ["pick", "pick", "tell"]
    first, *_, last = played(source)
    assert (first.args, dict(first.named), first.line) == ((1,), {"at": 2}, 3)
    assert last.args == (2,)


def test_what_a_function_gives_can_be_handed_on_and_nothing_else() -> None:
    thing = Handle()
    asked = played("a = pick(1)\nif a:\n    place('on', a)\ntell(a is None, a == a)", {"pick": thing})
    assert asked[1].args == ("on", thing) and asked[2].args == (False, True)
    with pytest.raises(BadProgram, match="a number is wanted here, not a thing"):
        played("a = pick(1)\ntell(a + 1)", {"pick": thing})


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import os", "line 1: an import is not allowed here"),
        ("from os import system", "an import is not allowed"),
        ("__import__('os').system('true')", "only functions are called, by their names|an attribute"),
        ("__import__('os')", "there is no function '__import__'"),
        ("().__class__.__bases__[0].__subclasses__()", "an attribute"),
        ("tell(''.join(['a']))", "an attribute"),
        ("x = pick\nx()", "there is no function 'x'"),
        ("tell(pick)", "'pick' is a function, and must be called"),
        ("eval('1')", "there is no function 'eval'"),
        ("exec('1')", "there is no function 'exec'"),
        ("open('/etc/passwd')", "there is no function 'open'"),
        ("getattr(1, 'real')", "there is no function 'getattr'"),
        ("(lambda: 1)()", "a lambda|only functions"),
        ("def f(): f()\nf()", "a definition of a function is not allowed"),
        ("class A: pass", "a definition of a class is not allowed"),
        ("tell(f'{1:>1000000000}')", "a formatted string is not allowed"),
        ("tell('%1000000000d' % 1)", "a number is wanted here, not a word"),
        ("tell([x for x in range(3)])", "a comprehension is not allowed"),
        ("with open('x') as f: pass", "not allowed"),
        ("try:\n    pass\nexcept: pass", "the construct Try is not allowed"),
        ("global pick", "the construct Global is not allowed"),
        ("pick = 1", "'pick' is a function, and cannot be made something else"),
        ("len = 1", "'len' is a function"),
        ("_a = 1", "begins with an underscore"),
        ("tell(__builtins__)", "begins with an underscore"),
        ("a = [1]\na[0] = 2", "only names are assigned to"),
        ("tell(*[1, 2])", "a star is not allowed"),
        ("tell(**[1])", "two stars are not allowed"),
        ("tell((y := 1))", "the construct NamedExpr is not allowed"),
        ("tell(b'x')", "a bytes is not allowed"),
        ("tell(1j)", "a complex is not allowed"),
        ("tell({1: 2})", "the construct Dict is not allowed"),
        ("await pick(1)", "not allowed"),
        ("yield 1", "not allowed"),
        ("assert pick(1)", "the construct Assert is not allowed"),
        ("raise 1", "the construct Raise is not allowed"),
        ("del pick", "the construct Delete is not allowed"),
        ("match 1:\n    case _: pass", "not allowed"),
        ("if True:\n  pick(", "this is no Python"),
        ("pick(1)\x00", "this cannot be read as Python|no Python"),
    ],
)
def test_what_is_not_on_the_list_is_refused(source: str, why: str) -> None:
    with pytest.raises(BadProgram, match=why):
        played(source)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("tell(10 ** 10 ** 10)", "a power is not allowed"),
        ("tell(1 << 10000000000)", "the construct LShift is not allowed"),
        ("tell([0] * 10 ** 9)", "a power is not allowed"),
        ("tell([0] * 1000000000)", "a number is wanted here, not a list"),
        ("tell('a' * 1000000000)", "a number is wanted here, not a word"),
        ("x = 9\nwhile True:\n    x = x * x", "beyond 1e.12"),
        ("x = 1e11\nwhile True:\n    x = x * 10", "beyond 1e.12"),
        ("x = 'ab'\nwhile True:\n    x = x + x", "is longer than 2000"),
        ("x = [1, 2]\nwhile True:\n    x += x", "is longer than 1000"),
        ("x = [1]\nwhile True:\n    x = [x, x]", "more than 10000 steps"),
        ("while True:\n    pass", "line 1: the program takes more than 10000 steps: it does not end"),
        ("for i in range(1000):\n    for j in range(1000):\n        k = i", "more than 10000 steps"),
        ("tell(range(1000000000000))", "a list holds 1000 items at most"),
        ("while True:\n    pick(1)", "calls more than 60 functions"),
        ("tell(1e999)", "beyond 1e.12"),
        ("tell(" + "9" * 400 + ")", "beyond 1e.12|no Python"),
        ("tell(" + "9" * 5000 + ")", "no Python|cannot be read"),
        ("-" * 7000 + "1", "cannot be read as Python|no Python|within each other"),
        ("(" * 300 + ")" * 300, "no Python|cannot be read"),
        ("tell(" + "not " * 60 + "1)", "more than 40 constructs lie within each other"),
        ("[" * 60 + "]" * 60, "within each other"),
        ("#" * 9000, "9000 characters, and 8000 are allowed"),
        ("tell(1 / 0)", "division by zero"),
        ("tell(1.5 % 0)", "modulo|zero"),
        ("tell([1, 2][5])", "there is no item 5 of 2"),
        ("tell(range(1, 2, 0))", "a step of 0 leads nowhere"),
        ("tell([1, 2][::0])", "a step of 0 leads nowhere"),
        ("tell(max([]))", "max of nothing has no value"),
        ("tell(sorted([1, 'a']))", "sorted compares numbers, or words"),
        ("a = b = [1]\ntell(a == b)", "lists are not compared here"),
        ("a, b = [1, 2, 3]", "3 values are given to 2 names"),
        ("break", "no Python|outside of a loop"),
        ("tell(nothing)", "'nothing' is no value. There are: none"),
    ],
)
def test_a_bomb_is_defused_at_once(source: str, why: str) -> None:
    began = time.monotonic()
    with pytest.raises(BadProgram, match=why):
        played(source)
    assert time.monotonic() - began < 30


def test_nested_lists_cost_no_more_than_their_steps() -> None:
    doubling = "x = [1]\nfor i in range(100):\n    x = [x, x]\ntell(len(x))"
    assert played(doubling)[0].args == (2,)
    with pytest.raises(BadProgram, match="lists are not compared"):
        played(doubling + "\ntell(x in [x])")
    with pytest.raises(BadProgram, match="max compares numbers, or words"):
        played(doubling + "\ntell(max(x))")
