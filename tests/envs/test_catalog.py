"""The folder is the registry, and one half-written file in it is told as such, by name and line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vlagym.benchmark import cli
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, UnknownName

HALVES = {
    "syntax": ('"""Half."""\nx = 1\ndef main(\n', "SyntaxError: '(' was never closed", 3),
    "import": ('"""Half."""\nfrom vlagym.envs.types import Nothing\n', "cannot import name 'Nothing'", 2),
    "module": ('"""Half."""\n\nimport no_such_package\n', "No module named 'no_such_package'", 3),
    "name": ('"""Half."""\nTASK = Tusk()\n', "NameError: name 'Tusk' is not defined", 2),
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A catalogue of the files of a folder of one's own, whose modules are imported from there."""
    package = tmp_path / "half_a_package"
    for k in catalog.kinds():
        (package / k.folder).mkdir(parents=True)
    monkeypatch.setattr(catalog, "_ROOT", package)
    yield package


def half(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("which", HALVES)
def test_an_outsiders_file_that_does_not_import_is_named_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    text, message, line = HALVES[which]
    path = half(tmp_path, f"half_{which}", text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BadData) as caught:
        catalog.load("task", f"half_{which}:TASK")
    told = str(caught.value)
    assert told.startswith(f"half_{which} does not import: {message}") and f"({path}, line {line})" in told


@pytest.mark.parametrize("which", HALVES)
def test_so_is_a_file_of_ours(monkeypatch: pytest.MonkeyPatch, root: Path, which: str) -> None:
    text, message, line = HALVES[which]
    path = half(root / "envs/tasks", f"half_{which}", text)
    import vlagym.envs.tasks

    monkeypatch.setattr(vlagym.envs.tasks, "__path__", [str(path.parent)])
    with pytest.raises(BadData) as caught:
        catalog.load("task", f"half_{which}")
    assert message in str(caught.value) and f"{path}, line {line}" in str(caught.value)
    sys.modules.pop(f"vlagym.envs.tasks.half_{which}", None)


def test_a_half_written_file_is_listed_as_such_and_the_others_as_ever(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half(root / "envs/tasks", "half", HALVES["syntax"][0])
    half(root / "envs/tasks", "whole", '"""Does something."""\n')
    half(root / "benchmark/commands", "half", HALVES["syntax"][0])
    assert catalog.summary("task", "half") == "(does not parse: '(' was never closed, line 3)"
    assert catalog.summary("task", "whole") == "Does something."
    assert cli.main(["--help"]) == 0
    assert "half  (does not parse: '(' was never closed, line 3)" in capsys.readouterr().out


def test_a_metric_that_does_not_import_does_not_keep_the_others_from_being_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load = catalog.load

    def loads(kind: str, name: str) -> object:
        if (kind, name) == ("metric", "steps"):
            raise BadData("steps does not import")
        return load(kind, name)

    monkeypatch.setattr(catalog, "load", loads)
    assert cli.main(["list", "metrics"]) == 0
    told = capsys.readouterr().out
    assert "(steps does not import)" in told and "path_length_m" in told


def test_a_module_that_does_not_exist_is_no_bad_file() -> None:
    with pytest.raises(UnknownName, match="no task is called 'nowhere.at_all:TASK'.*And no module 'nowhere.at_all' is importable from here"):
        catalog.load("task", "nowhere.at_all:TASK")


@pytest.mark.parametrize("name", ["stack", "vlagym.envs.tasks.stack:TASK"])
def test_what_exists_is_known(name: str) -> None:
    assert catalog.known("task", name) == name


@pytest.mark.parametrize(("name", "message"), [("stak", "Did you mean stack?"), ("vlagym.envs.tasks.stack:TUSK", "no attribute is called 'TUSK'")])
def test_what_does_not_is_answered_with_what_does(name: str, message: str) -> None:
    with pytest.raises(UnknownName) as caught:
        catalog.known("task", name)
    assert message in str(caught.value)


def test_every_file_of_a_kinds_folder_is_one_of_the_kind_or_is_named_as_one_beside_them() -> None:
    for kind in catalog.kinds():
        for name in catalog.names(kind.name):
            assert catalog.load(kind.name, name) is not None, (kind.name, name)
        for beside in kind.besides:
            path = Path(catalog.__file__).parents[1] / kind.folder / f"{beside}.py"
            assert path.is_file(), f"{path} is named as a file that exists"


def test_a_file_that_lies_beside_those_of_a_kind_is_none_of_them_even_once_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert catalog.load("task", "stack") is catalog.load("task", "stack")
    monkeypatch.setattr(catalog, "_KINDS", tuple(replace(k, besides=("stack",)) if k.name == "task" else k for k in catalog.kinds()))
    with pytest.raises(UnknownName, match="no task is called 'stack'"):
        catalog.load("task", "stack")


def test_a_file_that_is_gone_is_unknown_even_if_it_was_imported(root: Path) -> None:
    assert catalog.names("task") == []
    with pytest.raises(UnknownName, match="no task is called 'stack'"):
        catalog.load("task", "stack")
