"""What an episode's goal has the robot handle: axes of physics vary what that is made of, and have nothing to vary where it is furniture alone."""

from __future__ import annotations

from vlagym.benchmark.axis import NotApplicable
from vlagym.envs.types import EpisodeSpec


def handled(spec: EpisodeSpec, what: str) -> frozenset[str]:
    """Returns the names of the props that the goal is about.

    Args:
      spec: The episode.
      what: That is to be varied, for the error.

    Raises:
      NotApplicable: If there is none: another friction or mass of what only stands around would change nothing that is measured.
    """
    props = {prop.name for prop in spec.scene.props}
    named = frozenset(name for name in spec.named if name in props)
    if not named:
        raise NotApplicable(f"{spec.task!r} with seed {spec.seed} is about {', '.join(spec.named)} alone, whose {what} an episode does not state")
    return named
