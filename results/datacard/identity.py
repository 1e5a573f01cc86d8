"""What makes two episodes the same to whoever acts in them, whatever their seeds, sentences and looks."""

from __future__ import annotations

import numpy as np

from vlagym.envs.types import EpisodeSpec, canonical_json, sha, sha_arrays, to_plain
from vlagym.results.demonstration import Demonstration

_LOOKS = ("rgba", "texture")


def scene_digest(spec: EpisodeSpec) -> str:
    """Returns 32 hexadecimal digits of what is to be done where: robot, start posture, arena, things, places and goal.

    Left out are the seed, the sentence, colours, light, cameras, control and what happens to images: two episodes that differ in nothing else are one
    problem, told or shown in another way.
    """
    scene = to_plain(spec.scene)
    things = [[{k: v for k, v in thing.items() if k not in _LOOKS} for thing in scene[sort]] for sort in ("props", "fixtures")]
    body = [spec.robot, spec.robot_base, spec.robot_qpos, spec.robot_start]
    return sha(canonical_json(to_plain([spec.task, body, scene["arena"], things, spec.goal, spec.steps])).encode())


def recording_digest(demonstration: Demonstration) -> str:
    """Returns 32 hexadecimal digits of the sentence and of what was executed."""
    return sha_arrays(np.frombuffer(demonstration.instruction.encode(), np.uint8), demonstration.executed_actions)
