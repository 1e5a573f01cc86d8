"""The values that travel through vlagym: specs, observations, actions, facts, traces and results. Numpy only."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadAction, BadData, BadSpec
from vlagym.envs.plain import canonical_json as canonical_json
from vlagym.envs.plain import from_plain as from_plain
from vlagym.envs.plain import sha as sha
from vlagym.envs.plain import sha_arrays as sha_arrays
from vlagym.envs.plain import stream as stream
from vlagym.envs.plain import to_plain as to_plain

SPEC_SCHEMA = 2
"""Version of the canonical JSON of an `EpisodeSpec`."""

Vec3 = tuple[float, float, float]
Quat = tuple[float, float, float, float]
Rgba = tuple[float, float, float, float]
FloatArray = NDArray[np.floating[Any]]

Outcome = Literal["success", "failure", "error"]
EndedBy = Literal["goal", "wrong_goal", "wrong_order", "horizon", "fall", "stop", "divergence", "policy_error", "env_error"]

MOMENTARY = {"pressed": 0.1, "touched": 0.1}
"""Predicates that are fulfilled in passing, and how long they must hold, in s, wherever they stand: a button is pressed, not held down."""

Base = Literal["fixed", "planar", "legs"]
"""What carries a robot. fixed: nothing moves it. planar: it glides over the floor, along x and y and about the vertical. legs: it stands on its
feet, which a controller keeps under it."""

Level = Literal["plain", "paraphrase", "compositional", "indirect", "multi_step"]
LEVELS: tuple[Level, ...] = typing.get_args(Level)
"""How a sentence says what is wanted. plain: an order with plain nouns. paraphrase: other words for things, more politeness. compositional: things
are told apart by comparing, counting, denying, or by what they stand next to. indirect: a need or a state, and the wish is left to the listener.
multi_step: several orders, one after another."""

CONTACT_KINDS = ("robot_fixture", "robot_prop", "robot_target", "self", "held_fixture", "held_prop")
"""Kinds of contact whose forces are recorded.

robot_fixture: robot against table, wall or furniture that the goal does not name. robot_prop: robot against a prop that the goal does not
name. robot_target: robot against something that the goal names (not a collision). self: robot against itself (two closing fingers apart).
held_fixture / held_prop: a prop that is held and in the air, against furniture or a prop other than its destination.
"""


# ---------------------------------------------------------------------------------------------------------------- what is sampled
@dataclass(frozen=True, kw_only=True)
class PropSpec:
    """A free object of a scene."""

    name: str
    """Unique in the scene; predicates and facts speak of it by this name."""
    asset: str
    """Id in the object catalogue."""
    pos_world: Vec3
    """Position of the prop's origin (the middle of its base when upright), in m."""
    quat_world_wxyz: Quat
    rgba: Rgba | None = None
    """Replaces the asset's main colour."""
    scale: float = 1.0
    mass_kg: float | None = None
    """Replaces the asset's mass."""
    friction: float | None = None
    """Replaces the asset's sliding friction coefficient."""
    content_of: str | None = None
    """The prop that it is in at the start, as beads are in a cup. It counts as a part of that one: whoever may move the cup may move them."""
    texture: str | None = None
    """Pattern that its main parts wear instead of their own finish."""
    is_fragile: bool = False
    """Breaks where it is hit or falls: what happens to it is measured apart."""


@dataclass(frozen=True, kw_only=True)
class FixtureSpec:
    """Furniture: stands still, may have joints (drawers, doors)."""

    name: str
    asset: str
    pos_world: Vec3
    """Position of the fixture's origin (the middle of its base), in m."""
    yaw_rad: float
    joints: tuple[tuple[str, float], ...] = ()
    """Start positions of its joints: (name within the fixture, m or rad)."""
    rgba: Rgba | None = None
    texture: str | None = None
    """Pattern that its main parts wear instead of their own finish."""


@dataclass(frozen=True, kw_only=True)
class LightSpec:
    """A directional light."""

    name: str
    direction_world: Vec3
    diffuse: Vec3 = (0.6, 0.6, 0.6)
    ambient: Vec3 = (0.0, 0.0, 0.0)
    specular: Vec3 = (0.1, 0.1, 0.1)
    casts_shadow: bool = False


@dataclass(frozen=True, kw_only=True)
class CameraSpec:
    """A pinhole camera. Its frame looks along -z, x to the right of the image, y up (OpenGL)."""

    name: str
    parent: str
    """"world" or the name of a robot link, in whose frame the pose is given."""
    pos_parent: Vec3
    quat_parent_wxyz: Quat
    fovy_deg: float
    width: int = 256
    height: int = 256


@dataclass(frozen=True, kw_only=True)
class PhysicsSpec:
    """Numbers of the simulation that an episode fixes."""

    timestep_s: float = 0.002
    gravity_m_s2: Vec3 = (0.0, 0.0, -9.81)
    settle_s: float = 0.2
    """Simulated before the first observation, with the robot holding its start posture."""


@dataclass(frozen=True, kw_only=True)
class SceneSpec:
    """All that stands in the room but the robot."""

    arena: str
    props: tuple[PropSpec, ...] = ()
    fixtures: tuple[FixtureSpec, ...] = ()
    lights: tuple[LightSpec, ...] = ()
    cameras: tuple[CameraSpec, ...] = ()
    physics: PhysicsSpec = PhysicsSpec()
    table_texture: str | None = None
    """What the table top wears instead of the arena's own."""


@dataclass(frozen=True, kw_only=True)
class SensorSpec:
    """What happens to images on their way from the cameras to the policy."""

    blur_px: float = 0.0
    """Standard deviation of a Gaussian blur, in pixels of the image."""
    noise_std: float = 0.0
    """Standard deviation of the noise that is added to each value, which runs from 0 to 255."""
    jpeg_quality: int | None = None
    """1 (worst) to 95; None: not compressed."""
    dropped_share: float = 0.0
    """Probability that an image does not arrive and the last one that did is delivered again."""
    frozen_camera: str | None = None
    """A camera that stands still from `frozen_from_s` on: what it delivered last, it delivers for ever."""
    frozen_from_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Predicate:
    """A condition on the state of the world: a name of `envs.predicates` and the things that it speaks of."""

    name: str
    args: tuple[str, ...]
    """Names of props, of fixtures, of a fixture's joint as "fixture/joint", or a word that names no thing: "=high", the setting of a knob."""

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.args)})"

    @property
    def things(self) -> tuple[str, ...]:
        """Props and fixtures that it speaks of, in order."""
        return tuple(a.split("/")[0] for a in self.args if not a.startswith("="))


@dataclass(frozen=True, kw_only=True)
class ActionComponent:
    """One named slice of an action vector."""

    name: str
    """translation | rotation | position | orientation | joints | gripper | base …"""
    size: int
    convention: str
    """A word of `policies.conventions`: "delta_position", "delta_axis_angle", "position", "quaternion_wxyz", "joint_delta", "joint_position",
    "gripper_closed_positive" … What policies may say besides stands in `vlagym.policies.conversions`; "ignored" is read and dropped."""
    frame: str
    """In which it is expressed: "base", "ee", "joint"."""
    unit: str
    """Of the value times `scale`: "m", "rad", "fraction"."""
    scale: float
    """Physical value of 1.0."""
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ActionSpec:
    """The action vector: its components in order, and the rate at which it is consumed."""

    name: str
    """ee_delta | ee_pose | joint_delta | joint_position | a profile's own name."""
    components: tuple[ActionComponent, ...]
    rate_hz: float

    @property
    def size(self) -> int:
        return sum(c.size for c in self.components)

    @functools.cached_property
    def low(self) -> NDArray[np.float32]:
        """(D,) read-only"""
        return _read_only([v for c in self.components for v in c.low])

    @functools.cached_property
    def high(self) -> NDArray[np.float32]:
        """(D,) read-only"""
        return _read_only([v for c in self.components for v in c.high])

    def slices(self) -> dict[str, slice]:
        """Returns where each component lies in the vector."""
        out: dict[str, slice] = {}
        at = 0
        for c in self.components:
            out[c.name] = slice(at, at + c.size)
            at += c.size
        return out

    def check(self, action: Any) -> NDArray[np.float32]:
        """Returns the action as a fresh `(D,)` float32 array.

        Raises:
          BadAction: If it has another shape, is not real numbers, holds NaN or infinity, or leaves the bounds by more than 1e-6.
        """
        try:
            array = np.asarray(action)
        except ValueError as error:
            raise BadAction(f"the action is no array ({error}); {self._wanted()}") from error
        low, high = self.low, self.high
        if array.dtype.kind not in "fiu":
            raise BadAction(f"the action has dtype {array.dtype}; {self._wanted()}")
        if array.shape != low.shape:
            raise BadAction(f"the action has shape {array.shape}; {self._wanted()}")
        out = array.astype(np.float32)
        clipped = np.minimum(np.maximum(out, low), high)
        apart = np.abs(out - clipped)
        if not apart.max() <= 1e-6:  # also where it is NaN
            at = int(np.flatnonzero(~(apart <= 1e-6))[0])
            if not np.isfinite(out[at]):
                raise BadAction(f"the action holds {out[at]} at index {at} ({self._component_at(at)}); {self._wanted()}")
            raise BadAction(
                f"the action holds {out[at]:.6g} at index {at} ({self._component_at(at)}), outside [{low[at]:g}, {high[at]:g}]; "
                f"{self._wanted()}. Clip it in the policy if that is what you mean"
            )
        return clipped

    def _wanted(self) -> str:
        return f"{self.name} wants ({self.size},) float32: " + ", ".join(f"{c.name}[{c.size}]" for c in self.components)

    def _component_at(self, index: int) -> str:
        return next(name for name, s in self.slices().items() if s.start <= index < s.stop)


@dataclass(frozen=True, kw_only=True)
class EpisodeSpec:
    """An episode as a value: all that is sampled, before anything runs. Equal specs give equal episodes."""

    task: str
    robot: str
    scene: SceneSpec
    robot_qpos: tuple[float, ...]
    """Start posture: joints in rad, in the robot's order. Grippers start open."""
    robot_base: Base = "fixed"
    """What carries the robot."""
    robot_start: Vec3 = (0.0, 0.0, 0.0)
    """Where the robot begins, counted from where it stands usually: x and y in m, and its turn about the vertical in rad."""
    goal: tuple[Predicate, ...]
    """Goal conditions: success is all of them together, without a break, for `hold_s`, before any alternative was held for as long."""
    stages: tuple[Predicate, ...]
    """Ordered subgoals of the task's plan, first to last."""
    steps: tuple[tuple[Predicate, ...], ...] = ()
    """What must come true one after another, in this order; what comes true before its turn ends the episode. Empty: no order."""
    alternatives: tuple[tuple[Predicate, ...], ...]
    """The other goals that could be asked for in this very scene; the sentence decides. k = 1 + their number."""
    instruction: str
    phrase: str
    """Id of the template that the sentence was made of."""
    level: Level = "plain"
    """How the sentence says it."""
    control: ActionSpec
    horizon_s: float
    hold_s: float = 0.5
    split: Literal["seen", "unseen"] = "seen"
    sensing: SensorSpec = SensorSpec()
    """What happens to images on their way to the policy."""
    action_delay_steps: int = 0
    """An action is executed so many control steps after it was sent; before the first arrives, the controllers keep their set points."""
    told: int | None = None
    """The sentence asks for the alternative of this index, and not for the goal, by which success is judged nevertheless: a control."""
    axes: tuple[tuple[str, int], ...] = ()
    """(axis, level) of each variation that was applied."""
    base: str | None = None
    """Digest of the unvaried twin."""
    seed: int = 0

    @property
    def horizon_steps(self) -> int:
        return math.ceil(self.horizon_s * self.control.rate_hz - 1e-9)

    @property
    def hold_steps(self) -> int:
        return max(1, math.ceil(self.hold_s * self.control.rate_hz - 1e-9))

    def hold_steps_of(self, conditions: Sequence[Predicate]) -> int:
        """Returns for how many control steps in a row conditions must hold together; fewer where one of them is fulfilled in passing."""
        hold_s = min([self.hold_s, *(MOMENTARY[p.name] for p in conditions if p.name in MOMENTARY)])
        return max(1, math.ceil(hold_s * self.control.rate_hz - 1e-9))

    @property
    def named(self) -> tuple[str, ...]:
        """Props and fixtures that the goal or one of its steps names, in order of first mention."""
        return tuple(dict.fromkeys(t for p in (*self.goal, *(q for step in self.steps for q in step)) for t in p.things))

    @functools.cached_property
    def concerned(self) -> tuple[str, ...]:
        """What the sentence asks to be handled, and what was in it at the start: what the goal names, or the alternative that `told` does."""
        if self.told is None:
            names = self.named
        else:
            names = tuple(dict.fromkeys(thing for p in self.alternatives[self.told] for thing in p.things))
        return (*names, *(p.name for p in self.scene.props if p.content_of in names))

    def contents(self, name: str) -> tuple[str, ...]:
        """Returns the props that are in a vessel when the episode begins."""
        return tuple(p.name for p in self.scene.props if p.content_of == name)

    def to_json(self) -> str:
        """Returns the canonical JSON: sorted keys, no spaces, floats as Python's repr; without younger fields that hold their defaults."""
        plain = to_plain(self)
        scene = plain["scene"]
        things = [(thing, _LEFT_OUT_OF_THINGS) for thing in (*scene["props"], *scene["fixtures"])]
        for table, defaults in ((plain, _LEFT_OUT), (scene, _LEFT_OUT_OF_SCENE), *things):
            for name, default in defaults.items():
                if name in table and table[name] == default:
                    del table[name]
        return canonical_json({"schema": SPEC_SCHEMA, **plain})

    @staticmethod
    def from_json(text: str) -> EpisodeSpec:
        """Reads what `to_json` wrote.

        Raises:
          BadData: If it is no JSON, of another schema, or has missing, unknown or wrongly typed fields.
          BadSpec: If it says what cannot be, as `check` finds.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise BadData(f"an episode spec is not JSON: {error}") from error
        schema = data.pop("schema", None) if isinstance(data, dict) else None
        if schema != SPEC_SCHEMA:
            raise BadData(f"an episode spec has schema {schema!r}; this version of vlagym reads {SPEC_SCHEMA}")
        return from_plain(EpisodeSpec, data)._checked(data)

    def check(self) -> EpisodeSpec:
        """Returns the spec after looking at what no scene is needed to see.

        Raises:
          BadSpec: If it says what cannot be: a number that is none, no goal, no time, a name that is taken or cannot be spoken of, a direction or
            a rotation without a direction. All of it is said.
        """
        return self._checked(to_plain(self))

    def _checked(self, plain: Mapping[str, Any]) -> EpisodeSpec:
        wrong = [*(() if _is_finite(plain) else _not_finite(plain, "")), *_contradictions(self)]
        if wrong:
            raise BadSpec(f"the episode spec of {self.task!r} (seed {self.seed}) says what cannot be: {'; '.join(wrong)}")
        return self

    def digest(self) -> str:
        """Returns 32 hexadecimal digits that name the episode: the SHA-256 of `to_json`, first half."""
        return sha(self.to_json().encode())


_LEFT_OUT: Mapping[str, Any] = {
    "robot_base": "fixed",
    "robot_start": [0.0, 0.0, 0.0],
    "sensing": {f.name: f.default for f in dataclasses.fields(SensorSpec)},
    "action_delay_steps": 0,
    "told": None,
}
"""Fields that are not written where they hold these values, so that episodes from before they existed keep their digests."""
_LEFT_OUT_OF_SCENE: Mapping[str, Any] = {"table_texture": None}
_LEFT_OUT_OF_THINGS: Mapping[str, Any] = {"texture": None, "is_fragile": False}


def _is_finite(plain: Mapping[str, Any]) -> bool:
    """Returns whether plain data holds no NaN and no infinity. The encoder of JSON, which is compiled, looks at each number anyway."""
    try:
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _not_finite(value: Any, where: str) -> Iterator[str]:
    """Yields a complaint for each number of plain data that is NaN or infinite."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{where} is {value}"
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _not_finite(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _not_finite(inner, f"{where}[{index}]")


def _contradictions(spec: EpisodeSpec) -> Iterator[str]:
    """Yields a complaint for each thing of a spec that cannot be."""
    scene, physics = spec.scene, spec.scene.physics
    positive = {"horizon_s": spec.horizon_s, "control.rate_hz": spec.control.rate_hz, "scene.physics.timestep_s": physics.timestep_s}
    positive |= {f"the scale of {p.name!r}": p.scale for p in scene.props}
    positive |= {f"the mass of {p.name!r}": p.mass_kg for p in scene.props if p.mass_kg is not None}
    positive |= {f"the {side} of camera {c.name!r}": getattr(c, side) for c in scene.cameras for side in ("width", "height", "fovy_deg")}
    yield from (f"{name} is {value:g}, and must be more than 0" for name, value in positive.items() if value <= 0)
    at_least_0 = {"hold_s": spec.hold_s, "scene.physics.settle_s": physics.settle_s, "seed": spec.seed, "action_delay_steps": spec.action_delay_steps}
    yield from (f"{name} is {value:g}, and must be 0 or more" for name, value in at_least_0.items() if value < 0)
    yield from _sensing_that_cannot_be(spec)
    if spec.told is not None and not 0 <= spec.told < len(spec.alternatives):
        yield f"told is {spec.told}, and there are {len(spec.alternatives)} alternatives"
    if not spec.goal:
        yield "goal is empty: there is nothing to succeed in"
    for what, groups in (("steps", spec.steps), ("alternatives", spec.alternatives)):
        yield from (f"{what}[{i}] is empty: it must hold at least one condition" for i, group in enumerate(groups) if not group)
    if spec.level not in LEVELS:
        yield f"level is {spec.level!r}; it must be one of {', '.join(LEVELS)}"
    things: tuple[PropSpec | FixtureSpec, ...] = (*scene.props, *scene.fixtures)
    coloured = ((t.name, t.rgba) for t in things if t.rgba is not None and not all(0 <= v <= 1 for v in t.rgba))
    yield from (f"the rgba of {name!r} is {rgba}; its entries must lie within 0 and 1" for name, rgba in coloured)
    kinds = {
        "prop or fixture": [p.name for p in scene.props] + [f.name for f in scene.fixtures],
        "light": [light.name for light in scene.lights],
        "camera": [c.name for c in scene.cameras],
    }
    for kind, names in kinds.items():
        yield from (f"{names.count(name)} things are called {name!r}" for name in dict.fromkeys(names) if names.count(name) > 1)
        yield from (f"a {kind} is called {name!r}; a name is not empty and holds no slash" for name in names if not name or "/" in name)
    vessels = {p.name for p in scene.props}
    for prop in scene.props:
        if prop.content_of is not None and (prop.content_of not in vessels or prop.content_of == prop.name):
            yield f"{prop.name!r} is the content of {prop.content_of!r}, which is no other prop of the scene"
    directions: dict[str, tuple[float, ...]] = {f"the direction of light {light.name!r}": light.direction_world for light in scene.lights}
    directions |= {f"the rotation of {p.name!r}": p.quat_world_wxyz for p in scene.props}
    directions |= {f"the rotation of camera {c.name!r}": c.quat_parent_wxyz for c in scene.cameras}
    yield from (f"{name} is zero" for name, value in directions.items() if math.hypot(*value) < 1e-9)


def _sensing_that_cannot_be(spec: EpisodeSpec) -> Iterator[str]:
    sensing, cameras = spec.sensing, [c.name for c in spec.scene.cameras]
    amounts = {"blur_px": sensing.blur_px, "noise_std": sensing.noise_std, "frozen_from_s": sensing.frozen_from_s}
    yield from (f"sensing.{name} is {value:g}, and must be 0 or more" for name, value in amounts.items() if value < 0)
    if not 0 <= sensing.dropped_share < 1:
        yield f"sensing.dropped_share is {sensing.dropped_share:g}; it must be 0 or more and less than 1"
    if sensing.jpeg_quality is not None and not 1 <= sensing.jpeg_quality <= 95:
        yield f"sensing.jpeg_quality is {sensing.jpeg_quality}; it must lie within 1 and 95"
    if sensing.frozen_camera is not None and sensing.frozen_camera not in cameras:
        yield f"sensing.frozen_camera is {sensing.frozen_camera!r}; the cameras are: {', '.join(cameras) or 'none'}"


# ------------------------------------------------------------------------------------------------------- what is seen and done
@dataclass(frozen=True, kw_only=True)
class ImageComponent:
    """One camera stream of an observation: (height, width, 3), RGB."""

    YOUNGER: ClassVar = ("source", "fit", "filter", "centre_share", "values")
    """Are written only where they say something."""

    name: str
    width: int
    height: int
    crop: int | None = None
    """What a policy reads: a centre crop to a square of this many pixels before shrinking to its size. None: the stream as it is."""
    orientation: Literal["upright", "rotated_180", "flipped_vertical", "mirrored"] = "upright"
    """What a policy was trained on: row 0 on top (upright), the same turned by half a turn, with its rows in reverse (as OpenGL leaves them), or
    with its columns in reverse. The environment sends upright images."""
    source: str | None = None
    """The environment's camera that feeds this stream; None: the one of the same name."""
    fit: Literal["exact", "stretch", "pad"] = "exact"
    """How the stream comes to its size where no `crop` is declared. exact: it has that size. stretch: each side by itself. pad: the ratio of the
    sides is kept, and what is missing is black, half of it on each side."""
    filter: Literal["area", "bilinear", "lanczos3"] = "area"
    """What a pixel of another size is made of; each looks at all pixels that it covers."""
    centre_share: float | None = None
    """Share of the area that is cut out around the middle after that, and brought back to the size."""
    values: Literal["uint8", "unit", "symmetric"] = "uint8"
    """0 to 255 (uint8), 0 to 1 (unit, float32) or -1 to 1 (symmetric, float32). The environment sends uint8."""


@dataclass(frozen=True, kw_only=True)
class StatePart:
    """A piece of a policy's state vector: gain x form(array) + offset."""

    YOUNGER: ClassVar = ("turn_wxyz",)

    array: str
    """The environment's array that it is made of."""
    form: str
    """What is made of the array: "as_is", or a name of `vlagym.policies.conversions.states.FORMS`."""
    size: int
    """Numbers that it contributes."""
    gain: float = 1.0
    offset: tuple[float, ...] = ()
    """One number for each of the piece, or none: zeros."""
    turn_wxyz: Quat | None = None
    """Only for orientations: of the policy's hand frame in ours. It is applied from the right before the form."""


@dataclass(frozen=True, kw_only=True)
class StateComponent:
    """One named array of proprioception, or a vector of a policy that is made of several."""

    YOUNGER: ClassVar = ("parts",)

    name: str
    """Carries its unit and frame: joint_pos_rad, ee_pos_base_m, ee_quat_base_wxyz, gripper_opening_m."""
    size: int
    parts: tuple[StatePart, ...] = ()
    """What a policy's vector is put together of, in this order; none: it is the environment's array of that name."""


@dataclass(frozen=True, kw_only=True)
class ObservationSpec:
    """What an observation holds, or what a policy reads of it."""

    images: tuple[ImageComponent, ...]
    state: tuple[StateComponent, ...]
    rate_hz: float


@dataclass(frozen=True, kw_only=True)
class PropState:
    """True state of a prop. Privileged."""

    pos_world: Vec3
    quat_world_wxyz: Quat
    is_held: bool


@dataclass(frozen=True, kw_only=True)
class Privileged:
    """The true state of the world, for policies that declare themselves privileged (the expert)."""

    props: Mapping[str, PropState]
    fixture_joints: Mapping[str, float]
    """"fixture/joint" -> position in m or rad."""
    goal_met: tuple[bool, ...]
    held_by: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Side of a hand -> props that it holds."""
    touched_by: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Side of a hand -> props and fixtures that it pressed on during the last control step."""
    base_pos_world: Vec3 = (0.0, 0.0, 0.0)
    """Of the base frame, in which poses are given, in m."""
    base_quat_world_wxyz: Quat = (1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a policy sees. Every array is its own memory: nothing is shared between steps."""

    images: Mapping[str, NDArray[Any]]
    """Camera -> (H, W, 3) uint8, RGB, row 0 on top. A policy that declares otherwise is shown what it declares."""
    proprio: Mapping[str, NDArray[np.float32]]
    """Named arrays, unit and frame in the name."""
    instruction: str
    time_s: float
    """Simulated time since the episode began."""
    depth: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Camera -> (H, W) float32, distance along the viewing axis in m."""
    segmentation: Mapping[str, NDArray[np.int32]] = field(default_factory=dict)
    """Camera -> (H, W) int32: 0 background, 1 robot, 2 arena, then fixtures and props in the order of the spec."""
    privileged: Privileged | None = None
    past: tuple[Observation, ...] = ()
    """Earlier observations, oldest first: what a policy with a `history` is shown besides the present one. Where there was none so early, the first
    of the episode stands in; it is known by its `time_s`. They have no past themselves."""


@dataclass(frozen=True, kw_only=True)
class PolicyNotes:
    """What a policy says of itself while it acts. It is kept, and nobody can check it."""

    measures: Mapping[str, float | None]
    """Name -> value for the episode so far; those that come last count. None: does not apply."""
    said: tuple[Mapping[str, Any], ...] = ()
    """Since the notes before: plain data, for the transcript of the episode."""


@dataclass(frozen=True, kw_only=True)
class ActionChunk:
    """One or more consecutive actions."""

    values: NDArray[np.float32]
    """(T, D) float32, T control steps, D components of the spec."""
    spec: ActionSpec
    notes: PolicyNotes | None = None
    """Where the policy has something to say besides."""


# ------------------------------------------------------------------------------------------------------------- what happened
@dataclass(frozen=True, kw_only=True)
class Contact:
    """A contact of one control step, summed over its physics substeps."""

    kind: str
    """One of CONTACT_KINDS."""
    a: str
    b: str
    """Names of the two parties: a robot link, a prop, a fixture or the arena."""
    force_n: float
    """Largest summed normal force of the pair over the substeps."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The true state after a control step; never shown to a policy."""

    goal_met: NDArray[np.bool_]
    """(G,) one for each goal condition."""
    stage_met: NDArray[np.bool_]
    """(S,) one for each stage of the plan."""
    alternative_met: NDArray[np.bool_]
    """(A,) one for each alternative of the spec: all of its conditions hold."""
    step_met: NDArray[np.bool_]
    """(N,) one for each ordered step of the spec: all of its conditions hold."""
    contacts: tuple[Contact, ...]
    contact_force_n: NDArray[np.float32]
    """(N, K) summed normal force at each of N substeps for each of CONTACT_KINDS. Before the first step: (0, K)."""
    ee_pos_world_m: NDArray[np.float64]
    """(E, 3) for E end effectors."""
    ee_quat_world_wxyz: NDArray[np.float64]
    """(E, 4)"""
    gripper_opening_m: NDArray[np.float64]
    """(E,)"""
    joint_pos: NDArray[np.float64]
    """(J,) rad or m."""
    joint_vel: NDArray[np.float64]
    """(J,)"""
    prop_pos_world_m: NDArray[np.float64]
    """(P, 3) in the order of the spec."""
    prop_quat_world_wxyz: NDArray[np.float64]
    """(P, 4)"""
    prop_is_held: NDArray[np.bool_]
    """(P,) held by a hand: touched from both sides at this control step."""
    prop_robot_force_n: NDArray[np.float32]
    """(P,) largest normal force between robot and prop over the substeps."""
    fixture_joint_pos: NDArray[np.float64]
    """(F,) joints of the fixtures, in the order of the spec."""
    fixture_robot_force_n: NDArray[np.float32]
    """(X,) largest normal force between the robot and each fixture over the substeps."""
    base_pose_world: NDArray[np.float64]
    """(3,) where the robot is: x and y in m, its turn about the vertical in rad, counted from where it stands usually."""
    com_margin_m: NDArray[np.float64]
    """(B,) from the ground below the centre of mass to the nearest edge of the support polygon, negative outside; B is 1 for a robot that stands
    on its feet, else 0."""
    foot_slip_m: NDArray[np.float64]
    """(B,) how far loaded soles slid during the control step."""
    is_fallen: bool
    torque_share: float
    """Largest |force| of an actuator over the substeps, as a share of its limit; fingers are not counted, they hold with all that they have.
    0 before the first step."""
    joint_margin_rad: float
    """Smallest distance of a joint of the body to its limits; fingers are not counted. Negative beyond them."""
    energy_j: float
    """Sum over actuators and substeps of |force x velocity| dt."""
    time_s: float


TRACE_SCHEMA = 3

STATE_COLUMNS = (
    "goal_met",
    "stage_met",
    "alternative_met",
    "step_met",
    "ee_pos_world_m",
    "ee_quat_world_wxyz",
    "gripper_opening_m",
    "joint_pos",
    "joint_vel",
    "prop_pos_world_m",
    "prop_quat_world_wxyz",
    "prop_is_held",
    "prop_robot_force_n",
    "fixture_joint_pos",
    "fixture_robot_force_n",
    "base_pose_world",
    "com_margin_m",
    "foot_slip_m",
    "is_fallen",
    "torque_share",
    "joint_margin_rad",
    "energy_j",
    "time_s",
)
"""Columns of a trace with T + 1 rows: row 0 before the first action, row t after action t. Each row is the field of `Facts` of that name."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """All facts of an episode as columns over its control steps."""

    spec: EpisodeSpec
    actions: NDArray[np.float32]
    """(T, D) as executed, in the environment's own convention."""
    columns: Mapping[str, NDArray[Any]]
    """STATE_COLUMNS, each with T + 1 rows."""
    contact_force_n: NDArray[np.float32]
    """(T, N, K) for N substeps and CONTACT_KINDS."""
    ended_by: EndedBy
    latency_s: NDArray[np.float64]
    """(C,) wall time of each call of the policy."""
    call_step: NDArray[np.int32]
    """(C,) control step at which each call was made."""
    safety: NDArray[np.int8]
    """(T,) what the safety filter did at each control step: 0 nothing, 1 it clipped the action, 2 it stopped the episode; -1 without one."""

    @property
    def num_steps(self) -> int:
        return int(self.actions.shape[0])

    @property
    def substep_s(self) -> float:
        """Simulated time between two rows of `contact_force_n` within a step."""
        return self.spec.scene.physics.timestep_s


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """Digests by which an episode can be verified without the policy: 32 hexadecimal digits each."""

    spec: str
    model: str
    """Physics of the compiled model; the look of the robot does not enter."""
    initial_state: str
    """After settling."""
    actions: str
    final_state: str
    frames: str | None
    """All frames that the policy was shown, in order; None where none were rendered."""


@dataclass(frozen=True, kw_only=True)
class ErrorRecord:
    """What went wrong in an errored episode."""

    type: str
    message: str
    traceback: str


@dataclass(frozen=True, kw_only=True)
class EpisodeResult:
    """One line of episodes.jsonl."""

    YOUNGER: ClassVar = ("clipped_steps",)
    """Is written only where there is something to say."""

    digest: str
    task: str
    robot: str
    axes: Mapping[str, int]
    base: str | None
    seed: int
    instruction: str
    outcome: Outcome
    ended_by: EndedBy
    measures: Mapping[str, float | None]
    """Metric -> value; None where it does not apply."""
    steps: int
    time_s: float
    wall_s: float
    attempt: int
    error: ErrorRecord | None
    certificate: Certificate | None
    """None only for an episode that failed before it had an initial state."""
    warning: str | None = None
    """Physics warning of an episode that ended by divergence."""
    failure_mode: str | None = None
    """In one word why it failed: one of `vlagym.benchmark.failure_modes`; None for a success, for an error, and where nobody has looked."""
    robot_base: str = "fixed"
    """What carried the robot."""
    level: str | None = None
    """How the sentence said it: `EpisodeSpec.level`; None in lines from before it was kept."""
    clipped_steps: int | None = None
    """Control steps in which something that the policy sent was clipped to the environment's bounds; None where its conventions clip nothing."""


@dataclass(frozen=True, kw_only=True)
class RunHeader:
    """What a run was: everything that its numbers depend on."""

    schema: int
    suite: Mapping[str, Any]
    """name, version, digest, episodes."""
    policy: Mapping[str, Any]
    """name, options, card, privileged."""
    robot_looks: Mapping[str, str]
    quality: str
    conventions: Mapping[str, Any]
    """action and observation of both sides, and the pipeline between them."""
    seeds: Mapping[str, int]
    packages: Mapping[str, str]
    gl_renderer: str | None
    machine: Mapping[str, str]
    command: tuple[str, ...]
    started: str
    """UTC, ISO 8601."""
    finished: str | None = None
    robot_bases: Mapping[str, Any] = field(default_factory=dict)
    """Robot -> what carries it, of those that something else than a fixed base carries in some episode."""
    safety: Mapping[str, Any] = field(default_factory=lambda: {"mode": "off"})
    """mode of the safety filter; where there is one, limits: robot -> limit -> value."""


def _read_only(values: list[float]) -> NDArray[np.float32]:
    array = np.array(values, np.float32)
    array.flags.writeable = False
    return array
