"""Registers the Gymnasium ids when it is imported: `import vlagym.envs.gym`, or `gym.make("vlagym.envs.gym:vlagym/PlaceOn-v0")`.

Gymnasium before 1.0 called the entry point `gymnasium.envs`; from 1.0 on it expects that a module registers its ids on import, which is why
this module, alone in the house, does something when it is imported. It imports neither mujoco nor a task.
"""

from __future__ import annotations

from vlagym.envs import catalog


def ids() -> dict[str, str]:
    """Returns Gymnasium id -> task: "vlagym/PlaceOn-v0" -> "place_on"."""
    return {f"vlagym/{''.join(word.capitalize() for word in task.split('_'))}-v0": task for task in catalog.names("task")}


def register() -> None:
    """Registers one id a task; ids that are registered already are left alone."""
    from gymnasium.envs import registration  # gymnasium itself may still be being imported

    for name, task in ids().items():
        if name not in registration.registry:
            registration.register(id=name, entry_point="vlagym.envs.env:VlaEnv", kwargs={"task": task})


register()
