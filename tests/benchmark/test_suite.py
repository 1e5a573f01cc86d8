"""A suite is data that is checked, and expands to the same episodes in the same order every time."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import fakes
import pytest

from vlagym.benchmark.axis import parse_axis, parse_variations, vary, vary_all
from vlagym.benchmark.episode import WorldOptions, make_world, play_episode
from vlagym.benchmark.entry import FIRST_DEMO_SEED, Entry
from vlagym.benchmark.suite import Suite, digest_of
from vlagym.benchmark.suite_files import FOLDER, load_suite, read_suite, suite_from_plain, suite_to_plain, task_suite
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, BadSpec, UnknownName
from vlagym.policies.loading import load_policy

ENTRY = Entry(task="place_on", episodes=3)
SUITE = Suite(name="tiny", version=1, entries=(ENTRY, Entry(task="stack", episodes=2, first_seed=5)))


def write(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


# ------------------------------------------------------------------------------------------------------------------- expansion
def test_a_suite_expands_entry_by_entry_and_seed_by_seed() -> None:
    specs = SUITE.expand(sample=fakes.sample)
    assert [(s.task, s.seed) for s in specs] == [("place_on", 0), ("place_on", 1), ("place_on", 2), ("stack", 5), ("stack", 6)]


def test_expansion_does_not_depend_on_the_number_of_processes() -> None:
    here, there = SUITE.expand(sample=fakes.sample), SUITE.expand(workers=2, sample=fakes.sample)
    assert here == there and digest_of(here) == digest_of(there)


def test_the_digest_is_of_the_episodes_and_their_order() -> None:
    specs = SUITE.expand(sample=fakes.sample)
    assert digest_of(specs) != digest_of(specs[::-1]) and digest_of(specs) != digest_of(specs[:-1])


def test_splits_reach_the_sampler() -> None:
    entry = Entry(task="place_on", episodes=1, objects="unseen", phrases="unseen")
    spec = entry.sample(0, fakes.sample)
    assert spec.split == "unseen" and spec.instruction == "the plate wants the red block"


def test_an_episode_that_comes_twice_is_refused() -> None:
    suite = Suite(name="twice", version=1, entries=(ENTRY, Entry(task="place_on", episodes=1, first_seed=2)))
    with pytest.raises(BadData, match="holds the same episode twice: place_on seed 2 and place_on seed 2"):
        suite.expand(sample=fakes.sample)


# ------------------------------------------------------------------------------------------------------------------------ axes
def test_the_blank_axis_takes_the_sentence_and_names_the_twin() -> None:
    twin = fakes.spec(3)
    blank = Entry(task="place_on", episodes=1, robot="panda", axes=("blank",)).sample(3, fakes.sample)
    assert blank.instruction == "" and blank.axes == (("blank", 1),) and blank.base == twin.digest()
    assert blank.scene == twin.scene and blank.goal == twin.goal and blank.digest() != twin.digest()


def test_level_0_of_an_axis_is_the_episode_itself() -> None:
    assert vary(fakes.spec(3), "blank", 0) == fakes.spec(3)


def test_an_axis_that_changes_more_than_it_declares_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from vlagym.benchmark.axes import blank

    monkeypatch.setattr(blank, "AXIS", replace(blank.AXIS, apply=lambda spec, level, rng: replace(spec, instruction="", horizon_s=1.0)))
    with pytest.raises(BadSpec, match="the axis 'blank' changed 'horizon_s' and declares only: instruction, phrase"):
        vary(fakes.spec(3), "blank", 1)


@pytest.mark.parametrize(("text", "parsed"), [("blank", ("blank", 1)), ("blank=0", ("blank", 0)), ("camera=3", ("camera", 3))])
def test_an_axis_is_written_with_its_level(text: str, parsed: tuple[str, int]) -> None:
    assert parse_axis(text) == parsed


def test_a_wrong_level_is_refused() -> None:
    with pytest.raises(BadData, match="written NAME or NAME=LEVEL with a whole number, not 'blank=high'"):
        parse_axis("blank=high")
    with pytest.raises(BadData, match="the axis 'blank' has no level 2. It has: 0, 1"):
        vary(fakes.spec(3), "blank", 2)
    with pytest.raises(BadData, match="was varied along 'blank' before, to level 1"):
        vary(vary(fakes.spec(3), "blank", 1), "blank", 1)


# ----------------------------------------------------------------------------------------------------------------------- files
def test_the_shipped_suites_test_below_the_seeds_of_demonstrations() -> None:
    for name in catalog.toml_names(FOLDER):
        assert max(e.seeds.stop for e in load_suite(name).entries) <= FIRST_DEMO_SEED


def test_smoke_has_ten_episodes_of_each_of_three_families() -> None:
    smoke = load_suite("smoke")
    assert [(e.task, e.episodes) for e in smoke.entries] == [("place_on", 10), ("stack", 10), ("open_drawer", 10)]


def test_blank_holds_the_twins_of_three() -> None:
    twins = {(e.task, seed) for e in load_suite("three").entries for seed in e.seeds}
    assert {(e.task, seed) for e in load_suite("blank").entries for seed in e.seeds} <= twins


def test_a_suite_is_read_as_it_was_written() -> None:
    assert suite_from_plain(suite_to_plain(SUITE), "here") == SUITE


ONE = '\n[[entry]]\ntask = "place_on"\nepisodes = 1\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "mine"\nversion = 1\ncolour = "red"' + ONE, "has an unknown key 'colour'. Known: name, version, [[entry]], about"),
        ('name = "mine"\nversion = 1' + ONE + "seed = 3\n", "entry 1 has an unknown key 'seed'. Known: task, episodes, first_seed"),
        ('name = "mine"' + ONE, "lacks the key 'version'"),
        ('name = "mine"\nversion = 1\n[[entry]]\ntask = "stack"\n', "entry 1 lacks the key 'episodes'"),
        ('name = "mine"\nversion = "1"' + ONE, "version must be a whole number, not '1'"),
        ('name = "mine"\nversion = true' + ONE, "version must be a whole number, not True"),
        ('name = "mine"\nversion = 1' + ONE + "axes = [1]\n", "axes must be a list of texts, not [1]"),
        ('name = "mine"\nversion = 1' + ONE + 'objects = "new"\n', "objects = 'new'; it must be 'seen' or 'unseen'"),
        ('name = "mine"\nversion = 1' + ONE.replace("= 1", "= 0"), "has 0 episodes; an entry has at least 1"),
        ('name = "yours"\nversion = 1' + ONE, "calls its suite 'yours'; a suite bears the name of its file, 'mine'"),
        ('name = "mine"\nversion = 1\n', "has no entries: add at least one [[entry]]"),
        ('name = "mine"\nversion = 1\nentry = 3\n', "entry must be written [[entry]]"),
        ("name = ", "is not TOML"),
    ],
)
def test_a_file_that_does_not_hold_what_it_should_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadData) as caught:
        read_suite(write(tmp_path, text))
    assert message in str(caught.value) and "mine.toml" in str(caught.value) or "'mine'" in str(caught.value)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="cannot be read: No such file"):
        load_suite(str(tmp_path / "none.toml"))


# -------------------------------------------------------------------------------------------------------------------------- bases
def test_the_base_reaches_the_sampler_and_is_written_where_it_is_said() -> None:
    asked: list[str] = []

    def sample(task: str, *, base: str, **options: str) -> object:
        asked.append(base)
        return fakes.sample(task, robot="g1", seed=0, objects="seen", phrases="seen", control="default")

    entries = (Entry(task="touch_with", episodes=1), Entry(task="touch_with", episodes=1, robot="g1", base="legs"))
    for entry in entries:
        entry.sample(0, sample)  # type: ignore[arg-type]
    assert asked == ["default", "legs"]
    suite = Suite(name="mine", version=1, entries=entries)
    plain = suite_to_plain(suite)["entry"]
    assert "base" not in plain[0] and plain[1]["base"] == "legs", "a suite from before there were bases is written as it was"
    assert suite_from_plain(suite_to_plain(suite), "here") == suite


@pytest.mark.parametrize(
    ("robot", "base", "error", "complaint"),
    [
        ("g1", "leg", UnknownName, "no base is called 'leg'. Did you mean legs"),
        ("cmu_humanoid", "legs", BadData, "'cmu_humanoid' has no base 'legs'; it has: fixed, planar. Leave --base out"),
        ("g1", "planar", BadData, "'press_with' has no base 'planar'; it has: fixed, legs"),
    ],
)
def test_a_base_that_the_body_or_the_task_has_not_is_refused_before_anything_is_sampled(
    robot: str, base: str, error: type[Exception], complaint: str
) -> None:
    suite = Suite(name="mine", version=1, entries=(Entry(task="press_with", episodes=1, robot=robot, base=base),))
    with pytest.raises(error, match=complaint):
        suite.check()


def test_unknown_names_are_answered_with_near_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"no suite is called 'smoked'. Did you mean smoke\?"):
        load_suite("smoked")
    path = write(tmp_path, 'name = "mine"\nversion = 1' + ONE.replace("place_on", "place_in"))
    with pytest.raises(UnknownName, match=r"no task is called 'place_in'. Did you mean place_on"):
        load_suite(str(path))
    path = write(tmp_path, 'name = "mine"\nversion = 1' + ONE + 'axes = ["blanc"]\n')
    with pytest.raises(UnknownName, match=r"no axis is called 'blanc'. Did you mean blank or latency\?"):
        load_suite(str(path))


OUTSIDER = """
import dataclasses
from vlagym.envs.robots.panda import ROBOT as PANDA
from vlagym.envs.tasks.open_drawer import TASK as DRAWER
TASK = dataclasses.replace(DRAWER, summary="pull a drawer", robots=("panda", "an_outsiders_task:ROBOT"))
ROBOT = PANDA
"""


@pytest.fixture
def outsider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "an_outsiders_task.py").write_text(f'"""Pull it."""\n{OUTSIDER}', encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "an_outsiders_task", raising=False)
    return "an_outsiders_task"


def test_an_outsiders_task_and_robot_are_run(outsider: str, tmp_path: Path) -> None:
    one = f'name = "mine"\nversion = 1\n[[entry]]\ntask = "{outsider}:TASK"\nepisodes = 1\nrobot = "{outsider}:ROBOT"\n'
    suite = load_suite(str(write(tmp_path, one)))
    (spec,) = suite.expand()
    world = make_world(WorldOptions(render=False))
    played = play_episode(world, spec, load_policy("expert"))
    world.close()
    assert (played.result.task, played.result.robot) == (f"{outsider}:TASK", f"{outsider}:ROBOT")
    assert played.result.outcome == "success"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ('task = "an_outsiders_task:TUSK"', "no attribute is called 'TUSK'. Did you mean TASK?"),
        ('task = "nobodys_task:TASK"', "no module 'nobodys_task' is importable"),
        ('task = "stack"\nrobot = "an_outsiders_task:ROBO"', "no attribute is called 'ROBO'. Did you mean ROBOT?"),
        ('task = "stack"\naxes = ["an_outsiders_task:AXIS=2"]', "no attribute is called 'AXIS'"),
    ],
)
def test_what_an_outsider_does_not_have_is_said_before_anything_is_sampled(outsider: str, tmp_path: Path, names: str, message: str) -> None:
    with pytest.raises(UnknownName) as caught:
        load_suite(str(write(tmp_path, f'name = "mine"\nversion = 1\n[[entry]]\nepisodes = 1\n{names}\n')))
    assert message in str(caught.value)


def test_a_suite_may_not_test_on_seeds_of_demonstrations(tmp_path: Path) -> None:
    path = write(tmp_path, 'name = "mine"\nversion = 1' + ONE + f"first_seed = {FIRST_DEMO_SEED}\n")
    with pytest.raises(BadData, match="suites stay below 1,000,000, where demonstrations begin"):
        load_suite(str(path))


# ------------------------------------------------------------------------------------------------------------------ restriction
def test_entries_that_another_base_makes_the_same_are_played_once() -> None:
    two = Entry(task="gesture", episodes=2, robot="g1")
    entries = (two, replace(two, episodes=5, base="legs"), replace(two, task="go_to", episodes=1))
    changed = Suite(name="bases", version=1, entries=entries).restrict(base="planar")
    assert [(e.task, e.episodes, e.base) for e in changed.entries] == [("gesture", 5, "planar"), ("go_to", 1, "planar")]
    twice = Suite(name="bases", version=1, entries=(two, two))
    assert len(twice.restrict(first_seed=0).entries) == 1 and len(twice.restrict().entries) == 2


def test_a_suite_can_be_restricted_and_varied() -> None:
    changed = SUITE.restrict(tasks=["stack"], episodes=7, first_seed=1, axes=["blank"])
    assert changed.entries == (Entry(task="stack", episodes=7, first_seed=1, axes=("blank",)),)
    assert SUITE.restrict() is SUITE


def test_a_task_that_is_not_in_the_suite_is_refused() -> None:
    with pytest.raises(UnknownName, match="no task is called 'open_drawer'.*looked for in the suite 'tiny'"):
        SUITE.restrict(tasks=["open_drawer"])


def test_tasks_of_the_command_line_make_a_suite() -> None:
    assert task_suite(["stack", "place_on"], episodes=4).name == "stack+place_on"


def test_a_task_that_is_named_twice_counts_once() -> None:
    assert task_suite(["stack", "stack"], episodes=4) == task_suite(["stack"], episodes=4)


# -------------------------------------------------------------------------------------------------------------------- variations
VARIED = Entry(task="place_on", episodes=3, vary=("blank",), each=2)


def test_a_suite_pairs_varied_episodes_with_its_twins() -> None:
    suite = Suite(name="paired", version=1, entries=(VARIED,))
    specs = suite.expand(sample=fakes.sample)
    twins = {s.digest(): s for s in specs if s.base is None}
    varied = [s for s in specs if s.base is not None]
    assert (suite.num_episodes, len(twins), len(varied)) == (5, 3, 2)
    assert all(s.axes == (("blank", 1),) and twins[str(s.base)].seed == s.seed for s in varied)
    assert suite.expand(workers=2, sample=fakes.sample) == specs


def test_tasks_draw_their_variations_apart() -> None:
    from vlagym.envs.sampling import sample

    cameras = {vary(sample(task, seed=0), "camera", 5).scene.cameras[0] for task in ("pick_up", "touch", "stack")}
    assert len(cameras) == 3


def test_the_levels_of_two_axes_are_played_on_different_twins() -> None:
    entry = Entry(task="place_on", robot="panda", episodes=20, vary=("blank", "nonsense"), each=4)
    taken = [{s.seed for s in entry.sample_varied(index, fakes.sample)} for index in range(2)]
    assert taken[0] != taken[1] and all(len(seeds) == 4 for seeds in taken)


@pytest.mark.parametrize(
    ("text", "variations"),
    [
        ("camera", [(("camera", 1),)]),
        ("camera=3", [(("camera", 3),)]),
        ("camera=1,3", [(("camera", 1),), (("camera", 3),)]),
        ("camera=2..4", [(("camera", 2),), (("camera", 3),), (("camera", 4),)]),
        ("camera=1,2+mass=3", [(("camera", 1), ("mass", 3)), (("camera", 2), ("mass", 3))]),
    ],
)
def test_variations_are_written_with_their_levels(text: str, variations: list[tuple[tuple[str, int], ...]]) -> None:
    assert list(parse_variations(text)) == variations


@pytest.mark.parametrize("text", ["camera=high", "camera=0", "camera=3..1", "camera=1,1", "camera=", "camera=1..", "=3"])
def test_a_variation_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(BadData, match="variation|level"):
        parse_variations(text)


def test_variations_and_their_number_stand_together() -> None:
    with pytest.raises(BadData, match="1 variations and each = 0; vary and each stand together"):
        Entry(task="stack", episodes=2, vary=("blank",))
    with pytest.raises(BadData, match="each = 3 and 2 episodes; each varied episode needs a twin of its own"):
        Entry(task="stack", episodes=2, vary=("blank",), each=3)
    with pytest.raises(BadData, match="varies 'blank=1' twice"):
        Entry(task="stack", episodes=2, vary=("blank", "blank=1"), each=1)


def test_fewer_episodes_of_each_entry_are_fewer_of_each_variation() -> None:
    suite = Suite(name="paired", version=1, entries=(VARIED,)).restrict(episodes=1)
    assert suite.num_episodes == 2 and suite.entries[0].each == 1


def test_a_variation_along_no_axis_is_refused_by_name() -> None:
    with pytest.raises(UnknownName, match="no axis is called 'blink'"):
        Suite(name="paired", version=1, entries=(Entry(task="place_on", episodes=2, vary=("blink=1",), each=1),)).check()


def test_the_costs_of_a_suite_are_weights() -> None:
    read = suite_from_plain({"name": "mine", "version": 1, "cost": {"drops": 2.0, "falls": 1}, "entry": [{"task": "stack", "episodes": 1}]}, "here")
    assert read.cost == {"drops": 2.0, "falls": 1} and suite_from_plain(suite_to_plain(read), "here") == read
    with pytest.raises(BadData, match="the cost drops = -1; weights are 0 or more"):
        Suite(name="mine", version=1, entries=(ENTRY,), cost={"drops": -1.0})
    with pytest.raises(BadData, match="cost must be a table of numbers"):
        suite_from_plain({"name": "mine", "version": 1, "cost": {"drops": "much"}, "entry": [{"task": "stack", "episodes": 1}]}, "here")


def test_things_are_exchanged_and_moved_before_others_are_added() -> None:
    from vlagym.envs.sampling import sample

    varied = vary_all(sample("pick_up", seed=3), [("distractors", 2), ("layout", 3), ("colour", 1), ("novel_object", 2)])
    assert [axis for axis, _ in varied.axes] == ["novel_object", "colour", "layout", "distractors"]


def test_a_suite_with_twins_is_not_varied_as_a_whole() -> None:
    with pytest.raises(BadData, match="there would be no unvaried twins. Leave --axis out"):
        Suite(name="paired", version=1, entries=(VARIED,)).restrict(axes=["camera=1"])


def test_a_level_that_an_axis_does_not_have_is_told_before_anything_is_sampled() -> None:
    for text, message in (("camera=9", "the axis 'camera' has no level 9"), ("camera=3+camera=2", "the axis 'camera' is given twice")):
        with pytest.raises(BadData, match=rf"paired, entry 1 \(place_on\): {message}"):
            Suite(name="paired", version=1, entries=(Entry(task="place_on", episodes=2, vary=(text,), each=1),)).check()
    with pytest.raises(BadData, match="'camera=0' is the unvaried episode: leave it out"):
        Entry(task="place_on", episodes=2, axes=("camera=0",))


def test_an_axis_of_an_outsider_that_raises_is_told_by_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from vlagym.benchmark.axis import Axis\ndef apply(spec, level, rng):\n    return 1 / 0\nAXIS = Axis(changes=('scene',), apply=apply)\n"
    (tmp_path / "raising_axis.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BadSpec, match="the axis 'raising_axis:AXIS' raised ZeroDivisionError in raising_axis.py line 3: division by zero"):
        vary(fakes.spec(3), "raising_axis:AXIS", 1)
