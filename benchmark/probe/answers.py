"""A policy's answers to what the expert saw, held against what the expert did: does its declaration explain them, or does another one?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vlagym.benchmark.probe import suspicions
from vlagym.benchmark.probe.demonstrations import Demonstration
from vlagym.benchmark.probe.encoding import Encoder, wishes
from vlagym.benchmark.probe.intents import Intents, correlations, is_active, losses_by_part, of_chunk, of_expert, stacked
from vlagym.benchmark.probe.suspicions import Suspicion
from vlagym.envs.errors import ConventionMismatch, VlagymError
from vlagym.envs.types import ActionChunk, Observation, ObservationSpec, canonical_json, to_plain
from vlagym.policies.base import EpisodeContext, Normalisation, Policy, PolicySpec
from vlagym.policies.conventions import Pipeline, connect

Array = NDArray[np.float64]
FOLLOWS = 0.4
"""Cosine between what is said and what the expert does, over all observations, from which on answers are said to follow it."""
SURE, LIKELY = 4.0, 2.5
"""Standard errors by which another reading must be better to be named, and to be spoken of as one that may be right."""
BETTER = 0.15
"""Share of the error that it must explain."""
BETTER_IN_PART, FEWEST = 0.4, 6
"""The same for one part alone, and observations in which the expert does something in it."""
MOST = 2
"""Mistakes that are looked for, one behind the other."""


class Sample(NamedTuple):
    """One observation of one demonstration."""

    shown: Demonstration
    step: int

    @property
    def observation(self) -> Observation:
        return self.shown.seen[self.step]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How well one reading of a policy's answers explains them."""

    suspicion: Suspicion | None
    """None: as it is declared."""
    parts: dict[str, Array]
    """Part -> (N,) as `vlagym.benchmark.probe.intents.losses_by_part`."""
    said: Intents

    @property
    def losses(self) -> Array:
        """(N,), the mean over the parts."""
        return np.asarray(np.mean(list(self.parts.values()), axis=0))

    @property
    def loss(self) -> float:
        """0: as the expert; 1: as if it said nothing."""
        return float(self.losses.mean())


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What came of it."""

    num: int
    """Observations."""
    declared: Fit
    findings: tuple[Suspicion, ...]
    """What looks wrong, the most telling first."""
    after: Fit
    """The answers as they are read when that is right."""
    tried: tuple[Fit, ...]
    """All readings of the first round, the best first."""
    wanted: Intents
    follows: bool
    """Whether the answers follow the expert in some reading: without it there is no evidence."""
    likely: Fit | None = None
    """A reading that fits better than all that was named, and not so surely that it is named."""

    def rows(self) -> Iterator[dict[str, object]]:
        """Yields what each number of an action has in common with the expert's, as declared."""
        for name, wanted in self.wanted.parts.items():
            said = self.declared.said.parts[name]
            own = correlations(said, wanted)
            for i in range(wanted.shape[1]):
                strongest = int(np.abs(own[i]).argmax())
                spread = float(wanted[:, i].std())
                slope = float(said[:, i].std() / spread) if spread > 1e-9 else float("nan")
                other = f"{name}[{strongest}] {own[i, strongest]:+.2f}" if strongest != i and abs(own[i, strongest]) > abs(own[i, i]) + 0.2 else ""
                yield {"of the action": f"{name}[{i}]", "goes with the expert's": f"{own[i, i]:+.2f}", "size": f"{slope:.2f}", "rather with": other}


class Interrogation:
    """Asks a policy about observations of demonstrations, under any declaration of what it reads and sends."""

    def __init__(self, policy: Policy, samples: Sequence[Sample], sent: ObservationSpec) -> None:
        """Prepares; nothing is asked yet.

        Args:
          policy: With an action of its own.
          samples: Of episodes under the control that takes its actions.
          sent: What the environment sends.
        """
        self._policy, self._samples, self._sent = policy, samples, sent
        self._control = samples[0].shown.spec.control
        self._answers: dict[str, list[NDArray[np.float32]]] = {}
        spec = policy.spec
        action = spec.action or self._control
        self._repeats = round(self._control.rate_hz / action.rate_hz)
        self._rows = spec.execute_steps
        joint_names = any(c.name == "joints" for c in self._control.components)
        self._names = ("joints", "gripper") if joint_names else ("translation", "rotation", "gripper")
        self.wanted = stacked([of_expert(s.shown, s.step, self._rows * self._repeats, self._names) for s in samples])
        self.place_m = np.array([s.observation.proprio["ee_target_pos_base_m"] for s in samples], np.float64)
        self.hand = Rotation.from_quat([np.roll(s.observation.proprio["ee_target_quat_base_wxyz"].astype(np.float64), -1) for s in samples])

    def said(self, spec: PolicySpec) -> Intents:
        """Returns what the policy says if `spec` is what it means.

        Raises:
          ConventionMismatch: If the environment cannot hear that.
        """
        pipeline = connect(spec, self._control, self._sent)
        key = canonical_json(to_plain((spec.observation, {n: by for n, by in spec.normalisation.items() if n in pipeline.state})))
        if key not in self._answers:
            self._answers[key] = self._ask(pipeline)
        rows, listening = [], pipeline.without_clipping()  # what goes too far tells of a wrong scale
        for sample, values in zip(self._samples, self._answers[key], strict=True):
            observation = sample.observation
            driven = listening.open().drive(ActionChunk(values=values[: self._rows], spec=pipeline.policy), observation).astype(np.float64)
            row = of_chunk(driven, self._control, observation, sample.shown.joint_target_rad[sample.step])
            rows.append({name: row[name] for name in self._names})
        return stacked(rows)

    def _ask(self, pipeline: Pipeline) -> list[NDArray[np.float32]]:
        out, last = [], None
        for sample in self._samples:
            spec = sample.shown.spec
            if sample.shown is not last:
                context = EpisodeContext(slot=0, instruction=spec.instruction, action=spec.control, digest=spec.digest())
                self._policy.reset(context)
                last = sample.shown
            # A link of its own: where a policy looks back, the present stands in for what nobody kept.
            shown = pipeline.open().show(sample.observation)
            out.append(np.array(self._policy.act({0: shown})[0].values))
        return out


def judge(policy: Policy, samples: Sequence[Sample], sent: ObservationSpec) -> Judgement:
    """Holds a policy's answers against the expert's, as declared and in every other reading that is known.

    Raises:
      ConventionMismatch: If the policy does not fit as it declares itself.
    """
    asked = Interrogation(policy, samples, sent)
    spec = policy.spec
    own = statistics_of(spec, [s.shown for s in samples])
    start = Fit(suspicion=None, parts=losses_by_part(asked.said(spec), asked.wanted), said=asked.said(spec))
    found: list[Suspicion] = []
    now, tried, likely = start, tuple[Fit, ...](), None
    for turn in range(MOST):
        fits = list(_fits(asked, spec, now, own, only_numbers=policy.spec.action is None, is_first=turn == 0))
        tried = tried or tuple(sorted([start, *fits], key=lambda fit: fit.loss))
        best = chosen(now, fits, asked.wanted)
        if best is None or best.suspicion is None:
            likely = chosen(now, fits, asked.wanted, LIKELY)
            break
        now = best
        found.append(best.suspicion)
        # A reading is no declaration that another one could be put on; and after another sight everything would have to be asked anew.
        if best.suspicion.edit is None or best.suspicion.is_of_sight:
            break
        spec = best.suspicion.edit(spec)
    does_follow = follows(now.said, asked.wanted)
    return Judgement(num=len(samples), declared=start, findings=tuple(found), after=now, tried=tried, wanted=asked.wanted, follows=does_follow,
                     likely=likely)  # fmt: skip


def _fits(asked: Interrogation, spec: PolicySpec, now: Fit, own: dict[str, dict[str, Normalisation]], *, only_numbers: bool,
          is_first: bool) -> Iterator[Fit]:  # fmt: skip
    for suspicion in () if only_numbers else suspicions.of_spec(spec, own):
        if suspicion.edit is None or (suspicion.is_of_sight and not is_first):
            continue
        try:
            said = asked.said(replace(suspicion.edit(spec), clip=True))
        except (ConventionMismatch, VlagymError):
            continue  # that cannot be what it means: the environment could not hear it
        yield Fit(suspicion=suspicion, parts=losses_by_part(said, asked.wanted), said=said)
    for suspicion in (*suspicions.of_numbers(spec, now.said, asked.wanted), *of_absolutes(asked, spec, now.said)):
        assert suspicion.read is not None
        said = suspicion.read(now.said)
        yield Fit(suspicion=suspicion, parts=losses_by_part(said, asked.wanted), said=said)


def of_absolutes(asked: Interrogation, spec: PolicySpec, said: Intents) -> Iterator[Suspicion]:
    """Yields that a declared pose may be a displacement, or a declared displacement a pose."""
    if spec.action is None or "translation" not in said.parts:
        return
    conventions = {c.convention for c in spec.action.components}
    turns = Rotation.from_rotvec(said.parts["rotation"])
    if "position" in conventions:
        move = said.parts["translation"] + asked.place_m
        turn = (turns * asked.hand).as_rotvec()
        move, turn = move * _gain(move, asked.wanted.parts["translation"]), turn * _gain(turn, asked.wanted.parts["rotation"])
        yield Suspicion(kind="absolute", finding="action position, orientation: declared absolute, and its numbers go with displacements",
                        read=lambda s: s.replaced("translation", move).replaced("rotation", turn))  # fmt: skip
    elif "delta_position" in conventions:
        place = said.parts["translation"]
        place = place * _gain(place, asked.place_m + asked.wanted.parts["translation"]) - asked.place_m
        rotation = said.parts["rotation"]
        size = np.linalg.norm(asked.hand.as_rotvec(), axis=1).mean() / max(np.linalg.norm(rotation, axis=1).mean(), 1e-9)
        turned = (Rotation.from_rotvec(rotation * size) * asked.hand.inv()).as_rotvec()
        told = "action translation: declared a displacement, and its numbers go with where the hand is to be: it looks absolute"
        yield Suspicion(kind="absolute", finding=told, read=lambda s: s.replaced("translation", place))
        yield Suspicion(kind="absolute", finding=told.replace("translation", "translation, rotation"),
                        read=lambda s: s.replaced("translation", place).replaced("rotation", turned))  # fmt: skip


def _gain(said: Array, wanted: Array) -> float:
    below = float((said**2).sum())
    return float((said * wanted).sum()) / below if below > 1e-12 else 0.0


def chosen(now: Fit, fits: Sequence[Fit], wanted: Intents, sure: float = SURE) -> Fit | None:
    """Returns the reading that explains the answers surely and clearly better than `now`, the first of those that are as good as the best.

    Where others of its kind fit exactly as well, its finding says so: nothing that was asked tells them apart.
    """
    able = [fit for fit in fits if _is_better(now, fit, wanted, sure) and follows(fit.said, wanted)]
    if not able:
        return None
    best = min(fit.loss for fit in able)
    first = next(fit for fit in able if fit.loss <= 1.02 * best + 0.005)
    suspicion = first.suspicion
    assert suspicion is not None
    others = [fit.suspicion.fits_as for fit in able if fit.suspicion is not None and fit is not first and _is_twin(fit, first)]
    if suspicion.fits_as is None or not others:
        return first
    told = f"{suspicion.finding}, and exactly as well as {' or '.join(word for word in others if word)}: what was asked does not tell them apart"
    return replace(first, suspicion=replace(suspicion, finding=told))


def _is_twin(one: Fit, other: Fit) -> bool:
    a, b = one.suspicion, other.suspicion
    return a is not None and b is not None and a.fits_as is not None and a.kind == b.kind and abs(one.loss - other.loss) < 1e-3


def _is_better(now: Fit, other: Fit, wanted: Intents, sure: float) -> bool:
    """Returns whether a reading is better over all parts, or in one of them, where the expert does something in it, and no worse over all."""
    gained = now.losses - other.losses
    if gained.mean() > max(0.03, BETTER * now.loss) and is_sure(gained, sure):
        return True
    for name in now.parts:
        is_there = is_active(wanted, name)
        before, gained_there = now.parts[name][is_there], (now.parts[name] - other.parts[name])[is_there]
        if gained.mean() > 0 and len(before) >= FEWEST and gained_there.mean() > BETTER_IN_PART * before.mean() and is_sure(gained_there, sure):
            return True
    return False


def is_sure(gained: Array, sure: float = SURE) -> bool:
    """Returns whether a gain is no chance.

    By its standard error; or, where few observations gain much and the others nothing, so that the standard error says little, because hardly any of
    them loses: were each as likely a loss as a gain, the sum would be so large no more often than a normal number lies beyond `sure` deviations.

    Args:
      gained: `(N,)` of each observation.
      sure: In standard errors.
    """
    from scipy.stats import norm

    if len(gained) < 2 or gained.mean() <= 0:
        return False
    if gained.mean() > sure * gained.std(ddof=1) / np.sqrt(len(gained)):
        return True
    return bool(by_chance(gained) < norm.sf(sure))


def by_chance(gained: Array) -> float:
    """Returns how likely a sum at least as large is if each number could as well have the other sign; exact on a grid of 1/200 of the largest."""
    most = float(np.abs(gained).max())
    steps = np.rint(200 * gained / most).astype(int) if most > 0 else np.zeros(1, int)
    sizes = np.abs(steps[steps != 0])
    chances = np.zeros(int(sizes.sum()) + 1)
    chances[0] = 1.0
    for size in sizes:
        moved = np.zeros_like(chances)
        moved[size:] = chances[: len(chances) - size]
        chances = (chances + moved) / 2
    return float(chances[int(steps[steps > 0].sum()) :].sum())


def follows(said: Intents, wanted: Intents) -> bool:
    """Returns whether displacements point where the expert's do."""
    name = "joints" if "joints" in wanted.parts else "translation"
    a, b = said.parts[name], wanted.parts[name]
    sizes = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return sizes > 1e-12 and float((a * b).sum()) / sizes >= FOLLOWS


def statistics_of(spec: PolicySpec, shown: Sequence[Demonstration]) -> dict[str, dict[str, Normalisation]]:
    """Returns, of each component that is un-normalised on our side, the statistics of what the expert does, by kind, in the declared unit."""
    if spec.action is None or not spec.normalisation:
        return {}
    raw, repeats = replace(spec, normalisation={}), round(shown[0].spec.control.rate_hz / spec.action.rate_hz)
    each = {id(one): one for one in shown}.values()
    encoder = Encoder(raw)
    rows = np.array([encoder.encode(wish) for one in each for wish in wishes(one, repeats)], np.float64)
    out: dict[str, dict[str, Normalisation]] = {}
    for name, at in spec.action.slices().items():
        if name not in spec.normalisation:
            continue
        v, mask = rows[:, at], spec.normalisation[name].mask
        low, high = np.quantile(v, (0.01, 0.99), axis=0)
        out[name] = {
            "min_max": Normalisation(kind="min_max", first=_numbers(v.min(axis=0)), second=_numbers(v.max(axis=0)), mask=mask),
            "q01_q99": Normalisation(kind="q01_q99", first=_numbers(low), second=_numbers(high), mask=mask),
            "mean_std": Normalisation(kind="mean_std", first=_numbers(v.mean(axis=0)), second=_numbers(v.std(axis=0)), mask=mask),
        }
    return out


def _numbers(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
