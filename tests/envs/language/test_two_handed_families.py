"""What a body with two hands is asked for: each family says its goal and nothing else, at every level, in words of both splits."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import pytest

from vlagym.envs.errors import BadSpec
from vlagym.envs.language.clauses import wish_of
from vlagym.envs.language.phrases import language, phrases, split_of
from vlagym.envs.language.sentences import MAX_CHARACTERS, Sentence, levels, say
from vlagym.envs.language.understand import understand
from vlagym.envs.types import EpisodeSpec, stream

FLOOR_M = -0.78
TABLE: dict[str, tuple[float, ...]] = {
    "mug_white": (0.38, -0.2),
    "mug_blue": (0.38, 0.2),
    "apple": (0.5, 0.0),
    "bowl_red": (0.6, 0.1),
    "plate_white": (0.6, -0.18),
}
TRAYS: dict[str, tuple[float, ...]] = {
    "grip_tray_green": (0.4, 0.2),
    "grip_tray_white": (0.4, -0.2),
    "apple": (0.4, 0.2, 0.01),
    "lemon": (0.4, -0.2, 0.01),
}
BOXES: dict[str, tuple[float, ...]] = {"storage_box_blue": (0.4, 0.1), "storage_box_red": (0.4, -0.25)}
TABLES: dict[str, tuple[float, ...]] = {"side_table_white": (0.0, 1.0, FLOOR_M), "side_table_brown": (0.0, -1.0, FLOOR_M)}
SHELF: dict[str, tuple[float, ...]] = {name: (0.5, y, FLOOR_M + 0.45) for name, y in (("apple", 0.1), ("mug_blue", -0.1), ("lemon", 0.25))}
ROOM: dict[str, tuple[float, ...]] = {**TABLES, "chair_red": (1.0, 1.0, FLOOR_M), "bin_white": (1.5, -0.5, FLOOR_M)}

GESTURES = ("wave_left", "wave_right", "raise_left", "raise_right", "arms_up", "bow", "nod", "shake_head")
SCENES: dict[str, tuple[Any, dict[str, tuple[float, ...]], dict[str, tuple[float, ...]]]] = {
    "pointed_at": ("pointed_at(mug_white)", TABLE, {}),
    "handed_over": ("handed_over(apple, =left, =right)", TABLE, {}),
    "held": ("held_with(mug_white, =left)", TABLE, {}),
    "hold_and_put": (("held_with(bowl_red, =left)", "inside(apple, bowl_red)", "by_hand(apple, =right)"), TABLE, {}),
    "pushed_aside": ("pushed_aside(mug_white, =left)", TABLE, {}),
    "raised": ("raised_level(grip_tray_green)", {name: TRAYS[name] for name in ("grip_tray_green", "grip_tray_white")}, {}),
    "raised_loaded": (("raised_level(grip_tray_green)", "on(apple, grip_tray_green)"), TRAYS, {}),
    "raised_with": (("raised_level(grip_tray_green)", "on(apple, grip_tray_green)"), TRAYS, {}),
    "carried_to": ("carried_to(storage_box_blue, side_table_white)", BOXES, TABLES),
    "lifted_low": ("lifted(apple)", SHELF, {"low_shelf_white": (0.5, 0.0, FLOOR_M)}),
    "faced": ("faced(chair_red)", {}, ROOM),
    "approached": ("approached(side_table_white)", {"apple": (0.4, 0.1)}, ROOM),
    **{gesture: (f"gestured(={gesture})", TABLE, {}) for gesture in GESTURES},
}
"""A scene for each family: what is asked for, props, fixtures."""


def place(
    lay_table: Any, goal: Any, props: Mapping[str, tuple[float, ...]], fixtures: Mapping[str, tuple[float, ...]], robot: str = "g1"
) -> EpisodeSpec:
    """Returns an episode by hand, with fixtures at the height that is their third number."""
    spec: EpisodeSpec = lay_table(goal, props=props, fixtures=fixtures)
    standing = tuple(dataclasses.replace(f, pos_world=(*f.pos_world[:2], (*fixtures[f.name], 0.0)[2])) for f in spec.scene.fixtures)
    return dataclasses.replace(spec, robot=robot, scene=dataclasses.replace(spec.scene, fixtures=standing))


def scene(family: str, lay_table: Any) -> EpisodeSpec:
    return place(lay_table, *SCENES[family])


def draw(spec: EpisodeSpec, count: int, **options: Any) -> list[Sentence]:
    found = [say(spec, stream(seed, "test"), **options) for seed in range(count)]
    assert all(understand(s.text, spec) == (wish_of(spec),) for s in found)
    return found


# ------------------------------------------------------------------------------------------------------------------------ every family
def test_every_family_for_two_hands_has_a_scene_here() -> None:
    assert set(SCENES) == {name for name, family in language().families.items() if family.for_two_hands}


@pytest.mark.parametrize("family", list(SCENES))
def test_a_family_has_many_templates_and_a_third_of_them_is_unseen(family: str) -> None:
    listed = language().family(family).phrases
    assert len(listed) >= 18 and sum(p.split == "unseen" for p in listed) >= len(listed) / 3
    assert sum(p.is_order for p in listed if p.split == "seen") >= 5 and any(p.is_order for p in listed if p.split == "unseen")


@pytest.mark.parametrize("family", list(SCENES))
@pytest.mark.parametrize("split", ["seen", "unseen"])
def test_every_template_asks_for_the_goal_alone(family: str, split: Any, lay_table: Any) -> None:
    spec = scene(family, lay_table)
    wanted = {p.id for p in phrases(family, split)}
    found: dict[str, Sentence] = {}
    for seed in range(60 * len(wanted)):
        sentence = say(spec, stream(seed, "test"), split=split)
        found[sentence.template_id] = sentence
        if wanted <= set(found):
            break
    assert wanted <= set(found)
    for sentence in found.values():
        assert understand(sentence.text, spec) == (wish_of(spec),), sentence
        assert sentence.level == "plain" and split_of(sentence.template_id) == split


@pytest.mark.parametrize("family", list(SCENES))
def test_every_level_reads_as_english(family: str, lay_table: Any) -> None:
    spec = scene(family, lay_table)
    for level in levels(spec):
        for split in ("seen", "unseen"):
            for sentence in draw(spec, 8, level=level, split=split, nouns="unseen" if level == "paraphrase" else "seen"):
                text = sentence.text
                assert len(text) <= MAX_CHARACTERS and text.isascii()
                assert not re.search(r"[{}\[\]<>|]|  | [,?.:;]|\b(\w+) \1\b|\b(a|an) the\b|\.$", text), text
                assert text[0].islower() or text.startswith(("I ", "I'd ", "I'm ")), text


def test_sentences_of_all_families_can_be_read(lay_table: Any) -> None:
    """Prints, with -s, a list that is to be read by a person."""
    for family in SCENES:
        spec = scene(family, lay_table)
        for level in levels(spec):
            texts = {s.text for s in draw(spec, 3, level=level)}
            print(f"{family:14} {level:14} {' | '.join(sorted(texts))}")
            assert texts


# ---------------------------------------------------------------------------------------------------------------------------- gestures
@pytest.mark.parametrize("gesture", GESTURES)
def test_a_gesture_is_told_from_every_other_one(gesture: str, lay_table: Any) -> None:
    spec = scene(gesture, lay_table)
    assert levels(spec) == ("plain", "paraphrase", "indirect")  # nothing is spoken of that could be compared
    with pytest.raises(BadSpec, match=r"has no compositional sentence; it has: plain, paraphrase, indirect"):
        say(spec, stream(0), level="compositional")
    for level in levels(spec):
        for sentence in draw(spec, 12, level=level):
            assert [str(p) for p in understand(sentence.text, spec)[0][0]] == [f"gestured(={gesture})"]


def test_gestures_are_steps_among_others(lay_table: Any) -> None:
    spec = lay_table("gestured(=nod)", props=TABLE, steps=["gestured(=bow)", "touched(apple)", "gestured(=nod)"])
    spec = dataclasses.replace(spec, robot="g1")
    texts = [s.text for split in ("seen", "unseen") for s in draw(spec, 12, level="multi_step", split=split)]
    assert any(re.search(r"bowing|nodding", text) for text in texts)


# ---------------------------------------------------------------------------------------------------------------------- hands and trays
def test_whoever_hands_over_is_told_from_whoever_takes(lay_table: Any) -> None:
    specs = {taker: place(lay_table, f"handed_over(apple, ={giver}, ={taker})", TABLE, {}) for giver, taker in (("left", "right"), ("right", "left"))}
    for taker, spec in specs.items():
        other = specs["left" if taker == "right" else "right"]
        for split in ("seen", "unseen"):
            assert all(understand(s.text, other) != (wish_of(other),) for s in draw(spec, 20, level="mixed", split=split))
        assert understand(f"pass the apple over to your {taker} hand", spec) == (wish_of(spec),)


def test_the_hand_that_a_template_leaves_out_is_the_other_one(lay_table: Any) -> None:
    spec = scene("hold_and_put", lay_table)
    for text in (
        "hold the bowl with your left hand and put the apple into it with the other",
        "put the apple into the bowl while your left hand holds it",
        "hold the bowl with your left hand and put the apple in with your right hand",
    ):
        assert understand(text, spec) == (wish_of(spec),), text
    assert understand("hold the bowl with your left hand and put the apple in with your left hand", spec) == ()


def test_a_tray_is_lifted_with_what_lies_on_it_whether_that_is_named_or_not(lay_table: Any) -> None:
    spec = scene("raised_with", lay_table)
    for text in ("lift the green tray with everything on it", "lift the green tray with the apple on it"):
        assert understand(text, spec) == (wish_of(spec),), text
    for text in ("lift the green tray with the lemon on it", "lift the white tray with everything on it"):
        assert understand(text, spec) not in ((), (wish_of(spec),)), text
    families = {re.match(r"(?:polite/\w+\()?(\w+)/", s.template_id)[1] for s in draw(spec, 40)}  # type: ignore[index]
    assert families == {"raised_loaded", "raised_with"}


def test_several_things_on_a_tray_are_spoken_of_together(lay_table: Any) -> None:
    goal = ("raised_level(grip_tray_green)", "on(apple, grip_tray_green)", "on(lemon, grip_tray_green)")
    spec = place(lay_table, goal, {**TRAYS, "lemon": (0.45, 0.2, 0.01)}, {})
    texts = [s.text for s in draw(spec, 40, level="mixed")]
    assert any("fruit" in text for text in texts) and any("everything" in text for text in texts)
    assert not any(re.search(r"without (dropping|losing) (all|both|every|each) ", text) for text in texts)
    assert understand("lift the green tray with the apple on it", spec) != (wish_of(spec),)


# ---------------------------------------------------------------------------------------------------------------------------- the room
def test_sides_are_those_of_the_robot_where_it_begins(lay_table: Any) -> None:
    chairs: dict[str, tuple[float, ...]] = {"chair_red": (1.2, 0.5, FLOOR_M), "chair_blue": (1.2, -0.5, FLOOR_M)}
    ahead = place(lay_table, "faced(chair_red)", {}, chairs)
    assert understand("turn to the chair on your left", ahead) == (wish_of(ahead),)
    turned = dataclasses.replace(ahead, robot_start=(2.4, 0.0, 3.14159))
    assert understand("turn to the chair on your right", turned) == (wish_of(turned),)
    assert understand("turn to the chair on your left", turned) != (wish_of(turned),)
    assert understand("turn to the chair on my right", ahead) == (wish_of(ahead),)
    assert understand("turn to the chair on my left", turned) == ()  # nobody sits opposite a robot that is turned away


@pytest.mark.parametrize("words", ["at the back", "at the front", "on the right"])
def test_one_cannot_say_in_front_where_things_stand_all_around(words: str, lay_table: Any) -> None:
    chairs: dict[str, tuple[float, ...]] = {"chair_red": (1.5, 0.3, FLOOR_M), "chair_blue": (-1.5, -0.2, FLOOR_M)}
    spec = place(lay_table, "faced(chair_red)", {}, chairs)
    assert len(understand(f"turn to the chair {words}", spec)) > 1
    for sentence in draw(spec, 20, level="compositional"):
        assert not re.search(r"front chair|at the (back|front)|as I see it|seen from my side", sentence.text)


def test_what_stands_on_the_floor_is_not_beside_what_lies_on_the_table(lay_table: Any) -> None:
    props = {"mug_white": (0.38, -0.3), "mug_blue": (0.38, 0.3)}
    spec = place(lay_table, "touched(mug_white)", props, {"bin_white": (0.38, -0.6, FLOOR_M)})
    for sentence in draw(spec, 40, level="compositional"):
        assert not re.search(r"(next to|beside|in front of|of|to) the (white )?(waste )?bin\b", sentence.text), sentence.text


def test_a_thing_on_a_shelf_is_spoken_of_by_the_shelf_and_not_lifted_off_the_table(lay_table: Any) -> None:
    spec = place(lay_table, "lifted(apple)", {**SHELF, "apple#2": (0.5, 0.0)}, {"low_shelf_white": (0.5, 0.0, FLOOR_M)})
    assert understand("pick up the apple on the low shelf", spec) == (wish_of(spec),)
    texts = [s.text for split in ("seen", "unseen") for s in draw(scene("lifted_low", lay_table), 60, level="mixed", split=split)]
    assert not any("the table" in text for text in texts)
    assert any(re.search(r"down|below|squat|crouch", text) for text in texts)
