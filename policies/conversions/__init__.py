"""Conversions between what policies and environments say and see: pure functions, each by its name, for `vlagym.policies.conventions` to choose."""
