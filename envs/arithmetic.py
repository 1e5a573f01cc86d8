"""One arithmetic on every x86-64 processor with AVX2, so that equal actions give equal states to the last bit wherever they are simulated again.

OpenBLAS multiplies matrices, and NumPy computes sines, with other instructions where a processor has AVX-512: the last bits differ, and where things
touch they grow. Measured with OpenBLAS 0.3.31 and NumPy 2.4.6: of 6 episodes of `smoke` none had the same states with AVX-512 as with AVX2. Both
libraries can be told by variables of the environment not to use it, but only before they are loaded: `import vlagym` sets these, and processes that
are started later inherit them. Where NumPy was loaded before, its arithmetic stays as it is, and `told()` and the header of a run say which it is.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CORE = "Haswell"
"""OpenBLAS's name of its code for AVX2, which every processor with AVX2 runs."""
_BLAS, _OFF, _ON = "OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES"
_NEEDED = {"avx2", "fma"}
_CPUINFO = Path("/proc/cpuinfo")


def settle() -> None:
    """Sets the variables for this process and those that it starts, unless somebody has set them.

    Does nothing where there is no AVX2, or no /proc/cpuinfo that tells of it.
    """
    if platform.machine() not in ("x86_64", "AMD64") or not _NEEDED <= _flags():
        return
    os.environ.setdefault(_BLAS, CORE)
    if _ON not in os.environ:
        os.environ.setdefault(_OFF, _wide(_numpy_version()))


def told() -> str:
    """Returns the arithmetic of this process: "OpenBLAS Haswell, NumPy X86_V3". Loads NumPy.

    Equal texts and equal versions of the packages promise equal bits; "unknown" promises nothing.
    """
    import numpy as np

    simd: Mapping[str, Any] = (np.show_config(mode="dicts") or {}).get("SIMD Extensions", {})
    found = [*simd.get("baseline", []), *simd.get("found", [])]
    return f"OpenBLAS {_core()}, NumPy {found[-1] if found else 'unknown'}"


def _wide(version: tuple[int, int]) -> str:
    """Returns what a version of NumPy calls its code for AVX-512; it warns of names of code that it has not (wheels before 2.3 have none for SPR)."""
    if version >= (2, 4):
        return "X86_V4 AVX512_ICL AVX512_SPR"
    return "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL" + (" AVX512_SPR" if version >= (2, 3) else "")


def _numpy_version() -> tuple[int, int]:
    """Returns the version of the NumPy that would be imported, without importing it."""
    if (spec := importlib.util.find_spec("numpy")) is None or spec.origin is None:
        return (0, 0)
    said = re.search(r'version\s*=\s*"(\d+)\.(\d+)', (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8"))
    return (int(said[1]), int(said[2])) if said else (0, 0)


def _flags() -> set[str]:
    try:
        with _CPUINFO.open(encoding="utf-8") as lines:
            return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())
    except OSError:
        return set()


def _core() -> str:
    """Returns which code OpenBLAS has chosen in this process."""
    for file in sorted(Path(sys.modules["numpy"].__file__ or "").parent.with_name("numpy.libs").glob("*openblas*")):
        library = ctypes.CDLL(str(file))  # the one that NumPy has loaded already
        for name in ("scipy_openblas_get_corename64_", "openblas_get_corename64_", "openblas_get_corename"):
            if function := getattr(library, name, None):
                function.restype = ctypes.c_char_p
                return str(function().decode())
    return "unknown"
