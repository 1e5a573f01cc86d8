"""What no simulation can confirm about a run, in sentences that stand beside what was confirmed."""

from __future__ import annotations

from vlagym.benchmark import cadence
from vlagym.benchmark.rig import rig_names
from vlagym.benchmark.suite import Suite
from vlagym.benchmark.suite_files import FOLDER, load_suite
from vlagym.envs import arithmetic, catalog
from vlagym.envs.types import RunHeader


def reservations(header: RunHeader, suite: Suite) -> list[str]:
    """Returns what must be believed.

    Args:
      header: Of the run.
      suite: The header's.
    """
    name, privileged = header.policy.get("name"), bool(header.policy.get("privileged"))
    reads = "reads the true state of the scene" if privileged else "read nothing of the true state of the scene"
    out = [
        f"that it was {name!r} which chose these actions is what the header says, and that it {reads}; only running the policy could confirm it",
        "what the policy saw: no image is rendered again, so that its quality, the looks of the robots, the renderer, and what cameras, lights, "
        "textures and noise did to it are what the header and the suite say",
        _asked(header),
        *_suite(suite),
        *_arithmetic(header),
    ]
    if suite.season:
        out.append(f"who chose the name of the season {suite.season!r}, and when: compare it with what was committed to (vlagym season check)")
    return out


def _arithmetic(header: RunHeader) -> list[str]:
    """Returns why the last bits of states may differ here, where it is known that they may."""
    there, here = header.machine.get("arithmetic"), arithmetic.told()
    if there is None or there == here:
        return []
    return [
        f"whether a difference in the last bits is one: the run was simulated with {there}, and this process has {here}. "
        f"Equal ones come of OPENBLAS_CORETYPE and NPY_DISABLE_CPU_FEATURES, which vlagym sets where it is imported before NumPy"
    ]


def _asked(header: RunHeader) -> str:
    latency = "how long it took (latency_s, wall_s)"
    chunking = header.policy.get("chunking")
    if cadence.is_decided(None if chunking is None else str(chunking)):
        return latency
    least = f"; not less often than its chunks allow ({chunking})" if str(chunking).startswith("receding") else ""
    return f"{latency}, and how often the policy was asked ({', '.join(cadence.MEASURES)}), which the run states itself{least}"


def _suite(suite: Suite) -> list[str]:
    """Returns what is to be said of a suite that bears the name of one of ours and is not it."""
    name, _, rig = suite.name.partition("@")
    for what, part, known in (("suite", name, catalog.toml_names(FOLDER)), ("rig", rig, ["", *rig_names()])):
        if part not in known:
            return [f"the {what} {part!r} is none that ships: nobody but its author says what is in it"]
    shipped = load_suite(name)
    if suite.season:
        shipped = shipped.in_season(suite.season)
    if rig:
        shipped = shipped.restrict(rig=rig)
    out: list[str] = []
    if (suite.version, suite.entries) != (shipped.version, shipped.entries):
        counts = f"{suite.num_episodes} episodes there, {shipped.num_episodes} here"
        of = f" in the season {suite.season!r}" if suite.season else ""
        out.append(f"these are not the episodes of the suite {suite.name!r} as it ships{of} ({counts}): a part of it, or a change")
    if dict(suite.cost) != dict(shipped.cost):
        weights = sorted({*suite.cost.items()} ^ {*shipped.cost.items()})
        changed = ", ".join(dict.fromkeys(measure for measure, _ in weights))
        out.append(f"the cost is not weighed as the suite {suite.name!r} does as it ships ({changed}): cost and safe_success are of another kind")
    return out
