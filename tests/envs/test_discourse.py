"""A sentence keeps the noun it has used, one view of the table, one relation a clause, and explains no two things by each other."""

from __future__ import annotations

import re

import pytest

from vlagym.envs.language.discourse import Discourse, frame_of, spelled_out
from vlagym.envs.language.noun_phrases import Reading
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
