"""Episodes are rendered after they were played: equal to what a camera would have seen meanwhile, and no failure costs a picture."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from repeated import replayed

from vlagym.benchmark.collecting import demonstrator, motion
from vlagym.benchmark.collecting.options import DemoOptions
from vlagym.benchmark.collecting.pictures import millimetres, pictures
from vlagym.benchmark.collecting.tape import Tape
from vlagym.benchmark.demos import Collection
from vlagym.benchmark.entry import FIRST_DEMO_SEED, Entry
from vlagym.benchmark.episode import Connections, RunnableWorld, WorldOptions, asking, make_world
from vlagym.benchmark.executor import LocalPort
from vlagym.benchmark.noise import Noise, perturbation
from vlagym.benchmark.recorder import Recorder
from vlagym.benchmark.rollout import Rollout, Watch
from vlagym.envs.errors import BadData
from vlagym.envs.images import Shrink
from vlagym.envs.types import EpisodeSpec, SensorSpec, stream
from vlagym.policies.chunking import declared
from vlagym.policies.loading import load_policy
from vlagym.results.demonstration import Demonstration, Stage
from vlagym.results.formats import hdf5

CAMERAS = {"front": Shrink(crop=192, size=96), "wrist": Shrink(crop=256, size=64)}
STRIDE = 16
SEED = FIRST_DEMO_SEED + 1


@functools.lru_cache(maxsize=1)
def episode() -> EpisodeSpec:
    return Entry(task="place_on", episodes=1).sample(SEED)


def rollout_in(world: Any, spec: EpisodeSpec, watch: Watch) -> Rollout:
    expert = load_policy("expert")
    pipeline = Connections(expert.spec).of(spec, world)
    noise = perturbation(Noise(), spec.control, stream(0, "test"))
    decide = asking(LocalPort(expert), expert.spec, spec)
    return Rollout(world, spec, decide, pipeline=pipeline, chunking=declared(expert.spec), watch=watch, perturb=noise)


@pytest.mark.parametrize("sensing", [SensorSpec(), SensorSpec(dropped_share=0.3, noise_std=4.0)])
def test_pictures_taken_afterwards_are_those_that_would_have_been_taken_meanwhile(sensing: SensorSpec) -> None:
    spec = replace(episode(), sensing=sensing)
    world: RunnableWorld = make_world(WorldOptions())
    recorder = Recorder(spec, CAMERAS, STRIDE)
    for step in rollout_in(world, spec, Watch(cameras=tuple(CAMERAS), every=STRIDE)):
        recorder.add(step)
    once = recorder.demonstration()
    tape, recorder = Tape(world, tells_commands=False), Recorder(spec, CAMERAS, STRIDE, is_live=False)
    rollout = rollout_in(tape, spec, Watch(cameras=(), every=STRIDE))
    for step in rollout:
        assert step.observation is not None and not step.observation.images
        recorder.add(step)
    trace = rollout.trace()
    assert trace is not None
    later = recorder.demonstration(pictures(tape, trace, CAMERAS, STRIDE))
    for camera in CAMERAS:
        np.testing.assert_array_equal(later.images[camera], once.images[camera], strict=True)
    assert np.array_equal(later.executed_actions, once.executed_actions) and np.array_equal(later.image_steps, once.image_steps)
    for name, values in once.proprio.items():
        np.testing.assert_array_equal(later.proprio[name], values)
    world.close()


def test_depth_is_taken_from_the_middle_of_a_block_and_is_0_where_nothing_is() -> None:
    depth = np.full((8, 8), 1.0, np.float32)
    depth[3, 3], depth[2, 5], depth[5, 3] = 0.5004, 99.0, 70.0
    found = millimetres(depth, Shrink(crop=4, size=2), far_m=50.0)
    assert found.dtype == np.uint16 and found.tolist() == [[500, 1000], [0, 1000]]


# --------------------------------------------------------------------------------------------------------------- one collection


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    out = tmp_path_factory.mktemp("demos") / "d.hdf5"
    entries = (Entry(task="place_on", episodes=1, first_seed=SEED),)
    options = DemoOptions(
        entries=entries, out=out, images=CAMERAS, frame_stride=STRIDE, executor="serial", depth=True, filter_noops=True, noise=Noise()
    )
    (attempt,) = Collection(options)
    assert attempt.kept and attempt.num_bytes > 0
    with hdf5.Reader(out) as reader:
        assert reader.info.robot == "panda" and reader.info.depth == ("front", "wrist")
        (demonstration,) = list(hdf5.read(out))
    return demonstration


def test_a_demonstration_tells_its_stages_and_says_its_goal_in_other_words(demo: Demonstration) -> None:
    assert demo.stages[0] == Stage(0, "reach") and {"reach", "grasp", "place"} <= {stage.name for stage in demo.stages}
    assert 1 <= len(demo.paraphrases) <= 4 and demo.instruction not in demo.paraphrases
    assert len(set(demo.paraphrases)) == len(demo.paraphrases)


def test_depth_has_the_shape_of_the_images_and_lies_in_the_room(demo: Demonstration) -> None:
    for camera in CAMERAS:
        depth = demo.depth[camera]
        assert depth.shape == demo.images[camera].shape[:3] and 20 < np.median(depth) < 3000


def test_its_certificate_is_that_of_the_actions_that_were_executed(demo: Demonstration) -> None:
    rollout = replayed(demo.episode, demo.executed_actions)
    assert rollout.ended_by == "goal" and rollout.certificate() == demo.certificate


@pytest.mark.parametrize("control", ["joint_position", "ee_pose"])
def test_the_motion_told_in_another_convention_does_the_same_there(tmp_path: Path, control: str) -> None:
    entries = (Entry(task="place_on", episodes=1, first_seed=SEED, control=control),)
    out = tmp_path / "d.hdf5"
    list(Collection(DemoOptions(entries=entries, out=out, images=CAMERAS, frame_stride=64, executor="serial")))
    (demo,) = hdf5.read(out)
    assert demo.episode.control.name == control and set(demo.commands) == set(motion.ONE_ARM) - {control}
    assert replayed(demo.episode, demo.executed_actions).certificate() == demo.certificate
    plain = replayed(replace(demo.episode, control=episode().control), demo.commands["ee_delta"].clip(-1, 1))
    assert plain.ended_by == "goal"


def test_joint_deltas_add_up_to_the_joint_positions(demo: Demonstration) -> None:
    to = motion.conventions(demo.episode)
    delta, position = demo.commands["joint_delta"], demo.commands["joint_position"]
    assert np.abs(delta).max() <= 1.0
    moved = delta[:, :7] * to["joint_delta"].components[0].scale
    start = position[:, :7] - moved  # where the controllers were when each label was given
    assert np.allclose(start[0], demo.episode.robot_qpos, atol=1e-5)
    assert np.array_equal(delta[:, 7], demo.actions[:, 6])


# -------------------------------------------------------------------------------------------------------------------- small parts
def test_actions_that_do_nothing_are_found_by_the_rule_of_openvla() -> None:
    spec = episode().control
    still = np.zeros(7, np.float32)
    still[6] = -1.0
    assert motion.is_noop(still, None, spec) and motion.is_noop(still, still, spec)
    closing, creeping = still.copy(), still.copy()
    closing[6], creeping[1] = 1.0, 2e-4
    assert not motion.is_noop(closing, still, spec) and not motion.is_noop(creeping, still, spec)
    actions = [still, creeping, still, closing, closing, *[closing] * 12]
    assert demonstrator.busy(actions, episode()).tolist() == [False, True, False, True, *[False] * 2, *[True] * 11]


def test_stages_begin_where_something_else_is_done() -> None:
    assert demonstrator.stages_of(["reach", "reach", "grasp", "reach"]) == (Stage(0, "reach"), Stage(2, "grasp"), Stage(3, "reach"))
    assert demonstrator.stages_of(["reach", ""]) == ()


def test_a_world_that_cannot_look_back_says_so() -> None:
    import fakes

    tape = Tape(fakes.make_world(WorldOptions()), tells_commands=False)
    with pytest.raises(BadData, match="FakeWorld cannot show earlier states: record while the episode is played"):
        pictures(tape, None, CAMERAS, 1)  # type: ignore[arg-type]


