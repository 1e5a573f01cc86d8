"""Says what this machine can do: tries every GL backend for real, names versions, and gives the line that installs what is missing."""

from __future__ import annotations

import ctypes.util
import dataclasses
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlagym.benchmark import console, probes
from vlagym.envs import arithmetic, backend
from vlagym.envs.errors import NoRenderer

_NAMED = ("mujoco", "numpy", "torch", "gymnasium", "gymnasium-robotics", "mink", "daqp")
"""Packages that a score depends on: named even where all is well."""

_LIBRARIES = {"egl": "EGL", "osmesa": "OSMesa"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    name: str
    value: str
    is_ok: bool
    is_needed: bool = False
    """The main job cannot run without it."""
    install: str = ""
    """A shell line that mends it."""


def main(args: Sequence[str]) -> int:
    """Prints what was found; returns 1 when the main job cannot run here."""
    parser = console.parser(
        prog="vlagym doctor",
        description="Says what this machine can do: GL backends tried for real, versions, extras, the line that installs what is missing. "
        "Exits with 1 when `vlagym run` cannot work here.",
        example="vlagym doctor",
    )
    parser.add_argument("--json", action="store_true", help="prints can_run, the install lines and every finding")
    options = parser.parse_args(args)
    findings = examine()
    missing = [f for f in findings if f.is_needed and not f.is_ok]
    installs = list(dict.fromkeys(f.install for f in missing if f.install))
    if options.json:
        report = {"can_run": not missing, "install": installs, "findings": [dataclasses.asdict(f) for f in findings]}
        console.answer(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        console.answer(console.table([[f.topic, f.name, _mark(f), f.value] for f in findings], ["", "what", "", "found"]))
        console.answer("")
        for finding in findings:
            if not finding.is_ok and not finding.is_needed and finding.install:
                console.answer(f"optional, {finding.name}: {finding.install}")
        if missing:
            console.answer(f"vlagym run cannot work here; {'; '.join(f'{f.name}: {f.value}' for f in missing)}")
            console.answer(f"install what is missing: {' && '.join(installs)}" if installs else "no line that would mend this is known")
        else:
            console.answer("vlagym run can work here: vlagym run --policy minivla --suite smoke")
    return 1 if missing else 0


def examine() -> list[Finding]:
    """Returns all findings. Where a needed package is absent, nothing that needs it is tried."""
    findings = [*_machine(), *_packages()]
    if any(f.is_needed and not f.is_ok for f in findings):
        return findings
    graphics = _graphics()
    findings += [*graphics, *_files()]
    if all(f.is_ok for f in graphics if f.is_needed):
        findings.append(_tried("episode", "first observation", "episode"))
    findings.append(_tried("policy", "minivla", "policy"))
    return findings


def _mark(finding: Finding) -> str:
    if finding.is_ok:
        return console.paint("ok", "green")
    return console.paint("MISSING", "red") if finding.is_needed else console.paint("no", "yellow")


# ---------------------------------------------------------------------------------------------------------------- machine and packages
def _machine() -> list[Finding]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    version = platform.python_version()
    needs = importlib.metadata.metadata("vlagym")["Requires-Python"] or ""
    return [
        Finding(topic="machine", name="system", value=f"{platform.system()} {platform.release()} {platform.machine()}", is_ok=True),
        Finding(topic="machine", name="cores", value=f"{usable} usable of {os.cpu_count()}", is_ok=True),
        Finding(topic="machine", name="memory", value=f"{memory_gib:.1f} GiB", is_ok=True),
        Finding(topic="machine", name="arithmetic", value=_arithmetic(), is_ok=True),
        Finding(topic="machine", name="python", value=f"{version} (needs {needs})", is_ok=satisfies(version, needs), is_needed=True),
    ]


def _arithmetic() -> str:
    if _version("numpy") is None:
        return "unknown: there is no NumPy"
    told = arithmetic.told()
    return f"{told}: the same bits on every x86-64 processor with AVX2" if arithmetic.CORE in told else f"{told}: the last bits may differ elsewhere"


def _packages() -> list[Finding]:
    findings: list[Finding] = []
    extras: dict[str, list[str]] = {}
    for line in importlib.metadata.requires("vlagym") or []:
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        name, bounds = _split(requirement)
        version = _version(name)
        is_ok = version is not None and satisfies(version, bounds)
        extra = re.search(r"extra == ['\"](\w+)['\"]", marker)
        if extra:
            extras.setdefault(extra[1], []).extend([] if is_ok else [name])
        elif name in _NAMED or not is_ok:
            value = (version or "not installed") + ("" if is_ok else f" (needs {bounds or 'any version'})")
            findings.append(Finding(topic="package", name=name, value=value, is_ok=is_ok, is_needed=True, install=f"pip install '{requirement}'"))
    for extra_name, absent in sorted(extras.items()):
        value = f"lacks {', '.join(absent)}" if absent else "complete"
        findings.append(Finding(topic="extra", name=extra_name, value=value, is_ok=not absent, install=f"pip install {_self()}[{extra_name}]'"))
    return findings


def _self() -> str:
    """Returns how pip is told to install vlagym again, up to its extras: from the checkout it was installed from, or by name."""
    origin = json.loads(importlib.metadata.distribution("vlagym").read_text("direct_url.json") or "{}")
    url = str(origin.get("url", ""))
    if not url.startswith("file://"):
        return "'vlagym"
    return f"{'-e ' if origin.get('dir_info', {}).get('editable') else ''}'{url.removeprefix('file://')}"


def satisfies(version: str, bounds: str) -> bool:
    """Returns whether a release number meets bounds such as ">=3.17,<4". Compares numbers only: a release candidate counts as its release."""
    number = _number(version)
    tests = {">=": number.__ge__, "<=": number.__le__, ">": number.__gt__, "<": number.__lt__}
    for bound in filter(None, (b.strip() for b in bounds.split(","))):
        found = re.match(r"(>=|<=|>|<)\s*([\d.]+)$", bound)
        if found is None:
            raise ValueError(f"the bound {bound!r} is not one of >=, <=, >, < and a release number")
        if not tests[found[1]](_number(found[2])):
            return False
    return True


def _number(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", version)
    parts = [int(p) for p in found[0].split(".")] if found else [0]
    return tuple(parts + [0] * (4 - len(parts)))


def _split(requirement: str) -> tuple[str, str]:
    found = re.match(r"([\w.-]+)(?:\[[^]]*\])?\s*(.*)$", requirement)
    assert found is not None, requirement
    return found[1], found[2].strip("() ")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


# ---------------------------------------------------------------------------------------------------------------- graphics
def _graphics() -> list[Finding]:
    """Returns one finding for each backend, then one for the backend that vlagym would choose."""
    asked = os.environ.get("MUJOCO_GL")
    try:
        chosen = backend.wanted()
    except NoRenderer:
        chosen = str(asked)
    answers = {name: _explained(name, probes.run("frame", {"MUJOCO_GL": name})) for name in backend.BACKENDS}
    findings = [Finding(topic="graphics", name=name, value=a.text, is_ok=a.is_ok) for name, a in answers.items()]
    working = [name for name, a in answers.items() if a.is_ok]
    origin = f"MUJOCO_GL={asked}" if asked else "chosen by vlagym"
    is_ok = chosen in working
    if is_ok:
        value, install = f"{chosen} ({origin})", ""
    elif working:
        value, install = f"{chosen} does not render here ({origin}), {working[0]} does", f"export MUJOCO_GL={working[0]}"
    else:
        value, install = "no backend renders a frame here", _mesa_line()
    return [*findings, Finding(topic="graphics", name="backend in use", value=value, is_ok=is_ok, is_needed=True, install=install)]


def _explained(name: str, answer: probes.Answer) -> probes.Answer:
    """Returns the answer with the usual reason in front where it applies: GL libraries complain in riddles."""
    reason = ""
    if name == "glfw" and platform.system() == "Linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        reason = "no screen"
    elif name in _LIBRARIES and not ctypes.util.find_library(_LIBRARIES[name]):
        reason = f"no {_LIBRARIES[name]} library"
    return answer if answer.is_ok or not reason else probes.Answer(is_ok=False, text=f"{reason} ({answer.text})")


def _mesa_line() -> str:
    """Returns the line that installs a software renderer on this system."""
    words = ""
    if Path("/etc/os-release").exists():
        words = " ".join(re.findall(r"^ID(?:_LIKE)?=(.*)$", Path("/etc/os-release").read_text(encoding="utf-8"), re.M)).replace('"', "")
    line = backend.INSTALL_LINE
    if "fedora" in words or "rhel" in words:
        line = "dnf install mesa-libEGL mesa-dri-drivers"
    elif "arch" in words:
        line = "pacman -S mesa"
    return line if os.geteuid() == 0 else f"sudo {line}"


# ---------------------------------------------------------------------------------------------------------------- files and an episode
def _files() -> list[Finding]:
    from vlagym.envs.meshes import cache_folder

    cache = cache_folder()
    menagerie = os.environ.get("MENAGERIE_ROOT")
    package = _version("mujoco-menagerie")
    if menagerie:
        models = ("franka_emika_panda/panda.xml", "unitree_g1/g1_with_hands.xml")
        lacking = [model for model in models if not (Path(menagerie) / model).exists()]
        has_menagerie = not lacking
        where = f"MENAGERIE_ROOT={menagerie}" + (f" holds no {' and no '.join(lacking)}" if lacking else "")
    else:
        has_menagerie = package is not None
        where = f"mujoco-menagerie {package}" if package else "neither MENAGERIE_ROOT nor mujoco-menagerie; only the look 'menagerie' needs it"
    return [
        Finding(topic="files", name="cache folder", value=str(cache), is_ok=_is_writable(cache), is_needed=True, install=f"mkdir -p {cache}"),
        Finding(topic="files", name="menagerie", value=where, is_ok=has_menagerie, install="pip install mujoco-menagerie"),
    ]


def _is_writable(folder: Path) -> bool:
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)


def _tried(topic: str, name: str, function: str) -> Finding:
    answer = probes.run(function, {name: value for name, value in os.environ.items() if name == "MUJOCO_GL"})
    return Finding(topic=topic, name=name, value=answer.text, is_ok=answer.is_ok, is_needed=True)
