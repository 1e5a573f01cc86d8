"""The loop renders what is wanted and no more, ends where it should, and keeps what went wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import fakes
import numpy as np
import pytest

from vlagym.benchmark.episode import Connections, WorldOptions, asking, play_episode
from vlagym.benchmark.executor import LocalPort
from vlagym.benchmark.rollout import Rollout, Watch, record_of
from vlagym.envs.errors import VlagymError
from vlagym.envs.safety import CLIPPED, NO_FILTER, PASSED, STOPPED, SafetyFilter
from vlagym.envs.safety_limits import Box, SafetyLimits
from vlagym.envs.types import STATE_COLUMNS, ActionChunk, EpisodeSpec, ImageComponent, sha_arrays
from vlagym.policies.chunking import Chunking, declared


def rollout(spec: EpisodeSpec, policy: Any = None, world: fakes.FakeWorld | None = None, **options: Any) -> Rollout:
    policy = policy or fakes.Carrier()
    world = world or fakes.make_world(WorldOptions())
    pipeline = Connections(policy.spec).of(replace(spec, phrase="plain"), world)
    world.rendered.clear()
    options.setdefault("chunking", declared(policy.spec))
    return Rollout(world, spec, asking(LocalPort(policy), policy.spec, spec), pipeline=pipeline, **options)


# -------------------------------------------------------------------------------------------------------------- what is rendered
def test_images_are_rendered_only_at_steps_at_which_the_policy_is_asked() -> None:
    world = fakes.make_world(WorldOptions())
    steps = list(rollout(fakes.spec(1), world=world))
    assert world.rendered == [(i, ("front",)) for i in range(0, len(steps), 2)]
    assert [s.shown is not None for s in steps[:4]] == [True, False, True, False]
    assert steps[1].observation is None


def test_a_policy_that_declares_no_camera_is_shown_no_image() -> None:
    world, policy = fakes.make_world(WorldOptions(render=False)), fakes.Carrier()
    policy.spec = replace(policy.spec, observation=replace(policy.spec.observation, images=()))
    policy._one = lambda slot, observation: ActionChunk(values=np.zeros((4, 7), np.float32), spec=fakes.CONTROL)  # type: ignore[method-assign]
    played = rollout(fakes.spec(1, horizon_s=0.2), policy, world).play()
    assert {cameras for _, cameras in world.rendered} == {()}
    certificate = played.certificate()
    assert certificate is not None and certificate.frames is None


def test_a_watcher_gets_images_at_every_kth_step_and_proprioception_at_all() -> None:
    policy = fakes.Carrier(execute_steps=4)
    steps = list(rollout(fakes.spec(1), policy, watch=Watch(cameras=("front",), every=3)))
    with_images = [s.index for s in steps if s.observation is not None and s.observation.images]
    assert with_images == [i for i in range(len(steps)) if i % 3 == 0 or i % 4 == 0]
    assert all(s.observation is not None and "ee_pos_base_m" in s.observation.proprio for s in steps)


def test_frames_that_the_policy_was_shown_enter_the_certificate_and_those_of_a_watcher_do_not() -> None:
    spec = fakes.spec(1)
    watched = rollout(spec, watch=Watch(cameras=("front",))).play().certificate()
    assert watched == rollout(spec).play().certificate()


def test_the_certificate_is_of_what_was_shown_after_conversion() -> None:
    small = fakes.Carrier()
    images = (ImageComponent(name="front", width=8, height=8, crop=16),)
    small.spec = replace(small.spec, observation=replace(small.spec.observation, images=images))
    first = rollout(fakes.spec(1)).play().certificate()
    second = rollout(fakes.spec(1), small).play().certificate()
    assert first is not None and second is not None and first.frames != second.frames
    assert len(first.frames or "") == 32


# ------------------------------------------------------------------------------------------------------------------- how it ends
def test_an_episode_ends_when_the_goal_has_been_held_long_enough() -> None:
    spec = fakes.spec(1)
    played = rollout(spec).play()
    trace = played.trace()
    assert played.ended_by == "goal" and trace is not None and spec.hold_steps == 2
    assert trace.columns["goal_met"][:, 0].tolist()[-3:] == [False, True, True]


def test_an_episode_ends_at_its_horizon() -> None:
    played = rollout(fakes.spec(1, horizon_s=0.25)).play()
    trace = played.trace()
    assert played.ended_by == "horizon" and trace is not None
    assert trace.num_steps == 5
    assert {name: len(trace.columns[name]) for name in STATE_COLUMNS} == dict.fromkeys(STATE_COLUMNS, 6)
    assert trace.contact_force_n.shape == (5, fakes.SUBSTEPS, 6)
    assert trace.call_step.tolist() == [0, 2, 4] and (trace.latency_s > 0).all()


def test_a_divergence_is_a_failure_that_keeps_its_warning_and_the_action_that_led_there() -> None:
    played = play_episode(fakes.make_world(WorldOptions()), fakes.spec(1, trouble="divergence:3"), fakes.Carrier())
    result, trace = played.result, played.trace
    assert (result.outcome, result.ended_by, result.steps) == ("failure", "divergence", 4)
    assert result.warning == "MuJoCo warned of BADQACC at 0.150 s" and result.error is None
    assert trace is not None and trace.num_steps == 4
    assert np.array_equal(trace.columns["joint_pos"][4], trace.columns["joint_pos"][3])
    assert trace.columns["energy_j"][4] == 0 and not trace.contact_force_n[3].any()
    assert result.measures["success"] == 0


def test_a_divergence_at_the_first_step_still_has_substeps() -> None:
    trace = play_episode(fakes.make_world(WorldOptions()), fakes.spec(1, trouble="divergence:0"), fakes.Carrier()).trace
    assert trace is not None and trace.contact_force_n.shape == (1, 25, 6)


@pytest.mark.parametrize(
    ("what", "ended_by", "kind", "message"),
    [
        ("act", "policy_error", "ValueError", "I have no idea"),
        ("reset", "policy_error", "ValueError", "I will not begin"),
        ("nan", "policy_error", "BadPolicyOutput", "the policy sent nan in step 0, component 2"),
        ("range", "policy_error", "BadAction", "Clip it in the policy if that is what you mean"),
    ],
)
def test_what_the_policy_does_wrong_is_an_error_with_its_traceback(what: str, ended_by: str, kind: str, message: str) -> None:
    result = play_episode(fakes.make_world(WorldOptions()), fakes.spec(1), fakes.Faulty([1], what)).result
    assert (result.outcome, result.ended_by) == ("error", ended_by)
    assert result.error is not None and result.error.type == kind and message in result.error.message
    assert "Traceback" in result.error.traceback and result.measures == {}
    assert result.certificate is not None


def test_what_the_world_does_wrong_is_an_error_of_the_environment() -> None:
    result = play_episode(fakes.make_world(WorldOptions()), fakes.spec(1, trouble="env_error:3"), fakes.Carrier()).result
    assert (result.outcome, result.ended_by, result.steps) == ("error", "env_error", 3)
    assert result.error is not None and "the world has a bug" in result.error.traceback


def test_an_episode_that_does_not_start_has_no_trace_and_no_certificate() -> None:
    played = rollout(fakes.spec(1, trouble="unstartable")).play()
    assert played.ended_by == "env_error" and played.trace() is None and played.certificate() is None


def test_a_chunk_of_another_spec_than_was_declared_is_refused() -> None:
    policy = fakes.Carrier()
    other = replace(fakes.CONTROL, name="other")
    policy._one = lambda slot, observation: ActionChunk(values=np.zeros((4, 7), np.float32), spec=other)  # type: ignore[method-assign]
    result = play_episode(fakes.make_world(WorldOptions()), fakes.spec(1), policy).result
    assert result.error is not None and "spec 'other', which is not the 'ee_delta' that it declared" in result.error.message


def test_an_exception_of_whoever_consumes_the_steps_is_theirs() -> None:
    with pytest.raises(ZeroDivisionError):
        for step in rollout(fakes.spec(1)):
            _ = step.index / 0


def test_a_rollout_is_played_once_and_asked_only_afterwards() -> None:
    unplayed = rollout(fakes.spec(1))
    with pytest.raises(VlagymError, match="has not ended: iterate over the rollout first"):
        unplayed.trace()
    unplayed.play()
    with pytest.raises(VlagymError, match="played once; make another one"):
        unplayed.play()


# --------------------------------------------------------------------------------------------------------- what is done and kept
def test_a_perturbation_changes_what_is_executed_and_not_the_label() -> None:
    played = rollout(fakes.spec(1, horizon_s=0.3), perturb=lambda step, action: np.full(7, 0.25 * (step % 2), np.float32))
    steps = list(played)
    trace = played.trace()
    assert trace is not None and np.array_equal(trace.actions, [s.executed for s in steps])
    assert [s.executed[0] for s in steps] == [0, 0.25, 0, 0.25, 0, 0.25]
    assert all(not np.array_equal(s.action, s.executed) for s in steps)


def test_a_step_holds_the_facts_before_and_after_it() -> None:
    played = rollout(fakes.spec(1))
    steps = list(played)
    assert all(later.before is earlier.facts for earlier, later in zip(steps, steps[1:], strict=False))


def test_the_certificate_names_the_stored_actions() -> None:
    played = rollout(fakes.spec(1)).play()
    trace, certificate = played.trace(), played.certificate()
    assert trace is not None and certificate is not None
    assert certificate.actions == sha_arrays(trace.actions) and certificate.spec == fakes.spec(1).digest()


@pytest.mark.parametrize("chunking", [Chunking(mode="whole"), Chunking(mode="receding", execute_steps=1), Chunking(mode="ensemble")])
def test_chunks_are_played_as_they_are_told(chunking: Chunking) -> None:
    trace = rollout(fakes.spec(1), chunking=chunking).play().trace()
    assert trace is not None
    wanted = 4 if chunking.mode == "whole" else 1
    assert trace.call_step.tolist() == list(range(0, trace.num_steps, wanted))


# ------------------------------------------------------------------------------------------------------------------ safety filter
TIGHT = SafetyLimits(
    hand_speed_m_s=0.5,  # 2.5 cm a step
    hand_turn_rad_s=9.0,
    hand_box_m=Box(low_m=(0.0, -1.0, -1.0), high_m=(1.0, 1.0, 1.0)),
    joint_speed_share=1.0,
    force_n=50.0,
    why=dict.fromkeys(("hand_speed_m_s", "hand_turn_rad_s", "hand_box_m", "joint_speed_share", "force_n"), "by hand"),
)


def test_a_filter_that_clips_is_the_last_before_the_action_is_executed_and_the_label_stays_what_the_policy_wants() -> None:
    played = rollout(fakes.spec(1), guard=SafetyFilter("clip", TIGHT))
    steps = list(played)
    trace = played.trace()
    assert trace is not None and played.error is None
    wanted, done = (np.stack([getattr(s, name)[:3] for s in steps]) for name in ("action", "executed"))
    assert np.linalg.norm(0.05 * wanted, axis=1).max() > 0.026 and np.linalg.norm(0.05 * done, axis=1).max() < 0.0251
    assert np.array_equal(trace.actions[:, :3], done)
    is_clipped = np.any(wanted != done, axis=1)
    assert trace.safety.tolist() == np.where(is_clipped, CLIPPED, PASSED).tolist() and 0 < is_clipped.sum() < len(steps)


def test_a_filter_that_stops_ends_the_episode_at_the_step_at_which_it_held_the_robot() -> None:
    played = rollout(fakes.spec(1), guard=SafetyFilter("stop", TIGHT)).play()
    trace = played.trace()
    assert trace is not None and played.ended_by == "stop" and played.error is None
    assert trace.safety.tolist() == [*[PASSED] * (trace.num_steps - 1), STOPPED]
    assert trace.actions[-1, :6].tolist() == [0.0] * 6 and played.certificate() is not None


def test_without_a_filter_the_trace_says_so() -> None:
    trace = rollout(fakes.spec(1)).play().trace()
    assert trace is not None and set(trace.safety.tolist()) == {NO_FILTER}


def test_the_filter_judges_what_would_be_executed_and_not_what_the_policy_wanted() -> None:
    def still(index: int, action: Any) -> Any:
        return np.zeros_like(action)

    trace = rollout(fakes.spec(1, horizon_s=0.5), guard=SafetyFilter("stop", TIGHT), perturb=still).play().trace()
    assert trace is not None and set(trace.safety.tolist()) == {PASSED}


def test_an_action_that_is_refused_is_the_policys_error_with_a_filter_too() -> None:
    played = rollout(fakes.spec(1), guard=SafetyFilter("clip", TIGHT), perturb=lambda index, action: action + 9.0).play()
    assert played.ended_by == "policy_error" and played.error is not None and played.error.type == "BadAction"


def test_a_step_that_the_world_fails_to_complete_leaves_a_whole_trace() -> None:
    for trouble, steps in (("env_error:3", 3), ("divergence:3", 4)):
        trace = rollout(fakes.spec(1, trouble=trouble), guard=SafetyFilter("clip", TIGHT)).play().trace()
        assert trace is not None and trace.num_steps == len(trace.safety) == steps


def test_what_the_ledger_keeps_of_an_error_is_bounded_and_keeps_where_it_was_raised() -> None:
    def deep(times: int) -> None:
        if times == 0:
            raise ValueError("begin" + "L" * 5_000_000 + "end")
        try:
            deep(times - 1)
        except ValueError as error:
            raise ValueError(f"{error}, step {times}") from error

    try:
        deep(20)
    except ValueError as error:
        record = record_of(error)
    assert len(record.message) < 4100 and len(record.traceback) < 25_000
    assert record.message.startswith("beginLLL") and record.message.endswith("LLLend" + "".join(f", step {i}" for i in range(1, 21)))
    assert "letters are left out" in record.message and "raise ValueError" in record.traceback and record.traceback.endswith(", step 20\n")
