"""The split: what is kept for evaluation is data, is hashed, and is in no training episode, template or demonstration."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from vlagym import assets
from vlagym.envs import catalog, split
from vlagym.envs.errors import BadData, BadSpec, UnknownName
from vlagym.envs.layouts.cells import LayoutSplit, check_layout, layout_for
from vlagym.envs.fixtures import fixtures
from vlagym.envs.objects import catalog as objects
from vlagym.envs.language.inflection import plural
from vlagym.envs.language.phrases import language, phrases, split_of
from vlagym.envs.sampling import sample
from vlagym.envs.split import place_split, unseen_in
from vlagym.envs.task import Crowded, Draft, Region
from vlagym.envs.types import EpisodeSpec

TRAINING_SEED = 1_000_000
DRAWN = LayoutSplit(x_m=(0.0, 1.0), y_m=(-1.0, 1.0), cells=(".#..", "#..."))


# ------------------------------------------------------------------------------------------------------------ training holds nothing unseen
def _training(task: str, seed: int) -> EpisodeSpec:
    return sample(task, seed=seed, objects="seen", phrases="seen", arena_name="seen", level="mixed")


@pytest.mark.parametrize("task", catalog.names("task"))
def test_no_training_episode_shows_says_or_asks_for_anything_unseen(task: str) -> None:
    spec = _training(task, TRAINING_SEED)
    assert unseen_in(spec) == () and spec.split == "seen"


@pytest.mark.slow
@pytest.mark.parametrize("task", catalog.names("task"))
def test_no_training_episode_of_many_holds_anything_unseen(task: str) -> None:
    found = {seed: unseen_in(_training(task, seed)) for seed in range(TRAINING_SEED, TRAINING_SEED + 40)}
    assert not any(found.values()), {seed: what for seed, what in found.items() if what}


def test_the_templates_of_the_seen_split_are_none_of_the_unseen_ones() -> None:
    for name in language().families:
        seen, unseen = ({p.text for indirect in (False, True) for p in phrases(name, s, indirect=indirect)} for s in ("seen", "unseen"))
        assert seen and not seen & unseen
    for phrase in language().all_phrases.values():
        assert split_of(phrase.id) == phrase.split


def test_whatever_is_of_an_unseen_colour_material_or_kind_is_unseen_itself() -> None:
    assert split.contradictions(split.rules()) == []
    stricter = dataclasses.replace(split.rules(), colours=split.Unseen(unseen=("red",)))
    assert "block_red is seen, and the colour red is not" in split.contradictions(stricter)


def test_wholly_unseen_kinds_arenas_places_and_templates_exist() -> None:
    rules = split.rules()
    assert len(rules.kinds.unseen) >= 4 and rules.colours.unseen and rules.materials.unseen
    assert len(split.arenas_of("unseen")) >= 2 and len(split.arenas_of("seen")) >= 4 and "studio" in split.arenas_of("seen")
    assert 0.1 < rules.layout.unseen_share < 0.4
    of_kinds = {(a.kind, a.split) for a in objects().values()} | {(f.kind, f.split) for f in fixtures().values()}
    assert {kind for kind, part in of_kinds if part == "seen"}.isdisjoint(rules.kinds.unseen)
    assert set(rules.kinds.unseen) <= {kind for kind, _ in of_kinds}


def test_no_unseen_noun_stands_in_what_seen_sentences_say_around_their_nouns() -> None:
    nouns = {noun for asset in objects().values() for noun in asset.unseen_names} | {noun for f in fixtures().values() for noun in f.unseen_names}
    nouns |= {noun for fixture in fixtures().values() for joint in fixture.joints for noun in joint.unseen_names}
    pattern = re.compile(rf"\b({'|'.join(re.escape(form) for noun in nouns for form in (noun, plural(noun)))})\b", re.IGNORECASE)
    texts = [re.sub(r"\{[^{}]*\}", ";", phrase.text) for phrase in language().all_phrases.values() if phrase.split == "seen"]
    texts += [text for use in language().words.uses.values() for text in (use.clause, *use.something, *use.needs)]
    assert {text: found for text in texts if (found := pattern.findall(text))} == {}


# ------------------------------------------------------------------------------------------------------------------- what is unseen is found
def test_each_sort_of_unseen_thing_is_found_in_an_episode() -> None:
    spec = sample("pick_up", seed=3)
    assert unseen_in(spec) == ()
    scene, first = spec.scene, spec.scene.props[0]
    x, y = _unseen_place()
    unseen_object = next(a.id for a in objects().values() if a.split == "unseen")
    changed = {
        "the arena nursery": dataclasses.replace(scene, arena="nursery"),
        unseen_object: dataclasses.replace(scene, props=(dataclasses.replace(first, asset=unseen_object), *scene.props[1:])),
        f"the place of {first.name}": dataclasses.replace(scene, props=(dataclasses.replace(first, pos_world=(x, y, 0.0)), *scene.props[1:])),
    }
    for what, other in changed.items():
        assert unseen_in(dataclasses.replace(spec, scene=other)) == (what,)
    template = next(p.id for p in language().all_phrases.values() if p.split == "unseen")
    assert unseen_in(dataclasses.replace(spec, phrase=template)) == (f"the template {template}",)
    berries = dataclasses.replace(scene, props=(dataclasses.replace(first, asset="strawberry"), *scene.props[1:]))
    for text in ("take the berry", "take both berries"):
        assert unseen_in(dataclasses.replace(spec, scene=berries, instruction=text)) == ("the word 'berry'",)
    moved = dataclasses.replace(spec, scene=changed[f"the place of {first.name}"])
    assert unseen_in(moved, places=False) == ()


def test_an_unseen_word_within_a_seen_one_is_not_unseen() -> None:
    spec = sample("pick_up", seed=3)
    asset = objects()[spec.scene.props[0].asset]
    assert split.unseen_words(dataclasses.replace(spec, instruction=f"take the {asset.names[0]}")) == ()


def test_a_verb_is_no_noun_and_what_one_says_of_a_sort_is_no_unseen_word() -> None:
    spec = sample("pick_up", seed=3)
    lid, carrot = (dataclasses.replace(spec.scene.props[0], name=name, asset=name) for name in ("lid_blue", "carrot"))
    scene = dataclasses.replace(spec.scene, props=(lid, carrot))
    assert "pot cover" in objects()["lid_blue"].unseen_names and "vegetable" in objects()["carrot"].unseen_names

    def found(text: str, phrase: str) -> tuple[str, ...]:
        return split.unseen_words(dataclasses.replace(spec, scene=scene, instruction=text, phrase=phrase))

    assert found("cover the pot with the lid", "covered/cover") == ()
    assert found("cover the pot with the pot cover", "covered/cover") == ("pot cover",)
    assert found("give me something to cover the pot with", "lifted/something_give") == ()
    assert found("pick up both vegetables", "lifted/pick_up") == ()
    assert found("my mouth is dry, pick up the lid", "lifted/pick_up") == ("my mouth is dry",)


# ------------------------------------------------------------------------------------------------------------------------- arenas and places
def test_an_arena_is_drawn_from_its_split_by_the_seed() -> None:
    drawn = {word: [sample("stack", seed=s, arena_name=word, catalogue="core").scene.arena for s in range(12)] for word in ("seen", "unseen")}
    for word, names in drawn.items():
        assert len(set(names)) > 1 and {split.arena_split(name) for name in names} == {word}
    assert sample("stack", seed=4, arena_name="any", objects="unseen", catalogue="core").scene.arena in split.arenas_of("unseen")
    assert sample("stack", seed=4, arena_name="unseen", catalogue="core").split == "unseen"


def test_the_same_seed_lays_out_the_same_things_in_every_arena() -> None:
    here, there = (sample("stack", seed=5, arena_name=name, catalogue="core") for name in ("studio", "cafe"))
    assert here.scene.props == there.scene.props and here.scene.arena != there.scene.arena


def test_cells_are_counted_as_the_robot_sees_them_and_reach_beyond_the_drawing() -> None:
    assert [DRAWN.at(0.9, y) for y in (0.9, 0.4, -0.4, -0.9)] == ["seen", "unseen", "seen", "seen"]
    assert [DRAWN.at(0.1, y) for y in (0.9, 0.4)] == ["unseen", "seen"]
    assert DRAWN.at(-5.0, 9.0) == "unseen" and DRAWN.at(5.0, 0.4) == "unseen"
    assert DRAWN.unseen_share == 0.25


def test_a_seen_layout_puts_nothing_in_an_unseen_cell_and_an_unseen_one_prefers_them() -> None:
    region = Region(x_m=(0.34, 0.64), y_m=(-0.24, 0.24))
    share = {}
    for layout in ("any", "seen", "unseen"):
        found = []
        for seed in range(60):
            draft = Draft(np.random.default_rng(seed), "seen", "core", layout)
            draft.put("block_red", region)
            found.append(split.place_split(*split.start_of(draft.props[0])) == "unseen")
        share[layout] = np.mean(found)
    assert share["seen"] == 0.0 and 0.05 < share["any"] < 0.45 < share["unseen"]
    draft = Draft(np.random.default_rng(0), "seen", "core", "seen")
    with pytest.raises(Crowded, match="block_red would start in a place that is kept for evaluation"):
        draft.put_at("block_red", *_unseen_place(), 0.0)


@pytest.mark.parametrize("task", ["pick_up", "open_drawer", "press_button"])
def test_an_unseen_layout_starts_what_the_goal_is_about_in_an_unseen_place(task: str) -> None:
    spec = sample(task, seed=6, layout="unseen")
    name = spec.goal[0].things[0]
    assert f"the place of {name}" in unseen_in(spec) and spec.split == "unseen"


def test_the_small_world_knows_no_split_of_places() -> None:
    assert layout_for("default", "core") == "any" and layout_for("default", "full") == "seen" and layout_for("unseen", "core") == "unseen"
    assert sample("stack", seed=2, catalogue="core") == sample("stack", seed=2, catalogue="core", layout="any")


def _unseen_place() -> tuple[float, float]:
    grid = [(float(x), float(y)) for x in np.linspace(0.36, 0.62, 14) for y in np.linspace(-0.22, 0.22, 23)]
    return next(place for place in grid if place_split(*place) == "unseen")


# ------------------------------------------------------------------------------------------------------------------------------- the digest
def test_the_digest_changes_when_anything_changes_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    own = split.digest()
    assert own == split.digest() and len(own) == 32

    rules = split.rules()
    others = set()
    for changed in (
        dataclasses.replace(rules, arenas=split.Unseen(unseen=("cafe",))),
        dataclasses.replace(rules, layout=DRAWN),
        dataclasses.replace(rules, colours=split.Unseen(unseen=("pink",))),
    ):
        monkeypatch.setattr(split, "rules", lambda changed=changed: changed)
        others.add(split.digest.__wrapped__())
    assert len(others) == 3 and own not in others


# -------------------------------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"laboratory"', '"labratory"', r"no arena is called 'labratory'. Did you mean laboratory.*split.toml \[arenas\]"),
        ('"pink"', '"pinc"', r"no colour is called 'pinc'. Did you mean pink"),
        ('"rubber"', '"rubbr"', "no material is called 'rubbr'. Did you mean rubber"),
        ('"jar"', '"jarr"', "no kind is called 'jarr'. Did you mean jar"),
        ("[layout]", "[layouts]", "split.toml has an unknown key 'layouts'. Known: colours, materials, kinds, arenas, layout"),
        ('"...#.."', '"...#."', r"\[layout\].cells must be rows of one length"),
        ('"...#.."', '"...x.."', r"\[layout\].cells must be rows of one length with seen cells"),
        ("x_m = [0.34, 0.64]", "x_m = [0.64, 0.34]", r"\[layout\].x_m is \[0.64, 0.34\]; it must be \[low, high\]"),
    ],
)
def test_a_wrong_split_file_says_what_is_wrong(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = assets.path("split.toml").read_text()
    assert old in text
    path = tmp_path / "split.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises((BadData, UnknownName), match=message):
        split.read_rules(path)


def test_unknown_words_are_answered_with_the_known_ones() -> None:
    with pytest.raises(BadSpec, match="layout is 'unknown'; it must be any, seen or unseen"):
        check_layout("unknown")
    with pytest.raises(UnknownName, match="no layout is called 'sen'. Did you mean"):
        sample("stack", seed=0, layout="sen")
    with pytest.raises(UnknownName, match="no arena is called 'kichen'. Did you mean kitchen"):
        sample("stack", seed=0, arena_name="kichen")
    with pytest.raises(UnknownName, match="no arena is called 'cafes'. Did you mean cafe"):
        split.arena_split("cafes")


def test_a_colour_that_is_painted_on_is_seen() -> None:
    import dataclasses

    from vlagym.envs.language.phrases import language
    from vlagym.envs.sampling import sample

    spec = sample("pick_up", seed=0)
    pink = (*language().colours["pink"], 1.0)
    first, *others = spec.scene.props
    painted = dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, props=(dataclasses.replace(first, rgba=pink), *others)))
    assert f"the colour pink of {first.name}" in unseen_in(painted) and not unseen_in(spec)
