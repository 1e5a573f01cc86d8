"""One running world: scene, simulation, controller and cameras, playing one episode after another."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs import backend, catalog
from vlagym.envs.bases import base_frame, check_base
from vlagym.envs.body_control import BodyController, Standing
from vlagym.envs.cameras import Cameras, gl_renderer
from vlagym.envs.contacts import ContactTracker, StepContacts
from vlagym.envs.control import Controller, action_spec, is_control_of
from vlagym.envs.errors import BadSpec, NotReset, unknown_name
from vlagym.envs.frames import Pose
from vlagym.envs.hand_history import HandHistory
from vlagym.envs.kinematics import kinematics
from vlagym.envs.predicates import WorldState, compile_predicate, rests_on_table
from vlagym.envs.predicates.history import History
from vlagym.envs.proprioception import BodySenses, state_components
from vlagym.envs.robot import Robot, look_of
from vlagym.envs.scene import TABLE, SceneModel, build
from vlagym.envs.sensing import CLEAN, Sensing
from vlagym.envs.simulation import Regulator, Simulation, physics_digest
from vlagym.envs.types import (
    CONTACT_KINDS,
    EpisodeSpec,
    Facts,
    ImageComponent,
    Observation,
    ObservationSpec,
    Privileged,
    PropState,
)
from vlagym.envs.whole_body import WholeBody


class Commanded(NamedTuple):
    """What the controllers ask of a robot."""

    joint_target: NDArray[np.float64]
    """(n,) rad, of the robot's joints in their order."""
    pose_targets: Mapping[str, Pose]
    """Of the pinch point of each hand in the base frame, by its side; "" of a robot with one hand."""
    hands: Mapping[str, float]
    """How far each hand is asked to close, -1 open to +1 closed."""


class World:
    """Plays episodes. Draws nothing: all that varies stands in the spec.

    Args:
      quality: Of the images: "fast", "medium" or "high".
      look: Of the robot: "auto" or one of the robot's looks; where several robots play, "g1=menagerie,panda=auto".
      depth: Whether observations hold depth images.
      segmentation: Whether observations hold segmentation images.
      render: False for a world that is never observed with cameras: the robot's visual meshes are left out. Physics is the same.
    """

    def __init__(
        self, *, quality: str = "fast", look: str = "auto", depth: bool = False, segmentation: bool = False, render: bool = True
    ) -> None:
        backend.choose()  # before mujoco is imported
        self._wanted_look = look
        self._depth = depth
        self._segmentation = segmentation
        self._render = render
        self._cameras = Cameras(quality)
        self._spec: EpisodeSpec | None = None
        self.look = ""
        """The resolved look of the robot of the running episode."""
        self.model_digest = ""
        """Physics of the compiled model."""
        self.initial_state_digest = ""
        """After settling."""

    # -------------------------------------------------------------------------------------------------------------- life cycle
    def start(self, spec: EpisodeSpec) -> Facts:
        """Builds the scene of an episode and settles it.

        Returns:
          The facts before the first action; their `contact_force_n` has no rows.

        Raises:
          BadSpec, UnknownName: If the spec contradicts itself or names what does not exist.
          Divergence: If it does not even settle.
        """
        self._spec = None
        spec.check()
        robot: Robot = catalog.load("robot", spec.robot)
        check_base(robot, spec.robot_base)
        if not is_control_of(spec.control, action_spec(robot, spec.control.name, spec.control.rate_hz, spec.robot_base)):
            raise BadSpec(f"the spec's control is not this version's {spec.control.name!r}: its components differ")
        self.look = look_of(self._wanted_look, robot)
        scene = build(spec, robot, self.look if self._render else None)
        simulation = Simulation(scene, spec, robot, _regulator(robot, spec, scene))
        simulation.start()
        self._arm, self._body = _controllers(robot, spec)
        self._tracker = ContactTracker(
            scene,
            props=[p.name for p in spec.scene.props],
            fixtures=[f.name for f in spec.scene.fixtures],
            named=(*spec.concerned, TABLE) if rests_on_table(spec.goal if spec.told is None else spec.alternatives[spec.told]) else spec.concerned,
            hands=robot.end_effectors,
            feet=[foot.body for foot in robot.stance.feet] if robot.stance else (),
            arms=_arm_links(robot, scene),
        )
        self._goal = [compile_predicate(p, spec) for p in spec.goal]
        self._stages = [compile_predicate(p, spec) for p in spec.stages]
        self._alternatives = [[compile_predicate(p, spec) for p in goal] for goal in spec.alternatives]
        self._steps = [[compile_predicate(p, spec) for p in step] for step in spec.steps]
        self._robot, self._scene, self._simulation = robot, scene, simulation
        components = state_components(robot, spec.robot_base)
        ends = np.cumsum([0, *(c.size for c in components)]).tolist()
        self._pieces = [(c.name, slice(a, b)) for c, a, b in zip(components, ends, ends[1:], strict=False)]
        self._senses = BodySenses(robot, spec.robot_base, simulation) if self._body else None
        self._hand_history = HandHistory(robot.sides, [p.name for p in spec.scene.props])
        self._history = History(spec.control.rate_hz)
        self._step_index = 0
        self._under_way: deque[NDArray[np.float32]] = deque()
        self._sensing = None if spec.sensing == CLEAN or not self._render else Sensing(spec)
        self._broken = False
        if self._render:
            self._cameras.show(scene)
        self._spec = spec
        self.model_digest = physics_digest(scene.model)
        self.initial_state_digest = simulation.state_digest()
        return self._facts(self._tracker.finish())

    def advance(self, action: Any) -> Facts:
        """Sends an action and lets one control step pass, in which the action is executed that was sent `action_delay_steps` before it.

        Before the first one arrives, the controllers keep their set points.

        Args:
          action: (D,) numbers within the bounds of the episode's control spec.

        Raises:
          NotReset: Before the first `start`, or after a divergence.
          BadAction: If the action has another shape, NaN, or leaves the bounds.
          Divergence: If the simulation became unstable.
        """
        spec = self.spec
        if self._broken:
            raise NotReset("the simulation of this episode diverged; start another one")
        self._under_way.append(spec.control.check(action))
        return self._pass_step(self._under_way.popleft() if len(self._under_way) > spec.action_delay_steps else None)

    def wait(self) -> Facts:
        """Lets one control step pass without an action, in which the controllers keep their set points.

        Raises:
          NotReset, Divergence: As `advance`.
        """
        self.spec  # noqa: B018 -- raises NotReset
        if self._broken:
            raise NotReset("the simulation of this episode diverged; start another one")
        return self._pass_step(None)

    def _pass_step(self, arrived: NDArray[np.float32] | None) -> Facts:
        """Executes a control step with the action `(D,)` that has arrived; None where none has."""
        self._broken = True  # until the step has come through
        if self._sensing is not None:
            self._sensing.keep(self._step_index, self._simulation.data)
        if self._body is not None:
            if arrived is not None:
                self._body.command(arrived, self._ee_base, self._simulation.base_pose, self._standing)
            self._simulation.command_base(self._body.height_m, self._body.lean_rad)
            self._simulation.step(self._body.joint_target, self._body.finger_target, self._tracker, self._body.base_target)
        else:
            if arrived is not None:
                self._arm.command(arrived, self._ee_base[""])
            self._simulation.step(self._arm.joint_target, self._arm.finger_target, self._tracker)
        self._broken = False
        self._step_index += 1
        return self._facts(self._tracker.finish())

    def close(self) -> None:
        """Frees the renderer. The world can be started again."""
        self._cameras.close()
        self._spec = None

    # ------------------------------------------------------------------------------------------------------------- what it says
    @property
    def spec(self) -> EpisodeSpec:
        """The running episode.

        Raises:
          NotReset: If there is none.
        """
        if self._spec is None:
            raise NotReset("no episode is running: reset the environment before it is stepped or observed")
        return self._spec

    @property
    def scene(self) -> SceneModel:
        """The compiled scene of the running episode."""
        return self._scene

    @property
    def simulation(self) -> Simulation:
        """The physics of the running episode."""
        return self._simulation

    @property
    def time_s(self) -> float:
        """Simulated time since the episode began."""
        return self._step_index / self.spec.control.rate_hz

    def state_digest(self) -> str:
        """Returns the digest of the present physics state."""
        return self._simulation.state_digest()

    def observation_spec(self) -> ObservationSpec:
        """Returns what `observe()` holds in the running episode."""
        spec = self.spec
        images = tuple(ImageComponent(name=c.name, width=c.width, height=c.height) for c in spec.scene.cameras)
        return ObservationSpec(images=images, state=state_components(self._robot, spec.robot_base), rate_hz=spec.control.rate_hz)

    def observe(self, cameras: Sequence[str] | None = None, *, privileged: bool = False) -> Observation:
        """Renders and reads. Every array is fresh memory.

        Images are what the cameras' drivers deliver (`EpisodeSpec.sensing`); depth and segmentation are always as they are now.

        Args:
          cameras: Names of cameras of the spec; None: all; empty: none.
          privileged: Whether to add the true state of props and furniture.

        Raises:
          UnknownName: If the spec has no such camera.
          NoRenderer: If the GL backend does not render here.
        """
        spec, data = self.spec, self._simulation.data
        names = [c.name for c in spec.scene.cameras] if cameras is None else list(cameras)
        for name in names:
            if name not in self._scene.cameras:
                raise unknown_name("camera", name, self._scene.cameras)
        sizes = {name: (self._scene.cameras[name].width, self._scene.cameras[name].height) for name in names}
        render, sensing, step = self._cameras, self._sensing, self._step_index

        def image(name: str) -> NDArray[np.uint8]:
            if sensing is None:
                return render.render(data, name, *sizes[name])
            return sensing.deliver(name, step, data, lambda state: render.render(state, name, *sizes[name]))

        return Observation(
            images={n: image(n) for n in names},
            depth={n: render.depth(data, n, *sizes[n]) for n in names} if self._depth else {},
            segmentation={n: render.segmentation(data, n, *sizes[n]) for n in names} if self._segmentation else {},
            proprio=self._proprio(),
            instruction=spec.instruction,
            time_s=self.time_s,
            privileged=self._privileged() if privileged else None,
        )

    def render(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Returns one `(H, W, 3)` uint8 image of any size, clean and of now: for people, not for policies."""
        self.spec  # noqa: B018 -- raises NotReset
        return self._cameras.render(self._simulation.data, camera, width, height)

    def state(self) -> NDArray[np.float64]:
        """Returns the full state of the physics, to look at again with `show` in the same episode."""
        return self._simulation.state()

    def show(self, state: NDArray[np.float64]) -> None:
        """Brings back a state of the running episode for cameras to look at: images and depth are those of then, if sensing is clean.

        Nothing else is brought back: no controller, no history, no time. The episode cannot be stepped any more.

        Args:
          state: What `state` returned in this episode.

        Raises:
          NotReset: If there is no episode.
        """
        self.spec  # noqa: B018 -- raises NotReset
        self._broken = True
        self._simulation.show(state)

    def commanded(self, action: NDArray[np.float32] | None = None) -> Commanded:
        """Returns what the controllers ask of the robot now.

        Args:
          action: (D,) None: as they are. Else as they would be if it were commanded in this state; it is not.
        """
        if self._body is not None:
            body = self._body
            if action is not None:
                body = body.copy()
                body.command(action, self._ee_base, self._simulation.base_pose, self._standing)
            return Commanded(body.joint_target.copy(), dict(body.pose_targets), dict(body.hand_commands))
        arm = self._arm
        if action is not None:
            arm = copy.copy(arm)  # whose fields are replaced by a command, never changed
            arm.command(action, self._ee_base[""])
        return Commanded(arm.joint_target.copy(), {"": arm.pose_target}, {"": arm.gripper_command})

    def far_m(self) -> float:
        """Returns the distance of the far plane, beyond which depth images see nothing."""
        model = self._scene.model
        return float(model.vis.map.zfar) * float(model.stat.extent)

    def gl_renderer(self) -> str | None:
        """Returns what the GL driver calls itself; makes a GL context where there is none yet."""
        return gl_renderer()

    # -------------------------------------------------------------------------------------------------------------- how it reads
    def _proprio(self) -> dict[str, Any]:
        if self._body is not None and self._senses is not None:
            return self._senses.read(self._ee_base, self._body)
        simulation, controller = self._simulation, self._arm
        here, target = self._ee_base[""], controller.pose_target
        grip = (simulation.finger_opening_m(), controller.gripper_command)
        # In the order of `state_components`; joined, rounded once, and cut into arrays of their own.
        parts = (simulation.joint_pos, simulation.joint_vel, here.pos, here.quat, target.pos, target.quat, grip)
        flat = np.concatenate(parts).astype(np.float32)
        return {name: flat[piece].copy() for name, piece in self._pieces}

    def _privileged(self) -> Privileged:
        spec, facts = self.spec, self._last_facts
        props = {
            p.name: PropState(pos_world=tuple(pos.tolist()), quat_world_wxyz=tuple(quat.tolist()), is_held=bool(held))
            for p, pos, quat, held in zip(
                spec.scene.props, facts.prop_pos_world_m, facts.prop_quat_world_wxyz, facts.prop_is_held, strict=True
            )
        }
        joints = dict(zip(self._scene.fixture_joint_names, facts.fixture_joint_pos.tolist(), strict=True))
        (x, y, z), (qw, qx, qy, qz) = (v.tolist() for v in self._base_pose)
        return Privileged(
            props=props,
            fixture_joints=joints,
            goal_met=tuple(facts.goal_met.tolist()),
            held_by=dict(self._hand_history.held_by),
            touched_by=dict(self._hand_history.touched_by),
            base_pos_world=(x, y, z),
            base_quat_world_wxyz=(qw, qx, qy, qz),
        )

    def _facts(self, contacts: StepContacts) -> Facts:
        simulation, spec = self._simulation, self.spec
        props = simulation.prop_states()
        fixture_joints = simulation.fixture_joint_pos
        hands = [simulation.ee_pose_world(i) for i in range(len(self._robot.end_effectors))]
        base = simulation.base_pose
        bx, by, yaw = base.tolist()
        self._base_pose = base_frame(self._robot, self._scene.floor_m, (bx, by, yaw))
        from_base = self._base_pose.inverse()
        self._ee_base = {side: from_base @ here for side, here in zip(self._robot.sides, hands, strict=True)}
        on_legs = spec.robot_base == "legs"
        self._standing = Standing(from_base @ simulation.base_body_pose(), simulation.joint_pos) if on_legs else None
        fallen = simulation.is_fallen()
        margin, slip = simulation.balance()
        q = simulation.joint_pos
        self._hand_history.update(contacts)
        state = self._state(props, fixture_joints, hands, contacts)
        self._last_facts = Facts(
            goal_met=np.array([p(state) for p in self._goal], bool),
            stage_met=np.array([p(state) for p in self._stages], bool),
            alternative_met=np.array([all(p(state) for p in goal) for goal in self._alternatives], bool),
            step_met=np.array([all(p(state) for p in step) for step in self._steps], bool),
            contacts=contacts.contacts,
            contact_force_n=contacts.force_n.reshape(-1, len(CONTACT_KINDS)),
            ee_pos_world_m=np.stack([here.pos for here in hands]),
            ee_quat_world_wxyz=np.stack([here.quat for here in hands]),
            gripper_opening_m=np.array([simulation.finger_opening_m(i) for i in range(len(hands))]),
            joint_pos=q,
            joint_vel=simulation.joint_vel,
            prop_pos_world_m=props[:, :3].copy(),
            prop_quat_world_wxyz=props[:, 3:].copy(),
            prop_is_held=contacts.prop_is_held,
            prop_robot_force_n=contacts.prop_robot_force_n,
            fixture_joint_pos=fixture_joints,
            fixture_robot_force_n=contacts.fixture_robot_force_n,
            base_pose_world=base,
            com_margin_m=margin,
            foot_slip_m=slip,
            is_fallen=fallen,
            torque_share=simulation.torque_share,
            joint_margin_rad=simulation.joint_margin_rad,
            energy_j=simulation.energy_j,
            time_s=self._step_index / spec.control.rate_hz,
        )
        return self._last_facts

    def _state(self, props: Any, fixture_joints: Any, hands: Sequence[Pose], contacts: StepContacts) -> WorldState:
        scene, spec = self._scene, self.spec
        parties, robots = scene.parties, scene.num_robot

        def find_touching() -> frozenset[frozenset[str]]:
            pairs = self._simulation.touching()
            return frozenset(frozenset(("robot" if a < robots else parties[a], "robot" if b < robots else parties[b])) for a, b in pairs)

        pressed = [p.name for p, force in zip(spec.scene.props, contacts.prop_robot_force_n, strict=True) if force > 0]
        pressed += [f.name for f, force in zip(spec.scene.fixtures, contacts.fixture_robot_force_n, strict=True) if force > 0]
        poses: Mapping[str, Pose] = {p.name: Pose(row[:3], row[3:]) for p, row in zip(spec.scene.props, props, strict=True)}
        return WorldState(
            props=poses,
            held=frozenset(p.name for p, held in zip(spec.scene.props, contacts.prop_is_held, strict=True) if held),
            fixture_joints=dict(zip(scene.fixture_joint_names, fixture_joints.tolist(), strict=True)),
            find_touching=find_touching,
            ee_pos_world=hands[0].pos,
            touched_by_robot=frozenset(pressed),
            gripper_command=self._arm.gripper_command if self._body is None else max(self._body.hand_commands.values()),
            find_speed_m_s=self._simulation.prop_speed_m_s,
            **self._body_state(hands),
        )

    def _body_state(self, hands: Sequence[Pose]) -> dict[str, Any]:
        """Returns what only predicates on two hands look at."""
        if self._body is None:
            return {}
        simulation, did = self._simulation, self._hand_history
        x, y, yaw = simulation.base_pose.tolist()
        poses = dict(zip(self._robot.sides, hands, strict=True))
        head = simulation.camera_pose("head") if "head" in self._scene.cameras else None
        self._history.note(ee_poses=poses, head=head, base=(x, y, yaw))
        return {
            "hands": self._robot.sides,
            "held_by": did.held_by,
            "touched_by": did.touched_by,
            "touched_by_body": did.touched_by_body,
            "ever_touched_by": did.ever_touched_by,
            "ever_touched_by_arm": did.ever_touched_by_arm,
            "ever_held_by": did.ever_held_by,
            "hold_order": did.hold_order,
            "ee_poses": poses,
            "base": (x, y, yaw),
            "head": head,
            "joint_pos": dict(zip(self._robot.joints, simulation.joint_pos.tolist(), strict=True)),
            "history": self._history.columns,
        }


def _regulator(robot: Robot, spec: EpisodeSpec, scene: SceneModel) -> Regulator | None:
    """Returns what keeps a robot on its legs; None with another base."""
    if spec.robot_base != "legs":
        return None
    from vlagym.envs.balance import Balance

    balance: Regulator = Balance(robot, scene.model)
    return balance


def _arm_links(robot: Robot, scene: SceneModel) -> list[list[str]]:
    """Returns for each hand the links that the joints of its arm move, the hand itself not among them."""
    model, hands = scene.model, robot.end_effectors
    groups = [[group for group in robot.groups if group.name == f"{hand.side}_arm"] for hand in hands]
    moved = [[model.body(int(model.joint(j).bodyid[0])).name for group in own for j in group.joints] for own in groups]
    return [[link for link in links if link not in hand.all_links] for links, hand in zip(moved, hands, strict=True)]


def _controllers(robot: Robot, spec: EpisodeSpec) -> tuple[Controller, BodyController | None]:
    """Returns the controller of the first arm, and that of the whole body where there are two; whoever is in charge has begun the episode."""
    arm = Controller(robot, kinematics(spec.robot), spec.control)
    if not robot.has_two_hands:
        arm.reset(np.array(spec.robot_qpos))
        return arm, None
    body = BodyController(robot, WholeBody(robot, spec.robot_base), spec.control, spec.robot_base)
    body.reset(np.array(spec.robot_qpos), spec.robot_start)
    return arm, body
