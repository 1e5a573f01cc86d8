"""Both sides of a pairing and what lies between them, as rows of a table; and what in a declaration contradicts itself."""

from __future__ import annotations

from collections.abc import Iterator

from vlagym.envs.types import EpisodeSpec, ObservationSpec
from vlagym.policies.base import PolicySpec
from vlagym.policies.conventions import Pipeline
from vlagym.policies.conversions import grippers
from vlagym.policies.matching import say_action
from vlagym.policies.matching_observations import say_image

AS_IS = "as it is"


def station(policy: PolicySpec, episode: EpisodeSpec, rig: str | None) -> dict[str, object]:
    """Returns where it is probed, as the first row of the table.

    Args:
      policy: Its declaration.
      episode: One of those that are played.
      rig: The station; None: the robot's own.
    """
    made_for = "anywhere" if policy.rig is None else f"rig {policy.rig}"
    return _row("station", made_for, f"{episode.robot}, {f'rig {rig}' if rig else 'no rig'}, control {episode.control.name}", AS_IS)


def rows(policy: PolicySpec, pipeline: Pipeline, sent: ObservationSpec) -> Iterator[dict[str, object]]:
    """Yields each part: what the policy declares, what the environment has, and the named steps between them."""
    between = {told.part: "; ".join(told.steps) or AS_IS for told in pipeline.told()}
    steps = "" if pipeline.repeats == 1 else f"each of its steps lasts for {pipeline.repeats} of the environment's"
    yield _row("rate", f"{pipeline.policy.rate_hz:g} Hz", f"{pipeline.environment.rate_hz:g} Hz", steps or AS_IS)
    takes = {c.name: say_action(c) for c in pipeline.environment.components}
    for c in pipeline.policy.components:
        declared = "whatever there is" if policy.action is None else say_action(c)
        yield _row(f"action {c.name}", declared, takes.get(c.name, "-"), between.get(f"action {c.name}", AS_IS))
    streams = {i.name: say_image(i) for i in sent.images}
    for image, step in zip(policy.observation.images, pipeline.images, strict=True):
        yield _row(f"image {image.name}", say_image(image), f"{step.camera}: {streams[step.camera]}", between[f"image {image.name}"])
    sizes, read = {s.name: s.size for s in sent.state}, {s.name: s for s in policy.observation.state}
    for name in pipeline.state:
        arrays = list(dict.fromkeys(p.array for p in read[name].parts if p.array)) if name in read and read[name].parts else [name]
        have = ", ".join(f"{a} ({sizes[a]})" for a in arrays if a in sizes) or "-"
        yield _row(f"state {name}", f"{read[name].size if name in read else sizes[name]}", have, between[f"state {name}"])
    if policy.history != (0,):
        yield _row("history", str(policy.history), "every step", "earlier observations are kept")
    executed = f"{policy.execute_steps} of {policy.chunk_steps}"
    yield _row("chunk", f"{policy.chunk_steps} actions", "one a step", f"{executed} are executed before it is asked again")


def _row(part: str, policy: str, environment: str, between: str) -> dict[str, object]:
    return {"part": part, "policy": policy, "environment": environment, "between": between}


def remarks(policy: PolicySpec) -> Iterator[str]:
    """Yields what is worth a second look in the words alone."""
    if policy.action is None:
        return
    for c in policy.action.components:
        ends, state = grippers.ends(c), _closing_of_state(policy)
        if ends is not None and state is not None:
            name, rises = state
            if (ends[1] > ends[0]) != rises:
                told = "closing" if rises else "opening"
                command = "closing" if ends[1] > ends[0] else "opening"
                yield f"gripper: its command rises in {command} and the state {name} in {told}: so it is in LIBERO; is it here?"


def _closing_of_state(policy: PolicySpec) -> tuple[str, bool] | None:
    """Returns the first state that is made of the opening, and whether it rises in closing; an array under our own name means what it says."""
    for s in policy.observation.state:
        for part in s.parts:
            if part.array == "gripper_opening_m" and part.form in ("as_is", "two_finger_joints"):
                return s.name, part.gain < 0
    return None
