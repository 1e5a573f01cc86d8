"""What each hand did since an episode began: whom it touched and held."""

from __future__ import annotations

from collections.abc import Sequence

from vlagym.envs.contacts import StepContacts


class HandHistory:
    """Remembers, hand by hand. One serves one episode."""

    def __init__(self, sides: Sequence[str], props: Sequence[str]) -> None:
        self._sides, self._props = tuple(sides), tuple(props)
        self.held_by: dict[str, frozenset[str]] = dict.fromkeys(self._sides, frozenset())
        """Side -> props between the sides of that hand now."""
        self.touched_by: dict[str, frozenset[str]] = dict.fromkeys(self._sides, frozenset())
        """Side -> props and fixtures that it pressed on during the last control step."""
        self.touched_by_body: frozenset[str] = frozenset()
        """What a link pressed on that belongs to no hand."""
        self.ever_touched_by: dict[str, frozenset[str]] = dict.fromkeys(self._sides, frozenset())
        self.ever_touched_by_arm: dict[str, frozenset[str]] = dict.fromkeys(self._sides, frozenset())
        """Side -> what the arm that carries that hand has pressed on, forearm or elbow."""
        self.ever_held_by: dict[str, frozenset[str]] = dict.fromkeys(self._sides, frozenset())
        self.hold_order: dict[str, tuple[str, ...]] = {}
        """Prop -> hands in the order in which they first held it."""

    def update(self, contacts: StepContacts) -> None:
        """Takes the contacts of one control step."""
        self.touched_by_body = contacts.touched_by_body
        for i, side in enumerate(self._sides):
            self.touched_by[side] = contacts.touched_by[i]
            held = frozenset(p for p, is_held in zip(self._props, contacts.held_by[i], strict=True) if is_held)
            for prop in sorted(held - self.ever_held_by[side]):
                self.hold_order[prop] = (*self.hold_order.get(prop, ()), side)
            self.held_by[side] = held
            self.ever_touched_by[side] |= self.touched_by[side]
            self.ever_touched_by_arm[side] |= contacts.touched_by_arm[i]
            self.ever_held_by[side] |= held
