"""A policy is found by how it is written, and refuses what it does not know."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from vlagym.envs.control import action_spec
from vlagym.envs.errors import BadData, BadSpec, UnknownName
from vlagym.envs.types import ActionComponent, ActionSpec, Observation
from vlagym.policies.base import EpisodeContext, Policy
from vlagym.policies.loading import load_policy, parse_options, split

MODULE = '''
from vlagym.envs.types import ObservationSpec
from vlagym.policies.base import PolicySpec

class Mine:
    def __init__(self, argument, options):
        self.spec = PolicySpec(name="mine", action=None, observation=ObservationSpec(images=(), state=(), rate_hz=20.0))
        self.argument, self.options = argument, options
    def reset(self, context): ...
    def act(self, observations): return {}
    def close(self): ...

class Half:
    def __init__(self, argument, options): ...
    spec = "half"
    def act(self, observations): ...

class Whole(Half):
    def reset(self, context): ...
    def close(self): ...

NUMBER = 3
'''


@pytest.fixture
def outsider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "an_outsider.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "an_outsider", raising=False)
    return "an_outsider"


@pytest.mark.parametrize(
    ("text", "name", "argument"),
    [
        ("hold", "hold", None),
        ("replay:runs/a", "replay", "runs/a"),
        ("replay:C:/runs", "replay", "C:/runs"),
        ("package.module:POLICY", "package.module:POLICY", None),
        ("package.module:POLICY:ws://host:8000", "package.module:POLICY", "ws://host:8000"),
        ("nonsense", "nonsense", None),
    ],
)
def test_a_text_is_a_name_and_an_argument(text: str, name: str, argument: str | None) -> None:
    assert split(text) == (name, argument)


def test_an_outsiders_policy_is_built_with_its_argument_and_options(outsider: str) -> None:
    policy = load_policy(f"{outsider}:Mine:weights.bin", {"beam": "3"})
    assert policy.spec.name == "mine"
    assert (policy.argument, policy.options) == ("weights.bin", {"beam": "3"})  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("Half", "built Half, which is no policy: it lacks reset, close"),
        ("Whole", "the spec of an_outsider:Whole is str; it must be a vlagym.policies.base.PolicySpec"),
        ("NUMBER", "is int, which builds no policy"),
    ],
)
def test_something_else_is_refused(outsider: str, attribute: str, message: str) -> None:
    with pytest.raises(BadData, match=message):
        load_policy(f"{outsider}:{attribute}")


def test_an_unknown_policy_is_answered_with_near_names() -> None:
    with pytest.raises(UnknownName, match=r"no policy is called 'unifrom'. Did you mean uniform\?"):
        load_policy("unifrom")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("hold:still", {}, "policy 'hold' takes no argument; hold:still gives it one"),
        ("hold", {"seed": "1"}, "no option of policy 'hold' is called 'seed'. There are: none."),
        ("uniform", {"sead": "1"}, "no option of policy 'uniform' is called 'sead'. Did you mean seed?"),
        ("uniform", {"seed": "one"}, "the seed of uniform is a whole number, not 'one'"),
        ("uniform", {"seed": "-1"}, "0 or more, not -1"),
        ("replay", {}, "replay needs a run folder: replay:RUN"),
        ("replay:nowhere", {}, "nowhere is no run folder"),
    ],
)
def test_a_wrong_argument_or_option_is_refused(text: str, options: dict[str, str], message: str) -> None:
    with pytest.raises((BadData, UnknownName)) as caught:
        load_policy(text, options)
    assert message in str(caught.value)


def test_options_are_key_value_pairs() -> None:
    assert parse_options(["a=1", "b=x=y"]) == {"a": "1", "b": "x=y"}


@pytest.mark.parametrize(("pairs", "message"), [(["a"], "written key=value, not 'a'"), (["=1"], "not '=1'"), (["a=1", "a=2"], "'a' was given twice")])
def test_a_wrong_option_is_refused(pairs: list[str], message: str) -> None:
    with pytest.raises(BadData, match=message):
        parse_options(pairs)


# ------------------------------------------------------------------------------------------------------ hold, uniform and replay
PROPRIO = {
    "ee_target_pos_base_m": np.array([0.4, 0.1, 0.3], np.float32),
    "ee_target_quat_base_wxyz": np.array([0.0, 1.0, 0.0, 0.0], np.float32),
    "joint_pos_rad": np.array([0.0, 0.1, 0.0, -2.0, 0.0, 2.0, 0.8], np.float32),
}


def controls() -> Mapping[str, ActionSpec]:
    from vlagym.envs import catalog

    robot = catalog.load("robot", "panda")
    return {name: action_spec(robot, name) for name in ("ee_delta", "ee_pose", "joint_delta", "joint_position")}


def begin(policy: Policy, spec: ActionSpec, digest: str = "d", slot: int = 0) -> None:
    policy.reset(EpisodeContext(slot=slot, instruction="do it", action=spec, digest=digest))


def ask(policy: Policy, slots: tuple[int, ...] = (0,)) -> dict[int, np.ndarray]:
    seen = Observation(images={}, proprio=PROPRIO, instruction="do it", time_s=0.0)
    return {slot: chunk.values[0] for slot, chunk in policy.act(dict.fromkeys(slots, seen)).items()}


@pytest.mark.parametrize(
    ("control", "still"),
    [
        ("ee_delta", [0.0] * 6),
        ("ee_pose", [0.4, 0.1, 0.3, 0.0, 1.0, 0.0, 0.0]),
        ("joint_delta", [0.0] * 7),
        ("joint_position", [0.0, 0.1, 0.0, -2.0, 0.0, 2.0, 0.8]),
    ],
)
def test_hold_asks_for_no_motion_in_every_convention(control: str, still: list[float]) -> None:
    policy, spec = load_policy("hold"), controls()[control]
    begin(policy, spec)
    action = ask(policy)[0]
    assert action.tolist() == pytest.approx([*still, -1.0])
    spec.check(action)


def test_hold_refuses_a_convention_in_which_nobody_said_what_stands_still() -> None:
    odd = ActionComponent(name="base", size=1, convention="throttle", frame="base", unit="1", scale=1.0, low=(0.0,), high=(1.0,))
    with pytest.raises(BadSpec, match="does not know how to stand still with 'base' in the convention 'throttle'"):
        begin(load_policy("hold"), ActionSpec(name="car", components=(odd,), rate_hz=20.0))


@pytest.mark.parametrize("control", ["ee_delta", "ee_pose", "joint_delta", "joint_position"])
def test_uniform_stays_within_the_bounds_of_every_convention(control: str) -> None:
    policy, spec = load_policy("uniform"), controls()[control]
    begin(policy, spec)
    actions = [spec.check(ask(policy)[0]) for _ in range(50)]
    assert np.std(actions, axis=0).min() > 0.05


def test_uniform_draws_by_the_episode_and_not_by_the_slot_or_the_order() -> None:
    policy, spec = load_policy("uniform"), controls()["ee_delta"]
    begin(policy, spec, "one", slot=0)
    begin(policy, spec, "two", slot=5)
    first, second = ask(policy, (0, 5)).values()
    begin(policy, spec, "two", slot=0)
    assert np.array_equal(ask(policy)[0], second)
    assert not np.array_equal(first, second)


def test_replay_sends_the_stored_actions_one_by_one_and_says_when_they_have_ended(tmp_path: Path) -> None:
    (tmp_path / "traces").mkdir()
    actions = np.linspace(-1, 1, 14, dtype=np.float32).reshape(2, 7)
    np.savez(tmp_path / "traces" / "d.npz", actions=actions)
    policy = load_policy(f"replay:{tmp_path}")
    begin(policy, controls()["ee_delta"])
    assert np.array_equal([ask(policy)[0], ask(policy)[0]], actions)
    with pytest.raises(BadData, match="its 2 stored actions are played: it did not run the same here"):
        ask(policy)
    with pytest.raises(UnknownName, match="has no trace of the episode e"):
        begin(policy, controls()["ee_delta"], "e")


@pytest.mark.parametrize("text", ["openpi:ws://127.0.0.1:1", "vla_eval:ws://127.0.0.1:1", "gr00t:tcp://127.0.0.1:1", "rest:http://127.0.0.1:1/act"])
def test_a_misspelt_profile_is_told_before_a_server_is_asked_that_is_not_up(text: str) -> None:
    with pytest.raises(UnknownName, match=r"no profile is called 'liberro'. Did you mean libero"):
        load_policy(text, {"profile": "liberro"})
