"""The rules of the house, read off the source: floors, imports, randomness, printing, docstrings, the package list."""

from __future__ import annotations

import ast
import configparser
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {
    "assets": {"assets"},
    "envs": {"envs", "assets"},
    "policies": {"policies", "envs", "assets"},
    "results": {"results"},
    "benchmark": {"benchmark", "policies", "results", "envs", "assets"},
}
"""Floor -> floors that it may import."""

RESULTS_MAY_IMPORT = ("vlagym.envs.types", "vlagym.envs.errors", "vlagym.envs.catalog")
WITHOUT_SIMULATOR = ("types", "errors", "catalog", "objects", "language", "images", "outcome")
"""Files of envs that a remote policy server or `vlagym table` loads."""
SIMULATORS = {"mujoco", "dm_control", "gymnasium", "gymnasium_robotics"}
HEAVY = {"torch", "h5py", "matplotlib", "imageio", "imageio_ffmpeg", "pandas", "trimesh", "fast_simplification", "dm_control", "jinja2"}
HEAVY |= {"av", "pyarrow", "PIL", "isal"}
NETWORKS = "policies/models/"
"""A network is a torch module: these files alone import torch on top, and are imported inside the function that loads them."""
OWN_STATE = {"Generator", "SeedSequence", "BitGenerator", "default_rng", "PCG64", "Philox"}
"""Names of numpy.random that do not touch the global state."""
DO_ON_IMPORT = {"envs/gym.py": "register", "__init__.py": "_arithmetic.settle"}
"""Gymnasium expects that a module registers its ids when it is imported, and the arithmetic is settled before NumPy is there or not at all."""
MAX_LINE = 150


@functools.cache
def sources() -> tuple[str, ...]:
    """Returns every Python file of the package, relative to the root."""
    found = [p.relative_to(ROOT).as_posix() for floor in FLOORS for p in (ROOT / floor).rglob("*.py")]
    return "__init__.py", *sorted(found)


@functools.cache
def tree(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"), filename=file)


def imports(node: ast.AST, *, inside_functions: bool = True) -> Iterator[tuple[str, int]]:
    """Yields (module, line) of the imports below a node. What only type checkers see does not count."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, child.lineno) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = "." * child.level + (child.module or "")
            # `from vlagym.envs import catalog` names a module, `from vlagym.envs.errors import BadData` a class: either may be forbidden.
            yield from ((f"{base}.{alias.name}" if base.startswith("vlagym") else base, child.lineno) for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        elif inside_functions or not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from imports(child, inside_functions=inside_functions)


def offences(rule: Callable[[str], Iterator[tuple[int, str]]]) -> list[str]:
    """Returns "file:line what" for everything in the package that the rule objects to."""
    return [f"{file}:{line} {what}" for file in sources() for line, what in rule(file)]


def test_imports_go_down_the_floors() -> None:
    def rule(file: str) -> Iterator[tuple[int, str]]:
        here = file.split("/")[0]
        for module, line in imports(tree(file)):
            parts = module.split(".")
            if here not in FLOORS or len(parts) < 2 or parts[0] != "vlagym" or parts[1] not in FLOORS:
                continue
            is_exempt = here == "results" and any(module == m or module.startswith(m + ".") for m in RESULTS_MAY_IMPORT)
            if parts[1] not in FLOORS[here] and not is_exempt:
                yield line, f"imports {module}"

    assert not offences(rule)


def test_modules_are_imported_by_their_full_name() -> None:
    def rule(file: str) -> Iterator[tuple[int, str]]:
        for module, line in imports(tree(file)):
            if module.startswith(".") or module.split(".")[0] in FLOORS:
                yield line, f"imports {module}: a bare import loads a second copy, write vlagym.…"

    assert not offences(rule)


def test_heavy_packages_are_imported_inside_the_function_that_needs_them() -> None:
    def rule(file: str) -> Iterator[tuple[int, str]]:
        for module, line in imports(tree(file), inside_functions=False):
            is_torch_at_home = file.startswith(NETWORKS) and module.split(".")[0] == "torch"
            if module.split(".")[0] in HEAVY and not is_torch_at_home:
                yield line, f"imports {module} at module level"
            if module.startswith("vlagym.policies.models.") and not file.startswith(NETWORKS):
                yield line, f"imports {module}, and with it torch, at module level"

    assert not offences(rule)


def test_tables_specs_and_words_need_no_simulator() -> None:
    def rule(file: str) -> Iterator[tuple[int, str]]:
        if file.startswith("results/") or file in [f"envs/{name}.py" for name in WITHOUT_SIMULATOR]:
            yield from ((line, f"imports {module}") for module, line in imports(tree(file)) if module.split(".")[0] in SIMULATORS)

    assert not offences(rule)


def test_nothing_draws_from_global_randomness() -> None:
    def rule(file: str) -> Iterator[tuple[int, str]]:
        modules = {alias.asname or alias.name for n in ast.walk(tree(file)) if isinstance(n, ast.Import) for alias in n.names}
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.Attribute):
                owner, _, name = ast.unparse(node).rpartition(".")
                if owner in ("np.random", "numpy.random") and name not in OWN_STATE:
                    yield node.lineno, f"uses {owner}.{name}: hand in a Generator (vlagym.envs.types.stream)"
                if owner == "random" and "random" in modules and name != "Random":
                    yield node.lineno, f"uses random.{name}: hand in a Generator (vlagym.envs.types.stream)"
            if isinstance(node, ast.ImportFrom) and node.module in ("random", "numpy.random"):
                yield from ((node.lineno, f"takes {a.name} from {node.module}") for a in node.names if a.name not in {*OWN_STATE, "Random"})

    assert not offences(rule)


def test_only_the_console_prints() -> None:
    def rule(file: str) -> Iterator[tuple[int, str]]:
        if file != "benchmark/console.py":
            calls = [n for n in ast.walk(tree(file)) if isinstance(n, ast.Call)]
            yield from ((c.lineno, "prints") for c in calls if ast.unparse(c.func) in ("print", "pprint", "sys.stdout.write", "sys.stderr.write"))

    assert not offences(rule)


def test_every_file_says_in_a_sentence_what_it_is_for() -> None:
    def rule(file: str) -> Iterator[tuple[int, str]]:
        if file.endswith("__init__.py") and not tree(file).body:
            return
        first = (ast.get_docstring(tree(file)) or "").split("\n", 1)[0]
        if not first.endswith((".", "?", "!")):
            yield 1, f"begins with {first!r}, not with a sentence"

    assert not offences(rule)


def test_no_error_is_swallowed() -> None:
    def rule(file: str) -> Iterator[tuple[int, str]]:
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")):
                if all(isinstance(s, (ast.Pass, ast.Continue)) or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)) for s in node.body):
                    yield node.lineno, "swallows every error: one that nobody hears of becomes a wrong number"

    assert not offences(rule)


def test_importing_a_file_does_nothing() -> None:
    reads = ("open", "os.getenv", "os.environ.get", "tomllib.load", "tomllib.loads", "importlib.import_module")

    def rule(file: str) -> Iterator[tuple[int, str]]:
        for node in tree(file).body:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and (call := ast.unparse(node.value.func)) != DO_ON_IMPORT.get(file):
                yield node.lineno, f"calls {call} on import"
            if isinstance(node, (ast.Assign, ast.AnnAssign)):
                calls = [ast.unparse(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)]
                yield from ((node.lineno, f"calls {call} on import") for call in calls if call in reads)

    assert not offences(rule)


def test_lines_are_short_enough_to_read() -> None:
    def rule(file: str) -> Iterator[tuple[int, str]]:
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
        yield from ((i, f"has {len(line)} characters") for i, line in enumerate(lines, 1) if len(line) > MAX_LINE)

    assert not offences(rule)


def test_every_folder_of_python_files_is_a_listed_package() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    folders = {Path(file).parent for file in sources()}
    there = {".".join(["vlagym", *folder.parts]) for folder in folders}
    assert listed == there, f"setup.cfg lists {sorted(listed - there)} too many and {sorted(there - listed)} too few"
    assert not [f.as_posix() for f in folders if not (ROOT / f / "__init__.py").exists()], "folders without __init__.py"


def test_only_the_package_itself_lies_in_the_root() -> None:
    assert [p.name for p in ROOT.glob("*.py")] == ["__init__.py"], "a Python file in the root would be shipped as part of vlagym"


def test_the_version_is_the_same_everywhere() -> None:
    found = re.search(r'^__version__ = "(\d+\.\d+\.\d+)"$', (ROOT / "__init__.py").read_text(encoding="utf-8"), re.M)
    assert found is not None
    for file in ("CHANGELOG.md", "CITATION.cff"):
        assert found[1] in (ROOT / file).read_text(encoding="utf-8"), f"{file} does not mention version {found[1]}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch", ["torch"]),
        ("def f():\n    import torch", []),
        ("if TYPE_CHECKING:\n    import torch", []),
        ("try:\n    import torch\nexcept ImportError:\n    pass", ["torch"]),
        ("from vlagym.envs import world", ["vlagym.envs.world"]),
        ("from . import world", ["."]),
    ],
)
def test_the_reader_of_imports_sees_what_runs_on_import(source: str, expected: list[str]) -> None:
    assert [module for module, _ in imports(ast.parse(source), inside_functions=False)] == expected
