"""What is drawn: premises that hold, splits that are kept, seeds that mean one episode."""

import dataclasses

import pytest

from vlagym.envs import catalog
from vlagym.envs.errors import BadSpec, UnknownName, Unsatisfiable
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.objects import get
from vlagym.envs.premises import broken_premise
from vlagym.envs.sampling import sample
from vlagym.envs.types import EpisodeSpec, PropSpec

TASKS = catalog.names("task")


def _splits(spec: EpisodeSpec, names: tuple[str, ...] | None = None) -> dict[str, str]:
    things = {p.name: get(p.asset).split for p in spec.scene.props} | {f.name: get_fixture(f.asset).split for f in spec.scene.fixtures}
    return {name: split for name, split in things.items() if names is None or name in names}


@pytest.mark.parametrize("task", TASKS)
def test_nothing_of_the_training_split_is_unseen(task: str) -> None:
    for seed in range(6):
        spec = sample(task, seed=840_000 + seed)
        assert set(_splits(spec).values()) <= {"seen"} and spec.split == "seen"


@pytest.mark.parametrize("task", [task for task in TASKS if task != "gesture"])  # which is about no thing
def test_what_is_asked_for_is_not_told_by_being_the_only_goal_with_something_new(task: str) -> None:
    for seed in range(6):
        spec = sample(task, seed=840_000 + seed, objects="unseen")
        new = {name for name, split in _splits(spec).items() if split == "unseen"}
        assert spec.split == "unseen" and new & set(spec.named), spec.goal
        assert any(new & set(predicate.things) for goal in spec.alternatives for predicate in goal), (spec.goal, new)


@pytest.mark.parametrize("task", TASKS)
def test_another_seed_or_split_is_another_episode(task: str) -> None:
    base = sample(task, seed=840_000)
    assert sample(task, seed=840_000).digest() == base.digest()
    others = [sample(task, seed=840_001), sample(task, seed=840_000, objects="unseen"), sample(task, seed=840_000, phrases="unseen")]
    assert len({s.digest() for s in (base, *others)}) == 4
    assert others[2].scene == base.scene and others[2].goal == base.goal and others[2].instruction != base.instruction


@pytest.mark.parametrize("task", TASKS)
def test_a_spec_survives_its_json(task: str) -> None:
    spec = sample(task, seed=840_000)
    assert EpisodeSpec.from_json(spec.to_json()) == spec


def _moved(spec: EpisodeSpec, name: str, **changes: object) -> EpisodeSpec:
    props = tuple(dataclasses.replace(p, **changes) if p.name == name else p for p in spec.scene.props)  # type: ignore[arg-type]
    return dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, props=props))


def test_each_premise_is_told_by_name(two_blocks: EpisodeSpec, already_stacked: EpisodeSpec) -> None:
    assert broken_premise(two_blocks) is None
    assert broken_premise(already_stacked) == "a goal is met at the start"
    assert broken_premise(_moved(two_blocks, "block_red", pos_world=(0.45, 0.0, 0.05))) == "block_red does not stay where it was put"
    assert broken_premise(_moved(two_blocks, "block_red", pos_world=(0.82, 0.0, 0.0))) == "block_red is out of reach"
    wall = PropSpec(name="bottle_green", asset="bottle_green", pos_world=(0.52, 0.0, 0.0), quat_world_wxyz=(1.0, 0.0, 0.0, 0.0), scale=1.6)
    hidden = dataclasses.replace(two_blocks, scene=dataclasses.replace(two_blocks.scene, props=(*two_blocks.scene.props, wall)))
    assert broken_premise(hidden) == "block_red is hidden from the front camera"
    blind = dataclasses.replace(two_blocks, scene=dataclasses.replace(two_blocks.scene, cameras=two_blocks.scene.cameras[1:]))
    assert broken_premise(blind) == "there is no camera called front"


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(UnknownName, match="no task is called 'stacks'. Did you mean stack"):
        sample("stacks", seed=0)
    with pytest.raises(UnknownName, match="no robot is called 'panda2'. Did you mean panda"):
        sample("stack", robot="panda2", seed=0)
    with pytest.raises(UnknownName, match="no level of sentences is called None. There are: compositional"):
        sample("stack", seed=0, level=None)  # type: ignore[arg-type]
    for seed in (-1, 0.5, True, None):
        with pytest.raises(BadSpec, match=f"seed is {seed}; seeds are whole numbers from 0 on"):
            sample("stack", seed=seed)  # type: ignore[arg-type]
    with pytest.raises(BadSpec, match="phrases is 'old'; it must be seen or unseen"):
        sample("stack", seed=0, phrases="old")


@pytest.mark.parametrize("task", ("pour", "push", "press_button"))
def test_a_task_that_the_small_catalogue_cannot_furnish_says_so_and_names_the_full_one(task: str) -> None:
    with pytest.raises(Unsatisfiable, match=r"the catalogue 'core' has no seen .*; the catalogue 'full' holds everything that there is"):
        sample(task, seed=0, catalogue="core")


def test_a_layout_that_says_nothing_useful_is_answered_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from vlagym.envs.task import Draft, Region, Task

    def sample_with(layout: object) -> None:
        task = Task(summary="a test", expert_s=1.0, layout=layout, plan=lambda spec: [])  # type: ignore[arg-type]
        monkeypatch.setattr("vlagym.envs.sampling.catalog.load", lambda kind, name: task if kind == "task" else _load(kind, name))
        sample("stack", seed=0)

    _load = catalog.load
    with pytest.raises(BadSpec, match="the layout of 'stack' returned NoneType; it must return a list of at least two Goals"):
        sample_with(lambda draft: None)

    def choose_typo(draft: Draft) -> None:
        draft.choose(1, role="grasp")

    with pytest.raises(UnknownName, match="no role is called 'grasp'. Did you mean graspable"):
        sample_with(choose_typo)

    def kind_typo(draft: Draft) -> None:
        draft.choose(1, role="graspable", kinds=("fruits",))

    with pytest.raises(UnknownName, match="no kind of object is called 'fruits'. Did you mean fruit"):
        sample_with(kind_typo)
    for odd, message in ((lambda draft: [1, 2], "returned a list that holds 1; it must hold Goals alone"),
                         (lambda draft: draft.choose(1, role="graspable", first_split="sen"), "first_split is 'sen'; it must be seen or unseen")):
        with pytest.raises(BadSpec, match=message):
            sample_with(odd)
    region = Region(x_m=(0.4, 0.5), y_m=(0.0, 0.1))
    for typo in (
        lambda draft: draft.put("aple", region),
        lambda draft: draft.put_at("aple", 0.45, 0.0, 0.0),
        lambda draft: draft.put_upon("aple", 0.45, 0.0, 0.1, 0.0),
    ):
        with pytest.raises(UnknownName, match="no object is called 'aple'. Did you mean apple"):
            sample_with(typo)
    with pytest.raises(UnknownName, match="no fixture is called 'cabinet_redd'. Did you mean cabinet_red"):
        sample_with(lambda draft: draft.stand("cabinet_redd", 0.5, 0.0, 0.0, keep_free_m=0.1))
    with pytest.raises(BadSpec, match=r"a Region has x_m = \(0.62, 0.36\); it must be \(low, high\)"):
        Region(x_m=(0.62, 0.36), y_m=(0.0, 0.1))
