"""Compares what a policy declares with what the environment declares, part by part, and converts between the two where it knows how.

What is compared stands in `vlagym.policies.matching` and `vlagym.policies.matching_observations`, what comes of it in `vlagym.policies.pipeline`, and
the conversions themselves, each a pure function, in `vlagym.policies.conversions`.
"""

from __future__ import annotations

from dataclasses import replace

from vlagym.envs.errors import BadSpec, ConventionMismatch
from vlagym.envs.types import ActionSpec, ObservationSpec
from vlagym.policies import matching, matching_observations
from vlagym.policies.base import PolicySpec
from vlagym.policies.contradictions import contradictions
from vlagym.policies.conversions.grippers import GRIPPER_ENDS as GRIPPER_ENDS
from vlagym.policies.conversions.scales import DISPLACEMENTS
from vlagym.policies.matching import IGNORED as IGNORED
from vlagym.policies.matching import Row, Terms
from vlagym.policies.pipeline import Link as Link
from vlagym.policies.pipeline import Pipeline as Pipeline
from vlagym.policies.steps import ActionStep as ActionStep
from vlagym.policies.steps import ImageStep as ImageStep
from vlagym.policies.steps import StateStep as StateStep

SCALABLE = DISPLACEMENTS
"""Conventions whose values may be multiplied: a displacement, so that zero means the same on both sides."""


def agreed_action(policy: PolicySpec, environment: ActionSpec) -> ActionSpec:
    """Returns the action spec that the policy's chunks must have: its own, or the environment's where it declares none."""
    return environment if policy.action is None else policy.action


def connect(policy: PolicySpec, action: ActionSpec, observation: ObservationSpec) -> Pipeline:
    """Returns the conversions between a policy and an environment.

    A policy that declares no action of its own (`hold`, `uniform`) takes the environment's components, and the environment's rate where it
    declares 0. What it is shown is what it declares, like anyone. A policy may be slower than the environment by a whole number: each of its
    steps then lasts for so many of the environment's.

    Args:
      policy: What the policy declares.
      action: What the environment takes.
      observation: What the environment sends.

    Raises:
      BadSpec: If a policy declares what cannot be, whatever the environment: see `vlagym.policies.contradictions`.
      ConventionMismatch: If any part differs in a way that no conversion is known for. The message holds both sides as a table and says
        what is wrong with each part that does not fit, and what would fit.
    """
    impossible = contradictions(policy)
    if impossible:
        raise BadSpec(f"policy {policy.name!r} {'; it '.join(impossible)}")
    sends, reads = agreed_action(policy, action), policy.observation
    if policy.action is None and reads.rate_hz == 0:
        reads = replace(reads, rate_hz=observation.rate_hz)
    if policy.reads_all_state:
        reads = replace(reads, state=observation.state)
    if policy.action is None and policy.controls and action.name not in policy.controls:
        known = " or ".join(policy.controls)
        told = f"policy {policy.name!r} acts in {known}; this episode is controlled by {action.name!r}"
        raise ConventionMismatch(f"{told}: choose --control {known}, a robot that has it, or another policy")
    repeats, row = matching.rate("action rate", sends.rate_hz, action.rate_hz)
    rows = [row, _observation_rate(sends, reads, action, observation)]
    terms = Terms(policy, 0.0 if row.wrong else sends.rate_hz, repeats, {s.name: s.size for s in observation.state})
    steps, action_rows = _actions(sends, action, terms)
    image_matches = [matching_observations.image(wanted, {i.name: i for i in observation.images}) for wanted in reads.images]
    state_matches = [matching_observations.state(wanted, observation, policy.normalisation.get(wanted.name)) for wanted in reads.state]
    rows += [*action_rows, *(row for _, row in image_matches), *(row for _, row in state_matches)]
    if any(row.wrong for row in rows):
        raise ConventionMismatch(_message(policy.name, action.name, rows))
    return Pipeline(
        policy=sends,
        environment=action,
        actions=tuple(steps),
        images=tuple(step for step, _ in image_matches),
        state=tuple(s.name for s in reads.state),
        privileged=policy.privileged,
        states=tuple(step for step, _ in state_matches if step is not None),
        ignored=tuple(c.name for c in sends.components if c.convention == IGNORED),
        repeats=repeats,
        history=tuple(policy.history),
        sticky_steps=policy.sticky_steps,
    )


def _observation_rate(sends: ActionSpec, reads: ObservationSpec, action: ActionSpec, observation: ObservationSpec) -> Row:
    """Compares the rate at which the policy reads with that at which it acts: there is one step for both."""
    row = Row("observation rate", f"{reads.rate_hz:g} Hz", f"{observation.rate_hz:g} Hz")
    if not abs(reads.rate_hz - sends.rate_hz) <= 1e-6:
        wrong = f"{reads.rate_hz:g} Hz is not {sends.rate_hz:g} Hz, at which it acts: a policy is asked once for each of its steps"
        return row._replace(wrong=wrong)
    if not abs(action.rate_hz - observation.rate_hz) <= 1e-6:
        return row._replace(wrong=f"the environment sends at {observation.rate_hz:g} Hz and takes actions at {action.rate_hz:g} Hz")
    return row


def _actions(sends: ActionSpec, action: ActionSpec, terms: Terms) -> tuple[list[ActionStep], list[Row]]:
    steps, rows = [], []
    have = {c.name: c for c in sends.components}
    for theirs in action.components:
        step, row = matching.action(have.pop(theirs.name, None), theirs, terms)
        steps.append(step)
        rows.append(row)
    known = ", ".join(c.name for c in action.components)
    for extra in have.values():
        row = Row(f"action {extra.name}", matching.say_action(extra), "-")
        if extra.convention == IGNORED:
            rows.append(row._replace(environment="ignored"))
            continue
        control = matching.control_of(extra)
        hint = "" if control in (None, action.name) else f"; an episode that is controlled by {control} does: choose --control {control}"
        rows.append(row._replace(wrong=f"the environment takes no such component; it takes {known}{hint}"))
    return steps, rows


def _message(policy: str, environment: str, rows: list[Row]) -> str:
    head = Row("", f"policy {policy}", f"environment {environment}")
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(3)]
    table = ["  ".join(cell.ljust(w) for cell, w in zip(row[:3], widths, strict=True)) + ("  <-" if row.wrong else "") for row in [head, *rows]]
    wrong = [f"- {row.part}: {row.wrong}" for row in rows if row.wrong]
    lines = [
        f"policy {policy!r} and the environment do not fit in {len(wrong)} of {len(rows)} parts, and no conversion is known:",
        *("  " + line.rstrip() for line in table),
        *wrong,
        "Declare in the policy's spec or profile what it was trained with: nothing is guessed.",
    ]
    return "\n".join(lines)
