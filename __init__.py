"""vlagym: a simulation benchmark that asks whether a Vision-Language-Action policy does what it is told."""

import sys

from vlagym.envs import arithmetic as _arithmetic

__version__ = "0.1.0"

_arithmetic.settle()  # before NumPy is loaded, where that is possible

# Gymnasium 1.0 gave up entry points: its ids are known once somebody registers them. Where it is imported already, this is the moment;
# elsewhere `import vlagym.envs.gym`, or the id "vlagym.envs.gym:vlagym/PlaceOn-v0", does it. Costs nothing where Gymnasium is not in use.
if "gymnasium.envs.registration" in sys.modules:
    from vlagym.envs.gym import register as _register

    _register()
