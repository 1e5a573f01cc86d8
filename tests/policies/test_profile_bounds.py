"""A profile that is too large to be one is refused while it is plain data, and costs nothing."""

from __future__ import annotations

import copy
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from vlagym.envs.errors import BadData, BadReply
from vlagym.policies import adoption
from vlagym.policies.profile import Profile, load_profile, profile_names

Change = Callable[[dict[str, Any]], object]


def announced(change: Change) -> dict[str, Any]:
    """Returns what a server announces that has changed a shipped profile."""
    plain = copy.deepcopy(load_profile("libero").to_plain())
    change(plain)
    return plain


def image(plain: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = plain["observation"]["images"][0]
    return found


def deep() -> list[Any]:
    found: list[Any] = []
    for _ in range(500):
        found = [found]
    return found


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_that_ships_is_small_enough(name: str) -> None:
    assert Profile.from_plain(load_profile(name).to_plain()) == load_profile(name)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda p: image(p).update(height=60_000), r"observation.images\[0\].height is 60000, and 4096 is the most"),
        (lambda p: image(p).update(width=10**30), r"observation.images\[0\].width is 1000"),
        (lambda p: image(p).update(crop=5000), r"observation.images\[0\].crop is 5000"),
        (lambda p: p["observation"].update(images=[image(p)] * 17), r"observation.images.length is 17, and 16 is the most"),
        (lambda p: p["observation"].update(images=[{**image(p), "width": 4096, "height": 4096}] * 5), r"83886080 pixels in each of 1 observations"),
        (lambda p: p.update(history=list(range(-99, 1))), r"history.length is 100, and 65 is the most"),
        (lambda p: p.update(history=list(range(-29, 1))) or image(p).update(width=4000, height=4000), r"pixels in each of 30 observations"),
        (lambda p: p["observation"]["state"][0].update(size=10**9), r"observation.state\[0\].size is 1000000000, and 4096 is the most"),
        (lambda p: p["observation"].update(state=[{"name": f"s{k}", "size": 1} for k in range(65)]), r"observation.state.length is 65"),
        (lambda p: p["action"]["components"][0].update(size=10**9), r"action.components\[0\].size is 1000000000, and 256 is the most"),
        (lambda p: p["action"].update(components=[p["action"]["components"][0]] * 65), r"action.components.length is 65"),
        (lambda p: p.update(chunk_steps=10**6), r"chunk_steps is 1000000, and 1024 is the most"),
        (lambda p: p.update(sticky_steps=10**6), r"sticky_steps is 1000000"),
        (lambda p: p.update(name="x" * 3_000_000), r"holds a text of 3000000 letters, 'x{60} …'; at most 4000"),
        (lambda p: p.update(name="\x1b]0;pwn\x07"), r"holds a text of 8 letters, '\\\\x1b\]0;pwn.*that can be printed"),
        (lambda p: p.update({"\x1b[2J": 1}), r"holds a text of 4 letters"),
        (lambda p: p.update(a=[1] * 900_000), r"a list of 900000 values; at most 20000"),
        (lambda p: p.update(a=[[1] * 10_000] * 3), r"says more than a profile does: at most 20000 values"),
        (lambda p: p.update(a=deep()), r"12 deep in each other"),
    ],
)
def test_what_is_too_large_is_refused_by_name_before_anything_is_made_of_it(change: Change, complaint: str) -> None:
    data = announced(change)
    tracemalloc.start()
    began_s = time.monotonic()
    with pytest.raises(BadData, match=complaint):
        Profile.from_plain(data)
    assert time.monotonic() - began_s < 30 and tracemalloc.get_traced_memory()[1] < 32 * 2**20
    tracemalloc.stop()


def test_a_server_that_announces_too_much_is_told_in_one_short_line() -> None:
    with pytest.raises(BadReply, match=r"ws://h announces what is no profile: profile.observation.images\[0\].height is 60000") as caught:
        adoption.adopt("openpi", {}, announced(lambda p: image(p).update(height=60_000)), "ws://h")
    assert len(str(caught.value)) < 400
    with pytest.raises(BadReply) as caught:
        adoption.adopt("openpi", {}, announced(lambda p: p["action"]["components"][0].update(name="\n".join("y" * 3000))), "ws://h")
    assert len(str(caught.value)) < 1000 and str(caught.value).isprintable()
