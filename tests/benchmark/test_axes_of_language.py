"""Axes of language: other words for the same goal, words that arrive garbled, and sentences that no longer ask for it."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import itertools

import numpy as np
import pytest

from vlagym.benchmark.axis import NotApplicable, vary, vary_all
from vlagym.benchmark.episode import WorldOptions, make_world, play_episode
from vlagym.benchmark.variation.garbling import Edit, garbled, noise_words
from vlagym.benchmark.variation.gibberish import gibberish, nonsense_words
from vlagym.benchmark.variation.vocabulary import meaningful_words
from vlagym.envs.errors import BadData
from vlagym.envs.language.clauses import wish_of
from vlagym.envs.language.phrases import language, split_of
from vlagym.envs.language.understand import understand
from vlagym.envs.language.wording import says, templates_in
from vlagym.envs.sampling import sample
from vlagym.envs.split import unseen_in
from vlagym.envs.types import EpisodeSpec, Predicate
from vlagym.policies.adapters.expert import Expert
from vlagym.policies.base import EpisodeContext

TASKS = ("pick_up", "place_on", "place_relative", "stack", "open_drawer", "press_button", "sequence")
SAME_GOAL = ("paraphrase", "reference", "indirect")
CONTROLS = ("shuffled", "nonsense", "wrong")
LEVELS = (1, 2, 3, 4, 5)


@functools.cache
def twin(task: str, seed: int = 842_000, level: str = "plain") -> EpisodeSpec:
    return sample(task, seed=seed, level=level)


@functools.cache
def varied(task: str, axis: str, level: int, seed: int = 842_000) -> EpisodeSpec | None:
    """Returns the episode at a level of an axis, None where the axis says that it cannot be."""
    try:
        return vary(twin(task, seed), axis, level)
    except NotApplicable:
        return None


def all_of(axis: str, *levels: int) -> list[tuple[EpisodeSpec, EpisodeSpec]]:
    """Returns (varied, twin) of every task."""
    found = [(varied(task, axis, level), twin(task)) for task in TASKS for level in levels]
    return [(spec, before) for spec, before in found if spec is not None]


# ---------------------------------------------------------------------------------------------------------------- the same goal, said otherwise
@pytest.mark.parametrize("axis", SAME_GOAL)
def test_another_sentence_asks_for_exactly_the_same_goal(axis: str) -> None:
    pairs = all_of(axis, *LEVELS)
    assert len(pairs) >= 4 * len(LEVELS)
    for spec, before in pairs:
        assert understand(spec.instruction, spec) == (wish_of(before),), spec.instruction
        assert spec.instruction != before.instruction
        assert spec.base == before.digest() and spec.scene == before.scene and spec.goal == before.goal


@pytest.mark.parametrize(("axis", "levels"), [*((axis, LEVELS) for axis in (*SAME_GOAL, "language_noise")), *((axis, (1,)) for axis in CONTROLS)])
def test_the_same_episode_is_varied_alike_again(axis: str, levels: tuple[int, ...]) -> None:
    for level in levels:
        assert varied("place_on", axis, level) == vary(twin("place_on"), axis, level)


def test_a_paraphrase_is_made_of_another_template() -> None:
    for spec, before in all_of("paraphrase", *LEVELS):
        own = {t for t in templates_in(before.phrase) if t.partition("/")[0] in language().families}
        assert not own & templates_in(spec.phrase)


def test_a_paraphrase_of_a_high_level_is_unseen_and_says_so() -> None:
    for spec, _ in all_of("paraphrase", 1, 2):
        assert split_of(spec.phrase) == "seen" and spec.split == "seen" and not unseen_in(spec)
    for spec, _ in all_of("paraphrase", 3, 4, 5):
        assert split_of(spec.phrase) == "unseen" and spec.split == "unseen"
    assert any("the word" in what for spec, _ in all_of("paraphrase", 4, 5) for what in unseen_in(spec))
    assert not any("the word" in what for spec, _ in all_of("paraphrase", 3) for what in unseen_in(spec))


def test_the_hardest_paraphrase_is_long_and_polite() -> None:
    for spec, before in all_of("paraphrase", 5):
        assert len(spec.instruction.split()) >= min(14, len(before.instruction.split()) + 4)
        assert before.steps or "polite/" in spec.phrase


def test_things_are_called_the_same_in_a_paraphrase_of_the_first_level() -> None:
    spec, before = varied("place_on", "paraphrase", 1), twin("place_on")
    assert spec is not None
    things = [f"the {rest}" for rest in before.instruction.split(" the ")[1:]]
    assert all(says(spec.instruction, thing.rstrip("?,. ").removesuffix(", please")) for thing in things[-1:])


def test_another_reference_keeps_the_template_and_tells_things_apart_in_another_way() -> None:
    pairs = all_of("reference", *LEVELS)
    assert sum(spec.phrase == before.phrase for spec, before in pairs) >= 0.75 * len(pairs)
    comparing = [spec for spec, before in all_of("reference", 3, 4, 5) if not before.steps]
    assert {spec.level for spec in comparing} == {"compositional"}
    assert not any(unseen_in(spec) for spec, _ in pairs)


def test_nothing_is_said_by_a_need_or_a_state_that_has_no_such_sentence() -> None:
    with pytest.raises(NotApplicable, match="nobody asks for .* by a need or a state alone: its families have no indirect template"):
        vary(twin("sequence"), "indirect", 1)
    for spec, _ in all_of("indirect", *LEVELS):
        assert spec.level == "indirect"
    assert {spec.split for spec, _ in all_of("indirect", 1, 3)} == {"seen"} and {spec.split for spec, _ in all_of("indirect", 2, 4, 5)} == {"unseen"}


def test_nothing_can_be_said_again_once_the_sentence_is_gone() -> None:
    silent = dataclasses.replace(twin("place_on"), instruction="")
    for axis, level in itertools.product((*SAME_GOAL, "language_noise"), (1, 5)):
        with pytest.raises(NotApplicable, match="no sentence that could be"):
            vary(silent, axis, level)


def test_what_is_unseen_after_an_axis_is_unseen_by_its_split() -> None:
    """No leak: a varied episode that is of the seen split shows and says nothing that is kept for evaluation."""
    for axis in (*SAME_GOAL, "language_noise", *CONTROLS):
        for spec, _ in all_of(axis, *(LEVELS if axis not in CONTROLS else (1,))):
            assert spec.split == "unseen" or not unseen_in(spec), (axis, spec.instruction, unseen_in(spec))


# --------------------------------------------------------------------------------------------------------------------------------------- noise
def edits(spec: EpisodeSpec, before: EpisodeSpec) -> int:
    """Returns how many letters differ."""
    blocks = difflib.SequenceMatcher(None, before.instruction, spec.instruction, autojunk=False).get_matching_blocks()
    kept = sum(block.size for block in blocks)
    return len(spec.instruction) + len(before.instruction) - 2 * kept


def test_noise_grows_with_its_level() -> None:
    mean = [np.mean([edits(*pair) for pair in all_of("language_noise", level)]) for level in (1, 3, 5)]
    assert mean[0] < mean[1] < mean[2]


def test_noise_asks_for_no_other_goal_and_brings_in_no_word_that_means_something() -> None:
    for spec, before in all_of("language_noise", *LEVELS):
        assert set(understand(spec.instruction, spec)) <= {wish_of(before)}
        said = {word.strip(",?:;.!'").lower() for word in spec.instruction.split()}
        added = said - {word.strip(",?:;.!'").lower() for word in before.instruction.split()}
        assert not added & meaningful_words(), (added & meaningful_words(), spec.instruction)


def test_an_edit_never_makes_one_thing_of_another() -> None:
    known = ("bowel", "bowls", "blow", "bow", "bol", "bowll")
    drawn = {garbled("bowl", 1, ("typing",), (), np.random.default_rng(seed)) for seed in range(200)}
    assert {"bow", "bol", "bowll"} <= drawn
    drawn = {garbled("bowl", 1, ("typing",), known, np.random.default_rng(seed)) for seed in range(200)}
    assert len(drawn) > 10 and drawn.isdisjoint(known)


def test_names_are_not_torn_apart_where_that_is_asked() -> None:
    kinds: tuple[Edit, ...] = ("filler", "repair", "typing")
    drawn = [garbled("lift the felt pen?", 6, kinds, (), np.random.default_rng(seed), whole=("felt pen",)) for seed in range(50)]
    assert all("felt pen" in text for text in drawn)


def test_short_words_and_labels_are_left_alone_by_typing_errors() -> None:
    assert garbled("dab B 4", 9, ("typing",), (), np.random.default_rng(0)) == "dab B 4"


def test_no_word_of_noise_or_nonsense_means_anything() -> None:
    noise, nonsense = noise_words(), nonsense_words()
    texts = [*noise.fillers, *noise.repairs, *noise.openings, *noise.endings]
    texts += [word for field in dataclasses.fields(nonsense) for word in getattr(nonsense, field.name)]
    assert not {word.strip(".!") for text in texts for word in text.split()} & meaningful_words()
    assert not {*nonsense.verbs} & {*language().verbs}
    assert {*noise.neighbours} == {*"abcdefghijklmnopqrstuvwxyz"}


# ------------------------------------------------------------------------------------------------------------------------------------ controls
def test_shuffled_words_are_the_same_words_and_ask_for_nothing() -> None:
    for spec, before in all_of("shuffled", 1):
        words, mixed = before.instruction.split(), spec.instruction.split()
        assert sorted(words) == sorted(mixed) and words != mixed
        assert understand(spec.instruction, spec) == ()


def test_too_few_words_have_no_other_order() -> None:
    with pytest.raises(NotApplicable, match="'lift it' has too few words for another order"):
        vary(dataclasses.replace(twin("pick_up"), instruction="lift it"), "shuffled", 1)


def test_nonsense_is_as_long_and_names_nothing() -> None:
    texts = set()
    for spec, before in all_of("nonsense", 1):
        assert len(spec.instruction.split()) == len(before.instruction.split())
        assert understand(spec.instruction, spec) == () and not {*spec.instruction.split()} & meaningful_words()
        texts.add(spec.instruction)
    assert len(texts) == len(TASKS)


@pytest.mark.parametrize("count", range(1, 36))
def test_nonsense_has_the_number_of_words_that_is_wanted(count: int) -> None:
    assert [len(gibberish(count, np.random.default_rng(seed)).split()) for seed in range(5)] == [count] * 5


def test_a_wrong_sentence_asks_for_another_goal_of_the_scene() -> None:
    for spec, before in all_of("wrong", 1):
        assert spec.told is not None and spec.goal == before.goal
        assert understand(spec.instruction, spec) == (wish_of(dataclasses.replace(spec, goal=spec.alternatives[spec.told], steps=())),)
        assert split_of(spec.phrase) == split_of(before.phrase)


def test_a_goal_that_nobody_can_ask_for_is_not_told() -> None:
    before = twin("pick_up")
    with_a_hand = (Predicate(name="by_hand", args=(before.goal[0].args[0], "=left")),)  # a robot with one arm has no left hand
    spec = vary(dataclasses.replace(before, alternatives=(with_a_hand, before.alternatives[0])), "wrong", 1)
    assert spec.told == 1


def test_a_goal_whose_way_leads_over_a_step_out_of_turn_is_not_told() -> None:
    before = twin("sequence")
    first = (before.steps[-1][0],)
    with pytest.raises(NotApplicable, match="shares a condition with an ordered step"):
        vary(dataclasses.replace(before, alternatives=(first,)), "wrong", 1)


class Obeys(Expert):
    """Does what the sentence says, not what the episode wants."""

    def reset(self, context: EpisodeContext) -> None:
        assert context.spec is not None and context.spec.told is not None
        told = context.spec.alternatives[context.spec.told]
        super().reset(dataclasses.replace(context, spec=dataclasses.replace(context.spec, goal=told, told=None)))


@pytest.mark.parametrize("task", ["pick_up", "open_drawer", "place_on"])
def test_who_does_as_told_by_a_wrong_sentence_fails_and_is_known_to_have_listened(task: str) -> None:
    spec = varied(task, "wrong", 1)
    assert spec is not None
    world = make_world(WorldOptions(render=False))
    listens, knows = (play_episode(world, spec, policy).result for policy in (Obeys(), Expert()))
    assert (listens.ended_by, listens.measures["success"], listens.measures["named_success"]) == ("wrong_goal", 0.0, 1.0)
    assert (knows.ended_by, knows.measures["success"], knows.measures["named_success"]) == ("goal", 1.0, 0.0)
    world.close()


# ------------------------------------------------------------------------------------------------------------------------------------ together
def test_axes_of_language_add_up() -> None:
    before = twin("place_on")
    spec = vary_all(before, (("language_noise", 2), ("reference", 4), ("paraphrase", 3)))
    assert spec.axes == (("paraphrase", 3), ("reference", 4), ("language_noise", 2)) and spec.base == before.digest()
    with pytest.raises(BadData, match="'language_noise' before; 'paraphrase' comes first"):
        vary(vary(before, "language_noise", 1), "paraphrase", 1)


@pytest.mark.parametrize("level", ["compositional", "indirect", "paraphrase"])
def test_sentences_of_every_level_can_be_varied(level: str) -> None:
    before = twin("place_on", 842_001, level)
    for axis, strength in itertools.product((*SAME_GOAL, "language_noise", *CONTROLS), (1, 3)):
        if axis not in CONTROLS or strength == 1:
            try:
                assert vary(before, axis, strength).instruction != before.instruction
            except NotApplicable:
                assert axis == "indirect"


def test_a_contradictory_sentence_keeps_the_words_of_its_twin_wherever_it_can() -> None:
    alike = 0
    for task in ("pick_up", "place_on", "stack", "touch"):
        for seed in range(3):
            twin = sample(task, seed=seed)
            alike += templates_in(vary(twin, "wrong", 1).phrase) == templates_in(twin.phrase)
    assert alike >= 8  # of 12; a new sentence for each would keep hardly one
