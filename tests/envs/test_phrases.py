"""The files of a language: enough templates, unseen ones built otherwise, and every mistake in them named."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from vlagym import assets
from vlagym.envs.errors import BadData, UnknownName
from vlagym.envs.language.inflection import gerund, listed, order, plural
from vlagym.envs.objects import catalog
from vlagym.envs.language.phrases import language, phrases, read_language, split_of

FAMILIES = tuple(language().families)


# ------------------------------------------------------------------------------------------------------------------------- what is there
def test_there_are_three_hundred_templates_and_a_third_is_unseen() -> None:
    sides = r"on the \w+-hand side of|to the (left|right) of|in front of|behind|next to|on the (near|far) side of|close beside"
    texts = {re.sub(sides, "<where>", p.text): p for p in _templates()}
    unseen = [p for p in texts.values() if p.split == "unseen"]
    assert len(texts) >= 600 and len(unseen) >= len(texts) / 3


def _templates() -> list[Any]:
    return [p for family in language().families.values() for p in family.phrases]


@pytest.mark.parametrize("family", FAMILIES)
def test_unseen_templates_have_words_that_seen_ones_lack(family: str) -> None:
    def words(text: str) -> set[str]:
        return set(re.findall(r"[a-z']+", re.sub(r"\{[\w.]+\}", "", text.lower())))

    known = set().union(*(words(p.text) for p in phrases(family, "seen")))
    for phrase in phrases(family, "unseen"):
        assert words(phrase.text) - known, f"{phrase.id} is made of seen words alone"


@pytest.mark.parametrize("family", FAMILIES)
def test_templates_end_and_begin_as_sentences_do(family: str) -> None:
    said = {"setting": "high", "on_off": "on", "direction": "up", "side": "left", "hand": "left hand"}
    for phrase in language().family(family).phrases:
        words = {slot: said.get(sort, "the thing") for slot, sort in zip(language().family(family).slots, language().family(family).takes, strict=True)}
        text = phrase.fill(["right" if slot.form == "side" else words[slot.name] for slot in phrase.slots])
        assert not re.search(r"[{}\[\]|<>]|  | [,?.:;]|\b(\w+) \1\b|\b(a|an) the\b|\.$", text), text
        if re.match(r"(can|could|would you|any|is there|do you|what happens)\b", text):
            assert text.endswith("?"), text


def test_every_use_and_material_of_the_catalogue_has_words() -> None:
    words = language().words
    assert {use for a in catalog().values() for use in a.uses} <= set(words.uses)
    assert {a.material for a in catalog().values() if a.material} <= set(words.substances)
    assert {a.colour for a in catalog().values() if a.colour} <= set(words.colours)


def test_an_order_begins_with_a_verb_and_asks_for_nothing() -> None:
    for phrase in _templates():
        if phrase.is_order:
            assert phrase.text.split(" ")[0] in language().verbs and "please" not in phrase.text and not phrase.text.endswith("?")
    assert any(p.is_order for p in phrases("on", "seen")) and any(p.is_order for p in phrases("on", "unseen"))


def test_the_split_of_a_sentence_is_that_of_its_rarest_part() -> None:
    assert split_of("on/put_on") == "seen"
    assert split_of("polite/could_you(on/put_on)") == "seen"
    assert split_of("polite/could_you(on/transfer)") == "unseen"
    assert split_of("ordered/steps2(on/put_on; lifted/pick_up)") == "unseen"
    for wrong in ("on/puton", "blank"):
        with pytest.raises(UnknownName, match="no template is called"):
            split_of(wrong)


def test_what_is_several_agrees() -> None:
    by_id = {p.id: p for p in _templates()}
    assert by_id["on/take_put"].fill(["both mugs", "the tray"], plural=True) == "take both mugs and put them on the tray"
    assert by_id["on/belongs_on"].fill(["the mug", "the tray"]) == "the mug belongs on the tray"


@pytest.mark.parametrize(
    ("noun", "wanted"),
    [
        ("mug", "mugs"),
        ("box", "boxes"),
        ("dish", "dishes"),
        ("knife", "knives"),
        ("cherry", "cherries"),
        ("potato", "potatoes"),
        ("toy car", "toy cars"),
        ("roll of tape", "rolls of tape"),
        ("block with the hole", "blocks with the hole"),
        ("piece of fruit", "pieces of fruit"),
        ("box of cereal", "boxes of cereal"),
    ],
)
def test_plurals_are_english(noun: str, wanted: str) -> None:
    assert plural(noun) == wanted


def test_an_order_has_an_ing_form_and_back() -> None:
    assert gerund("put the banana down") == "putting the banana down" and order("putting the banana down") == "put the banana down"
    assert order("singing a song") is None
    assert (listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])) == ("a", "a and b", "a, b and c")


# ----------------------------------------------------------------------------------------------------------------------------- the files
PUT_ON = 'put_on = "put {object} on {destination}"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(assets.path("language/en"), tmp_path / "en"))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("families/on", PUT_ON, 'put_on = "put {thing} on {destination}"', r"^on\.toml: the template on/put_on: no slot is called 'thing'"),
        ("families/on", PUT_ON, 'put_on = "put {object} down"', r"on/put_on has the slot \{destination\} 0 times; it must stand there once"),
        ("families/on", PUT_ON, 'put_on = "put {object on} {destination}"', r"on/put_on: no slot is called 'object on'"),
        ("families/on", PUT_ON, 'put_on = "put {object} on {destination"', r"on/put_on has unpaired braces"),
        ("families/on", PUT_ON, 'put_on = "put {object} [on|onto {destination}"', r"on/put_on has unpaired brackets"),
        ("families/on", PUT_ON, 'put_on = "put {object} [on] {destination}"', r"on/put_on: \[on\] must be \[singular\|plural\]"),
        ("families/on", PUT_ON, 'put_on = "put {object.use} on {destination}"', r"\{object\.use\} is no way to fill a slot; there are \{object\}"),
        ("families/on", PUT_ON, "put_on = 3", r"on\.toml\.seen\.put_on must be str, not 3"),
        ("families/on", PUT_ON, "put_onto = 3", r"on\.toml cannot be read: Cannot overwrite a value"),
        ("families/on", PUT_ON, 'twice = "place {object} on {destination}"', r"the templates on/twice and on/place_on are the same sentence"),
        ("families/on", PUT_ON, f'{PUT_ON}\ntransfer = "x {{object}} {{destination}}"', r"on/transfer stands there twice: as seen and as unseen"),
        ("families/on", "[unseen]", "[kept]", r"on\.toml has an unknown key 'kept'"),
        ("families/on", '"movable"', '"moveable"', r"on\.toml: no sort of thing is called 'moveable'\. Did you mean movable"),
        ("families/on", 'takes = ["movable", "support"]', 'takes = ["movable"]', r"takes names 1 sorts for 2 slots; each slot needs one"),
        ("families/on", "on(object, destination)", "on(object, place)", r"on\.toml: no slot is called 'place'"),
        ("families/on", "on(object, destination)", "on object destination", r"'on object destination' is no predicate over slots"),
        ("families/left_of", 'design = "side"', 'design = "sides"', r"left_of\.toml: no design is called 'sides'\. Did you mean side"),
        ("families/left_of", 'where = "', 'here = "', r"left_of/put: no word is called 'where'\. Did you mean here"),
        ("words", "colour_probability = 0.5", "colour_probability = 1.5", r"colour_probability is 1\.5; it must lie between 0 and 1"),
        ("words", "colour_probability = 0.5", "color_probability = 0.5", r"words\.toml has an unknown key 'color_probability'"),
        ("frames", '"please {request}"', '"please {wish}"', r"frames\.toml: the frame polite/please: no slot is called 'wish'"),
        ("frames", '"{1}, then {2}"', '"{1}, then {3}"', r"frames\.toml: the frame ordered/then2: no slot is called '3'"),
    ],
)
def test_a_wrong_file_is_refused_with_the_template(folder: Path, file: str, old: str, new: str, message: str) -> None:
    path = folder / f"{file}.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadData, match=message):
        read_language(folder)


def test_a_family_without_unseen_templates_is_refused(folder: Path) -> None:
    text = 'slots = ["object"]\ntakes = ["movable"]\nmeans = ["touched(object)"]\n[seen]\na = "go to {object}"\n[unseen]\n'
    (folder / "families" / "near.toml").write_text(text, encoding="utf-8")
    with pytest.raises(BadData, match=r"the family 'near' has no unseen template; add one under \[unseen\]"):
        read_language(folder)


@pytest.mark.parametrize(
    ("means", "message"),
    [
        ("lifed(object)", r"lifted\.toml: no predicate is called 'lifed'. Did you mean lifted"),
        ("on(object)", r"lifted\.toml: 'on\(object\)' speaks of 1 things; on takes 2"),
    ],
)
def test_a_family_that_means_what_no_predicate_says_is_refused_by_its_own_file(folder: Path, means: str, message: str) -> None:
    path = folder / "families" / "lifted.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("lifted(object)", means), encoding="utf-8")
    with pytest.raises(BadData, match=message):
        read_language(folder)


def test_a_folder_without_families_is_refused(folder: Path) -> None:
    shutil.rmtree(folder / "families")
    with pytest.raises(BadData, match="en/families holds no family of sentences"):
        read_language(folder)
