"""Runs the syntax tree of a program, step by step: every value that grows is bounded before it is made."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from vlagym.policies.planners.bounds import BUILTINS, BadProgram, Bounds, Handle, Request, Run

COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


class _Leave(Exception):
    """A break or a continue."""

    def __init__(self, is_break: bool) -> None:
        super().__init__()
        self.is_break = is_break


class Interpreter:
    """One run of a program that was found to hold nothing but what is allowed: its names, and what it has used up."""

    def __init__(self, bounds: Bounds, functions: frozenset[str]) -> None:
        """Begins with no names.

        Args:
          bounds: What the program may use up.
          functions: Those that it may ask for.
        """
        self._bounds, self._functions = bounds, functions
        self._values: dict[str, Any] = {}
        self._steps = self._calls = 0

    def run(self, body: list[ast.stmt]) -> Run:
        """Runs statements; stands still at each request until it is sent what came of it.

        Raises:
          BadProgram: If they use up more than they may, or do what has no meaning.
        """
        try:
            yield from self._block(body)
        except _Leave as leave:
            raise BadProgram(1, f"a {'break' if leave.is_break else 'continue'} stands outside of a loop") from None

    # ------------------------------------------------------------------------------------------------------------------- statements
    def _block(self, body: list[ast.stmt]) -> Run:
        for statement in body:
            yield from self._statement(statement)

    def _statement(self, node: ast.stmt) -> Run:
        self._count(node)
        if isinstance(node, ast.Expr):
            yield from self._value(node.value)
        elif isinstance(node, ast.Assign):
            value = yield from self._value(node.value)
            for target in node.targets:
                self._assign(target, value)
        elif isinstance(node, ast.AugAssign):
            assert isinstance(node.target, ast.Name)
            value = yield from self._value(node.value)
            self._values[node.target.id] = self._arithmetic(node, type(node.op), self._look_up(node.target, node.target.id), value)
        elif isinstance(node, ast.If):
            test = yield from self._truth(node.test)
            yield from self._block(node.body if test else node.orelse)
        elif isinstance(node, ast.For):
            items = yield from self._value(node.iter)
            for item in list(self._list(node, items, "a loop")):
                self._assign(node.target, item)
                if (yield from self._turn(node.body)):
                    break
        elif isinstance(node, ast.While):
            while (yield from self._truth(node.test)):
                if (yield from self._turn(node.body)):
                    break
        elif isinstance(node, (ast.Break, ast.Continue)):
            raise _Leave(isinstance(node, ast.Break))

    def _turn(self, body: list[ast.stmt]) -> Run:
        """Goes once through a loop; returns whether it is left."""
        try:
            yield from self._block(body)
        except _Leave as leave:
            return leave.is_break
        return False

    def _assign(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self._values[target.id] = value
            return
        assert isinstance(target, (ast.Tuple, ast.List))
        parts = self._list(target, value, "what is taken apart")
        if len(parts) != len(target.elts):
            raise BadProgram(target.lineno, f"{len(parts)} values are given to {len(target.elts)} names")
        for name, part in zip(target.elts, parts, strict=True):
            self._assign(name, part)

    # ------------------------------------------------------------------------------------------------------------------ expressions
    def _truth(self, node: ast.expr) -> Run:
        self._count(node)
        value = yield from self._value(node)
        return bool(value) if not isinstance(value, Handle) else True

    def _value(self, node: ast.expr) -> Run:
        self._count(node)
        if isinstance(node, ast.Constant):
            return self._bounded(node, node.value)
        if isinstance(node, ast.Name):
            return self._look_up(node, node.id)
        if isinstance(node, (ast.List, ast.Tuple)):
            out = []
            for item in node.elts:
                out.append((yield from self._value(item)))
            return self._bounded(node, tuple(out))
        if isinstance(node, ast.BinOp):
            left = yield from self._value(node.left)
            right = yield from self._value(node.right)
            return self._arithmetic(node, type(node.op), left, right)
        if isinstance(node, ast.UnaryOp):
            value = yield from self._value(node.operand)
            if isinstance(node.op, ast.Not):
                return not value
            number = self._number(node, value)
            return -number if isinstance(node.op, ast.USub) else +number
        if isinstance(node, ast.BoolOp):
            for part in node.values:
                value = yield from self._value(part)
                if bool(value) != isinstance(node.op, ast.And):
                    return value
            return value
        if isinstance(node, ast.Compare):
            left = yield from self._value(node.left)
            for op, other in zip(node.ops, node.comparators, strict=True):
                right = yield from self._value(other)
                if not self._compare(node, op, left, right):
                    return False
                left = right
            return True
        if isinstance(node, ast.IfExp):
            test = yield from self._truth(node.test)
            return (yield from self._value(node.body if test else node.orelse))
        if isinstance(node, ast.Subscript):
            return (yield from self._item(node))
        assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name), "what else there is was refused"
        return (yield from self._call(node, node.func.id))

    def _call(self, node: ast.Call, name: str) -> Run:
        args, named = [], {}
        for part in node.args:
            args.append((yield from self._value(part)))
        for word in node.keywords:
            named[str(word.arg)] = yield from self._value(word.value)
        if name not in self._functions:
            if named:
                raise BadProgram(node.lineno, f"{name} takes no named arguments here")
            return self._bounded(node, self._builtin(node, name, args))
        self._calls += 1
        if self._calls > self._bounds.calls:
            raise BadProgram(node.lineno, f"the program calls more than {self._bounds.calls} functions")
        return self._bounded(node, (yield Request(function=name, args=tuple(args), named=named, line=node.lineno)))

    def _item(self, node: ast.Subscript) -> Run:
        whole = yield from self._value(node.value)
        if not isinstance(whole, (tuple, str)):
            raise BadProgram(node.lineno, "only lists and words have items")
        if isinstance(node.slice, ast.Slice):
            ends: list[int | None] = []
            for end in (node.slice.lower, node.slice.upper, node.slice.step):
                ends.append(None if end is None else self._whole(node, (yield from self._value(end))))
            if ends[2] == 0:
                raise BadProgram(node.lineno, "a step of 0 leads nowhere")
            return whole[slice(*ends)]
        at = self._whole(node, (yield from self._value(node.slice)))
        if not -len(whole) <= at < len(whole):
            raise BadProgram(node.lineno, f"there is no item {at} of {len(whole)}")
        return whole[at]

    def _builtin(self, node: ast.Call, name: str, args: list[Any]) -> Any:
        if name == "range":
            if not 1 <= len(args) <= 3:
                raise BadProgram(node.lineno, "range takes one to three whole numbers")
            ends = [self._whole(node, arg) for arg in args]
            if len(ends) == 3 and ends[2] == 0:
                raise BadProgram(node.lineno, "a step of 0 leads nowhere")
            numbers = range(*ends)
            if len(numbers) > self._bounds.items:
                raise BadProgram(node.lineno, f"a list holds {self._bounds.items} items at most, not {len(numbers)}")
            return tuple(numbers)
        if name == "len":
            if len(args) != 1 or not isinstance(args[0], (tuple, str)):
                raise BadProgram(node.lineno, "len takes one list or word")
            return len(args[0])
        items = self._list(node, args[0] if len(args) == 1 else tuple(args), name)
        self._steps += len(items)
        numbers_only = all(isinstance(item, (int, float)) for item in items)
        if not numbers_only and not all(isinstance(item, str) for item in items):
            raise BadProgram(node.lineno, f"{name} compares numbers, or words")
        if name == "sorted":
            return tuple(sorted(items))
        if not items:
            raise BadProgram(node.lineno, f"{name} of nothing has no value")
        return max(items) if name == "max" else min(items)

    def _compare(self, node: ast.expr, op: ast.cmpop, left: Any, right: Any) -> bool:
        if isinstance(op, (ast.Is, ast.IsNot)):
            if left is not None and right is not None:
                raise BadProgram(getattr(node, "lineno", 1), "`is` is asked of None alone")
            return (left is right) == isinstance(op, ast.Is)
        if isinstance(op, (ast.In, ast.NotIn)):
            if isinstance(right, str) and isinstance(left, str):
                return (left in right) == isinstance(op, ast.In)
            items = self._list(node, right, "`in`")
            self._steps += len(items)
            found = any(self._are_equal(node, left, item) for item in items)
            return found == isinstance(op, ast.In)
        if isinstance(op, (ast.Eq, ast.NotEq)):
            return self._are_equal(node, left, right) == isinstance(op, ast.Eq)
        both_words = isinstance(left, str) and isinstance(right, str)
        if not both_words:
            left, right = self._number(node, left), self._number(node, right)
        return COMPARISONS[type(op)](left, right)

    @staticmethod
    def _are_equal(node: ast.expr, left: Any, right: Any) -> bool:
        if isinstance(left, tuple) or isinstance(right, tuple):  # lists within lists would take for ever
            raise BadProgram(node.lineno, "lists are not compared here; compare their items")
        return left is right if isinstance(left, Handle) or isinstance(right, Handle) else bool(left == right)

    # ----------------------------------------------------------------------------------------------------------------------- bounds
    def _arithmetic(self, node: ast.expr | ast.stmt, op: type[ast.operator], left: Any, right: Any) -> Any:
        if op is ast.Add and type(left) is type(right) and isinstance(left, (str, tuple)):
            most = self._bounds.text if isinstance(left, str) else self._bounds.items
            if len(left) + len(right) > most:
                raise BadProgram(node.lineno, f"a {'word' if isinstance(left, str) else 'list'} of {len(left) + len(right)} is longer than {most}")
            return left + right
        a, b = self._number(node, left), self._number(node, right)
        try:
            return self._bounded(node, ARITHMETIC[op](a, b))
        except ArithmeticError as error:
            raise BadProgram(node.lineno, f"{error}") from None

    def _bounded(self, node: ast.expr | ast.stmt, value: Any) -> Any:
        bounds = self._bounds
        if isinstance(value, (int, float)):
            if not abs(value) <= bounds.magnitude:  # NaN is not either; and a whole number may be too large to be made a float
                raise BadProgram(node.lineno, f"a number is beyond {bounds.magnitude:g}")
        elif isinstance(value, str) and len(value) > bounds.text:
            raise BadProgram(node.lineno, f"a word of {len(value)} characters is longer than {bounds.text}")
        elif isinstance(value, tuple) and len(value) > bounds.items:
            raise BadProgram(node.lineno, f"a list of {len(value)} is longer than {bounds.items}")
        return value

    def _count(self, node: ast.AST) -> None:
        self._steps += 1
        if self._steps > self._bounds.steps:
            raise BadProgram(getattr(node, "lineno", 1), f"the program takes more than {self._bounds.steps} steps: it does not end")

    def _look_up(self, node: ast.AST, name: str) -> Any:
        if name not in self._values:
            known = ", ".join(sorted(self._values)[:20]) or "none"
            what = "a function, and must be called" if name in self._functions or name in BUILTINS else f"no value. There are: {known}"
            raise BadProgram(getattr(node, "lineno", 1), f"{name[:40]!r} is {what}")
        return self._values[name]

    def _number(self, node: ast.expr | ast.stmt, value: Any) -> Any:
        if not isinstance(value, (int, float)):
            raise BadProgram(node.lineno, f"a number is wanted here, not {_said(value)}")
        return value

    def _whole(self, node: ast.expr, value: Any) -> int:
        if not isinstance(value, int):
            raise BadProgram(node.lineno, f"a whole number is wanted here, not {_said(value)}")
        return value

    @staticmethod
    def _list(node: ast.expr | ast.stmt, value: Any, what: str) -> tuple[Any, ...]:
        if not isinstance(value, tuple):
            raise BadProgram(node.lineno, f"{what} wants a list, not {_said(value)}")
        return value


def _said(value: Any) -> str:
    """Returns what a value is, in words: never the value itself, which may be large."""
    kinds = {str: "a word", tuple: "a list", type(None): "None"}
    return kinds.get(type(value), "a number" if isinstance(value, (int, float)) else "a thing")
