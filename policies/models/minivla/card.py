"""What a minivla checkpoint says about itself, and a network and its checkpoint made of one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionSpec, ObservationSpec, from_plain, to_plain
from vlagym.policies import checkpoint
from vlagym.policies.models.minivla import proprio
from vlagym.policies.models.minivla.config import MiniVlaConfig
from vlagym.policies.models.minivla.network import ROLES, MiniVla

MODEL = "minivla"


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Of the training data, by which the network scales what it reads and says."""

    pos_mean_base_m: tuple[tuple[float, float, float], ...]
    """Of object and destination, in the robot's base frame."""
    proprio_mean: tuple[float, ...]
    """In the order of `proprio.NAMES`."""
    proprio_spread: tuple[float, ...]
    """Standard deviations, but no less than `proprio.FLOOR`."""

    def check(self, config: MiniVlaConfig) -> None:
        """Raises BadData unless there is one number for each that the network reads."""
        sizes = (len(self.pos_mean_base_m), len(self.proprio_mean), len(self.proprio_spread))
        if sizes != (ROLES, config.proprio_size, config.proprio_size):
            raise BadData(f"the card has statistics of {sizes} things; the network asks for {(ROLES, config.proprio_size, config.proprio_size)}")
        if min(self.proprio_spread) <= 0:
            raise BadData("the card's proprio_spread holds a number that is not positive")


@dataclass(frozen=True, kw_only=True)
class Card:
    """Everything about a checkpoint but its weights."""

    config: MiniVlaConfig
    action: ActionSpec
    observation: ObservationSpec
    statistics: Statistics
    training: Mapping[str, Any] = field(default_factory=dict)
    """What it was trained on and how: data, options, seed, steps, versions, commands. Read by people."""


class Loaded(NamedTuple):
    """A checkpoint, ready to be used."""

    card: Card
    network: MiniVla
    digest: str


def observation_spec(config: MiniVlaConfig, rate_hz: float) -> ObservationSpec:
    """Returns what a network of this architecture reads."""
    return ObservationSpec(images=(config.front.image, config.wrist.image), state=proprio.COMPONENTS, rate_hz=rate_hz)


def check_action(spec: ActionSpec, config: MiniVlaConfig) -> None:
    """Raises BadData unless the last component is one gripper, closed positive, and the rest are as many motions as the network has."""
    last = spec.components[-1] if spec.components else None
    if last is None or (last.name, last.size, last.convention) != ("gripper", 1, "gripper_closed_positive"):
        ends = last.name if last else "none"
        raise BadData(f"minivla speaks actions that end with one gripper command, closed positive; {spec.name} ends with {ends}")
    if spec.size != config.action_size:
        raise BadData(f"{spec.name} has {spec.size} components; this network speaks {config.action_size}")


def build(config: MiniVlaConfig, statistics: Statistics, seed: int = 0) -> MiniVla:
    """Returns a fresh network, drawn with the seed; the global generator of torch is left as it was.

    Raises:
      BadData: If sizes and statistics do not fit together.
    """
    statistics.check(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MiniVla(config)
    for name, value in (
        ("pos_mean", statistics.pos_mean_base_m),
        ("proprio_mean", statistics.proprio_mean),
        ("proprio_spread", statistics.proprio_spread),
    ):
        network.get_buffer(name).copy_(torch.tensor(value, dtype=torch.float32))
    return network


def save(folder: Path, card: Card, parameters: Mapping[str, torch.Tensor]) -> str:
    """Writes a checkpoint in half precision and returns the digest of its weights.

    Evaluations read it back from disk, so that what is measured is what is stored.

    Raises:
      BadData: If a weight is not finite in half precision.
    """
    tensors = {name: p.detach().cpu().to(torch.float16).contiguous().numpy() for name, p in parameters.items()}
    plain = {k: v for k, v in to_plain(card).items() if k != "training"}
    return checkpoint.save(folder, MODEL, {**plain, "training": dict(card.training)}, tensors)


def load(folder: Path) -> Loaded:
    """Reads a checkpoint back; the weights are float32 numbers that half precision can hold.

    Raises:
      BadData: In one line, if anything about it is wrong.
    """
    found = checkpoint.load(folder, MODEL)
    card = from_plain(Card, found.card, checkpoint.CARD)
    check_action(card.action, card.config)
    if card.observation != observation_spec(card.config, card.observation.rate_hz):
        raise BadData(f"{folder / checkpoint.CARD} declares an observation that its architecture does not read")
    network = build(card.config, card.statistics)
    wanted = {name: tuple(p.shape) for name, p in network.named_parameters()}
    checkpoint.match(found.tensors, wanted, str(folder / checkpoint.WEIGHTS))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.from_numpy(found.tensors[name].astype("float32")))
    return Loaded(card, network.eval().requires_grad_(False), found.digest)
