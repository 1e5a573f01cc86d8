"""The contract that dm_env's own kit tests."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from absl.testing import absltest
from dm_env import test_utils

from vlagym.envs import dm

pytestmark = pytest.mark.gl


class TestDmEnvContract(test_utils.EnvironmentTestMixin, absltest.TestCase):  # type: ignore[misc]
    """Every clause of dm_env's kit, over more than one episode."""

    def make_object_under_test(self) -> Any:
        return dm.make("open_drawer", seed=3, cameras=("front",), image_size=(32, 32))

    def make_action_sequence(self) -> Iterator[Any]:
        rng = np.random.default_rng(0)
        spec = self.environment.action_spec()
        for _ in range(150):
            yield rng.uniform(spec.minimum, spec.maximum).astype(spec.dtype)


class TestDmEnvContractWithTwoHands(test_utils.EnvironmentTestMixin, absltest.TestCase):  # type: ignore[misc]
    """The same with a humanoid that glides and acts within bounds that are not those of one arm."""

    def make_object_under_test(self) -> Any:
        return dm.make("touch_with", seed=3, robot="cmu_humanoid", base="planar", cameras=("head",), image_size=(32, 32))

    def make_action_sequence(self) -> Iterator[Any]:
        rng = np.random.default_rng(0)
        spec = self.environment.action_spec()
        for _ in range(60):
            yield rng.uniform(spec.minimum, spec.maximum).astype(spec.dtype)
