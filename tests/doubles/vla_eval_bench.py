"""A benchmark of the real vla-eval: shows what `served.Echo` reads, and keeps what it is told to do. Importable only where vla-eval is."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import served
from vla_eval.benchmarks.base import StepBenchmark, StepResult
from vla_eval.specs import GRIPPER_CLOSE_POS, IMAGE_RGB, LANGUAGE, POSITION_DELTA, RAW, ROTATION_AA


class Bench(StepBenchmark):  # type: ignore[misc, unused-ignore]
    """Two tasks of five steps; succeeds when five actions of seven numbers have come."""

    told: ClassVar[list[tuple[str, list[Any]]]] = []
    """(task, actions) of each episode of this process."""
    params: ClassVar[dict[str, Any]] = {}
    render_backends = frozenset({"gpu", "cpu"})

    def __init__(self, send_state: bool = False, send_wrist_image: bool = False) -> None:
        super().__init__()
        self.send_state, self.send_wrist_image = send_state, send_wrist_image
        Bench.params = {"send_state": send_state, "send_wrist_image": send_wrist_image}

    @classmethod
    def configure_render(cls, mode: str) -> dict[str, str]:
        return {}

    def get_tasks(self) -> list[dict[str, Any]]:
        return [{"name": "lift the cube"}, {"name": "open the drawer"}]

    def reset(self, task: dict[str, Any]) -> Any:
        Bench.told.append((task["name"], []))
        return 0

    def step(self, action: dict[str, Any]) -> StepResult:
        actions = Bench.told[-1][1]
        actions.append(np.asarray(action["actions"]))
        return StepResult(obs=len(actions), reward=0.0, done=len(actions) == 5, info={})

    def make_obs(self, raw_obs: Any, task: dict[str, Any]) -> dict[str, Any]:
        images = served.frames()
        if not self.send_wrist_image:
            del images["wrist"]
        seen: dict[str, Any] = {"images": images, "task_description": task["name"]}
        if self.send_state:
            seen["states"] = np.concatenate(list(served.state().values()))
        return seen

    def get_step_result(self, step_result: StepResult) -> dict[str, Any]:
        return {"success": all(a.shape == (7,) for a in Bench.told[-1][1])}

    def get_metadata(self) -> dict[str, Any]:
        return {"max_steps": 5, "max_episodes_per_task": 1}

    def get_action_spec(self) -> dict[str, Any]:
        return {"position": POSITION_DELTA, "rotation": ROTATION_AA, "gripper": GRIPPER_CLOSE_POS}

    def get_observation_spec(self) -> dict[str, Any]:
        spec = {"image": IMAGE_RGB, "language": LANGUAGE}
        return spec | ({"wrist_image": IMAGE_RGB} if self.send_wrist_image else {}) | ({"state": RAW} if self.send_state else {})
