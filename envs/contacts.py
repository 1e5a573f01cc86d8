"""Who touches whom with what force, over every physics substep of a control step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.robot import EndEffector
from vlagym.envs.scene import FLOOR, SceneModel
from vlagym.envs.types import CONTACT_KINDS, Contact

_AIRBORNE_S = 0.1  # a held prop counts as in the air once nothing has supported it for this long
_KIND = {name: i for i, name in enumerate(CONTACT_KINDS)}
_SUPPORT = 100  # a pair of a prop with furniture or another prop: matters only while the prop is held and in the air
_IGNORED = -1


class StepContacts(NamedTuple):
    """The contacts of one control step of N substeps."""

    contacts: tuple[Contact, ...]
    force_n: NDArray[np.float32]
    """(N, K) summed normal force for each of CONTACT_KINDS."""
    prop_is_held: NDArray[np.bool_]
    """(P,)"""
    prop_robot_force_n: NDArray[np.float32]
    """(P,)"""
    fixture_robot_force_n: NDArray[np.float32]
    """(X,)"""
    held_by: NDArray[np.bool_]
    """(E, P) which of E hands holds which prop: touches it from both sides."""
    touched_by: tuple[frozenset[str], ...]
    """For each hand, the props and fixtures that its links press on."""
    touched_by_body: frozenset[str]
    """Props and fixtures that links press on that belong to no hand."""
    touched_by_arm: tuple[frozenset[str], ...] = ()
    """For each hand, the props and fixtures that the arm presses on which carries it; without the hand itself."""


class ContactTracker:
    """Collects contacts substep by substep. `record` runs in the innermost loop and does as little as it can."""

    def __init__(
        self, scene: SceneModel, *, props: Sequence[str], fixtures: Sequence[str], named: Sequence[str], hands: Sequence[EndEffector],
        feet: Sequence[str] = (), arms: Sequence[Sequence[str]] = (),
    ) -> None:
        """Prepares the tables of a scene.

        Args:
          scene: The compiled scene.
          props: Names of the props, in the order of the spec.
          fixtures: Names of the fixtures, in the order of the spec.
          named: What the goal names; the table among them, where something is to be put down on it.
          hands: Of the robot.
          feet: Links that may stand on the floor.
          arms: For each hand, the links of the arm that carries it; empty where nobody asks whose arm it was.
        """
        self._parties = scene.parties
        count = len(scene.parties)
        self._count = count
        self._first_prop = count - len(props)
        self._first_fixture = self._first_prop - len(fixtures)
        self._num_robot = scene.num_robot
        self._named = np.array([p in named for p in scene.parties])
        self._fingers = [[[scene.parties.index(link) for link in side] for side in hand.finger_sides] for hand in hands]
        self._hand_of = {scene.parties.index(link): i for i, hand in enumerate(hands) for link in hand.all_links}
        self._arm_of = {scene.parties.index(link): i for i, arm in enumerate(arms) for link in arm}
        self._num_hands = len(hands)
        self._feet = {scene.parties.index(link) for link in feet}
        self._floor = scene.parties.index(FLOOR)
        self._substep_s = float(scene.model.opt.timestep)
        kinds = self._pair_kinds()
        pair = np.sort(np.stack(np.meshgrid(scene.geom_party, scene.geom_party, indexing="ij")), axis=0)
        code = (pair[0] * count + pair[1]).astype(np.int32)
        self._kinds = kinds
        with_robot = (pair[0] < self._num_robot) & (kinds[code] != _IGNORED)
        # Two tables of (geom, geom) -> pair or -1: props against their supports are watched only while something is held.
        self._code_idle = np.where(with_robot, code, _IGNORED).astype(np.int32)
        self._code_held = np.where(kinds[code] != _IGNORED, code, _IGNORED).astype(np.int32)
        self._code = self._code_idle
        self._held = np.zeros(len(props), bool)
        self._airborne = np.zeros(len(props), bool)
        self._unsupported_s = np.zeros(len(props))
        self._codes: list[NDArray[np.int32]] = []
        self._forces: list[NDArray[np.float64]] = []
        self._substeps: list[int] = []
        self._num_substeps = 0

    def _pair_kinds(self) -> NDArray[np.int8]:
        """Returns (count * count,) the kind of each ordered pair a <= b of parties."""
        n, robot, fixture, prop = self._count, self._num_robot, self._first_fixture, self._first_prop
        kinds = np.full((n, n), _IGNORED, np.int8)
        for a in range(n):
            for b in range(a, n):
                if b < robot:
                    hand = self._hand_of.get(a, _IGNORED)
                    is_one_hand = self._num_hands > 1 and hand != _IGNORED and self._hand_of.get(b) == hand
                    kinds[a, b] = _IGNORED if is_one_hand else _KIND["self"]
                elif a in self._feet and b == self._floor:
                    pass  # it stands there
                elif a < robot:
                    is_target = b >= fixture and self._named[b]
                    kinds[a, b] = _KIND["robot_target"] if is_target else _KIND["robot_prop"] if b >= prop else _KIND["robot_fixture"]
                elif b >= prop and a != b:
                    kinds[a, b] = _SUPPORT
        return kinds.ravel()

    def record(self, data: Any) -> None:
        """Takes the contacts of the substep that was just simulated."""
        contact = data.contact
        geom = contact.geom
        if len(geom):
            code = self._code[geom[:, 0], geom[:, 1]]
            keep = (code >= 0).nonzero()[0]  # flatnonzero goes through three Python functions, 25 times a step
            if keep.size:
                address = contact.efc_address[keep]
                force = data.efc_force[address]  # elliptic cones: the first row of a contact is its normal force
                force[address < 0] = 0.0
                self._codes.append(code[keep])
                self._forces.append(force)
                self._substeps.append(self._num_substeps)
        self._num_substeps += 1

    def finish(self) -> StepContacts:
        """Returns the contacts since the last call, and begins a new control step."""
        n = self._num_substeps
        series = np.zeros((n, len(CONTACT_KINDS)), np.float32)
        prop_force = np.zeros(len(self._held), np.float32)
        fixture_force = np.zeros(self._first_prop - self._first_fixture, np.float32)
        contacts: list[Contact] = []
        held_by = np.zeros((self._num_hands, len(self._held)), bool)
        touched_by: list[set[str]] = [set() for _ in range(self._num_hands + 1)]
        touched_by_arm: list[set[str]] = [set() for _ in range(self._num_hands)]
        supported = np.zeros((len(self._held), n))
        if self._codes:
            code = np.concatenate(self._codes)
            force = np.concatenate(self._forces)
            substep = np.repeat(self._substeps, [len(c) for c in self._codes])
            pairs, which = np.unique(code, return_inverse=True)
            sums = np.zeros((len(pairs), n))
            np.add.at(sums, (which, substep), force)
            peaks = sums.max(axis=1)
            touched: dict[tuple[int, int], float] = {}
            for pair, row, peak in zip(pairs.tolist(), sums, peaks.tolist(), strict=True):
                a, b = divmod(pair, self._count)
                kind = int(self._kinds[pair])
                if kind == _SUPPORT:
                    self._add_support(a, b, row, series, supported)
                    continue
                series[:, kind] += row
                if peak > 0:
                    contacts.append(Contact(kind=CONTACT_KINDS[kind], a=self._parties[a], b=self._parties[b], force_n=peak))
                touched[a, b] = peak
                if peak > 0 and b >= self._first_fixture and a < self._num_robot:
                    touched_by[self._hand_of.get(a, self._num_hands)].add(self._parties[b])
                    if a in self._arm_of:
                        touched_by_arm[self._arm_of[a]].add(self._parties[b])
                if b >= self._first_prop:
                    prop_force[b - self._first_prop] = max(prop_force[b - self._first_prop], peak)
                elif b >= self._first_fixture:
                    fixture_force[b - self._first_fixture] = max(fixture_force[b - self._first_fixture], peak)
            for hand, sides in enumerate(self._fingers):
                for i in range(len(self._held)):
                    prop = self._first_prop + i
                    held_by[hand, i] = all(any(touched.get((link, prop), 0.0) > 0.05 for link in side) for side in sides)
        held = np.asarray(held_by.any(axis=0))
        self._update_airborne(held, supported)
        self._code = self._code_held if held.any() else self._code_idle
        self._held = held
        self._codes, self._forces, self._substeps, self._num_substeps = [], [], [], 0
        *by_hands, by_body = (frozenset(names) for names in touched_by)
        by_arms = tuple(frozenset(names) for names in touched_by_arm)
        return StepContacts(tuple(contacts), series, held.copy(), prop_force, fixture_force, held_by, tuple(by_hands), by_body, by_arms)

    def _add_support(self, a: int, b: int, row: NDArray[np.float64], series: NDArray[np.float32], supported: NDArray[np.float64]) -> None:
        """Books a prop against furniture or another prop: as support, and as a collision if it is held and in the air."""
        for prop, other in ((b, a), (a, b)):
            i = prop - self._first_prop
            if i < 0:
                continue
            supported[i] += row
            if self._airborne[i] and not self._named[other]:
                series[:, _KIND["held_prop" if other >= self._first_prop else "held_fixture"]] += row

    def _update_airborne(self, held: NDArray[np.bool_], supported: NDArray[np.float64]) -> None:
        for i in np.flatnonzero(held | self._held):
            if not held[i]:
                self._airborne[i], self._unsupported_s[i] = False, 0.0
                continue
            if not self._held[i]:
                continue  # its supports are watched from the next step on
            carried = np.flatnonzero(supported[i] > 0)
            if carried.size:
                self._unsupported_s[i] = (supported.shape[1] - 1 - carried[-1]) * self._substep_s
            else:
                self._unsupported_s[i] += supported.shape[1] * self._substep_s
            if self._unsupported_s[i] >= _AIRBORNE_S:
                self._airborne[i] = True  # stays so until it is let go
