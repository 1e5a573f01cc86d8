"""All parameters of a network in one vector: one gradient to add up, one optimizer state to store, one average to keep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vlagym.envs.errors import BadData

STATE = ("weights", "average", "first_moment", "second_moment")
"""Vectors that make up the whole state of an optimization, beside the number of its steps."""


class _View(NamedTuple):
    name: str
    start: int
    shape: torch.Size
    is_image: bool
    """A convolution, whose input channels lie together in memory."""

    def of(self, vector: Tensor) -> Tensor:
        part = vector[self.start : self.start + math.prod(self.shape)]
        if not self.is_image:
            return part.view(self.shape)
        out, inner, height, width = self.shape
        return part.view(out, height, width, inner).permute(0, 3, 1, 2)


class FlatParameters:
    """Owns the parameters of a network, their gradient, their running average and AdamW's state."""

    def __init__(self, network: nn.Module, *, weight_decay: float, average: float) -> None:
        """Moves the network's parameters into one vector; the network goes on working with views of it.

        Args:
          network: Its parameters require gradients.
          weight_decay: Of matrices and convolutions; vectors are not decayed.
          average: Share of the old value in the running average after many steps; after few it is less.
        """
        # Matrices first, so that what is decayed and what is not are two slices.
        named = sorted(network.named_parameters(), key=lambda item: item[1].ndim < 2)
        self._views: list[_View] = []
        size = decayed = 0
        for name, parameter in named:
            self._views.append(_View(name, size, parameter.shape, parameter.ndim == 4))
            size += parameter.numel()
            decayed = size if parameter.ndim >= 2 else decayed
        device = named[0][1].device
        self.weights, self.gradient = torch.empty(size, device=device), torch.zeros(size, device=device)
        for (_, parameter), view in zip(named, self._views, strict=True):
            view.of(self.weights).copy_(parameter.detach())
            parameter.data, parameter.grad = view.of(self.weights), view.of(self.gradient)
        self.average = self.weights.clone()
        self._average_share, self.num_steps = average, 0
        self._parts = [slice(0, decayed), slice(decayed, size)]
        self._slices = [nn.Parameter(self.weights[part]) for part in self._parts]
        for parameter, part in zip(self._slices, self._parts, strict=True):
            parameter.grad = self.gradient[part]
        groups = [{"params": [p], "weight_decay": d} for p, d in zip(self._slices, (weight_decay, 0.0), strict=True)]
        self._optimizer = torch.optim.AdamW(groups, lr=1e-3, fused=True)
        self._moments = (torch.zeros_like(self.weights), torch.zeros_like(self.weights))
        self._tie_moments()

    @property
    def size(self) -> int:
        return self.weights.numel()

    def step(self, learning_rate: float, max_norm: float) -> float:
        """Clips the gradient, takes a step of AdamW, updates the average, clears the gradient.

        Returns:
          The norm of the gradient before it was clipped; where it is not finite, no step was taken.
        """
        norm = float(torch.linalg.vector_norm(self.gradient))
        if math.isfinite(norm):
            self.gradient.mul_(min(1.0, max_norm / (norm + 1e-6)))
            for group in self._optimizer.param_groups:
                group["lr"] = learning_rate
            self._optimizer.step()
            self.num_steps += 1
            share = min(self._average_share, (1 + self.num_steps) / (10 + self.num_steps))
            self.average.lerp_(self.weights, 1 - share)
        self.gradient.zero_()
        return norm

    def averaged(self) -> dict[str, Tensor]:
        """Returns the running average of each parameter by its name: views, not copies."""
        return {view.name: view.of(self.average) for view in self._views}

    def state(self) -> dict[str, NDArray[np.float32]]:
        """Returns a copy of every vector of `STATE`."""
        return {name: vector.detach().cpu().numpy().copy() for name, vector in zip(STATE, self._vectors(), strict=True)}

    def restore(self, state: Mapping[str, NDArray[np.float32]], num_steps: int) -> None:
        """Goes on from what `state` returned after `num_steps` steps.

        Raises:
          BadData: If a vector is missing or belongs to another network.
        """
        for name, vector in zip(STATE, self._vectors(), strict=True):
            if name not in state or state[name].shape != vector.shape:
                found = f"shape {state[name].shape}" if name in state else "nothing"
                raise BadData(f"the training state has {found} for {name!r}; this network wants {tuple(vector.shape)}")
            vector.copy_(torch.from_numpy(state[name]))
        self.num_steps = num_steps
        self._tie_moments()

    def _vectors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return (self.weights, self.average, *self._moments)

    def _tie_moments(self) -> None:
        for parameter, part in zip(self._slices, self._parts, strict=True):
            self._optimizer.state[parameter] = {
                "step": torch.tensor(float(self.num_steps), device=self.weights.device),
                "exp_avg": self._moments[0][part],
                "exp_avg_sq": self._moments[1][part],
            }
