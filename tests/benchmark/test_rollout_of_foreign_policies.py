"""Policies of other rates, memories and ranges play the same episodes: they are asked and remembered at their own steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import fakes
import numpy as np
import pytest

from vlagym.benchmark.episode import Connections, WorldOptions, asking, play_episode
from vlagym.benchmark.entry import Entry
from vlagym.benchmark.executor import LocalPort
from vlagym.benchmark.header import _digest_of_profile, differences
from vlagym.benchmark.rollout import Rollout
from vlagym.benchmark.runner import RunOptions, run
from vlagym.benchmark.suite import Suite
from vlagym.envs.types import ActionChunk, ActionSpec, EpisodeResult, EpisodeSpec, ImageComponent, Observation, RunHeader, sha_arrays
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.chunking import Chunking, declared
from vlagym.policies.profile import load_profile
from vlagym.results.pooling import identity
from vlagym.results.schema import result_from_line, result_to_line
from vlagym.results.store import Store

SIZE = 8


class Foreign:
    """Goes to the block, takes it to the plate and opens its hand, as a policy says it that was trained at 5 Hz with open = 1 and metres."""

    def __init__(self, *, rate_hz: float = 5.0, chunk_steps: int = 1, most_m: float = 0.15, **fields: Any) -> None:
        metres = replace(fakes.CONTROL.components[0], scale=1.0, low=(-most_m,) * 3, high=(most_m,) * 3)
        turn = replace(fakes.CONTROL.components[1], convention="delta_euler_xyz", scale=1.0, low=(-0.05,) * 3, high=(0.05,) * 3)
        opened = replace(fakes.CONTROL.components[2], convention="gripper_open_unit", low=(0.0,))
        self.action = ActionSpec(name="foreign", components=(metres, turn, opened), rate_hz=rate_hz)
        carrier = fakes.Carrier().spec
        stream = ImageComponent(name="primary", source="front", width=SIZE, height=SIZE, fit="stretch")
        observation = replace(carrier.observation, images=(stream,), rate_hz=rate_hz)
        self.spec = PolicySpec(
            name="foreign", action=self.action, observation=observation, chunk_steps=chunk_steps, execute_steps=chunk_steps, privileged=True, **fields
        )
        self.seen: list[Observation] = []
        self._plate = np.zeros(3)
        self._most_m = most_m

    def reset(self, context: EpisodeContext) -> None:
        assert context.spec is not None
        self._plate = np.array(context.spec.scene.props[1].pos_world)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        return {slot: self._one(observation) for slot, observation in observations.items()}

    def close(self) -> None:
        """Holds nothing."""

    def _one(self, observation: Observation) -> ActionChunk:
        self.seen.append(observation)
        assert observation.privileged is not None
        ee, block = observation.proprio["ee_pos_base_m"].astype(np.float64), observation.privileged.props["block"]
        values = np.zeros((self.spec.chunk_steps, 7), np.float32)
        for row in values:
            row[:3] = np.clip((self._plate if block.is_held else np.array(block.pos_world)) - ee, -self._most_m, self._most_m)
            row[6] = float(np.linalg.norm(np.array(block.pos_world) - self._plate) < 0.03)
            ee = ee + row[:3]
        return ActionChunk(values=values, spec=self.action)


def rollout(policy: Any, spec: EpisodeSpec | None = None, chunking: Chunking | None = None) -> tuple[Rollout, fakes.FakeWorld]:
    spec = spec or fakes.spec(1)
    world = fakes.make_world(WorldOptions())
    pipeline = Connections(policy.spec).of(spec, world)
    world.rendered.clear()
    made = Rollout(world, spec, asking(LocalPort(policy), policy.spec, spec), pipeline=pipeline, chunking=chunking or declared(policy.spec))
    return made, world


def test_a_policy_of_5_hz_plays_an_episode_of_20_hz_and_reaches_the_goal() -> None:
    played, world = rollout(Foreign())
    trace = played.play().trace()
    assert trace is not None and played.ended_by == "goal", played.error
    assert trace.call_step.tolist() == list(range(0, trace.num_steps, 4)), "it is asked for each of its own steps"
    assert world.rendered == [(step, ("front",)) for step in trace.call_step.tolist()]
    for at in trace.call_step.tolist():
        assert (trace.actions[at : at + 4] == trace.actions[at]).all()


def test_its_chunks_count_its_own_steps() -> None:
    played, _ = rollout(Foreign(chunk_steps=3), fakes.spec(1, horizon_s=1.5))
    trace = played.play().trace()
    assert trace is not None and trace.call_step.tolist() == list(range(0, trace.num_steps, 12))


def test_an_ensemble_asks_once_for_each_of_its_own_steps() -> None:
    played, _ = rollout(Foreign(chunk_steps=3), chunking=Chunking(mode="ensemble"))
    trace = played.play().trace()
    assert trace is not None and trace.call_step.tolist() == list(range(0, trace.num_steps, 4)) and played.ended_by == "goal"


def test_an_episode_may_end_in_the_middle_of_a_policys_step() -> None:
    played, _ = rollout(Foreign(), fakes.spec(1, horizon_s=0.3))
    trace = played.play().trace()
    assert trace is not None and trace.num_steps == 6 and trace.call_step.tolist() == [0, 4]


def test_a_history_is_rendered_between_two_calls_only_where_it_is_looked_back_to() -> None:
    policy = Foreign(rate_hz=20.0, chunk_steps=4, most_m=0.05, history=(-1, 0))
    played, world = rollout(policy, fakes.spec(1, horizon_s=0.6))
    played.play()
    assert played.error is None and [step for step, _ in world.rendered] == [0, 3, 4, 7, 8, 11][: len(world.rendered)]
    assert [round(past.time_s * 20) for seen in policy.seen for past in seen.past] == [0, 3, 7]


def test_a_long_history_is_rendered_whenever_somebody_may_look_back_to_it() -> None:
    policy = Foreign(rate_hz=20.0, chunk_steps=4, most_m=0.05, history=(-6, 0))
    played, world = rollout(policy, fakes.spec(1, horizon_s=0.6))
    played.play()
    assert played.error is None and [step for step, _ in world.rendered] == list(range(12))
    assert [round(past.time_s * 20) for seen in policy.seen for past in seen.past] == [0, 0, 2]


def test_frames_of_a_history_are_frames_that_were_shown() -> None:
    now, both = (rollout(Foreign(history=history))[0].play().certificate() for history in ((0,), (-1, 0)))
    assert now is not None and both is not None and now.frames != both.frames and now.actions == both.actions


def test_what_is_clipped_is_counted() -> None:
    hasty, _ = rollout(Foreign(most_m=0.6, clip=True))
    hasty.play()
    calm, _ = rollout(Foreign())
    calm.play()
    trace = hasty.trace()
    assert trace is not None and np.abs(trace.actions[:, :3]).max() == 1.0
    num_at_the_bounds = int((np.abs(trace.actions[:, :3]) == 1.0).any(axis=1).sum())
    assert hasty.clipped_steps is not None and 0 < hasty.clipped_steps <= num_at_the_bounds
    assert calm.clipped_steps is None, "where nothing may be clipped, nothing is counted"


def test_the_ledger_says_how_often_something_was_clipped_and_says_nothing_where_nothing_may_be() -> None:
    spec, world = fakes.spec(1), fakes.make_world(WorldOptions())
    hasty, calm = (play_episode(world, spec, policy).result for policy in (Foreign(most_m=0.6, clip=True), Foreign()))
    line = result_to_line(hasty)
    assert hasty.clipped_steps is not None and hasty.clipped_steps > 0 and result_from_line(line) == hasty
    assert "clipped_steps" not in result_to_line(calm)


def test_an_unclipped_action_beyond_the_bounds_is_the_policys_error() -> None:
    policy = Foreign()
    policy._most_m = 0.6  # more than it declares
    played, _ = rollout(policy)
    played.play()
    assert played.ended_by == "policy_error" and played.error is not None and "outside [-1, 1]" in played.error.message


def test_a_policy_at_the_environments_rate_in_its_conventions_is_executed_to_the_bit() -> None:
    played, _ = rollout(fakes.Carrier())
    chunks: list[Any] = []
    carrier = fakes.Carrier()
    keep, act = chunks.append, carrier.act

    def remembering(observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        answers = act(observations)
        keep(answers[0].values.copy())
        return answers

    carrier.act = remembering  # type: ignore[method-assign]
    again, _ = rollout(carrier)
    trace = again.play().trace()
    assert trace is not None and sha_arrays(trace.actions) == sha_arrays(np.concatenate([c[:2] for c in chunks])[: trace.num_steps])
    assert played.play().certificate() == again.certificate()


# ----------------------------------------------------------------------------------------------------------------------- the header
class Silent:
    def begins(self, path: Path, total: int, done: int, workers: int) -> None: ...

    def stored(self, result: EpisodeResult) -> None: ...


def FOREIGN(argument: str | None, options: Mapping[str, str]) -> Foreign:
    """Builds the policy; its argument says how far it goes at most, in m."""
    return Foreign(most_m=float(argument or 0.15), clip=True, profile=options.get("profile"))


def header(folder: Path, argument: str, **options: str) -> RunHeader:
    suite = Suite(name="tiny", version=1, entries=(Entry(task="place_on", episodes=1),))
    how = RunOptions(
        policy="fakes:CARRIER" if argument == "native" else f"{Path(__file__).stem}:FOREIGN:{argument}", policy_options=options,
        suite=suite, executor="serial", out=folder, make_world=fakes.make_world,
    )  # fmt: skip
    return Store.open(run(how, [fakes.spec(0, horizon_s=0.5)], Silent()).path).header


def test_the_header_names_profile_and_image_library_of_those_who_have_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    foreign, native = header(tmp_path / "foreign", "0.15", profile="mine"), header(tmp_path / "native", "native")
    assert foreign.policy["profile"]["name"] == "mine" and "profile" not in native.policy
    assert "pillow" in foreign.packages and "scipy" not in foreign.packages and "pillow" not in native.packages
    (environment,) = foreign.conventions["environments"]
    assert environment["pipeline"]["repeats"] == 4 and "repeats" not in native.conventions["environments"][0]["pipeline"]


def test_a_profile_that_was_changed_is_another_row_and_is_not_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    first, second = (header(tmp_path / name, most, profile="mine") for name, most in (("a", "0.15"), ("b", "0.16")))
    same = replace(second, policy={**second.policy, "name": first.policy["name"]})  # as if the file had been changed under its name
    assert identity(first) != identity(same)
    assert any(line.startswith("policy.profile.digest was") for line in differences(first, same))


def test_what_few_policies_declare_stands_in_the_header_of_those_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    foreign, native = header(tmp_path / "foreign", "0.15"), header(tmp_path / "native", "native")
    assert foreign.conventions["policy"]["clip"] is True and set(native.conventions["policy"]) == {"action", "observation"}


def test_a_run_is_not_resumed_where_the_profile_calls_things_otherwise_on_a_wire(traces: ModuleType) -> None:
    said = load_profile("libero")
    swapped = {**said.wire["openpi"], "image": said.wire["openpi"]["wrist_image"], "wrist_image": said.wire["openpi"]["image"]}
    digests = [_digest_of_profile(p.spec("openpi")) for p in (said, replace(said, wire={**said.wire, "openpi": swapped}))]
    plain = traces.make_header(policy="openpi")
    before, after = (replace(plain, policy={**plain.policy, "profile": {"name": "libero", "digest": digest}}) for digest in digests)
    assert [line.partition(" ")[0] for line in differences(before, after)] == ["policy.profile.digest"] and identity(before) != identity(after)
