"""What became of one demonstration that was simulated again: what is stored of it against what was found, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlagym.benchmark.collecting import motion
from vlagym.benchmark.collecting.options import PARAPHRASES
from vlagym.benchmark.collecting.sentences import paraphrases
from vlagym.benchmark.coverage import Difference
from vlagym.benchmark.noise import Noise, perturbation
from vlagym.benchmark.rollout import Rollout
from vlagym.benchmark.stored import ActionsEnded
from vlagym.envs.types import Certificate, EpisodeSpec, from_plain, sha_arrays, stream
from vlagym.results.demonstration import DatasetInfo, Demonstration

LABELS = "labels"
"""What is said of labels that nobody can confirm."""
COMMANDS, PARAPHRASED = "commands", "paraphrases"
"""The same of other conventions, and of other sentences."""
PlayAgain = Callable[[EpisodeSpec], tuple[NDArray[np.float32], NDArray[np.float32]] | None]
"""Plays an episode as it was collected, and returns its labels and what was executed; None where nobody knows how it was."""
_ARRAYS = ("proprio", "privileged")
_DIGITS = 1e-5
"""By how much commands may differ: rotations are told by functions whose last digits differ between machines."""


@dataclass(frozen=True, kw_only=True)
class DemonstrationVerdict:
    """What became of one demonstration."""

    index: int
    """In the dataset."""
    digest: str
    task: str = ""
    """"" where it names no episode, or could not be read."""
    seed: int | None = None
    steps: int = 0
    is_success: bool = False
    """As the dataset says."""
    ended_by: str | None = None
    """How the simulation ended; None where there was none."""
    differences: tuple[Difference, ...] = ()
    unchecked: tuple[str, ...] = ()
    """What of it nobody can confirm: LABELS, COMMANDS, PARAPHRASED, IMAGES, or names of arrays that are not recorded here."""
    images: int = 0
    """That it holds of each camera; 0 where none was compared."""
    moments: int = 0
    """At which images were rendered and compared."""
    error: str = ""
    """Why it could not be simulated on this machine, which is no fault of the dataset."""
    is_recorded_elsewhere: bool = False
    """It names no episode, and cannot be simulated again."""

    @property
    def is_confirmed(self) -> bool:
        return not self.differences and not self.is_recorded_elsewhere and not self.error


def of_itself(d: Demonstration, info: DatasetInfo) -> list[Difference]:
    """Returns where a demonstration contradicts its own spec, or its dataset; it is not simulated."""
    spec = d.episode
    out: list[Difference] = []
    if d.digest != spec.digest():
        out.append(Difference("spec", f"the dataset names the episode {d.digest}, and the spec that it holds is that of {spec.digest()}"))
    if d.instruction != spec.instruction:
        out.append(Difference("instruction", f"the dataset says {d.instruction!r}, the spec {spec.instruction!r}"))
    if spec.control != info.action:
        ours, theirs = info.action.name, spec.control.name
        out.append(Difference("control", f"the actions of the dataset are {ours!r}, and the spec's {theirs!r}, or of other components"))
    if info.robot and info.robot != spec.robot:
        out.append(Difference("robot", f"the dataset is said to be of {info.robot!r}, and the episode is of {spec.robot!r}"))
    if d.certificate is None:
        return [*out, Difference("certificate", "the dataset holds none: nobody can tell whether it runs as it was recorded")]
    for what, found in (("spec", spec.digest()), ("actions", sha_arrays(d.executed_actions))):
        said = getattr(d.certificate, what)
        if said != found:
            whose = "the executed actions have" if what == "actions" else "the spec has"
            out.append(Difference(what, f"the certificate says {said}, {whose} {found}"))
    return out


def of_commands(
    d: Demonstration,
    info: DatasetInfo,
    before: Sequence[Any],
    wanted: Sequence[Any],
) -> tuple[list[Difference], bool]:
    """Returns where the motion is told otherwise in other conventions than the controllers were asked for, and whether all could be looked at.

    Args:
      d: As it is stored.
      info: Of its dataset.
      before: What the controllers asked before each action, and after the last: `vlagym.envs.world.Commanded`; empty where nobody knows.
      wanted: What they would have asked after each label; without noise that is what they asked after each action.
    """
    if not info.commands:
        return [], True
    if len(before) != d.num_steps + 1:
        return [], False
    known, out = motion.conventions(d.episode), list[Difference]()
    for name, to in info.commands.items():
        if known.get(name) != to:
            return out, False
        made = [motion.told(d.episode, to, d.actions, before[:-1], after) for after in (wanted, before[1:])]
        fits = [made[0], *([made[1]] if np.array_equal(d.actions, d.executed_actions) else [])]
        if not any(np.allclose(rows, d.commands[name], rtol=_DIGITS, atol=_DIGITS) for rows in fits):
            apart = np.abs(fits[0].astype(np.float64) - d.commands[name]).max(axis=1)
            step = int(np.flatnonzero(apart > _DIGITS)[0])
            how = f"they are not what the controllers were asked for, from step {step} on, by {apart[step]:.3g}"
            out.append(Difference(f"{COMMANDS} {name}", how))
    return out, True


def of_paraphrases(d: Demonstration, provenance: Mapping[str, Any], split_digest: str) -> tuple[list[Difference], bool]:
    """Returns where other sentences are stored than are found for the episode, and whether that could be looked at."""
    if not d.paraphrases:
        return [], True
    if provenance.get("split_digest") != split_digest:
        return [], False  # the words of another version
    found = paraphrases(d.episode, int(provenance.get("paraphrases", PARAPHRASES)))
    other = [sentence for sentence in d.paraphrases if sentence not in found]
    return ([Difference(PARAPHRASED, f"{other[0]!r} is none that is found for the episode")] if other else []), True


def of_simulation(d: Demonstration, rollout: Rollout, recorded: Demonstration | None) -> list[Difference]:
    """Returns where a demonstration was simulated otherwise than it is stored.

    Args:
      d: As it is stored.
      rollout: Of its executed actions, played to the end.
      recorded: What was recorded of that rollout; None where it has no step.
    """
    error, out = rollout.error, list[Difference]()
    goes_on = error is not None and error.type == ActionsEnded.__name__
    if error is not None and not goes_on:
        out.append(Difference("simulation", f"{error.type}: {error.message}"))
    if recorded is not None:
        out += _arrays(d, recorded)
    if d.certificate is not None:
        out += _certificate(d.certificate, rollout.certificate())
    if goes_on:
        out.append(Difference("end", f"the episode goes on after its {d.num_steps} actions"))
    elif recorded is not None and recorded.num_steps != d.num_steps:
        out.append(Difference("end", f"the episode ends by {rollout.ended_by} after {recorded.num_steps} of its {d.num_steps} actions"))
    succeeds = rollout.ended_by == "goal"
    if error is None and succeeds != d.is_success:
        out.append(Difference("success", f"the dataset says {'success' if d.is_success else 'failure'}, and the episode ends by {rollout.ended_by}"))
    return out


def of_labels(d: Demonstration, provenance: Mapping[str, Any], controls: tuple[str, ...], again: PlayAgain) -> tuple[list[Difference], bool]:
    """Returns where the labels are not those whose execution is stored, and whether they could be compared with it.

    Without noise they are what was executed; with it, what was executed is made of them again by the noise that the provenance tells. Where they were
    translated after that, or idle ones left out, the episode is played again as it was collected: what is executed then shows that it is the same
    play, and what is labelled then is what the dataset should hold.

    Args:
      d: As it is stored.
      provenance: Of the dataset.
      controls: Conventions in which whoever demonstrated plays; episodes in another one were translated.
      again: Plays an episode as it was collected.
    """
    spec, told = d.episode, provenance.get("noise")
    noise = None if told is None else from_plain(Noise, told, "the provenance, its noise")
    is_executed = np.array_equal(d.actions, d.executed_actions)
    if noise is None or noise.is_quiet:
        if is_executed or noise is None:
            return [], is_executed  # whoever made the dataset does not say why they differ
        step = _first_row(d.actions, d.executed_actions)
        return [Difference(LABELS, f"without noise they are what was executed, and they differ from step {step} on")], True
    if d.digest != spec.digest():
        return [], False
    if spec.control.name in controls and not provenance.get("filter_noops"):
        disturb = perturbation(noise, spec.control, stream(spec.seed, "demo", "noise", spec.digest()))
        made = np.stack([disturb(step, label) for step, label in enumerate(d.actions)])
        if np.array_equal(made, d.executed_actions):
            return [], True
        step = _first_row(made, d.executed_actions)
        return [Difference(LABELS, f"with the noise of the provenance they do not give what was executed, from step {step} on")], True
    played = again(spec)
    if played is None or not np.array_equal(played[1], d.executed_actions):
        return [], False  # it was played by somebody else, or by another version
    if np.array_equal(played[0], d.actions):
        return [], True
    step = _first_row(played[0], d.actions)
    return [Difference(LABELS, f"played again as it was collected, the episode is labelled otherwise from step {step} on")], True


def not_recorded(d: Demonstration, recorded: Demonstration) -> list[str]:
    """Returns the names of the arrays of a demonstration that no recording of it here has, and that are therefore not confirmed."""
    return [name for group in _ARRAYS for name in getattr(d, group) if name not in getattr(recorded, group)]


def _arrays(d: Demonstration, recorded: Demonstration) -> Iterator[Difference]:
    """Yields which array first leaves what was simulated: one difference at most, of the earliest step."""
    first: tuple[int, str, str] | None = None
    for group in _ARRAYS:
        ours, theirs = getattr(d, group), getattr(recorded, group)
        for name in sorted(set(ours) & set(theirs)):
            if ours[name].shape[1:] != theirs[name].shape[1:]:
                yield Difference(name, f"stored with the shape {ours[name].shape}, simulated {theirs[name].shape}")
            elif (row := _first_row(ours[name], theirs[name])) is not None and (first is None or row < first[0]):
                by = np.abs(ours[name][row].astype(np.float64) - theirs[name][row].astype(np.float64)).max()
                first = (row, name, f"{by:.3g}")
    if first is not None:
        row, name, by = first
        yield Difference("states", f"{name} first differs before action {row}, by {by}")


def _certificate(said: Certificate, found: Certificate | None) -> Iterator[Difference]:
    if found is None:
        yield Difference("certificate", "the episode could not be simulated to an end")
        return
    for what in ("model", "initial_state", "final_state"):
        before, now = getattr(said, what), getattr(found, what)
        if before != now:
            yield Difference(what, f"the certificate says {before}, simulated {now}")


def _first_row(a: NDArray[Any], b: NDArray[Any]) -> int | None:
    rows = min(len(a), len(b))
    same = np.array([np.array_equal(x, y) for x, y in zip(a[:rows], b[:rows], strict=True)], bool)
    return None if same.all() else int(np.flatnonzero(~same)[0])
