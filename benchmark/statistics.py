"""Intervals over episodes. They live in `results.intervals`, where the tables can reach them."""

from __future__ import annotations

from vlagym.results.intervals import RESAMPLES, Intervals, MeanInterval, bootstrap_mean, content_rng, wilson

__all__ = ["RESAMPLES", "Intervals", "MeanInterval", "bootstrap_mean", "content_rng", "wilson"]
