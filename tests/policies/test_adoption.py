"""A profile that is named must say what the server announces, in everything that changes what a number means and in nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vlagym.envs.errors import BadData, BadReply, ConventionMismatch
from vlagym.policies.adoption import adopt
from vlagym.policies.base import Normalisation
from vlagym.policies.profile import Profile, load_profile

LIBERO = load_profile("libero")
ONE_MILLIMETRE = Normalisation(kind="min_max", first=(-0.001,) * 3, second=(0.001,) * 3)


def adopted(said: Profile, **options: str) -> Profile:
    return adopt("openpi", {"profile": "libero", **options}, said.to_plain(), "ws://there:8000")


def with_component(profile: Profile, index: int, **changes: Any) -> Profile:
    parts = list(profile.action.components)
    parts[index] = replace(parts[index], **changes)
    return replace(profile, action=replace(profile.action, components=tuple(parts)))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (replace(LIBERO, normalisation={"translation": ONE_MILLIMETRE}), "normalisation.translation is only there"),
        (replace(LIBERO, clip=False), "clip is False there and True in the profile"),
        (replace(LIBERO, history=(-1, 0)), r"history is \[-1, 0\] there and \[0\] in the profile"),
        (replace(with_component(LIBERO, 2, convention="gripper_closing_relative"), sticky_steps=15), "sticky_steps is 15 there and 0 in the profile"),
        (replace(LIBERO, chunk_steps=16), "chunk_steps is 16 there and 10 in the profile"),
        (replace(LIBERO, execute_steps=8), "execute_steps is 8 there and 5 in the profile"),
        (replace(LIBERO, rig="droid"), "rig is 'droid' there and 'libero' in the profile"),
        (with_component(LIBERO, 0, scale=0.05), "action.translation.scale is 0.05 there and 0.0128 in the profile"),
        (with_component(LIBERO, 1, convention="delta_euler_xyz"), "action.rotation.convention is 'delta_euler_xyz' there and 'delta_axis_angle'"),
        (replace(LIBERO, observation=replace(LIBERO.observation, state=())), "state.state is not there"),
        (
            replace(LIBERO, action=replace(LIBERO.action, components=(LIBERO.action.components[1], LIBERO.action.components[0],
                                                                      LIBERO.action.components[2]))),
            r"order of action is \['rotation', 'translation', 'gripper'\] there and \['translation', 'rotation', 'gripper'\] in the profile",
        ),
    ],
)  # fmt: skip
def test_what_changes_a_number_is_named(said: Profile, told: str) -> None:
    with pytest.raises(ConventionMismatch, match=rf"ws://there:8000 announces the profile 'libero', and the profile 'libero' that was named.*{told}"):
        adopted(said)


def test_labels_prose_and_names_on_a_wire_may_differ() -> None:
    said = replace(LIBERO, name="theirs", about="other words", sources=(), gaps=(), wire={}, action=replace(LIBERO.action, name="a label"))
    assert adopted(said) == LIBERO
    assert adopted(replace(LIBERO, rig=None)) == LIBERO, "a server of before, which announces no rig"
    assert adopted(replace(LIBERO, execute_steps=8), execute="4") == LIBERO, "how many are executed was said"


def test_many_differences_are_counted() -> None:
    said = replace(load_profile("droid"), rig=None)
    with pytest.raises(ConventionMismatch, match="; and [0-9]+ more. Leave the option profile out"):
        adopted(said)


def test_what_is_announced_is_adopted_with_its_rig() -> None:
    assert adopt("openpi", {}, LIBERO.to_plain(), "ws://there:8000").rig == "libero"
    with pytest.raises(BadReply, match="announces what is no profile: no rig is called 'libra'. Did you mean libero"):
        adopt("openpi", {}, {**LIBERO.to_plain(), "rig": "libra"}, "ws://there:8000")


def test_a_rig_that_is_a_file_of_the_servers_is_not_looked_for_here(tmp_path: Path) -> None:
    said = {**LIBERO.to_plain(), "rig": "mine.toml"}
    with pytest.raises(BadData, match="of the rig 'mine.toml', a file of its own that is not sent along: give openpi --policy-option profile=FILE"):
        adopt("openpi", {}, said, "ws://there:8000")
