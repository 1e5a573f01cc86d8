"""What may be asked of a sentence besides its level: its templates, how it tells things apart, whose words it keeps."""

from __future__ import annotations

import functools

import pytest

from vlagym.envs.errors import Unspeakable
from vlagym.envs.language.sentences import say
from vlagym.envs.language.wording import Wording, of_families, says, templates_in
from vlagym.envs.sampling import sample
from vlagym.envs.types import EpisodeSpec, stream


@functools.cache
def episode(task: str = "place_on") -> EpisodeSpec:
    return sample(task, seed=843_000)


def said(wording: Wording, level: str = "plain", count: int = 12) -> list[tuple[str, str]]:
    return [say(episode(), stream(i, "wording"), level=level, wording=wording)[:2] for i in range(count)]


def test_a_sentence_without_wishes_is_the_one_that_was_said_before_there_were_any() -> None:
    for level in ("plain", "paraphrase", "compositional", "indirect"):
        assert say(episode(), stream(1, "x"), level=level) == say(episode(), stream(1, "x"), level=level, wording=Wording())


def test_templates_can_be_asked_for_and_left_out() -> None:
    assert {template for _, template in said(Wording(only=frozenset(("on/put_on", "on/place_on"))))} == {"on/put_on", "on/place_on"}
    others = {template for _, template in said(Wording(without=frozenset(("on/put_on",))), count=60)}
    assert len(others) > 10 and "on/put_on" not in others


def test_a_template_that_does_not_exist_leaves_nothing_to_say() -> None:
    with pytest.raises(Unspeakable, match="no plain seen sentence was found in 60 tries"):
        said(Wording(only=frozenset(("on/no_such",))), count=1)


def test_a_frame_of_politeness_can_be_asked_for_and_refused() -> None:
    assert all(template.startswith("polite/") for _, template in said(Wording(is_polite=True)))
    assert not any(template.startswith("polite/") for _, template in said(Wording(is_polite=False), "paraphrase"))


def test_things_are_told_apart_in_the_styles_that_are_asked_for() -> None:
    for text, _ in said(Wording(styles=("relation", "nearest"))):
        assert any(words in text for words in (" of the ", "behind", "next to", "beside", "between", "nearest", "closest", "farthest")), text


def test_words_of_another_sentence_are_kept_or_do_not_count() -> None:
    before = say(episode(), stream(5, "before"), level="compositional").text
    noun_phrase = f"the {before.rstrip('?').split(' the ')[-1].removesuffix(', please')}"
    assert any(says(text, noun_phrase) for text, _ in said(Wording(keeps=before), "compositional"))
    assert all(text != before for text, _ in said(Wording(styles=("plain", "adjectives"), avoids=before)))


def test_the_templates_of_a_sentence_are_read_off_its_id() -> None:
    ids = templates_in("polite/could_you(ordered/then2(on/put_on; pressed/press))")
    assert ids == {"polite/could_you", "ordered/then2", "on/put_on", "pressed/press"}
    assert of_families(ids) == {"on/put_on", "pressed/press"}


def test_words_stand_in_a_text_only_as_they_are() -> None:
    assert says("lift the mug, please", "the mug") and not says("lift the mugs", "the mug") and not says("bathe mug", "the mug")
