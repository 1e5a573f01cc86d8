"""vlagym check says in sentences what is wrong with a file, and what to do about it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from vlagym.benchmark import check, cli
from vlagym.envs.errors import UnknownName

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Write:
    """Saves a file of an outsider and returns the name of its module."""
    monkeypatch.syspath_prepend(str(tmp_path))
    module = "outsider_" + "".join(c if c.isalnum() else "_" for c in request.node.name)

    def save(source: str) -> str:
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        return module

    return save


def complaints(kind: str, name: str) -> str:
    return "\n".join(check.check(kind, name).complaints)


@pytest.mark.parametrize(("what", "near"), [("task:stak", "stack"), ("object:aple", "apple"), ("metric:succes", "success"), ("suite:smok", "smoke")])
def test_a_name_that_does_not_exist_is_the_users_error_with_near_names(what: str, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    kind, name = what.split(":")
    assert cli.main(["check", what]) == 2
    assert f"no {kind} is called '{name}'. Did you mean" in (told := capsys.readouterr().err) and near in told


# ---------------------------------------------------------------------------------------------------------------------- metrics
METRIC = '''
    """Measures something."""
    import numpy as np
    from vlagym.benchmark.metric import Metric
    calls = []
    def measure(trace, spec):
        {body}
    METRIC = Metric(unit="{unit}", better="higher", kind="{kind}", measure=measure)
'''


def test_a_good_metric_has_nothing_wrong_with_it(write: Write) -> None:
    module = write(METRIC.format(body="return float(trace.num_steps)", unit="steps", kind="mean"))
    assert check.check("metric", f"{module}:METRIC") == check.Verdict(kind="metric", name=f"{module}:METRIC", complaints=())


@pytest.mark.parametrize(
    ("body", "unit", "kind", "complaint"),
    [
        ("return float('nan')", "m", "mean", "the value is nan: give None where the metric does not apply"),
        ("return 1 / trace.num_steps", "m", "mean", "that ended before its first step it raises ZeroDivisionError: division by zero at"),
        ("return 0.5", "1", "rate", "the value is 0.5: a rate is 0 or 1 in each episode; say kind='mean' for other numbers"),
        ("return 2.0", "share", "mean", "the value is 2: a share lies between 0 and 1"),
        ("return 'fast'", "m", "mean", "the value is str 'fast': give a float"),
        ("return {'p50': 1.0}", "s", "mean", "it gives 'p50', while parts promises one value without a name"),
        ("calls.append(1); return float(len(calls))", "1", "mean", "when asked again after other episodes: keep no state between calls"),
        ("trace.columns['time_s'][0] = 1; return 0.0", "s", "mean", "raises ValueError: assignment destination is read-only"),
        ("return 0.0", "", "mean", "it has no unit"),
    ],
)
def test_a_wrong_metric_is_told_what_is_wrong(write: Write, body: str, unit: str, kind: str, complaint: str) -> None:
    module = write(METRIC.format(body=body, unit=unit, kind=kind))
    assert complaint in complaints("metric", f"{module}:METRIC")


def test_a_file_without_a_sentence_is_told_to_begin_with_one(write: Write) -> None:
    module = write("from vlagym.benchmark.metrics.steps import METRIC\n")
    assert "the docstring of its file begins with ''" in complaints("metric", f"{module}:METRIC")


def test_something_else_than_a_metric_is_told_what_to_be(write: Write) -> None:
    module = write('"""A number."""\nMETRIC = 3\n')
    assert complaints("metric", f"{module}:METRIC") == "METRIC is int: make it a vlagym.benchmark.metric.Metric"


# ---------------------------------------------------------------------------------------------------------------------- policies
POLICY = '''
    """Does something."""
    import numpy as np
    from vlagym.envs.types import ActionChunk, ObservationSpec, StateComponent
    from vlagym.policies.base import PolicySpec
    from vlagym.policies.loading import refuse_options
    class Mine:
        spec = PolicySpec(
            name="mine", action=None, chunk_steps=2, execute_steps={execute},
            observation=ObservationSpec(images=(), state=(StateComponent(name="{state}", size=3),), rate_hz=20.0),
        )
        calls = 0
        def reset(self, context):
            self.action = context.action
        def act(self, observations):
            self.calls += 1
            return {{slot: ActionChunk(values={values}, spec=self.action) for slot in observations}}
        def close(self):
            pass
    def POLICY(argument, options):
        {refuse}
        return Mine()
'''
GOOD = {"execute": "2", "state": "ee_pos_base_m", "values": "np.zeros((2, 7), np.float32)", "refuse": "refuse_options('mine', options)"}


def test_a_good_policy_has_nothing_wrong_with_it(write: Write) -> None:
    assert complaints("policy", f"{write(POLICY.format(**GOOD))}:POLICY") == ""


def test_a_policy_of_a_body_with_two_hands_is_asked_on_one(write: Write) -> None:
    two_hands = {"state": "left_ee_pos_base_m", "values": "np.zeros((2, 14), np.float32)"}
    assert complaints("policy", f"{write(POLICY.format(**{**GOOD, **two_hands}))}:POLICY") == ""



@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"execute": "3"}, "it executes 3 steps of a chunk of 2: execute_steps must lie between 1 and chunk_steps"),
        ({"state": "ee_position"}, "ee_position"),
        ({"values": "np.zeros((1, 7), np.float32)"}, "it sends a chunk of 1 steps and declares chunk_steps=2"),
        ({"values": "np.zeros((2, 6), np.float32)"}, "the policy sent a chunk of shape (2, 6); ee_delta wants (T, 7) with T > 0"),
        ({"values": "np.full((2, 7), np.nan)"}, "the policy sent nan in step 0, component 0 of its chunk"),
        ({"values": "np.full((2, 7), 2.0)"}, "its chunk for slot 0 is no sequence of actions: the action holds 2 at index 0 (translation)"),
        ({"values": "np.full((2, 7), 0.01 * self.calls)"}, "the same episode gets another answer (by up to 0.01): clear the slot in reset"),
        ({"values": "np.full((2, 7), 0.1 * len(observations))"}, "slot 0 gets another answer alone than together with the other one"),
        ({"refuse": "pass"}, "an unknown option is accepted: a typing error would go unnoticed"),
        ({"refuse": "options['no']"}, "builds no policy: KeyError: 'no' ("),
    ],
)
def test_a_wrong_policy_is_told_what_is_wrong(write: Write, change: dict[str, str], complaint: str) -> None:
    assert complaint in complaints("policy", f"{write(POLICY.format(**{**GOOD, **change}))}:POLICY")


def test_a_policy_that_needs_an_argument_is_not_called_wrong() -> None:
    verdict = check.check("policy", "replay")
    assert verdict.complaints == () and verdict.skipped.startswith("replay needs a run folder: replay:RUN")


# ---------------------------------------------------------------------------------------------------------------------- others
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('name = "mine"\nversion = 1\n', "has no entries"),
        ('name = "mine"\nversion = 1\ncolour = 3\n[[entry]]\ntask = "stack"\nepisodes = 1\n', "has an unknown key 'colour'"),
        ('name = "mine"\nversion = 1\n[[entry]]\ntask = "stak"\nepisodes = 1\n', "no task is called 'stak'. Did you mean stack?"),
        ('name = "mine"\nversion = 1\n[[entry]]\ntask = "stack"\nepisodes = 1\n', "about is '': say in a sentence what the suite is for"),
        (
            'name = "mine"\nversion = 1\nabout = "Mine."\n' + '[[entry]]\ntask = "stack"\nepisodes = 2\n' * 2,
            "entry 2 (stack) repeats the seeds 0 to 1 of an earlier entry",
        ),
    ],
)
def test_a_wrong_suite_is_told_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    assert complaint in complaints("suite", str(path))


def test_an_axis_that_changes_nothing_or_skips_level_0_is_told_so(write: Write) -> None:
    module = write(
        '''
        """Changes nothing."""
        from vlagym.benchmark.axis import Axis
        AXIS = Axis(levels=(1, 2), changes=("colour",), apply=lambda spec, level, rng: spec)
        '''
    )
    told = complaints("axis", f"{module}:AXIS")
    assert "its levels are (1, 2): they count up from 0, the identity" in told
    assert "it says that it changes 'colour': these can be changed: task, robot, scene" in told


def test_a_wrong_object_is_told_by_its_file_and_key(tmp_path: Path) -> None:
    folder = tmp_path / "mug" / "mug_mine"
    folder.mkdir(parents=True)
    (folder / "object.toml").write_text('names = ["mug"]\ncolor = "red"\n', encoding="utf-8")
    assert "color" in complaints("object", str(folder / "object.toml"))


def test_a_command_that_prints_its_usage_for_a_wrong_option_is_told_so(write: Write) -> None:
    module = write(
        '''
        """Says hello."""
        import argparse
        def main(args):
            argparse.ArgumentParser().parse_args(args)
            return 0
        '''
    )
    told = complaints("command", "vlagym.benchmark.commands.list:main")
    assert told == ""
    verdict = check.check("command", f"{module}:main")
    assert any("--help" in complaint for complaint in verdict.complaints)


# ---------------------------------------------------------------------------------------------------------------------- what is meant
def test_every_kind_of_the_house_has_a_contract() -> None:
    assert set(check.kinds()) >= {"axis", "command", "format", "metric", "object", "policy", "robot", "suite", "task"}


def test_a_kind_means_all_of_its_names_and_an_attribute_tells_its_kind() -> None:
    assert ("metric", "steps") in check.targets("metric") and check.targets("metrics") == check.targets("metric")
    assert check.targets("metric:steps") == [("metric", "steps")]
    assert check.targets("my_lab.things:METRIC") == [("metric", "my_lab.things:METRIC")]
    assert check.targets("metric:my_lab.things:jerk") == [("metric", "my_lab.things:jerk")]
    with pytest.raises(UnknownName, match="no contract is called 'my_lab'.*Write KIND:my_lab:jerk if my_lab:jerk is an outsider's"):
        check.targets("my_lab:jerk")
    with pytest.raises(UnknownName, match="no contract is called 'metrc'. Did you mean metric"):
        check.targets("metrc")


def test_a_name_that_does_not_exist_is_a_complaint_with_the_near_ones() -> None:
    assert complaints("metric", "stps").startswith("no metric is called 'stps'. Did you mean steps?")


def test_the_command_exits_with_1_when_anything_is_wrong(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    module = write('"""A number."""\nMETRIC = 3\n')
    assert cli.main(["check", "metric:steps"]) == cli.DONE
    assert "1 checked: 1 fulfil their contract, 0 do not" in capsys.readouterr().out
    assert cli.main(["check", f"{module}:METRIC", "metric:steps"]) == cli.CHECKS_FAILED
    out = capsys.readouterr().out
    assert f"wrong    metric:{module}:METRIC\n         - METRIC is int" in out
    assert cli.main(["check", f"{module}:METRIC", "--json"]) == cli.CHECKS_FAILED
    assert json.loads(capsys.readouterr().out)[0]["complaints"] == ["METRIC is int: make it a vlagym.benchmark.metric.Metric"]
