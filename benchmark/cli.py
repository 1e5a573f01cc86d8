"""The command line: `vlagym VERB …`, where the verbs are the files of `benchmark/commands`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import vlagym
from vlagym.benchmark import console
from vlagym.envs import catalog
from vlagym.envs.errors import RunStopped, VlagymError, unknown_name

DONE, CHECKS_FAILED, USER_ERROR, HAS_ERRORED_EPISODES = 0, 1, 2, 3
"""Exit statuses of every verb."""

INTERRUPTED = 130
"""128 + SIGINT: what a shell reports of a program that ctrl-C ended."""

BUG = 70
"""EX_SOFTWARE of sysexits: something raised that is nobody's mistake but ours, or an outsider's code's. The traceback is kept."""

NOBODY_READS = 141
"""128 + SIGPIPE: the reader of a pipe (`| head`) has left."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line.

    Args:
      argv: The words after `vlagym`; None means those this process was started with.

    Returns:
      The exit status: 0 done, 1 checks failed, 2 user error or a file that cannot be read or written (one line on stderr), 3 finished with
      errored episodes, 70 a bug (with its traceback), 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # package.module:ATTRIBUTE is looked for here too; last, so that nothing installed is hidden
    try:
        status = _run(words)
        sys.stdout.flush()
        return status
    except RunStopped as stopped:
        _refused(words, str(stopped))
        return HAS_ERRORED_EPISODES
    except VlagymError as error:
        return _refused(words, str(error))
    except KeyboardInterrupt:
        console.note("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whatever is still buffered would raise again when the interpreter closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
    except OSError as error:
        if error.errno is None:  # raised by a library for reasons of its own
            return _bug()
        return _refused(words, f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))
    except Exception:
        return _bug()


def _refused(words: Sequence[str], why: str) -> int:
    verb = f" {words[0]}" if words else ""
    console.note(f"{console.paint(f'vlagym{verb}:', 'red', sys.stderr)} {why}")
    return USER_ERROR


def _bug() -> int:
    import traceback

    console.note(traceback.format_exc().rstrip("\n"))
    return BUG


def _run(words: list[str]) -> int:
    if not words:
        console.note(_help())
        return USER_ERROR
    verb, rest = words[0], words[1:]
    if verb in ("-h", "--help", "help"):
        console.answer(_help())
        return DONE
    if verb == "--version":
        console.answer(f"vlagym {vlagym.__version__}")
        return DONE
    verbs = catalog.names("command")
    if verb not in verbs and ":" not in verb:
        raise unknown_name("command", verb, verbs, "Every command explains itself with --help.")
    try:
        return int(catalog.load("command", verb)(rest))
    except SystemExit as leaving:  # argparse leaves this way after --help (0) and after a wrong command line (2)
        if not _is_argparse(leaving):
            raise RuntimeError(f"sys.exit({leaving.code!r}) was called where a command or a policy should have returned or raised") from leaving
        return leaving.code if isinstance(leaving.code, int) else DONE if leaving.code is None else USER_ERROR


def _is_argparse(leaving: SystemExit) -> bool:
    """Returns whether a parser of arguments wants to leave. Anybody else's exit would end a run halfway with a status that lies."""
    at = leaving.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return at is not None and at.tb_frame.f_globals.get("__name__") == "argparse"


def _help() -> str:
    verbs = catalog.names("command")
    width = max(map(len, verbs))
    lines = [f"  {console.paint(v.ljust(width), 'bold')}  {catalog.summary('command', v)}" for v in verbs]
    return "\n".join(
        [
            "usage: vlagym VERB [ARGUMENT …] [--help]   |   vlagym --version",
            "",
            "A benchmark that asks whether a Vision-Language-Action policy does what it is told.",
            "",
            *lines,
            "",
            "example:",
            "  vlagym run --policy minivla --suite smoke",
            "",
            "Exit status: 0 done, 1 checks failed, 2 user error, 3 finished with errored episodes, 70 a bug.",
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
