"""A sentence keeps the noun it has used, one view of the table, one relation a clause, and explains no two things by each other."""

from __future__ import annotations

import re

import pytest

from vlagym.envs.language.discourse import Discourse, frame_of, spelled_out
from vlagym.envs.language.noun_phrases import Reading
from vlagym.envs.language.sentences import MAX_WORDS
from vlagym.envs.language.spatial import are_level, is_above, is_row
from vlagym.envs.sampling import sample

BASKET = Reading(frozenset(("basket",)), False, "basket")
BOOK = Reading(frozenset(("book",)), False, "book")


def test_a_thing_keeps_its_noun_whether_it_was_asked_for_or_leaned_on() -> None:
    discourse = Discourse()
    discourse.begin_clause("put {object} on {destination}")
    discourse.add("the book to the left of the basket", BOOK, (("basket", "basket"),), is_directed=True)
    assert discourse.noun_of("basket") == "basket" and discourse.noun_of("mug") is None
    assert discourse.allows("the basket", BASKET, (), is_directed=False)
    assert not discourse.allows("the fruit basket", BASKET._replace(noun="fruit basket"), (), is_directed=False)
    assert discourse.allows("the thing", BASKET._replace(noun="thing"), (), is_directed=False)


def test_a_clause_relates_once() -> None:
    discourse = Discourse()
    discourse.begin_clause("put {object} on {destination}")
    assert discourse.allows("the book next to the mug", BOOK, ("mug",), is_directed=True)
    discourse.add("the book next to the mug", BOOK, (("mug", "mug"),), is_directed=True)
    assert not discourse.allows("the basket behind the can", BASKET, ("can",), is_directed=True)
    discourse.begin_clause("move {object} onto {destination}")
    assert discourse.allows("the basket behind the can", BASKET, ("can",), is_directed=True)
    discourse.begin_clause("put {object} between {landmark} and {landmark2}")
    assert not discourse.allows("the basket behind the can", BASKET, ("can",), is_directed=True)


def test_no_two_things_explain_each_other() -> None:
    discourse = Discourse()
    discourse.add("the book behind the basket", BOOK, (("basket", "basket"),), is_directed=True)
    discourse.begin_clause("take {object}")
    assert not discourse.allows("the basket in front of the book", BASKET, ("book",), is_directed=True)


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("the leftmost mug", "table"),
        ("the mug to the left of the can", "table"),
        ("the leftmost mug as I see it", "viewer"),
        ("the mug on my left", "viewer"),
        ("the mug on your left", "table"),
        ("the red mug next to the can", None),
    ],
)
def test_left_and_right_are_those_of_one_place(text: str, frame: str | None) -> None:
    assert frame_of(text) == frame
    for goal in ("table", "viewer"):
        assert Discourse(goal).allows(text, BOOK, (), is_directed=True) == (frame in (None, goal))
        assert Discourse(goal).allows("the left drawer", BOOK, (), is_directed=False)


def test_a_phrase_before_a_destination_says_that_is() -> None:
    assert spelled_out("the ball next to the box", False) == "the ball that is next to the box"
    assert spelled_out("both balls to the right of the box", True) == "both balls that are to the right of the box"
    assert spelled_out("the ball that is to the right of the box", False) == "the ball that is to the right of the box"
    assert spelled_out("the second ball from the left", False) == "the second ball from the left"


@pytest.mark.parametrize("task", ["open_drawer", "close_drawer"])
def test_drawers_of_one_chest_stand_above_and_below_each_other_and_not_beside(task: str) -> None:
    drawer = r"(?:top|upper|highest|middle|bottom|lower|lowest) drawer"
    for seed in range(20):
        text = sample(task, seed=88_000 + seed, level="compositional").instruction
        assert not re.search(rf"{drawer} (?:that is )?(?:next to|beside|in front of|behind|to the \w+ of|between) the {drawer}", text), text


def test_parts_of_one_thing_are_counted_where_they_stand_in_one_row() -> None:
    row = [(0.5, 0.04, 0.05), (0.505, 0.0, 0.05), (0.51, -0.04, 0.05)]
    assert is_row(row) and is_row([row[2], row[0], row[1]])
    assert not is_row([*row, (0.46, 0.0, 0.05)])
    assert not is_row([(0.5, 0.0, z) for z in (0.03, 0.08, 0.13)])


def test_drawers_above_each_other_are_not_beside_each_other() -> None:
    top, bottom = (0.5, 0.0, 0.12), (0.5, 0.0, 0.04)
    assert is_above(top, bottom) and is_above(bottom, top) is False and not are_level(top, bottom)
    assert are_level((0.5, 0.1, 0.05), (0.5, 0.0, 0.05)) and is_above((0.5, 0.1, 0.05), (0.5, 0.0, 0.05)) is False


@pytest.mark.parametrize("task", ["press_button", "sort", "place_relative"])
def test_nobody_counts_past_the_third_and_no_sentence_is_too_long(task: str) -> None:
    for seed in range(12):
        text = sample(task, seed=89_000 + seed, level="compositional").instruction
        assert not re.search(r"\b(?:fourth|fifth|sixth)\b", text), text
        assert len(text.split()) <= MAX_WORDS, text
