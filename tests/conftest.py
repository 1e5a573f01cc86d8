"""Fixtures for all tests. `traces` is the builder of hand-written traces: tests/traces.py is no package that could be imported."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from vlagym.envs import backend

backend.choose()  # whichever test imports mujoco first: the GL backend is chosen before it


@pytest.fixture(scope="session")
def traces() -> ModuleType:
    """Returns the module tests/traces.py: `make_spec`, `make_trace`, `make_result`, `make_header`."""
    name = "vlagym_tests_traces"
    if name not in sys.modules:
        found = importlib.util.spec_from_file_location(name, Path(__file__).with_name("traces.py"))
        assert found is not None and found.loader is not None
        module = importlib.util.module_from_spec(found)
        sys.modules[name] = module
        found.loader.exec_module(module)
    return sys.modules[name]
