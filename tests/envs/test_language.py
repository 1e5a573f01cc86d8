"""Sentences say what the goal says, of exactly one thing, and are drawn again from the same state."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym import assets
from vlagym.envs.errors import BadData, BadSpec, UnknownName
from vlagym.envs.fixtures import fixtures
from vlagym.envs.language import Nameable, Thing, colour_word, describe, language, phrases, read_language, redraw, render
from vlagym.envs.objects import catalog, get
from vlagym.envs.types import ActionSpec, EpisodeSpec, FixtureSpec, Predicate, PropSpec, SceneSpec, stream

FAMILIES = ("inside", "on", "open", "stacked")
RED, BLUE = get("block_red"), get("block_blue")


def thing(name: str, colour: str | None = None, unseen: tuple[str, ...] = ()) -> Thing:
    return Thing(kind=name, names=(name,), unseen_names=unseen, colour=colour)


def said(target: Nameable, others: list[Nameable], split: Any = "seen") -> set[str]:
    return {describe(target, others, stream(seed, "test"), split) for seed in range(40)}


def episode(goal: tuple[Predicate, ...], paint: tuple[float, float, float, float] | None = None) -> EpisodeSpec:
    ids = ("block_red", "block_blue", "banana", "plate_white", "bowl_white")
    props = tuple(PropSpec(name=i, asset=i, pos_world=(0, 0, 0), quat_world_wxyz=(1, 0, 0, 0), rgba=paint if i == "block_red" else None) for i in ids)
    cabinets = tuple(FixtureSpec(name=f"cabinet{i}", asset=f"cabinet_{c}", pos_world=(0, 0, 0), yaw_rad=0) for i, c in enumerate(("red", "white")))
    return EpisodeSpec(
        task="t",
        robot="r",
        scene=SceneSpec(arena="a", props=props, fixtures=cabinets),
        robot_qpos=(),
        goal=goal,
        stages=(),
        alternatives=(),
        instruction="",
        phrase="",
        control=ActionSpec(name="x", components=(), rate_hz=20),
        horizon_s=1,
    )


# ------------------------------------------------------------------------------------------------------------------ noun phrases
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
        assert not any(noun in phrase for phrase in said(asset, []) for noun in asset.unseen_names)


def test_a_noun_that_fits_two_things_gives_way_to_one_that_fits_one() -> None:
    apple, pear = get("apple"), get("pear")
    assert said(pear, [apple], "unseen") == {"the pear"}  # the apple is a fruit as well


def test_a_rival_of_no_stated_colour_could_have_any() -> None:
    rival = Thing(kind="x", names=("block",), unseen_names=(), colour=None)
    assert said(RED, [rival]) == {"the red cube", "the cube"}


def test_twins_cannot_be_told_apart() -> None:
    with pytest.raises(BadSpec, match=r"no phrase tells the red block from the red block\. Give them other colours"):
        describe(RED, [BLUE, RED], stream(0))


# --------------------------------------------------------------------------------------------------------------------- sentences
def test_a_sentence_is_a_function_of_the_generator() -> None:
    scene = [RED, BLUE, get("plate_white")]
    slots = {"object": RED, "destination": scene[2]}
    first = [render("on", slots, scene, stream(seed, "words")) for seed in range(20)]
    assert first == [render("on", slots, scene, stream(seed, "words")) for seed in range(20)]
    assert len(set(first)) > 10


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("split", ["seen", "unseen"])
def test_every_template_of_a_split_is_drawn_and_no_other(family: str, split: Any) -> None:
    scene: list[Nameable] = [RED, BLUE, fixtures()["cabinet_red"], fixtures()["cabinet_blue"]]
    slots = {slot: scene[i + 2 * (slot == "fixture")] for i, slot in enumerate(language().family(family).slots)}
    rng = np.random.default_rng(0)
    drawn = {render(family, slots, scene, rng, split).template_id for _ in range(400)}
    assert drawn == {p.id for p in phrases(family, split)}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_sentence_reads_as_english_and_names_every_thing(family: str) -> None:
    wide: list[Nameable] = [*catalog().values(), *fixtures().values()]
    rng = np.random.default_rng(1)
    slots = language().family(family).slots
    for phrase in (*phrases(family, "seen"), *phrases(family, "unseen")):
        fill = {slot: wide[int(rng.integers(len(wide)))] for slot in slots}
        text = phrase.text.format(**{slot: describe(t, [], rng) for slot, t in fill.items()})
        assert all(any(noun in text for noun in t.names) for t in fill.values())
        assert not re.search(r"[{}]|  | [,?.:;]|\bthe the\b|\b(a|an) the\b|\b(on|in|to|of) (on|in|to|of)\b|\.$", text), text
        assert text.endswith("?") == bool(re.match(r"(can|could|would|any)\b", phrase.text)), text
        assert text[0].islower() or text.startswith(("I ", "I'd ")), text


@pytest.mark.parametrize("family", FAMILIES)
def test_there_are_enough_templates_and_unseen_ones_are_built_otherwise(family: str) -> None:
    seen, unseen = phrases(family, "seen"), phrases(family, "unseen")
    assert len(seen) >= 24 and len(unseen) >= 10

    def words(text: str) -> set[str]:
        return set(re.findall(r"[a-z']+", re.sub(r"\{\w+\}", "", text.lower())))

    known = set().union(*(words(p.text) for p in seen))
    for phrase in unseen:
        assert words(phrase.text) - known, f"{phrase.id} is made of seen words alone"


@pytest.mark.parametrize("split", ["seen", "unseen"])
def test_two_slots_come_in_both_orders(split: Any) -> None:
    for family in ("on", "inside", "stacked"):
        orders = {p.text.index("{object}") < p.text.index("{destination}") for p in phrases(family, split)}
        assert orders == {True, False}


def test_an_open_or_strange_slot_is_refused() -> None:
    with pytest.raises(BadSpec, match=r"sentences of 'on' have the slots object, destination; given: object"):
        render("on", {"object": RED}, [RED], stream(0))
    with pytest.raises(BadSpec, match=r"the slot 'object' \(the red block\) is not among the things of the scene"):
        render("on", {"object": RED, "destination": BLUE}, [BLUE], stream(0))
    with pytest.raises(UnknownName, match=r"no family of sentences is called 'opne'\. Did you mean open"):
        render("opne", {}, [], stream(0))


# ------------------------------------------------------------------------------------------------------------- drawing it again
@pytest.mark.parametrize(
    ("goal", "nouns"),
    [
        (Predicate(name="on", args=("block_red", "plate_white")), (r"red (block|cube)", r"plate")),
        (Predicate(name="inside", args=("banana", "bowl_white")), (r"banana", r"bowl")),
        (Predicate(name="stacked", args=("block_blue", "block_red")), (r"blue (block|cube)", r"red (block|cube)")),
        (Predicate(name="open", args=("cabinet1/drawer",)), (r"white cabinet",)),
    ],
)
def test_the_sentence_of_an_episode_is_drawn_again_from_its_goal(goal: Predicate, nouns: tuple[str, ...]) -> None:
    spec = episode((goal,))
    for seed in range(10):
        sentence = redraw(spec, stream(seed, "again"))
        assert sentence == redraw(spec, stream(seed, "again"))
        assert sentence.template_id.split("/")[0] == goal.name
        assert all(re.search(noun, sentence.text) for noun in nouns), sentence
    assert redraw(spec, stream(0), split="unseen").template_id in {p.id for p in phrases(goal.name, "unseen")}


def test_paint_changes_the_colour_word() -> None:
    spec = episode((Predicate(name="on", args=("block_red", "plate_white")),), paint=(0.1, 0.55, 0.2, 1.0))
    texts = {redraw(spec, stream(seed)).text for seed in range(20)}
    assert all("green" in text and "red " not in text for text in texts)
    assert colour_word((0.9, 0.5, 0.1, 1.0)) == "orange"


def test_a_goal_that_says_more_than_the_sentence_is_refused() -> None:
    goal = (Predicate(name="on", args=("banana", "plate_white")), Predicate(name="on", args=("block_red", "plate_white")))
    with pytest.raises(BadSpec, match=r"names block_red, which a sentence made of on\(banana, plate_white\) does not mention"):
        redraw(episode(goal), stream(0))
    with pytest.raises(BadSpec, match=r"the goal on\(banana\) has 1 arguments"):
        redraw(episode((Predicate(name="on", args=("banana",)),)), stream(0))
    with pytest.raises(UnknownName, match=r"no thing of the scene is called 'bananna'\. Did you mean banana"):
        redraw(episode((Predicate(name="on", args=("bananna", "plate_white")),)), stream(0))


# ---------------------------------------------------------------------------------------------------------------------- the file
PUT_ON = 'put_on = "put {object} on {destination}"'
NEAR = """
colour_probability = 0.5
[colours]
[family.near]
slots = ["object"]
[family.near.seen]
a = "go to {object}"
[family.near.unseen]
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (PUT_ON, 'put_on = "put {thing} on {destination}"', r"^en\.toml: the template on/put_on: no slot is called 'thing'"),
        (PUT_ON, 'put_on = "put {object} down"', r"on/put_on has the slot \{destination\} 0 times; it must stand there once"),
        (PUT_ON, 'put_on = "put {object on} {destination}"', r"on/put_on: no slot is called 'object on'"),
        (PUT_ON, 'put_on = "put {object} on {destination"', r"on/put_on has unpaired braces"),
        (PUT_ON, "put_on = 3", r"en\.toml\.family\.on\.seen\.put_on must be str, not 3"),
        (PUT_ON, 'put_onto = 3', r"en\.toml cannot be read: Cannot overwrite a value"),
        (PUT_ON, 'twice = "place {object} on {destination}"', r"the templates on/twice and on/place_on are the same sentence"),
        ("colour_probability = 0.5", "colour_probability = 1.5", r"colour_probability is 1\.5; it must lie between 0 and 1"),
        ("colour_probability = 0.5", "color_probability = 0.5", r"en\.toml has an unknown key 'color_probability'"),
        ('[family.open.unseen]', '[family.open.kept]', r"en\.toml\.family\.open has an unknown key 'kept'"),
    ],
)
def test_a_wrong_language_file_is_refused_with_the_template(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = assets.path("language/en.toml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "en.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadData, match=message):
        read_language(tmp_path / "en.toml")


def test_a_family_without_unseen_templates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "xx.toml").write_text(NEAR, encoding="utf-8")
    with pytest.raises(BadData, match=r"the family 'near' has no unseen template; add one under \[family\.near\.unseen\]"):
        read_language(tmp_path / "xx.toml")


def test_an_id_is_either_seen_or_unseen(tmp_path: Path) -> None:
    (tmp_path / "xx.toml").write_text(NEAR + 'a = "walk to {object}"', encoding="utf-8")
    with pytest.raises(BadData, match=r"the template near/a is both seen and unseen"):
        read_language(tmp_path / "xx.toml")
