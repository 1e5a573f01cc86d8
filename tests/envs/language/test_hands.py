"""Which hand is to do it: said in a sentence, read back from it, and never mistaken for a place to the left or to the right."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from vlagym.envs.asset_files import Split
from vlagym.envs.errors import BadSpec
from vlagym.envs.language.clauses import clauses_of, wish_of
from vlagym.envs.language.phrases import language, split_of
from vlagym.envs.language.scene_words import scene_words
from vlagym.envs.language.sentences import levels, say
from vlagym.envs.language.understand import understand
from vlagym.envs.types import EpisodeSpec, Predicate, stream

PROPS: dict[str, tuple[float, ...]] = {
    "mug_white": (0.38, -0.2),
    "mug_blue": (0.38, 0.2),
    "apple": (0.5, 0.0),
    "bowl_red": (0.6, 0.1),
    "plate_white": (0.6, -0.18),
}
PANEL = {"panel_black_three": (0.5, 0.35)}


def lay(lay_table: Any, goal: Any = "", robot: str = "g1", **more: Any) -> EpisodeSpec:
    """Returns an episode of a robot with two hands, at a table with two mugs."""
    laid: EpisodeSpec = lay_table(goal, **({"props": PROPS, "fixtures": PANEL} | more))
    return dataclasses.replace(laid, robot=robot)


def asked(text: str, spec: EpisodeSpec) -> set[str]:
    """Returns what a sentence can ask for, each goal as text."""
    return {" > ".join(" & ".join(sorted(map(str, step))) for step in wish) for wish in understand(text, spec)}


def said(spec: EpisodeSpec, count: int, **options: Any) -> list[str]:
    """Returns sentences, each of which asks for the goal alone."""
    texts = [say(spec, stream(seed, "hands"), **options).text for seed in range(count)]
    assert all(understand(text, spec) == (wish_of(spec),) for text in texts)
    return texts


# ------------------------------------------------------------------------------------------------------------------------------ reading
@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("touch the white mug with your left hand", "by_hand(mug_white, =left) & touched(mug_white)"),
        ("use your right hand to touch the white mug", "by_hand(mug_white, =right) & touched(mug_white)"),
        ("touch the left mug with your right hand", "by_hand(mug_blue, =right) & touched(mug_blue)"),
        ("touch the mug on your right with your left hand", "by_hand(mug_white, =left) & touched(mug_white)"),
        ("touch the mug on my right with your left hand", "by_hand(mug_blue, =left) & touched(mug_blue)"),
        ("with your left hand, touch the rightmost mug as I see it", "by_hand(mug_blue, =left) & touched(mug_blue)"),
        ("put the apple on the plate, and use only your left hand", "by_hand(apple, =left) & on(apple, plate_white)"),
        ("press the red button with the right hand", "by_hand(panel_black_three, =right) & pressed(panel_black_three/red_button)"),
        ("point at the bowl", "pointed_at(bowl_red)"),
        ("point at the bowl using your left hand", "pointed_at_with(bowl_red, =left)"),
        ("I'm thirsty, hand me something to drink from", None),
        ("use your left hand: where is the bowl?", "by_hand(bowl_red, =left) & touched(bowl_red)"),
        ("pick up the apple and put it on the plate with your left hand", "by_hand(apple, =left) & on(apple, plate_white)"),
        (
            "touch the white mug with your left hand and touch the blue mug with your right hand",
            "by_hand(mug_blue, =right) & by_hand(mug_white, =left) & touched(mug_blue) & touched(mug_white)",
        ),
        (
            "after touching the white mug with your left hand, put the apple in the bowl",
            "by_hand(mug_white, =left) & touched(mug_white) > inside(apple, bowl_red)",
        ),
    ],
)
def test_a_sentence_says_which_hand(text: str, goal: str | None, lay_table: Any) -> None:
    goals = asked(text, lay(lay_table))
    assert goals == {goal} if goal is not None else len(goals) > 1


@pytest.mark.parametrize(
    "text",
    [
        "touch the white mug and touch the bowl with your left hand",
        "with your left hand, touch the white mug and touch the bowl",
        "use your left hand to touch the white mug and touch the bowl",
    ],
)
def test_a_hand_that_could_be_meant_for_one_thing_or_for_both_is_ambiguous(text: str, lay_table: Any) -> None:
    assert len(asked(text, lay(lay_table))) > 1


@pytest.mark.parametrize(
    "text",
    [
        "touch the white mug with your middle hand",
        "touch the white mug with your left foot",
        "touch the white mug with your left arm",
        "touch the white mug with your left",
        "nod with your left hand",
        "touch the mug with the left hand of the bowl",
    ],
)
def test_what_is_no_hand_of_the_robot_asks_for_nothing(text: str, lay_table: Any) -> None:
    assert asked(text, lay(lay_table)) == set()


def test_a_robot_with_one_arm_is_not_told_of_its_left_hand(lay_table: Any) -> None:
    one_armed = lay(lay_table, robot="panda")
    for text in ("touch the white mug with your left hand", "point at the white mug", "nod", "pass the apple over to your right hand"):
        assert asked(text, one_armed) == set() and asked(text, lay(lay_table))


def test_two_arms_on_a_table_are_called_arms_or_grippers(lay_table: Any) -> None:
    arms = lay(lay_table, ("touched(mug_white)", "by_hand(mug_white, =left)"), robot="panda_bimanual")
    texts = said(arms, 40, level="mixed")
    assert all(re.search(r"\bleft (arm|gripper)\b", text) and not re.search(r"\bhand\b", text) for text in texts)
    assert {word for text in texts for word in ("arm", "gripper") if word in text} == {"arm", "gripper"}
    over = lay(lay_table, "handed_over(apple, =left, =right)", robot="panda_bimanual")
    assert not any("arm" in text and "gripper" in text for text in said(over, 40))


# ------------------------------------------------------------------------------------------------------------------------------- saying
def test_goals_that_differ_in_the_hand_alone_are_told_apart(lay_table: Any) -> None:
    for main, thing in (("touched(mug_white)", "mug_white"), ("on(apple, plate_white)", "apple"), ("lifted(mug_white)", "mug_white")):
        goals = {side: lay(lay_table, (main, f"by_hand({thing}, ={side})")) for side in ("left", "right")}
        free = lay(lay_table, main)
        for side, spec in goals.items():
            for level in levels(spec):
                for split in ("seen", "unseen"):
                    for text in said(spec, 5, level=level, split=split):
                        assert f"{side} hand" in text
                        assert understand(text, free) == (wish_of(spec),), text
        for text in said(free, 40, level="mixed"):
            assert not re.search(r"(left|right) hand", text), text


def test_the_hand_is_said_in_many_ways(lay_table: Any) -> None:
    spec = lay(lay_table, ("touched(mug_white)", "by_hand(mug_white, =left)"))
    splits: tuple[tuple[Split, int], ...] = (("seen", 12), ("unseen", 10))
    for split, least in splits:
        sentences = [say(spec, stream(seed, "ways"), split=split, level="mixed") for seed in range(200)]
        ways = {re.findall(r"\b(?:after|use|first|need)/\w+", s.template_id)[0] for s in sentences}
        assert len(ways) >= least
        assert {split_of(s.template_id) for s in sentences} == {split}
    frames = [p for place in language().handed.values() for p in place]
    assert len(frames) >= 30 and sum(p.split == "unseen" for p in frames) >= len(frames) / 3


def test_a_sentence_with_a_hand_is_a_function_of_the_generator(lay_table: Any) -> None:
    spec = lay(lay_table, ("touched(mug_white)", "by_hand(mug_white, =left)"))
    first, second = ([say(spec, stream(seed, "same"), level="mixed") for seed in range(30)] for _ in range(2))
    assert first == second and len({sentence.text for sentence in first}) > 15


def test_no_sentence_puts_the_hand_where_it_could_belong_to_a_thing(lay_table: Any) -> None:
    touched = ("touched(mug_white)", "by_hand(mug_white, =left)")
    pushed = ("pushed_aside(mug_white, =left)", "by_hand(mug_white, =right)")
    for goal in (touched, pushed, "pointed_at_with(apple, =left)"):
        for level in ("plain", "paraphrase", "compositional"):
            for text in said(lay(lay_table, goal), 40, level=level):
                assert not re.search(r"(drink from|can eat|eat with|lifting it|as I see it|seen from my side|is|are) (with|using) ", text), text
                assert not re.search(r"hand to (go to|find|get hold)", text), text


def test_hands_of_steps_are_said_with_each_of_them(lay_table: Any) -> None:
    touch = ("touched(mug_white)", "by_hand(mug_white, =left)")
    press = ("pressed(panel_black_three/red_button)", "by_hand(panel_black_three, =right)")
    steps = [touch, press, "touched(apple)"]
    spec = lay(lay_table, "touched(apple)", steps=steps)
    for split in ("seen", "unseen"):
        for text in said(spec, 15, level="multi_step", split=split):
            assert text.count("left hand") == 1 and text.count("right hand") == 1
            assert text.index("left hand") < text.index("right hand") or "before" in text


def test_a_hand_at_a_button_is_a_hand_at_its_panel(lay_table: Any) -> None:
    whole = lay(lay_table, ("pressed(panel_black_three/red_button)", "by_hand(panel_black_three, =right)"))
    part = lay(lay_table, ("pressed(panel_black_three/red_button)", "by_hand(panel_black_three/red_button, =right)"))
    assert wish_of(whole) == wish_of(part)
    assert said(whole, 5) == said(part, 5)


# ----------------------------------------------------------------------------------------------------------------------------- refusals
def test_a_hand_without_anything_to_do_is_refused(lay_table: Any) -> None:
    spec = lay(lay_table, ("touched(mug_white)", "by_hand(apple, =left)"))
    with pytest.raises(BadSpec, match=r"wants by_hand\(apple, =left\), and nothing to be done to apple; say beside it what that hand is to do"):
        say(spec, stream(0))


def test_a_hand_of_a_robot_that_has_one_is_refused(lay_table: Any) -> None:
    spec = lay(lay_table, ("touched(mug_white)", "by_hand(mug_white, =left)"), robot="panda")
    with pytest.raises(BadSpec, match=r"by_hand\(mug_white, =left\); the robot has one hand, which is neither left nor right"):
        say(spec, stream(0))


def test_clauses_carry_the_hand_of_what_they_ask_for(lay_table: Any) -> None:
    goal = ("touched(mug_white)", "by_hand(mug_white, =left)", "touched(mug_blue)", "touched(apple)", "by_hand(apple, =left)")
    spec = lay(lay_table, goal)
    clauses = clauses_of(spec.goal, scene_words(spec))
    assert [(clause.side, len(clause.predicates)) for clause in clauses] == [("left", 4), (None, 1)]
    assert clauses[1].predicates == (Predicate(name="touched", args=("mug_blue",)),)
