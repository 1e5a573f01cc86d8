"""A plain noun phrase is true of exactly one thing, and a proposed one of its target."""

from __future__ import annotations

from typing import Any

import pytest

from vlagym.envs.errors import BadSpec
from vlagym.envs.language.expressions import COMPLEX, SIMPLE, Expressions
from vlagym.envs.objects import catalog, get
from vlagym.envs.language.reference import Nameable, describe
from vlagym.envs.language.referents import Referent
from vlagym.envs.language.scene_words import colour_word, scene_words
from vlagym.envs.language.set_expressions import SetExpressions
from vlagym.envs.types import EpisodeSpec, stream

RED, BLUE = get("block_red"), get("block_blue")


def thing(name: str, colour: str | None = None) -> Referent:
    return Referent(name=name, sort="prop", kind=name, names=(name,), unseen_names=(), colour=colour)


def said(target: Nameable, others: list[Nameable], split: Any = "seen") -> set[str]:
    return {describe(target, others, stream(seed, "test"), split) for seed in range(40)}


# ----------------------------------------------------------------------------------------------------------------- noun and colour
def test_a_colour_is_said_where_it_is_needed() -> None:
    assert said(RED, [BLUE]) == {"the red block", "the red cube"}


def test_a_colour_that_is_not_needed_is_said_now_and_then() -> None:
    assert said(RED, [get("banana")]) == {"the red block", "the red cube", "the block", "the cube"}


def test_what_has_no_colour_word_is_named_alone() -> None:
    assert said(get("banana"), [RED]) == {"the banana"}


def test_unseen_nouns_are_kept_for_who_asks_for_them() -> None:
    assert said(get("plate_white"), [get("bowl_red")], "unseen") == {"the white dish"}  # a bowl may be called a dish, too
    assert said(get("bottle_green"), [], "unseen") == {"the flask", "the green flask"}
    for asset in catalog().values():
        assert not any(phrase.endswith(f" {noun}") for phrase in said(asset, []) for noun in asset.unseen_names if noun not in " ".join(asset.names))


def test_a_noun_that_fits_two_things_gives_way_to_one_that_fits_one() -> None:
    assert said(get("pear"), [get("apple")], "unseen") == {"the pear"}  # the apple is a fruit as well


def test_a_rival_of_no_stated_colour_could_have_any() -> None:
    assert said(RED, [thing("block")]) == {"the red cube", "the cube"}


def test_twins_cannot_be_told_apart() -> None:
    with pytest.raises(BadSpec, match=r"no phrase tells the red block from the red block\. Give them other colours"):
        describe(RED, [BLUE, RED], stream(0))


def test_paint_is_called_by_the_nearest_colour_word() -> None:
    assert colour_word((0.9, 0.5, 0.1, 1.0)) == "orange"


# ------------------------------------------------------------------------------------------------------------------------ the styles
@pytest.fixture(scope="module")
def row(lay_table: Any) -> EpisodeSpec:
    """Returns three blocks in a row from left to right, a mug nearer to the robot than a big plate, and a carton that lies."""
    spec: EpisodeSpec = lay_table(
        props={
            "block_red": (0.5, 0.2),
            "block_blue": (0.5, 0.1),
            "block_green": (0.5, 0.0),
            "mug_white": (0.38, -0.2),
            "plate_white": (0.6, -0.18),
            "plate_blue": (0.38, 0.2),
            "carton_blue": (0.42, 0.02),
        },
        lying=("carton_blue",),
        scale={"plate_white": 1.3},
    )
    return spec


def proposals(spec: EpisodeSpec, name: str, style: str, **options: Any) -> list[str]:
    scene = scene_words(spec)
    return Expressions(scene, lambda r: f"the {r.colour} {r.names[0]}", **options).propose(scene[name], style)


@pytest.mark.parametrize(
    ("name", "style", "wanted"),
    [
        ("block_blue", "ordinal", ["the second block from the left", "the second cube from the right", "the middle block"]),
        ("block_red", "extreme", ["the leftmost block"]),
        ("plate_white", "size", ["the bigger plate", "the larger plate"]),
        ("plate_blue", "size", ["the smaller plate"]),
        ("plate_white", "negation", ["the plate that is not blue"]),
        ("mug_white", "use", ["the thing you drink from"]),
        ("mug_white", "relation", ["the mug in front of the white plate"]),
        ("mug_white", "viewer", ["the mug behind the white plate as I see it"]),
        ("plate_white", "viewer", ["the plate on my left"]),
        ("mug_white", "adjectives", ["the ceramic mug", "the white ceramic mug"]),
        ("plate_blue", "nearest", ["the plate nearest to the robot", "the plate closest to you"]),
        ("carton_blue", "state", ["the fallen carton", "the carton lying on its side"]),
        ("block_red", "category", ["the red building block", "the wooden thing"]),
    ],
)
def test_each_style_says_what_is_true_of_its_target(row: EpisodeSpec, name: str, style: str, wanted: list[str]) -> None:
    assert set(wanted) <= set(proposals(row, name, style))


@pytest.mark.parametrize("style", [*SIMPLE, *COMPLEX])
def test_no_phrase_is_malformed(row: EpisodeSpec, style: str) -> None:
    for name in scene_words(row).referents:
        for phrase in proposals(row, name, style):
            assert phrase.startswith("the ") and "None" not in phrase and "  " not in phrase, phrase


def test_no_phrase_leans_on_what_the_goal_moves(row: EpisodeSpec) -> None:
    assert any("white plate" in phrase for phrase in proposals(row, "mug_white", "relation"))
    assert not any("white plate" in phrase for phrase in proposals(row, "mug_white", "relation", avoid=("plate_white",)))


def test_sizes_are_compared_only_where_they_differ_clearly(lay_table: Any) -> None:
    plates = {"plate_white": (0.5, 0.1), "plate_blue": (0.5, -0.1)}
    assert proposals(lay_table(props=plates, scale={"plate_white": 1.14}), "plate_white", "size") == []
    assert "the bigger plate" in proposals(lay_table(props=plates, scale={"plate_white": 1.16}), "plate_white", "size")


def test_a_button_is_told_by_its_colour_label_place_and_panel(lay_table: Any) -> None:
    spec = lay_table(props={}, fixtures={"panel_black_three": (0.5, 0.0), "panel_yellow_numbers": (0.5, 0.2)})
    assert "the red button" in proposals(spec, "panel_black_three/red_button", "plain")
    assert "the red button on the black button panel" in proposals(spec, "panel_black_three/red_button", "part")
    assert {"button 3", "the button labelled 3", "the button with the number 3"} <= set(proposals(spec, "panel_yellow_numbers/3_button", "label"))


def test_several_things_are_spoken_of_together(lay_table: Any) -> None:
    fruit_and_blocks = {"apple": (0.4, 0.1), "lemon": (0.5, 0.1), "block_red": (0.4, -0.1), "block_blue": (0.5, -0.1), "block_green": (0.6, -0.1)}
    spec = lay_table(props=fruit_and_blocks)
    scene = scene_words(spec)
    sets = SetExpressions(scene, Expressions(scene, lambda r: None))
    fruit = sets.propose_all([scene["apple"], scene["lemon"]], is_complex=False)
    assert {"all the fruit", "both pieces of fruit", "the two pieces of fruit"} <= set(fruit)
    blocks = sets.propose_all([scene["block_red"], scene["block_blue"], scene["block_green"]], is_complex=False)
    assert {"all three blocks", "all the blocks", "the three cubes", "every block", "all the wooden blocks"} <= set(blocks)
    two = sets.propose_all([scene["block_red"], scene["block_blue"]], is_complex=True)
    assert "both blocks that are not green" in two
