"""What is written into a run folder can be read back, and what cannot be written is refused."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import re
import zipfile
from types import ModuleType

import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.envs.types import STATE_COLUMNS
from vlagym.results import schema


def test_a_header_is_the_same_after_writing_and_reading(traces: ModuleType) -> None:
    header = traces.make_header(episodes=30)
    assert schema.header_from_json(schema.header_to_json(header)) == header


def test_a_line_is_the_same_after_writing_and_reading(traces: ModuleType) -> None:
    for outcome in ("success", "failure", "error"):
        result = traces.make_result(outcome=outcome, instruction="lege die Tasse auf den Teller\u2028ü")
        line = schema.result_to_line(result)
        assert "\n" not in line
        assert schema.result_from_line(line) == result


def test_a_line_has_the_keys_that_other_programs_read(traces: ModuleType) -> None:
    line = json.loads(schema.result_to_line(traces.make_result()))
    fixed = "digest task robot axes base seed instruction outcome ended_by measures steps time_s wall_s attempt error certificate"
    assert set(fixed.split()) <= set(line)
    assert set(line["certificate"]) == {"spec", "model", "initial_state", "actions", "final_state", "frames"}


def test_numpy_numbers_become_numbers(traces: ModuleType) -> None:
    result = traces.make_result(measures={"steps": np.float64(3.0), "drops": None})
    assert json.loads(schema.result_to_line(result))["measures"] == {"steps": 3.0, "drops": None}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_measure_that_is_not_finite_is_refused_by_name(traces: ModuleType, value: float) -> None:
    with pytest.raises(BadData, match=r"the measure 'energy_j' of episode .* is (nan|inf); it must be finite, or None"):
        schema.result_to_line(traces.make_result(measures={"energy_j": value}))


def test_a_newer_header_says_what_to_upgrade(traces: ModuleType) -> None:
    text = schema.header_to_json(traces.make_header(schema=2))
    with pytest.raises(BadData, match="runs/x/header.json has schema 2; .* reads 1. It was written by a newer vlagym: pip install"):
        schema.header_from_json(text, "runs/x/header.json")
    with pytest.raises(BadData, match=r"has schema None; this version of vlagym reads 1.$"):
        schema.header_from_json("{}")
    with pytest.raises(BadData, match="header.json is not JSON"):
        schema.header_from_json("{")


def test_an_unknown_key_in_a_line_is_named() -> None:
    with pytest.raises(BadData, match="line 3 has an unknown key 'colour'"):
        schema.result_from_line('{"colour": 1}', "line 3")


def test_a_trace_is_the_same_after_writing_and_reading(traces: ModuleType) -> None:
    trace = traces.make_trace(steps=3, forces={"self": {4: 2.5}}, latency_s=[0.1, 0.2], ended_by="goal")
    trace.actions[:] = np.arange(21, dtype=np.float32).reshape(3, 7) / 21
    back = schema.trace_from_bytes(schema.trace_to_bytes(trace))
    assert back.spec == trace.spec and back.ended_by == "goal"
    for name in STATE_COLUMNS:
        assert back.columns[name].dtype == trace.columns[name].dtype
        np.testing.assert_array_equal(back.columns[name], trace.columns[name])
    for name in ("actions", "contact_force_n", "latency_s", "call_step"):
        np.testing.assert_array_equal(getattr(back, name), getattr(trace, name))


def test_a_trace_without_steps_is_stored_too(traces: ModuleType) -> None:
    back = schema.trace_from_bytes(schema.trace_to_bytes(traces.make_trace(steps=0)))
    assert back.num_steps == 0 and back.columns["goal_met"].shape == (1, 1)


def test_equal_traces_give_equal_bytes(traces: ModuleType) -> None:
    assert schema.trace_to_bytes(traces.make_trace(steps=2)) == schema.trace_to_bytes(traces.make_trace(steps=2))


def test_numpy_reads_a_trace_without_pickle(traces: ModuleType) -> None:
    with np.load(io.BytesIO(schema.trace_to_bytes(traces.make_trace())), allow_pickle=False) as archive:
        assert json.loads(archive["spec_json"].item())["task"] == "place_on"
        assert archive["facts/goal_met"].shape == (5, 1)


def test_a_changed_byte_is_noticed_or_changes_nothing(traces: ModuleType) -> None:
    trace = traces.make_trace()
    trace.actions[:] = np.linspace(-1, 1, trace.actions.size, dtype=np.float32).reshape(trace.actions.shape)
    data = schema.trace_to_bytes(trace)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        info = archive.getinfo("actions.npy")
    start = info.header_offset + 30 + len(info.filename)
    noticed = 0
    for offset in range(info.compress_size):
        damaged = bytearray(data)
        damaged[start + offset] ^= 0x10
        try:
            back = schema.trace_from_bytes(bytes(damaged), "traces/x.npz")
        except BadData as error:
            noticed += 1
            assert re.fullmatch(r"traces/x.npz is damaged: .*Run its episode again, or restore the file", str(error), re.DOTALL)
        else:
            # Some bits of a deflate stream stand for nothing.
            np.testing.assert_array_equal(back.actions, trace.actions)
    assert noticed > 0.9 * info.compress_size


@pytest.mark.parametrize("size", [0, 10, 1000])
def test_a_truncated_trace_is_damaged(traces: ModuleType, size: int) -> None:
    with pytest.raises(BadData, match="a trace is damaged"):
        schema.trace_from_bytes(schema.trace_to_bytes(traces.make_trace())[:size])


def test_a_trace_that_contradicts_itself_is_refused(traces: ModuleType) -> None:
    trace = traces.make_trace(steps=4)
    short = dataclasses.replace(trace, columns={**trace.columns, "time_s": np.zeros(4)})
    with pytest.raises(BadData, match=r"the column 'time_s' has shape \(4,\); 4 actions want 5 rows"):
        schema.trace_to_bytes(short)
    without = dataclasses.replace(trace, columns={k: v for k, v in trace.columns.items() if k != "time_s"})
    with pytest.raises(BadData, match="lacks the column 'time_s'. The columns are: goal_met"):
        schema.trace_to_bytes(without)
    with pytest.raises(BadData, match="has an unknown column 'mood'"):
        schema.trace_to_bytes(dataclasses.replace(trace, columns={**trace.columns, "mood": np.zeros(5)}))
    with pytest.raises(BadData, match=r"actions of shape \(4, 6\); ee_delta wants \(T, 7\)"):
        schema.trace_to_bytes(dataclasses.replace(trace, actions=np.zeros((4, 6), np.float32)))
    with pytest.raises(BadData, match=r"contact_force_n of shape \(3, 5, 6\); it must be \(4, N, 6\)"):
        schema.trace_to_bytes(dataclasses.replace(trace, contact_force_n=trace.contact_force_n[:3]))


# -------------------------------------------------------------------------------------------------------------------------------- NaN
@pytest.mark.parametrize("word", ["NaN", "Infinity"])
def test_a_line_with_a_word_that_is_no_number_is_no_json(traces: ModuleType, word: str) -> None:
    line = schema.result_to_line(traces.make_result()).replace('"steps":4.0', f'"steps":{word}')
    with pytest.raises(BadData, match=f"line 7 is not JSON: {word} is no number"):
        schema.result_from_line(line, "line 7")
    with pytest.raises(BadData, match=f"header.json is not JSON: {word} is no number"):
        schema.header_from_json(f'{{"schema": {word}}}')


@pytest.mark.parametrize(("name", "row"), [("prop_pos_world_m", 2), ("torque_share", 0), ("time_s", 4)])
def test_one_nan_in_a_trace_is_damage_and_is_found(traces: ModuleType, name: str, row: int) -> None:
    trace = traces.make_trace()
    trace.columns[name].reshape(len(trace.columns[name]), -1)[row, 0] = np.nan
    with pytest.raises(BadData, match=rf"traces/x.npz is damaged: {name} holds NaN at \[{row}.*Run its episode again"):
        schema.trace_from_bytes(schema.trace_to_bytes(trace), "traces/x.npz")


def test_what_nobody_measured_is_nan_throughout_and_no_damage(traces: ModuleType) -> None:
    unknown = traces.make_trace(torque_share=np.full(5, np.nan), joint_margin_rad=np.full(5, np.nan))
    assert np.isnan(schema.trace_from_bytes(schema.trace_to_bytes(unknown)).columns["torque_share"]).all()


def test_what_is_read_of_a_trace_can_be_written_to(traces: ModuleType) -> None:
    back = schema.trace_from_bytes(schema.trace_to_bytes(traces.make_trace()))
    assert all(array.flags.writeable for array in (back.actions, back.contact_force_n, *back.columns.values()))


def test_an_array_of_objects_is_refused_unread(traces: ModuleType) -> None:
    data = schema.trace_to_bytes(traces.make_trace())
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            part = io.BytesIO()
            if name == "actions.npy":
                np.save(part, np.array([{"a": 1}], object), allow_pickle=True)
            new.writestr(name, part.getvalue() or old.read(name))
    with pytest.raises(BadData, match="is damaged: a member holds object"):
        schema.trace_from_bytes(out.getvalue())
