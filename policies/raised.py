"""What the code of a user's policy raised, on one line, and in which line of which of their files."""

from __future__ import annotations

import contextlib
import inspect
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vlagym.envs.errors import PolicyRaised, VlagymError
from vlagym.policies import foreign

_TOLD_MAX = 500


def told(error: BaseException, code: Any) -> str:
    """Returns "ValueError: no weights (mine.py, line 3)".

    The line is the innermost one in a file beside that of the user's code, whatever libraries were called from there; where there is none, the
    innermost one of all.

    Args:
      error: What was raised.
      code: The user's class or function.
    """
    text = foreign.told(error, _TOLD_MAX)
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    home = _home(code)
    theirs = [frame for frame in frames if home is not None and _is_in(Path(frame.filename), home)]
    if not frames:
        return what
    frame = (theirs or frames)[-1]
    return f"{what} ({Path(frame.filename).name}, line {frame.lineno})"


@contextlib.contextmanager
def blamed(who: str, doing: str, code: Any) -> Iterator[None]:
    """Turns whatever a user's code raises inside into PolicyRaised, which says where. Errors of ours pass as they are.

    Args:
      who: The policy, as it is written on the command line.
      doing: Its method.
      code: The user's class or function.

    Raises:
      PolicyRaised: If anything but an error of ours is raised, asyncio's CancelledError among it. What ends programs, as sys.exit and Ctrl-C, is for
        whoever asks the policy.
    """
    try:
        yield
    except (VlagymError, SystemExit, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        raise PolicyRaised(f"{doing} of {who} raised {told(error, code)}") from error


def _home(code: Any) -> Path | None:
    try:
        return Path(inspect.getfile(inspect.unwrap(code))).resolve().parent
    except (TypeError, OSError):  # made by C, or by a line that somebody typed
        return None


def _is_in(file: Path, home: Path) -> bool:
    """Returns whether a file is the user's: below the folder of their code, and no package that is installed below it."""
    file = file.resolve()
    return file.is_relative_to(home) and "site-packages" not in file.relative_to(home).parts
