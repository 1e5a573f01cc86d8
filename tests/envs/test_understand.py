"""A sentence is read by itself: what its noun phrases are true of in the scene decides what it can ask for."""

from __future__ import annotations

from typing import Any

import pytest

from vlagym.envs.language.clauses import Wish, wish_of
from vlagym.envs.language.sentences import goals_said
from vlagym.envs.language.noun_phrases import NounPhrases
from vlagym.envs.language.scene_words import scene_words
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.language.understand import splits, understand

PROPS: dict[str, tuple[float, ...]] = {
    "block_red": (0.5, 0.2),
    "block_blue": (0.5, 0.1),
    "block_green": (0.5, 0.0),
    "banana": (0.4, 0.0),
    "mug_white": (0.38, -0.2),
    "mug_blue": (0.45, 0.2),
    "plate_white": (0.6, -0.18),
    "bowl_red": (0.62, 0.15),
    "apple": (0.62, 0.15, 0.01),
}


@pytest.fixture(scope="module")
def table(lay_table: Any) -> EpisodeSpec:
    """Returns a table with blocks in a row, an apple in a red bowl, and a chest of drawers."""
    spec: EpisodeSpec = lay_table(props=PROPS, fixtures={"chest_white": (0.7, 0.0), "cabinet_blue": (0.7, -0.3)})
    return spec


def meant(text: str, spec: EpisodeSpec) -> set[frozenset[str]]:
    """Returns what a noun phrase can stand for."""
    return {reading.names for reading in NounPhrases(scene_words(spec)).readings(text)}


def asked(text: str, spec: EpisodeSpec) -> set[str]:
    """Returns what a sentence can ask for, each goal as text."""

    def write(wish: Wish) -> str:
        return " > ".join(" & ".join(sorted(map(str, step))) for step in wish)

    return {write(wish) for wish in understand(text, spec)}


# ------------------------------------------------------------------------------------------------------------------- noun phrases
@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("the red block", "block_red"),
        ("the leftmost cube", "block_red"),
        ("the second block from the left", "block_blue"),
        ("the third brick from the left", "block_green"),
        ("the second block from my left", "block_blue"),
        ("the first block from my left", "block_green"),
        ("the middle block", "block_blue"),
        ("the rightmost block as I see it", "block_red"),
        ("the mug on my left", "mug_white"),
        ("the mug on your left", "mug_blue"),
        ("the left mug", "mug_blue"),
        ("the mug that is not blue", "mug_white"),
        ("the mug in front of the white plate", "mug_white"),
        ("the mug behind the white plate as I see it", "mug_white"),
        ("the apple in the bowl", "apple"),
        ("the thing you can eat that is in the bowl", "apple"),
        ("the block between the red block and the green block", "block_blue"),
        ("the block farthest from the mug that is white", "block_red"),
        ("the block nearest to the banana", "block_green"),
        ("the top drawer", "chest_white/top"),
        ("the top drawer of the white chest of drawers", "chest_white/top"),
        ("the white chest of drawers's top drawer", "chest_white/top"),
        ("the drawer of the cabinet", "cabinet_blue/drawer"),
    ],
)
def test_a_noun_phrase_means_what_it_is_true_of(table: EpisodeSpec, phrase: str, name: str) -> None:
    assert meant(phrase, table) == {frozenset((name,))}


@pytest.mark.parametrize(
    ("phrase", "names"),
    [
        ("both mugs", {"mug_white", "mug_blue"}),
        ("all the blocks", {"block_red", "block_blue", "block_green"}),
        ("the three blocks", {"block_red", "block_blue", "block_green"}),
        ("every cube", {"block_red", "block_blue", "block_green"}),
        ("all the fruit", {"apple", "banana"}),
        ("both blocks that are not green", {"block_red", "block_blue"}),
        ("the banana and the apple", {"banana", "apple"}),
        ("the banana, the apple and the red block", {"banana", "apple", "block_red"}),
    ],
)
def test_several_things_are_meant_together(table: EpisodeSpec, phrase: str, names: set[str]) -> None:
    assert meant(phrase, table) == {frozenset(names)}


@pytest.mark.parametrize("phrase", ["the block", "the two blocks", "the mug that is not red", "the thing made of wood"])
def test_what_could_mean_several_things_has_several_readings(table: EpisodeSpec, phrase: str) -> None:
    assert len(meant(phrase, table)) > 1


@pytest.mark.parametrize("phrase", ["the spoon", "both blocks that are purple", "the red mug", "the sixth block from the left", "fourteen mugs", ""])
def test_what_is_true_of_nothing_has_no_reading(table: EpisodeSpec, phrase: str) -> None:
    assert meant(phrase, table) == set()


def test_what_lies_too_close_to_call_is_in_doubt(lay_table: Any) -> None:
    in_line = lay_table(props={"block_red": (0.5, 0.0), "block_blue": (0.6, 0.02)})
    assert len(meant("the leftmost block", in_line)) == 2
    apart = lay_table(props={"block_red": (0.5, 0.0), "block_blue": (0.6, 0.04)})
    assert meant("the leftmost block", apart) == {frozenset({"block_blue"})}


def test_a_thing_without_a_colour_word_could_have_any(lay_table: Any) -> None:
    spec = lay_table(props={"block_red": (0.5, 0.0), "banana": (0.5, 0.2)})
    assert len(meant("the red thing", spec)) == 2  # a banana has no colour word of its own


def test_the_head_of_a_longer_noun_could_be_meant(lay_table: Any) -> None:
    spec = lay_table(props={}, fixtures={"toggle_red": (0.5, 0.2), "light_switch_black": (0.5, -0.2)})
    assert len(meant("the switch", spec)) == 2
    assert meant("the light switch", spec) == {frozenset({"light_switch_black"})}


# ---------------------------------------------------------------------------------------------------------------------- sentences
@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("put the banana in the bowl", "inside(banana, bowl_red)"),
        ("could you please put the banana on the plate?", "on(banana, plate_white)"),
        ("I was wondering if you could stack the red block on the blue one", "stacked(block_red, block_blue)"),
        ("put both mugs on the plate", "on(mug_blue, plate_white) & on(mug_white, plate_white)"),
        ("both mugs belong on the plate", "on(mug_blue, plate_white) & on(mug_white, plate_white)"),
        ("put the banana between the red block and the green block", "between(banana, block_green, block_red)"),
        ("from where I sit, put the banana to the left of the bowl", "viewer_left_of(banana, bowl_red)"),
        ("open the top drawer", "open(chest_white/top)"),
        ("pull the drawer of the cabinet open", "open(cabinet_blue/drawer)"),
        ("put the banana in the bowl and put the red block on the plate", "inside(banana, bowl_red) & on(block_red, plate_white)"),
        (
            "put the banana into the bowl and both mugs onto the plate",
            "inside(banana, bowl_red) & on(mug_blue, plate_white) & on(mug_white, plate_white)",
        ),
        (
            "first open the top drawer, then put the banana in it, and finally close it",
            "open(chest_white/top) > in_drawer(banana, chest_white/top) > closed(chest_white/top)",
        ),
        ("before you close the top drawer, put the banana in it", "in_drawer(banana, chest_white/top) > closed(chest_white/top)"),
        ("after opening the cabinet, put the banana in it", "open(cabinet_blue/drawer) > in_drawer(banana, cabinet_blue/drawer)"),
        (
            "build a tower of the red block, the blue one and the green one, from bottom to top",
            "stacked(block_blue, block_red) & stacked(block_green, block_blue)",
        ),
    ],
)
def test_a_sentence_asks_for_one_goal(table: EpisodeSpec, text: str, goal: str) -> None:
    assert asked(text, table) == {goal}


@pytest.mark.parametrize(
    "text",
    [
        "put the block on the plate",
        "open the drawer of the chest of drawers",
        "put the banana next to the block",
        "stack the red block on the other one",
        "I'm thirsty, hand me something to drink from",
    ],
)
def test_an_ambiguous_sentence_asks_for_several_goals(table: EpisodeSpec, text: str) -> None:
    assert len(asked(text, table)) > 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sing a song",
        "put the spoon on the plate",
        "put the banana on the banana",
        "put the plate in the top drawer and",
        "both mugs belongs on the plate",
        "put the banana in it",
        "stack the banana on the red block",
        "{object} on {destination}",
    ],
)
def test_what_says_nothing_of_the_scene_asks_for_nothing(table: EpisodeSpec, text: str) -> None:
    assert asked(text, table) == set()


def test_a_verb_settles_what_a_pronoun_means(table: EpisodeSpec) -> None:
    assert asked("put the banana in the bowl, then close it", table) == set()  # neither can be closed
    text = "open the top drawer, then put the red block in it, and then lift it up"
    assert asked(text, table) == {"open(chest_white/top) > in_drawer(block_red, chest_white/top) > lifted(block_red)"}


def test_settings_are_those_of_the_knob_that_is_spoken_of(lay_table: Any) -> None:
    spec = lay_table(props={}, fixtures={"stove_black": (0.5, 0.2), "thermostat_white": (0.5, -0.2)})
    assert asked("turn the red knob to high", spec) == {"set_to(stove_black/red_knob, =high)"}
    assert asked("set the thermostat to warm", spec) == {"set_to(thermostat_white/knob, =warm)"}
    assert asked("set the thermostat to high", spec) == set()


def test_twins_are_meant_together_or_not_at_all(lay_table: Any) -> None:
    spec = lay_table(props={"block_red": (0.4, 0.0), "block_red#2": (0.5, 0.1), "block_blue": (0.5, -0.1), "plate_white": (0.6, 0.0)})
    assert asked("put both red blocks on the plate", spec) == {"on(block_red#2, plate_white) & on(block_red, plate_white)"}
    assert len(asked("put the red block on the plate", spec)) == 2


def test_goals_said_are_predicates_in_a_fixed_order(table: EpisodeSpec) -> None:
    (goal,) = goals_said("put both mugs on the plate", table)
    assert [str(p) for p in goal] == ["on(mug_blue, plate_white)", "on(mug_white, plate_white)"]


def test_a_text_is_cut_in_every_way() -> None:
    assert set(splits("put a on b on c", ("put ", " on ", ""))) == {("a", "b on c"), ("a on b", "c")}
    assert list(splits("put a", ("put ", ""))) == [("a",)] and not list(splits("put ", ("put ", "")))


def test_wishes_are_equal_whatever_the_order_of_the_neighbours(lay_table: Any) -> None:
    spec = lay_table("between(banana, mug_white, bowl_red)", props=PROPS)
    assert understand("put the banana between the bowl and the white mug", spec) == (wish_of(spec),)
