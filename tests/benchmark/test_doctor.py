"""vlagym doctor tells what works from what does not, by trying."""

from __future__ import annotations

import importlib.metadata
import json

import pytest

from vlagym.benchmark import cli, probes
from vlagym.benchmark.commands import doctor


@pytest.mark.parametrize(
    ("version", "bounds", "meets"),
    [
        ("3.17.0", ">=3.17,<4", True),
        ("3.16.9", ">=3.17,<4", False),
        ("4.0.0", ">=3.17,<4", False),
        ("2.13.0+cpu", ">=2.6,<2.14", True),
        ("3.11.7", ">=3.11", True),
        ("1.0", ">=1.0.0", True),
        ("4.0.0rc1", "<4", False),
        ("5", "", True),
    ],
)
def test_versions_are_compared_as_numbers(version: str, bounds: str, meets: bool) -> None:
    assert doctor.satisfies(version, bounds) is meets


def test_a_bound_that_it_cannot_read_is_no_silent_yes() -> None:
    with pytest.raises(ValueError, match="the bound '~=3.1' is not one of >=, <=, >, < and a release number"):
        doctor.satisfies("3.1", "~=3.1")


def test_every_requirement_of_vlagym_can_be_read() -> None:
    for line in importlib.metadata.requires("vlagym") or []:
        name, bounds = doctor._split(line.partition(";")[0].strip())
        assert name and isinstance(doctor.satisfies("1.0", bounds), bool)


def test_a_probe_that_dies_complains_or_says_nothing_is_told_apart() -> None:
    assert probes.run("no_such_probe", {}).text == "AttributeError: module 'vlagym.benchmark.probes' has no attribute 'no_such_probe'"
    assert probes.run("__name__.upper", {}).text == "exit status 0 without a word"
    died = probes.run("os.abort", {})
    assert not died.is_ok and died.text == "died of signal 6"


@pytest.mark.gl
def test_a_backend_that_renders_names_its_renderer() -> None:
    answer = probes.run("frame", {"MUJOCO_GL": "egl"})
    assert answer.is_ok and "first frame after" in answer.text


def test_a_machine_without_a_renderer_fails_with_the_line_that_mends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(probes, "run", lambda function, environment: probes.Answer(is_ok=False, text="no"))
    assert cli.main(["doctor"]) == cli.CHECKS_FAILED
    out = capsys.readouterr().out
    assert "backend in use: no backend renders a frame here" in out and "install what is missing: " in out
    assert cli.main(["doctor", "--json"]) == cli.CHECKS_FAILED
    report = json.loads(capsys.readouterr().out)
    assert report["can_run"] is False and len(report["install"]) == 1


def test_the_backend_that_was_asked_for_must_be_the_one_that_renders(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def only_osmesa(function: str, environment: dict[str, str]) -> probes.Answer:
        return probes.Answer(is_ok=environment["MUJOCO_GL"] == "osmesa", text="softpipe")

    monkeypatch.setattr(probes, "run", only_osmesa)
    monkeypatch.setenv("MUJOCO_GL", "egl")
    assert cli.main(["doctor"]) == cli.CHECKS_FAILED
    out = capsys.readouterr().out
    assert "egl does not render here (MUJOCO_GL=egl), osmesa does" in out and "install what is missing: export MUJOCO_GL=osmesa" in out


def test_an_absent_package_is_told_before_anything_needs_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    version = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda package: None if package == "mujoco" else version(package))
    monkeypatch.setattr(probes, "run", lambda function, environment: pytest.fail("nothing may be tried without mujoco"))
    assert cli.main(["doctor"]) == cli.CHECKS_FAILED
    out = capsys.readouterr().out
    assert "mujoco: not installed (needs " in out and "install what is missing: pip install 'mujoco" in out
