"""Makes the doubles importable, in worker processes too: they are told the import path of the process that starts them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "doubles"))
