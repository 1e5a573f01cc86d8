"""The expert solves what it is asked, with the actions that a policy has, and says so when it cannot."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from vlagym.benchmark.episode import WorldOptions, make_world, play_episode
from vlagym.benchmark.trials import try_seeds
from vlagym.envs.errors import BadSpec, NotGraspable, UnknownName
from vlagym.envs.sampling import sample
from vlagym.envs.task import Skill
from vlagym.envs.types import ActionChunk, EpisodeResult, EpisodeSpec, Observation
from vlagym.policies.adapters.expert import POLICY
from vlagym.policies.base import EpisodeContext
from vlagym.policies.skills.performer import Performer

FAMILIES = ("open_drawer", "place_on", "stack")


def play(spec: EpisodeSpec) -> EpisodeResult:
    return play_episode(make_world(WorldOptions(render=False)), spec, POLICY(None, {})).result


def play_seed(task: str, objects: str, seed: int) -> EpisodeResult:
    return play(sample(task, seed=seed, objects=objects))


@pytest.mark.parametrize("objects", ["seen", "unseen"])
@pytest.mark.parametrize("task", FAMILIES)
def test_it_solves_a_few_fresh_seeds_of_each_family(task: str, objects: str) -> None:
    results = [play_seed(task, objects, seed) for seed in range(800_000, 800_006)]
    assert [r.outcome for r in results] == ["success"] * 6
    assert all(r.measures["plan_success"] == 1.0 and r.measures["target_first"] == 1.0 for r in results)


@pytest.mark.slow
@pytest.mark.parametrize("objects", ["seen", "unseen"])
@pytest.mark.parametrize("task", FAMILIES)
def test_it_solves_98_of_100_fresh_seeds_of_each_family(task: str, objects: str) -> None:
    trials = try_seeds(task, range(810_000, 810_100), workers=2, objects=objects, catalogue="core")
    failed = [trial.ending for trial in trials if not trial.solved]
    assert len(failed) <= 2, failed
    steps = [t.result.steps for t in trials if t.result is not None and t.solved]
    assert np.percentile(steps, 95) <= sample(task, seed=0).horizon_steps / 2


def test_the_other_goals_of_a_scene_are_feasible_too() -> None:
    for task in FAMILIES:
        spec = sample(task, seed=820_000)
        assert len(spec.alternatives) >= 1
        for goal in spec.alternatives:
            others = tuple(g for g in (spec.goal, *spec.alternatives) if g != goal)
            asked = dataclasses.replace(spec, goal=goal, stages=goal, alternatives=others)
            assert play(asked).outcome == "success", (task, goal)


def test_it_is_deterministic() -> None:
    first, second = (play_seed("stack", "seen", 800_001) for _ in range(2))
    assert first.certificate == second.certificate


class Heights:
    """An expert, and how high its hand was, and whether closed, whenever it was asked."""

    def __init__(self, argument: str | None) -> None:
        self._expert, self.seen = POLICY(argument, {}), list[tuple[float, bool]]()
        self.spec, self.reset, self.close = self._expert.spec, self._expert.reset, self._expert.close

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        proprio = observations[0].proprio
        self.seen.append((float(proprio["ee_pos_base_m"][2]), bool(proprio["gripper_command"][0] > 0.9)))
        return self._expert.act(observations)

    @property
    def carried_above_m(self) -> float:
        """How much higher the closed hand was at its highest than when it let go."""
        closed = [z for z, is_closed in self.seen if is_closed]
        return max(closed) - closed[-1]


@pytest.mark.parametrize("seed", [800_000, 800_001, 800_002])
def test_it_carries_higher_where_it_is_asked_to(seed: int) -> None:
    spec = sample("stack", seed=seed, catalogue="core")
    as_needed, high = Heights(None), Heights("high")
    for policy in (as_needed, high):
        assert play_episode(make_world(WorldOptions(render=False)), spec, policy).result.outcome == "success"
    assert as_needed.carried_above_m < 0.045 and high.carried_above_m > 0.05


def test_it_carries_high_with_one_hand_and_knows_no_other_way() -> None:
    with pytest.raises(UnknownName, match="no way of the expert is called 'hihg'. Did you mean high"):
        POLICY("hihg", {})
    spec = sample("hand_over", robot="g1", seed=800_000)
    context = EpisodeContext(slot=0, instruction=spec.instruction, action=spec.control, digest=spec.digest(), spec=spec)
    with pytest.raises(BadSpec, match="expert:high carries with one hand, and 'g1' has two"):
        POLICY("high", {}).reset(context)


def test_a_prop_out_of_reach_is_not_graspable(two_far_blocks: EpisodeSpec) -> None:
    result = play(two_far_blocks)
    assert result.outcome == "error" and result.error is not None and result.ended_by == "policy_error"
    assert result.error.type == NotGraspable.__name__ and "no grasp of 'block_red' (block_red)" in result.error.message


@pytest.fixture
def two_far_blocks() -> EpisodeSpec:
    spec = sample("stack", seed=800_000)
    name = spec.goal[0].args[0]
    props = [dataclasses.replace(p, asset="block_red", name="block_red") if p.name == name else p for p in spec.scene.props if p.name == name]
    far = dataclasses.replace(props[0], pos_world=(0.85, 0.5, 0.0))
    other = dataclasses.replace(far, name="block_blue", asset="block_blue", pos_world=(0.5, 0.0, 0.0))
    goal = (dataclasses.replace(spec.goal[0], args=("block_red", "block_blue")),)
    scene = dataclasses.replace(spec.scene, props=(far, other))
    return dataclasses.replace(spec, scene=scene, goal=goal, stages=goal, alternatives=())


def test_an_unknown_skill_and_a_missing_spec_are_refused() -> None:
    spec = sample("stack", seed=800_000)
    with pytest.raises(UnknownName, match="no skill is called 'pik'. Did you mean pick"):
        Performer(spec, [Skill(name="pik", args=())])
    with pytest.raises(BadSpec, match="the expert is privileged: it needs the episode's spec"):
        POLICY(None, {}).reset(EpisodeContext(slot=0, instruction="", action=spec.control, digest=""))
