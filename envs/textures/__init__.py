"""Procedural pictures: labels, patterns and surfaces, equal on every machine."""
