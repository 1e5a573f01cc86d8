"""Programs that a model wrote, run by an interpreter of our own: nothing is handed to Python, and everything that grows is bounded.

A program is read into its syntax tree. What is not on the list of allowed constructs is refused before anything runs; what runs can only reach
numbers, words, lists, and the functions that it is given. Attributes, imports, definitions, comprehensions, formatted strings, powers: none.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from vlagym.policies.planners.bounds import BUILTINS, BadProgram, Bounds, Run
from vlagym.policies.planners.interpreter import ARITHMETIC, COMPARISONS, Interpreter

_STATEMENTS = (ast.Expr, ast.Assign, ast.AugAssign, ast.If, ast.For, ast.While, ast.Break, ast.Continue, ast.Pass)
_VALUES = (ast.Constant, ast.Name, ast.List, ast.Tuple, ast.Subscript)
_EXPRESSIONS = (*_VALUES, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call)
_PARTS = (
    *(ast.Module, ast.Load, ast.Store, ast.keyword, ast.And, ast.Or, ast.Not, ast.USub, ast.UAdd, ast.In, ast.NotIn, ast.Is, ast.IsNot),
    *COMPARISONS,
    *ARITHMETIC,
)
_NAMES = {
    "Attribute": "an attribute (a.b)",
    "Import": "an import",
    "ImportFrom": "an import",
    "FunctionDef": "a definition of a function",
    "Lambda": "a lambda",
    "ClassDef": "a definition of a class",
    "JoinedStr": "a formatted string",
    "Pow": "a power",
    "ListComp": "a comprehension",
    "GeneratorExp": "a comprehension",
    "DictComp": "a comprehension",
    "SetComp": "a comprehension",
    "Starred": "a star",
}


class Program:
    """A program that was read and holds nothing that is not allowed."""

    def __init__(self, source: str, functions: Iterable[str], bounds: Bounds | None = None) -> None:
        """Reads a program.

        Args:
          source: The program.
          functions: Names that it may call, besides those of `BUILTINS`.
          bounds: What it may use up; None: as usual.

        Raises:
          BadProgram: If it is too long, is no Python, or holds something that is not allowed.
        """
        self._bounds = bounds or Bounds()
        self._functions = frozenset(functions)
        self._body = _parsed(source, self._bounds).body
        for statement in self._body:
            _check(statement, self._bounds.depth)
        for node in ast.walk(ast.Module(self._body, [])):
            self._check_names(node)

    def run(self) -> Run:
        """Runs the program; it stands still at each `Request` until it is sent what came of it.

        Raises:
          BadProgram: If it uses up more than it may, or does what has no meaning: divides by zero, asks for an item that is not there.
        """
        return Interpreter(self._bounds, self._functions).run(self._body)

    def _check_names(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name):
                raise BadProgram(node.lineno, "only functions are called, by their names")
            if node.func.id not in self._functions and node.func.id not in BUILTINS:
                known = ", ".join([*sorted(self._functions), *BUILTINS])
                raise BadProgram(node.lineno, f"there is no function {node.func.id[:40]!r}. There are: {known}")
            if any(word.arg is None for word in node.keywords):
                raise BadProgram(node.lineno, "two stars are not allowed")
        if isinstance(node, ast.Name):
            if node.id.startswith("_"):
                raise BadProgram(node.lineno, f"{node.id[:40]!r} begins with an underscore, which no name here does")
            if isinstance(node.ctx, ast.Store) and (node.id in self._functions or node.id in BUILTINS):
                raise BadProgram(node.lineno, f"{node.id!r} is a function, and cannot be made something else")


def _parsed(source: str, bounds: Bounds) -> ast.Module:
    if len(source) > bounds.source:
        raise BadProgram(1, f"the program has {len(source)} characters, and {bounds.source} are allowed")
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise BadProgram(error.lineno or 1, f"this is no Python ({error.msg})") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadProgram(1, f"this cannot be read as Python ({type(error).__name__})") from error


def _check(statement: ast.stmt, depth_max: int) -> None:
    """Raises BadProgram at a construct that is not on the list, or too deep. Without recursion: a program must not exhaust the stack."""
    below: list[tuple[ast.AST, int, int]] = [(statement, 1, statement.lineno)]
    while below:
        node, depth, line = below.pop()
        line = getattr(node, "lineno", line)
        if not isinstance(node, (*_STATEMENTS, *_EXPRESSIONS, *_PARTS, ast.Slice)):
            kind = type(node).__name__
            raise BadProgram(line, f"{_NAMES.get(kind, f'the construct {kind}')} is not allowed here")
        if depth > depth_max:
            raise BadProgram(line, f"more than {depth_max} constructs lie within each other")
        if isinstance(node, ast.Constant) and not isinstance(node.value, (bool, int, float, str, type(None))):
            raise BadProgram(line, f"a {type(node.value).__name__} is not allowed here")
        if isinstance(node, (ast.For, ast.While)) and node.orelse:
            raise BadProgram(line, "the else of a loop is not allowed here")
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.For)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                names = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
                if not all(isinstance(name, ast.Name) for name in names):
                    raise BadProgram(line, "only names are assigned to")
        below += [(child, depth + 1, line) for child in ast.iter_child_nodes(node)]
