"""Make a gesture: wave, raise a hand, put both arms up, nod, shake the head, bow. What stands on the table is only there to be left alone.

Which gestures a scene offers depends on the body: only who has a neck nods and shakes the head (the G1 has none), and a trunk that its hands lead
bows only on legs, where its lean is commanded.
"""

from vlagym.envs.task import Draft, Goal, Region, Skill, Task
from vlagym.envs.types import EpisodeSpec, Predicate

_OF_NECK = ("nod", "shake_head")
_OF_HANDS = ("wave_left", "wave_right", "raise_left", "raise_right", "arms_up")


def _goal(name: str) -> Goal:
    done = Predicate(name="gestured", args=(f"={name}",))
    return Goal(conditions=(done,), stages=(done,))


def _layout(draft: Draft) -> list[Goal]:
    rng, work = draft.rng, draft.work
    for name in draft.choose(int(rng.integers(0, 4)), role="graspable", suits=lambda asset: asset.size_m[2] < 0.13):
        draft.put(name, Region(x_m=(work.x_m[0] + 0.05, work.x_m[1]), y_m=work.y_m))
    has_neck = any(group.kind == "neck" for group in draft.robot.groups)
    names = [*_OF_HANDS, *(_OF_NECK if has_neck else ()), *(("bow",) if draft.base == "legs" else ())]
    asked = names.pop(int(draft.variety.integers(len(names))))
    return [_goal(asked), *(_goal(name) for name in names)]


def _plan(spec: EpisodeSpec) -> list[Skill]:
    gesture = spec.goal[0].args[0]
    if gesture == "=bow":
        return [Skill(name="bow", args=())]
    skill = "move_head" if gesture[1:] in _OF_NECK else "gesture"
    return [Skill(name=skill, args=(gesture,)), Skill(name="retreat", args=())]


TASK = Task(
    summary="make the gesture that is asked for",
    expert_s=3.0,
    layout=_layout,
    plan=_plan,
    robots=("g1", "cmu_humanoid"),
    bases=("fixed", "planar", "legs"),
    cannot={"panda_bimanual": "two arms on a table have no head, to which a raised hand could be compared"},
)
