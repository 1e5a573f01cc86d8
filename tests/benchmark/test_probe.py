"""The probe of conventions: what it makes of numbers whose meaning is known, and of profiles that do not tell the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from mistaken import LIES, Turning, component
from remembering import Remembering
from scipy.spatial.transform import Rotation

from vlagym.benchmark.commands import check as check_command
from vlagym.benchmark.probe import answers, pictures, replaying, sides
from vlagym.benchmark.probe.demonstrations import Demonstration, record
from vlagym.benchmark.probe.encoding import Encoder, excesses, normalised, still, wishes, within, written
from vlagym.benchmark.probe.intents import Intents, correlations, losses_by_part, ratio
from vlagym.benchmark.probe.meeting import Where, at, pairs
from vlagym.benchmark.probe.report import ground_of
from vlagym.benchmark.probe.suspicions import Suspicion, of_numbers, of_spec
from vlagym.envs import catalog
from vlagym.envs.control import action_spec
from vlagym.envs.errors import BadData, BadSpec, ConventionMismatch
from vlagym.envs.types import ObservationSpec
from vlagym.policies.base import Normalisation, PolicySpec
from vlagym.policies.conversions import rotations, scales
from vlagym.policies.loading import load_policy
from vlagym.policies.matching import say_action
from vlagym.policies.profile import load_profile

TURNS = Rotation.random(40, rng=np.random.default_rng(7))


def wanted(seed: int = 1, num: int = 60) -> Intents:
    rng = np.random.default_rng(seed)
    closed = rng.integers(0, 2, (num, 1)).astype(float)
    return Intents(parts={"translation": rng.normal(0, 0.05, (num, 3)), "rotation": rng.normal(0, 0.1, (num, 3)), "gripper": closed})


def fit(said: Intents, right: Intents, suspicion: Any = None) -> answers.Fit:
    return answers.Fit(suspicion=suspicion, parts=losses_by_part(said, right), said=said)


def judged(said: Intents, right: Intents) -> str | None:
    """Returns what is named where numbers alone are looked at."""
    spec = load_profile("vlagym").spec("some")
    fits = [fit(s.read(said), right, s) for s in of_numbers(spec, said, right) if s.read is not None]
    best = answers.chosen(fit(said, right), fits, right)
    return None if best is None or best.suspicion is None else best.suspicion.finding


# ------------------------------------------------------------------------------------------------------------------------- numbers
def test_what_says_the_same_as_the_expert_is_accused_of_nothing() -> None:
    right = wanted()
    noisy = right.replaced("translation", right.parts["translation"] * 0.8 + np.random.default_rng(2).normal(0, 0.01, (60, 3)))
    assert judged(right, right) is None and judged(noisy, right) is None


def test_an_inverted_number_exchanged_axes_and_a_scale_are_named() -> None:
    right = wanted()
    move = right.parts["translation"]
    assert judged(right.replaced("translation", move * [1, -1, 1]), right) == "action translation: y looks inverted"
    assert judged(right.replaced("translation", move[:, [0, 2, 1]]), right) == "action translation: y and z look exchanged"
    told = judged(right.replaced("translation", 10 * move), right)
    assert told is not None and "10 times as large as what the expert does" in told
    told = judged(right.replaced("rotation", right.parts["rotation"] / 5), right)
    assert told is not None and "action rotation" in told and "5 times as small" in told


def test_noise_and_silence_follow_nobody_and_accuse_nobody() -> None:
    right, noise = wanted(), wanted(seed=9)
    silent = Intents(parts={name: np.zeros_like(v) for name, v in right.parts.items()})
    for said in (noise, silent):
        assert not answers.follows(said, right) and judged(said, right) is None


def test_a_loss_is_0_for_the_same_1_for_silence_and_bounded() -> None:
    right = wanted()
    nothing = right.replaced("translation", np.zeros((60, 3)))
    assert losses_by_part(right, right)["translation"].max() == 0
    assert losses_by_part(nothing, right)["translation"].mean() == pytest.approx(1.0, abs=0.2)
    assert losses_by_part(right.replaced("translation", right.parts["translation"] * 1e6), right)["translation"].max() == 4.0


def test_correlation_of_what_does_not_vary_is_0() -> None:
    assert correlations(np.zeros((5, 2)), np.arange(10.0).reshape(5, 2)).tolist() == [[0, 0], [0, 0]]
    assert ratio(np.full((4, 3), 2.0), np.full((4, 3), 0.5)) == 4.0


def test_a_gain_is_no_chance_where_few_gain_much_and_none_loses() -> None:
    rng = np.random.default_rng(3)
    few = np.array([0.5] * 16 + [4.0] * 3 + [0.0] * 25)
    assert few.mean() < answers.SURE * few.std(ddof=1) / np.sqrt(44) and answers.is_sure(few)
    assert answers.by_chance(few) == pytest.approx(2.0**-19) and answers.by_chance(-few) == pytest.approx(1.0)
    assert answers.by_chance(np.zeros(5)) == 1.0 and not answers.is_sure(np.zeros(5)) and not answers.is_sure(few[:1])
    lucky = rng.normal(0.1, 1.0, 60)
    assert not answers.is_sure(lucky) and answers.is_sure(np.full(30, 0.2))


def test_of_readings_that_fit_exactly_as_well_all_are_told() -> None:
    right = wanted()
    said = right.replaced("rotation", -right.parts["rotation"])
    twins = [fit(right, right, Suspicion(kind="state", finding=f"fits as {word}", fits_as=word)) for word in ("one", "other")]
    found = answers.chosen(fit(said, right), twins, right)
    assert found is not None and found.suspicion is not None
    assert found.suspicion.finding == "fits as one, and exactly as well as other: what was asked does not tell them apart"
    alone = answers.chosen(fit(said, right), twins[:1], right)
    assert alone is not None and alone.suspicion is not None and alone.suspicion.finding == "fits as one"


def test_what_fits_better_and_not_surely_is_found_when_less_is_wanted() -> None:
    right, rng = wanted(num=12), np.random.default_rng(5)
    said = right.replaced("gripper", np.where(rng.random((12, 1)) < 0.4, 1 - right.parts["gripper"], right.parts["gripper"]))
    better = [fit(right, right, Suspicion(kind="gripper", finding="inverted at times"))]
    assert answers.chosen(fit(said, right), better, right) is None
    assert answers.chosen(fit(said, right), better, right, 2.0) is not None


def test_an_opening_that_is_no_hands_is_held_against_its_size_and_against_shares() -> None:
    spec = component(load_profile("vlagym").spec("some"), "gripper", convention="gripper_opening_m", unit="m", low=(0.0,), high=(0.2,))
    told = [s.finding for s in of_spec(spec, {}) if s.kind == "gripper"]
    assert [text for text in told if "declared 0 m closed and 0.2 m open, and they fit as 0 and 0.08" in text]
    assert [text for text in told if "they fit as gripper_open_unit, shares" in text]


# ------------------------------------------------------------------------------------------------------------------------ station
def test_where_nothing_fits_the_nearest_control_is_told_and_the_rig_that_would() -> None:
    spec = replace(load_profile("droid").spec("mine"), rig=None)
    with pytest.raises(ConventionMismatch, match=r"(?s)15 Hz is not 20 Hz.*\nIt fits with --rig droid, which runs at 15 Hz") as raised:
        ground_of(spec, Where(), 1)
    assert "environment joint_delta" in str(raised.value), "the fewest parts differ there"
    assert ground_of(spec, Where("droid"), 1).flags == " --rig droid"
    assert ground_of(load_profile("droid_jointpos").spec("mine"), Where("droid"), 1).flags == " --rig droid --control joint_position"


def test_a_table_says_at_which_station_and_of_each_number_its_range() -> None:
    spec = load_profile("libero").spec("some")
    ground = ground_of(spec, Where("libero"), 1)
    assert sides.station(spec, ground.pairs[0].policy, "libero")["environment"] == "panda, rig libero, control ee_delta"
    place = replace(spec.action.components[0], low=(-0.2, -0.8, -0.2), high=(1.0, 0.8, 1.2)) if spec.action else None
    assert place is not None and say_action(place).endswith("-0.2 to 1, -0.8 to 0.8, -0.2 to 1.2")


# ------------------------------------------------------------------------------------------------------------------------ encoding
@pytest.mark.parametrize("form", [f for f in rotations.SIZES if f not in ("axis_angle_positive_w", "axis_angle_positive_x")])
def test_what_scipy_writes_the_conversions_read_as_the_same_turn(form: str) -> None:
    said = np.array([written(turn, form) for turn in TURNS])
    read = Rotation.from_quat(np.roll(rotations.to_quaternions(said, form), -1, axis=1))
    assert (read * TURNS.inv()).magnitude().max() < 1e-6


def test_an_unknown_form_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadSpec, match=r"nothing can be said as 'rot7d'; known are quaternion_wxyz"):
        written(Rotation.identity(), "rot7d")


@pytest.mark.parametrize("kind", ["min_max", "q01_q99", "mean_std"])
def test_statistics_written_down_anew_are_undone_by_the_conversion(kind: Any) -> None:
    by = Normalisation(kind=kind, first=(-0.2, 0.1, 5.0), second=(0.6, 0.4, 9.0), mask=(True, True, False))
    value = np.array([0.1, 0.3, 2.0])
    assert scales.unnormalise(normalised(value, by), by) == pytest.approx(value)


@pytest.mark.parametrize(("profile", "open_", "closed"), [("vlagym", -1, 1), ("bridge_widowx", 1, 0), ("libero", -1, 1), ("droid", 0, 1)])
def test_a_closed_hand_is_said_as_the_family_says_it(profile: str, open_: float, closed: float) -> None:
    encoder = Encoder(load_profile(profile).spec("some"))
    for share, number in ((0.0, open_), (1.0, closed)):
        assert encoder.encode(still(np.zeros(3), Rotation.identity(), np.zeros(7), share))[-1] == number


# ---------------------------------------------------------------------------------------------------------------------- suspicions
def test_every_suspicion_of_a_profile_is_another_declaration() -> None:
    spec = load_profile("libero").spec("some")
    kinds = [s.kind for s in of_spec(spec, {})]
    assert {"gripper", "image", "camera", "state", "frame", "rotation"} == set(kinds)
    assert all(s.edit is not None and s.edit(spec) != spec for s in of_spec(spec, {}))


def test_a_flipped_gripper_is_worth_a_remark_where_state_and_command_disagree() -> None:
    spec = load_profile("libero").spec("some")
    assert [text for text in sides.remarks(spec) if "rises in closing and the state state in opening" in text]
    assert not list(sides.remarks(component(spec, "gripper", convention="gripper_open_positive")))
    assert not list(sides.remarks(load_profile("vlagym").spec("some"))), "an array under our own name means what it says"


def test_words_for_places_and_shares_for_differences() -> None:
    plain, marked = np.zeros((20, 40, 3), np.uint8), np.zeros((20, 40, 3), np.uint8)
    marked[0:4, 30:40] = 255
    where = pictures.place_of(marked, plain)
    assert where is not None and pictures.corner(*where) == "top right" and pictures.corner(0.5, 0.5) == "middle"
    assert pictures.place_of(plain, plain) is None


def test_how_many_replays_succeed_is_told_with_its_interval_and_what_was_said_otherwise() -> None:
    kept, lost = replaying.Replay(True, ("half closed",)), replaying.Replay(False, ("4 control steps are said as one", "2 were clipped"))
    text, is_enough = replaying.told([kept] * 12)
    assert is_enough and text.startswith("12 of 12") and text.endswith("(100 %, [76, 100]; wanted: 98 %)")
    text, is_enough = replaying.told([kept] * 3 + [lost])
    assert not is_enough and text.endswith("wanted: 98 %). Of the first that was lost: 4 control steps are said as one; 2 were clipped")
    assert replaying.told([replaying.Replay(False, ())])[0].endswith("so that it is a conversion that loses it")


def demonstration(closed: list[float], moves_mm: list[float]) -> Demonstration:
    """Returns one of a hand that moves along x, and that is told nothing else."""
    num, zeros = len(closed), np.zeros((len(closed), 3))
    x = np.cumsum([0.0, *moves_mm]) / 1000
    return Demonstration(
        spec=next(pairs(Where(), "ee_delta", 1)).policy,
        moves_m=zeros + 9.0,  # said, and not heard
        turns_rad=zeros,
        closed=np.array(closed),
        target_pos_m=np.stack([x, 0 * x, 0 * x], axis=1),
        target_quat_wxyz=np.tile([0.0, 1.0, 0.0, 0.0], (num + 1, 1)),
        joint_target_rad=np.zeros((num + 1, 7)),
        seen={},
        is_success=True,
    )


def test_a_coarser_step_begins_where_the_gripper_is_told_something_else_and_says_what_was_heard() -> None:
    shown = demonstration([0, 0, 0, 0, 0, 1, 1, 1, 1], [10, 10, 10, 10, 10, 0, 0, 0, 30])
    said = [(round(1000 * w.move_m[0]), w.was_closed, w.closed) for w in wishes(shown, 4)]
    assert said == [(40, 0, 0), (10, 0, 0), (30, 0, 1)], "and not (40, 0, 0), (10, 0, 1): it would close on the way"


def test_what_is_too_far_for_one_step_is_said_in_parts_that_close_at_once() -> None:
    policy = load_profile("bridge_widowx").spec("some")
    (wish,) = wishes(demonstration([1, 1], [60, 60]), 4)
    assert excesses(policy, wish)["translation"] == pytest.approx(2.4)
    assert [(round(1000 * w.move_m[0]), w.was_closed, w.closed) for w in within(policy, wish)] == [(40, 0, 1), (40, 1, 1), (40, 1, 1)]


def test_a_hand_that_is_half_closed_is_open_for_who_can_say_only_open_or_closed() -> None:
    for profile, open_, closed in (("droid", 0, 1), ("bridge_widowx", 1, 0)):
        encoder = Encoder(load_profile(profile).spec("some"))
        said = [encoder.encode(still(np.zeros(3), Rotation.identity(), np.zeros(7), share))[-1] for share in (0.0, 0.525, 1.0)]
        assert said == [open_, open_, closed]


def test_an_option_of_policies_needs_one_to_be_named() -> None:
    with pytest.raises(BadData, match=r"--rig says how a policy is probed, and none is named: vlagym check policy:NAME --rig"):
        check_command.main(["metric", "--rig", "libero"])


# ------------------------------------------------------------------------------------------------------------------------ all of it
@pytest.mark.slow
@pytest.mark.parametrize("profile", ["libero", "vlagym", "bridge_widowx", "droid"])
def test_a_profile_alone_is_probed_and_loses_nothing(profile: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_command.main(["--profile", profile, "--demonstrations", "1"]) == 0
    told = capsys.readouterr().out
    assert "3 of 3 of the expert's episodes still succeed" in told and "what the robot has" in told and "hand moves" in told


@pytest.fixture(scope="module")
def shown() -> tuple[list[Demonstration], ObservationSpec]:
    pytest.importorskip("torch")
    from vlagym.envs.world import World

    world, expert = World(), load_policy("expert")
    found = [record(world, pair, expert, ("front", "wrist"), 8) for pair in pairs(Where(), "ee_delta", 2)]
    sent = world.observation_spec()
    world.close()
    for one in found:
        Turning.turns.update({(one.spec.digest(), step): one.turns_rad[step : step + 16] / 0.25 for step in one.seen})
    return found, sent


def judgement_of(policy: Any, shown: tuple[Sequence[Demonstration], ObservationSpec], control: str = "ee_delta") -> answers.Judgement:
    robot = catalog.load("robot", "panda")
    met = [replace(one, spec=replace(one.spec, control=action_spec(robot, control))) for one in shown[0]]
    return answers.judge(policy, [answers.Sample(one, step) for one in met for step in one.seen], shown[1])


NAMED = {
    "gripper flipped": "gripper: looks inverted",
    "image mirrored": "image front, wrist: looks mirrored",
    "image turned by half a turn": "looks turned by half a turn",
    "rotation forms swapped": "the form of its rotation looks wrong: declared delta_euler_zyx",
    "delta declared absolute": "declared absolute, and its numbers go with displacements",
    "absolute declared delta": "declared a displacement, and its numbers go with where the hand is to be",
    "min/max for q99": "un-normalised by min_max, and its numbers fit as q01_q99",
    "scale x 10": "10 times as large as what the expert does",
    "frame ee for base": "declared in the frame 'ee', and fits in 'base'",
    "quaternion order of the state": "the order of its quaternion looks wrong: declared quaternion_xyzw",
    "cameras exchanged": "cameras look exchanged",
}


@pytest.mark.slow
@pytest.mark.parametrize("lie", LIES)
def test_a_profile_that_does_not_tell_the_truth_is_told_what_is_wrong(lie: str, shown: tuple[list[Demonstration], ObservationSpec]) -> None:
    policy = LIES[lie](load_policy("minivla"))
    found = judgement_of(policy, shown, "ee_pose" if lie == "delta declared absolute" else "ee_delta")
    assert [NAMED[lie] in s.finding for s in found.findings] == [True], [s.finding for s in found.findings]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "follows"), [("minivla", True), ("hold", False), ("uniform", False)])
def test_who_tells_the_truth_is_accused_of_nothing(name: str, follows: bool, shown: tuple[list[Demonstration], ObservationSpec]) -> None:
    found = judgement_of(load_policy(name), shown)
    assert (found.findings, found.follows) == ((), follows)


@pytest.fixture(scope="module")
def at_libero() -> tuple[list[Demonstration], ObservationSpec]:
    from vlagym.envs.world import World

    world, expert = World(render=False), load_policy("expert")
    found = [record(world, pair, expert, (), 8) for pair in pairs(Where("libero"), "default", 2)]
    sent = world.observation_spec()
    world.close()
    return found, sent


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lie", "named"),
    [
        ("nothing", ""),
        ("axis_angle", "declared axis_angle, and it fits as axis_angle_positive_w, and exactly as well as axis_angle_positive_x"),
        ("euler_xyz", "the form of its rotation looks wrong: declared euler_xyz"),
        ("gripper", "gripper: looks inverted"),
        ("50 mm", "action translation: its numbers look scaled"),
    ],
)
def test_at_libero_the_form_of_the_state_the_gripper_and_the_scale_are_named(
    lie: str, named: str, at_libero: tuple[list[Demonstration], ObservationSpec]
) -> None:
    profile = load_profile("libero").spec("some")
    true = replace(profile, observation=replace(profile.observation, images=()))
    (state,) = true.observation.state
    parts = tuple(replace(p, form=lie) if p.array == "ee_quat_base_wxyz" else p for p in state.parts)
    spec = {
        "nothing": true,
        "gripper": component(true, "gripper", convention="gripper_open_positive_binary"),
        "50 mm": component(true, "translation", scale=0.05),
    }.get(lie) or replace(true, observation=replace(true.observation, state=(replace(state, parts=parts),)))
    shown, sent = at_libero
    found = answers.judge(Remembering(true, spec, shown, sent), [answers.Sample(one, step) for one in shown for step in one.seen], sent)
    assert found.follows
    assert [named in s.finding for s in found.findings] == ([True] if named else []), [s.finding for s in found.findings]


def test_an_episode_of_the_probe_is_the_same_under_any_control() -> None:
    first = next(pairs(Where(), "ee_pose", 1))
    assert first.policy.control.name == "ee_pose" and first.expert.control.name == "ee_delta"
    assert replace(first.policy, control=first.expert.control) == first.expert
    assert at(first.expert, Where(), "ee_delta") == first.expert


def test_a_policy_without_a_convention_cannot_be_spoken_for() -> None:
    spec = PolicySpec(name="hold", action=None, observation=ObservationSpec(images=(), state=(), rate_hz=0.0))
    with pytest.raises(BadSpec, match="there is no convention to say anything in"):
        Encoder(spec)
