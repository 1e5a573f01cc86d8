"""Axes of objects: what stands there changes, where it stands does not, and the sentence is true of it."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest

from vlagym.benchmark.axis import NotApplicable, Unfit, asks_for_its_goal, vary, vary_all
from vlagym.benchmark.episode import WorldOptions, make_world, play_episode
from vlagym.benchmark.rewording import said_again
from vlagym.benchmark.variation.concern import GRADES, asked_for, graded, subjects
from vlagym.benchmark.variation.fit import misfit
from vlagym.benchmark.variation.standing import bears, pose_of, restood
from vlagym.benchmark.variation.substitutes import can_replace
from vlagym.envs.errors import BadSpec
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.language.scene_words import colour_word, scene_words
from vlagym.envs.objects import asset_of, get
from vlagym.envs.sampling import sample
from vlagym.envs.split import rules
from vlagym.envs.textures.worn import worn
from vlagym.envs.types import EpisodeSpec, PropSpec, SceneSpec, stream
from vlagym.policies.loading import load_policy

AXES = ("novel_object", "novel_kind", "colour", "texture", "size")
UPRIGHT = (1.0, 0.0, 0.0, 0.0)


@functools.cache
def twin(task: str, seed: int, catalogue: str = "full") -> EpisodeSpec:
    return sample(task, seed=seed, catalogue=catalogue)


def props(spec: EpisodeSpec) -> dict[str, PropSpec]:
    return {p.name: p for p in spec.scene.props}


def a_prop(asset: str, x: float = 0.5, z: float = 0.0, quat: tuple[float, float, float, float] = UPRIGHT) -> PropSpec:
    return PropSpec(name=asset, asset=asset, pos_world=(x, 0.0, z), quat_world_wxyz=quat)


# ---------------------------------------------------------------------------------------------------------------------- all of them
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("level", (1, 5))
def test_names_places_and_goal_stay_and_the_sentence_asks_for_the_goal(axis: str, level: int) -> None:
    base = twin("place_on", 3)
    varied = vary(base, axis, level)
    assert varied.goal == base.goal and varied.alternatives == base.alternatives and varied.base == base.digest()
    assert list(props(varied)) == list(props(base))
    for name, prop in props(varied).items():
        assert prop.pos_world[:2] == pytest.approx(props(base)[name].pos_world[:2], abs=1e-4)
    assert varied.scene != base.scene
    assert asks_for_its_goal(varied)


@pytest.mark.parametrize("axis", AXES)
def test_level_one_leaves_alone_what_the_goal_names_where_there_is_something_else(axis: str) -> None:
    base = twin("place_on", 3)
    varied = vary(base, axis, 1)
    if axis != "size":  # whose level 1 is 5 % of everything
        assert all(props(varied)[name] == props(base)[name] for name in base.named)
        assert varied.instruction == base.instruction
        assert sum(props(varied)[name] != props(base)[name] for name in props(base)) == 1


@pytest.mark.parametrize("task", ("place_on", "stack", "open_drawer"))
@pytest.mark.parametrize("axis", ("novel_object", "colour", "texture"))
def test_the_small_world_of_the_shipped_checkpoint_can_be_varied(task: str, axis: str) -> None:
    base = twin(task, 1, "core")
    for level in (2, 5):
        assert vary(base, axis, level).scene != base.scene


def test_axes_of_objects_compose() -> None:
    varied = vary_all(twin("place_on", 3), [("size", 2), ("texture", 4), ("novel_object", 3)])
    assert [name for name, _ in varied.axes] == ["novel_object", "size", "texture"]
    assert asks_for_its_goal(varied)


# ------------------------------------------------------------------------------------------------------------- unseen ones, other kinds
def test_level_two_of_novel_object_exchanges_what_the_goal_is_about_for_an_unseen_one_of_its_kind() -> None:
    base = twin("pick_up", 3)
    varied = vary(base, "novel_object", 2)
    (name,) = subjects(base)
    new, old = asset_of(props(varied)[name]), asset_of(props(base)[name])
    assert (new.kind, new.split, old.split) == (old.kind, "unseen", "seen")
    assert varied.split == "unseen"
    assert [p for p in varied.scene.props if p.name != name] == [p for p in base.scene.props if p.name != name]


def test_the_templates_of_the_twin_are_filled_again() -> None:
    base = twin("pick_up", 3)
    varied = vary(base, "novel_object", 2)
    assert varied.phrase == base.phrase and varied.instruction != base.instruction


def test_a_cabinet_is_exchanged_for_one_with_the_same_drawer() -> None:
    base = twin("open_drawer", 1, "core")
    varied = vary(base, "novel_object", 2)
    (name,) = subjects(base)
    new, old = (next(get_fixture(f.asset) for f in spec.scene.fixtures if f.name == name) for spec in (varied, base))
    assert new.id != old.id and new.kind == old.kind and new.split == "unseen"
    assert [j.name for j in new.joints] == [j.name for j in old.joints]


def test_what_cannot_be_exchanged_is_told() -> None:
    with pytest.raises(NotApplicable, match=r"'press_button' with seed 0 nothing of what this level is about \(the thing that the goal is about\)"):
        vary(twin("press_button", 0), "novel_object", 2)


def test_another_kind_has_the_roles_that_could_be_asked_of_it() -> None:
    base = twin("place_on", 3)
    varied = vary(base, "novel_kind", 5)
    for name in asked_for(base):
        new, old = asset_of(props(varied)[name]), asset_of(props(base)[name])
        if new.id != old.id:
            assert new.kind != old.kind
            assert {"support", "container"} & {*old.roles} <= {*new.roles}
    assert any(asset_of(p).kind in rules().kinds.unseen for p in varied.scene.props)


def test_only_what_is_stackable_takes_the_place_of_a_block_that_is_to_be_stacked() -> None:
    base = twin("stack", 3)
    block = props(base)[subjects(base)[0]]
    assert can_replace(base, block, get("parcel"))
    assert not can_replace(base, block, get("apple"))


def test_what_is_much_larger_takes_no_place() -> None:
    base = twin("pick_up", 3)
    lime = props(base)["lime"]
    assert not can_replace(base, lime, get("grip_tray_green"))
    assert not can_replace(base, lime, get("bottle_green"))


def test_a_thing_that_lies_is_followed_by_one_that_lies_in_the_same_place() -> None:
    lying = get("corn_can").pose("lying")
    x, y, z, w = lying.quat_wxyz[1:] + lying.quat_wxyz[:1]
    old = a_prop("corn_can", z=lying.height_m, quat=(w, x, y, z))
    assert pose_of(old).name == "lying"
    scene = restood(SceneSpec(arena="studio", props=(old,)), {"corn_can": dataclasses.replace(old, asset="cup_red")})
    (new,) = scene.props
    assert pose_of(new).name == "lying"
    assert new.pos_world[2] == pytest.approx(get("cup_red").pose("lying").height_m, abs=1e-4)
    with pytest.raises(Unfit, match="a fruit does not lie as corn_can does"):
        restood(scene, {"corn_can": dataclasses.replace(old, asset="apple")})


def test_what_lies_on_a_thing_is_raised_with_its_surface() -> None:
    book, block = a_prop("book_red"), a_prop("block_blue", z=0.024)
    assert bears(book, block) and not bears(block, book)
    scene = restood(SceneSpec(arena="studio", props=(book, block)), {"book_red": dataclasses.replace(book, scale=1.25)})
    assert scene.props[1].pos_world[2] == pytest.approx(0.030)


# -------------------------------------------------------------------------------------------------------------------------- how much
def test_levels_go_from_one_thing_to_everything() -> None:
    base = twin("place_on", 3)
    counts = [len(graded(base, level, set(props(base)), "", np.random.default_rng(0))) for level in range(1, 6)]
    assert counts == sorted(counts) and counts[0] == 1 and counts[-1] == len(props(base))
    assert len(GRADES) == 5


# ---------------------------------------------------------------------------------------------------------------- colour and texture
@pytest.mark.parametrize("level", (2, 3, 4, 5))
def test_things_of_one_noun_never_share_a_colour(level: int) -> None:
    varied = vary(twin("stack", 3), "colour", level)
    blocks = [r.colour for r in scene_words(varied).things if r.kind == "block"]
    assert len({*blocks}) == len(blocks)


def test_the_sentence_says_the_new_colour_where_it_said_the_old_one() -> None:
    base = twin("stack", 3)
    varied = vary(base, "colour", 2)
    assert varied.phrase == base.phrase
    for name in subjects(base):
        assert str(scene_words(varied)[name].colour) in varied.instruction.split()


def test_unseen_colours_come_at_high_levels_alone() -> None:
    unseen = {*rules().colours.unseen}
    low, high = (vary(twin("stack", 3), "colour", level) for level in (3, 5))
    assert not unseen & {colour_word(p.rgba) for p in low.scene.props if p.rgba} and low.split == "seen"
    assert unseen & {colour_word(p.rgba) for p in high.scene.props if p.rgba} and high.split == "unseen"


def test_a_texture_changes_nothing_else() -> None:
    base = twin("open_drawer", 1)
    varied = vary(base, "texture", 5)
    plain = dataclasses.replace(
        varied.scene,
        props=tuple(dataclasses.replace(p, texture=None) for p in varied.scene.props),
        fixtures=tuple(dataclasses.replace(f, texture=None) for f in varied.scene.fixtures),
    )
    assert plain == base.scene and varied.instruction == base.instruction
    assert all(worn(f.texture or "").contrast >= 0.8 for f in varied.scene.fixtures)


# ------------------------------------------------------------------------------------------------------------------------------- size
def test_what_the_goal_is_about_differs_by_just_the_share_of_the_level() -> None:
    base = twin("pick_up", 3)
    for level, share in ((1, 0.05), (5, 0.25)):
        scales = {name: p.scale for name, p in props(vary(base, "size", level)).items()}
        assert abs(scales[subjects(base)[0]] - 1.0) == pytest.approx(share)
        assert all(abs(scale - 1.0) <= share + 1e-9 for scale in scales.values())


def test_lids_and_pots_keep_fitting_each_other() -> None:
    base = twin("insert", 4)
    assert base.goal[0].name == "covered"
    varied = vary(base, "size", 5)
    assert len({p.scale for p in varied.scene.props if {"lid", "pot"} & {*asset_of(p).roles}}) == 1


def test_a_thing_that_has_outgrown_its_bowl_is_told() -> None:
    base = twin("place_on", 3)
    thing, place = base.goal[0].args
    large = tuple(dataclasses.replace(p, scale=3.0) if p.name == thing else p for p in base.scene.props)
    assert misfit(base, base) is None
    assert misfit(dataclasses.replace(base, scene=dataclasses.replace(base.scene, props=large)), base) == f"there is no room in or on {place}"


@pytest.mark.parametrize(("axis", "task", "seed"), (("size", "place_on", 3), ("novel_kind", "stack", 3)))
def test_the_expert_solves_the_highest_level(axis: str, task: str, seed: int) -> None:
    varied = vary(twin(task, seed), axis, 5)
    assert play_episode(make_world(WorldOptions(render=False)), varied, load_policy("expert")).result.outcome == "success"


# ------------------------------------------------------------------------------------------------------------------------- said again
def test_a_sentence_that_is_still_true_stays() -> None:
    base = twin("place_on", 3)
    assert said_again(base, stream(0, "sentence")) is base


def test_a_sentence_can_be_said_again_at_another_level_and_for_what_is_told() -> None:
    base = twin("place_on", 3)
    assert said_again(base, stream(0, "sentence"), level="compositional").level == "compositional"
    told = said_again(dataclasses.replace(base, told=0), stream(0, "sentence"))
    assert told.goal == base.goal and told.instruction != base.instruction and asks_for_its_goal(told)


def test_what_has_no_sentence_cannot_be_said_again() -> None:
    with pytest.raises(BadSpec, match="has no sentence that could be said again; vary it before that is taken away"):
        said_again(dataclasses.replace(twin("place_on", 3), instruction=""), stream(0, "sentence"))
