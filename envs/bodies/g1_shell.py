"""How the Unitree G1 looks: a shell of our own that every installation has, or the published meshes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlagym.envs.bodies.menagerie_look import LookPart, MenagerieModel, add_parts, menagerie_folder, menagerie_parts
from vlagym.envs.bodies.shell_parts import read_shell
from vlagym.envs.errors import unknown_name

LOOKS = ("shell", "menagerie")
SHELL_FILE = "robots/g1/shell.toml"
MENAGERIE = MenagerieModel("unitree_g1", "g1_with_hands.xml")
MENAGERIE_FACES = 20000


def resolve_look(wanted: str) -> str:
    """Returns the look that "auto" or a name stands for on this machine.

    Raises:
      UnknownName: If there is no such look.
      MissingPackage: If its meshes are not here.
    """
    if wanted == "auto":
        return "shell"
    if wanted not in LOOKS:
        raise unknown_name("look of the g1", wanted, ["auto", *LOOKS])
    if wanted == "menagerie":
        menagerie_folder(MENAGERIE)
    return wanted


def add_look(bodies: Mapping[str, Any], spec: Any, look: str) -> None:
    """Hangs what is seen of the robot on its links: meshes that weigh nothing and touch nothing.

    Args:
      bodies: Link name -> body of a `mujoco.MjSpec`.
      spec: That `mujoco.MjSpec`.
      look: A resolved look.

    Raises:
      UnknownName: If there is no such look.
      MissingPackage: If its meshes are not here.
    """
    if look not in LOOKS:
        raise unknown_name("look of the g1", look, LOOKS)
    if look == "menagerie":
        add_parts(bodies, spec, look, menagerie_parts(MENAGERIE, MENAGERIE_FACES))
        return
    shell = read_shell(SHELL_FILE)
    for name, finish in shell.finishes.items():
        spec.add_material(
            name=f"{look}_{name}", rgba=finish.rgba, specular=finish.specular, shininess=finish.shininess, emission=finish.emission, reflectance=0.0
        )
    add_parts(bodies, spec, look, [LookPart(part.link, f"{look}_{part.finish}", part.mesh) for part in shell.parts])
