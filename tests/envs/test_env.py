"""The Gymnasium environment: found by its id, checked by Gymnasium's own checker, alone and in vectors."""

import dataclasses
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.utils.env_checker import check_env

import vlagym.envs.gym as registration
from vlagym.envs.env import VlaEnv
from vlagym.envs.errors import BadAction, BadSpec, NotReset, Unsatisfiable, UnknownName
from vlagym.envs.sampling import sample
from vlagym.envs.types import EpisodeSpec

pytestmark = pytest.mark.gl

IDS = sorted(registration.ids())
BY_DEFAULT = ("vlagym/Stack-v0", "vlagym/Gesture-v0")
"""One with a single arm and one with two hands; those of other tasks are of the same classes."""


def test_there_is_an_id_for_each_task() -> None:
    assert registration.ids()["vlagym/PlaceOn-v0"] == "place_on"
    assert {"vlagym/OpenDrawer-v0", "vlagym/PlaceOn-v0", "vlagym/Stack-v0"} <= set(IDS)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in BY_DEFAULT else [pytest.mark.slow]) for name in IDS])
def test_gymnasium_checks_and_films_every_id(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # proprioception has no bounds, and says so
        check_env(gymnasium.make(name, render_mode="rgb_array", image_size=(32, 32)).unwrapped)


@pytest.mark.parametrize("first", ["import gymnasium, vlagym", "import vlagym.envs.gym, gymnasium", "import gymnasium, mujoco, vlagym"])
def test_ids_are_known_however_it_is_imported(first: str) -> None:
    code = f"{first}\ne = gymnasium.make('vlagym/Stack-v0', cameras=('front',))\nprint(e.reset(seed=0)[0]['images']['front'].shape)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "(256, 256, 3)", done.stderr


def test_the_module_in_the_id_registers_it() -> None:
    code = "import gymnasium; print(gymnasium.make('vlagym.envs.gym:vlagym/Stack-v0').action_space.shape)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "(7,)", done.stderr


@pytest.mark.parametrize(("robot", "base", "size"), [("g1", "fixed", 14), ("g1", "planar", 17), ("g1", "legs", 16), ("cmu_humanoid", "planar", 26)])
def test_an_id_takes_any_body_that_does_its_task(robot: str, base: str, size: int) -> None:
    env = gymnasium.make("vlagym/TouchWith-v0", robot=robot, base=base, image_size=(32, 32))
    seen, info = env.reset(seed=1)
    assert (info["spec"].count(f'"robot":"{robot}"'), env.action_space.shape) == (1, (size,))
    assert set(seen["images"]) == {"head", "left_wrist", "right_wrist", "front"} and seen in env.observation_space
    assert isinstance(env.action_space, Box)
    still = np.clip(np.zeros(size, np.float32), env.action_space.low, env.action_space.high)
    seen, reward, terminated, truncated, info = env.step(still)
    assert seen in env.observation_space and (reward, terminated, truncated, info["ended_by"]) == (0.0, False, False, None)
    env.close()


def test_a_body_that_cannot_do_a_task_is_refused_with_the_reason() -> None:
    with pytest.raises(BadSpec, match="'go_to' cannot be done with 'panda_bimanual': it is fixed to the table; it can with: g1, cmu_humanoid"):
        gymnasium.make("vlagym/GoTo-v0", robot="panda_bimanual")
    with pytest.raises(BadSpec, match="'go_to' with 'g1' does not run on base 'legs'; it does on: planar"):
        gymnasium.make("vlagym/GoTo-v0", robot="g1", base="legs")


def test_a_vector_of_bodies_with_two_hands_steps_together() -> None:
    vector = gymnasium.make_vec(
        "vlagym/Gesture-v0", num_envs=2, vectorization_mode="sync", robot="g1", base="legs", cameras=("head",), image_size=(32, 32)
    )
    seen, _ = vector.reset(seed=5)
    assert seen["images"]["head"].shape == (2, 32, 32, 3) and len(set(seen["proprio"]["left_arm_joint_pos_rad"][:, 0].tolist())) == 2
    assert isinstance(vector.action_space, Box)
    action = np.clip(np.zeros(vector.action_space.shape, np.float32), vector.action_space.low, vector.action_space.high)
    seen, reward, *_ = vector.step(action)
    assert reward.shape == (2,) and seen["proprio"]["base_height_m"].shape == (2, 1)
    vector.close()


def test_vectors_synchronous_and_asynchronous_show_the_same() -> None:
    shown = {}
    for mode, kwargs in (("sync", {}), ("async", {"context": "spawn"})):
        vector = gymnasium.make_vec(
            "vlagym/Stack-v0", num_envs=2, vectorization_mode=mode, vector_kwargs=kwargs, cameras=("front",), image_size=(64, 64)
        )
        seen, _ = vector.reset(seed=5)
        first = (seen["images"]["front"].copy(), tuple(seen["instruction"]))
        seen, reward, *_ = vector.step(np.zeros((2, 7), np.float32))
        shown[mode] = (*first, seen["proprio"]["ee_pos_base_m"].copy())
        assert reward.shape == (2,)
        vector.close()
    for a, b in zip(shown["sync"], shown["async"], strict=True):
        assert np.array_equal(a, b)
    assert shown["sync"][1][0] == sample("stack", seed=5).instruction


def test_a_seed_draws_a_spec_and_a_spec_is_that_episode() -> None:
    env = VlaEnv("place_on", cameras=("front",))
    first, info = env.reset(seed=11)
    assert EpisodeSpec.from_json(info["spec"]) == sample("place_on", seed=11)
    assert first["instruction"] == info["instruction"] != ""
    for spec in (info["spec"], EpisodeSpec.from_json(info["spec"])):
        again, other = env.reset(options={"spec": spec})
        assert other["digest"] == info["digest"]
        assert np.array_equal(again["images"]["front"], first["images"]["front"])
    _, unseeded = env.reset()
    assert unseeded["digest"] != info["digest"]
    env.reset(seed=11)
    assert env.reset()[1]["digest"] == unseeded["digest"]


def test_the_expert_ends_an_episode_with_reward_one_and_then_it_is_over() -> None:
    from vlagym.policies.adapters.expert import POLICY
    from vlagym.policies.base import EpisodeContext

    env = VlaEnv("open_drawer", cameras=())
    env.reset(seed=2)
    expert = POLICY(None, {})
    expert.reset(EpisodeContext(slot=0, instruction="", action=env.spec_running.control, digest="", spec=env.spec_running))
    terminated, total = False, 0.0
    for _ in range(200):
        seen = env.world.observe((), privileged=True)
        _, reward, terminated, truncated, info = env.step(expert.act({0: seen})[0].values[0])
        total += reward
        if terminated or truncated:
            break
    assert terminated and total == 1.0 and info["success"] and info["ended_by"] == "goal"
    with pytest.raises(NotReset, match="the episode is over: reset the environment"):
        env.step(env.action_space.sample())


def test_an_idle_episode_is_truncated_at_its_horizon() -> None:
    env = VlaEnv("open_drawer", cameras=())
    env.reset(seed=2)
    for step in range(env.spec_running.horizon_steps):
        _, reward, terminated, truncated, info = env.step(np.array([0, 0, 0, 0, 0, 0, -1], np.float32))
        assert not terminated and reward == 0.0
        assert truncated == (step == env.spec_running.horizon_steps - 1)
    assert info["ended_by"] == "horizon"


def test_a_divergence_ends_the_episode_and_is_named() -> None:
    env = VlaEnv("stack", cameras=())
    env.reset(seed=1)
    env.world.simulation.data.qvel[:] = 1e12
    seen, reward, terminated, truncated, info = env.step(np.zeros(7, np.float32))
    assert terminated and not truncated and reward == 0.0
    assert info["ended_by"] == "divergence" and "BADQVEL" in info["warning"]
    assert env.observation_space.contains(seen)
    with pytest.raises(NotReset, match="the episode is over"):
        env.step(np.zeros(7, np.float32))


def test_bad_calls_are_answered_with_what_was_wanted() -> None:
    env = VlaEnv("stack", cameras=("front",))
    with pytest.raises(NotReset, match="reset the environment before its first step"):
        env.step(np.zeros(7, np.float32))
    strange = dataclasses.replace(sample("stack", seed=0), task="stak")
    with pytest.raises(UnknownName, match="no task is called 'stak'. Did you mean stack"):
        VlaEnv("stack").reset(options={"spec": strange})
    with pytest.raises(BadSpec, match="reset has no option 'spek'; there is: spec"):
        env.reset(options={"spek": 1})
    with pytest.raises(BadSpec, match="is a dict; it must be an EpisodeSpec or its JSON text"):
        env.reset(options={"spec": {"task": "stack"}})
    env.reset(seed=0)
    with pytest.raises(BadAction, match=r"the action has shape \(8,\)"):
        env.step(np.zeros(8, np.float32))
    with pytest.raises(BadSpec, match=r"camera 'front' of the spec has \(256, 256\) pixels, this environment \(64, 64\)"):
        VlaEnv("stack", image_size=(64, 64)).reset(options={"spec": sample("stack", seed=0)})
    with pytest.raises(BadSpec, match=r"controlled by 'ee_delta' at 20 Hz .*, this environment by 'ee_pose' at 20 Hz"):
        VlaEnv("stack", control="ee_pose").reset(options={"spec": sample("stack", seed=0)})
    with pytest.raises(UnknownName, match="no task is called 'stak'. Did you mean stack"):
        VlaEnv("stak")
    with pytest.raises(UnknownName, match="no camera is called 'wirst'. Did you mean wrist"):
        VlaEnv("stack", cameras=("wirst",))
    with pytest.raises(BadSpec, match="objects is 'new'; it must be seen or unseen"):
        sample("stack", seed=0, objects="new")


def test_a_scene_that_cannot_be_is_an_error_after_a_stated_number_of_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    from vlagym.envs import sampling

    monkeypatch.setattr(sampling, "MAX_TRIES", 3)
    monkeypatch.setattr(sampling, "broken_premise", lambda spec, world: "the table is on fire")
    with pytest.raises(Unsatisfiable, match="no episode of 'stack' with seed 0 and seen objects in 3 tries: 3x the table is on fire"):
        sampling.sample("stack", seed=0)


def test_depth_and_segmentation_come_on_request() -> None:
    env = VlaEnv("stack", cameras=("front", "wrist"), depth=True, segmentation=True, image_size=(64, 48))
    seen, _ = env.reset(seed=0)
    assert env.observation_space.contains(seen)
    assert seen["images"]["wrist"].shape == (48, 64, 3) and seen["depth"]["front"].shape == (48, 64)
    assert set(np.unique(seen["segmentation"]["front"])) >= {1, 2, 3, 4, 5}


@pytest.mark.parametrize(("robot", "base"), [("g1", "legs"), ("cmu_humanoid", "fixed"), ("panda_bimanual", "fixed")])
def test_an_episode_of_another_body_is_refused_with_both_named(robot: str, base: str) -> None:
    env = VlaEnv("touch_with", robot="g1", base="fixed", cameras=())
    with pytest.raises(BadSpec, match=f"the spec is of robot '{robot}' on base '{base}', this environment of 'g1' on 'fixed'"):
        env.reset(options={"spec": sample("touch_with", seed=0, robot=robot, base=base)})


def test_an_episode_of_another_arm_is_refused_although_it_is_commanded_alike() -> None:
    with pytest.raises(BadSpec, match="the spec is of robot 'jaco' on base 'fixed', this environment of 'panda' on 'fixed'"):
        VlaEnv("stack", cameras=()).reset(options={"spec": sample("stack", seed=0, robot="jaco")})


def test_an_episode_of_another_control_is_refused_component_by_component() -> None:
    spec = sample("stack", seed=0, control="joint_position")
    with pytest.raises(BadSpec, match=r"controlled by 'joint_position' at 20 Hz \(joints\[7\], gripper\[1\]\), this .* by 'ee_delta'"):
        VlaEnv("stack", cameras=()).reset(options={"spec": spec})


@pytest.mark.parametrize("size", [224, (224,), "224", (4, 64), (64.0, 64.0), (64, 5000)])
def test_an_image_size_is_two_whole_numbers(size: object) -> None:
    with pytest.raises(BadSpec, match=r"it must be \(width, height\), two whole numbers between 8 and 4096"):
        VlaEnv("stack", image_size=size)  # type: ignore[arg-type]
