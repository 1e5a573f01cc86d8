"""Looks whether what a policy declares can be true: what it is shown, what its actions do, and whether its answers are those of its declaration."""
