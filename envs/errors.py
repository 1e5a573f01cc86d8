"""The errors of vlagym: one base class, one subclass for each cause that a caller could want to catch."""

import difflib
from collections.abc import Iterable


class VlagymError(Exception):
    """Something the user can mend. The command line prints it as one line and exits with status 2."""


class UnknownName(VlagymError):
    """A name (of a task, camera, object, column …) that does not exist where it was looked up."""


class BadData(VlagymError):
    """A file (TOML, checkpoint, run folder) that does not hold what its schema asks for."""


class BadSpec(VlagymError):
    """An episode spec that contradicts itself or the installation."""


class BadAction(VlagymError):
    """An action of the wrong shape, type or range."""


class BadPolicyOutput(BadAction):
    """A policy answered with something other than an action chunk of the agreed spec."""


class BadReply(BadPolicyOutput):
    """What came back over a wire is no answer: text, an error of the other side, too long, or not what its protocol says."""


class PolicyRaised(VlagymError):
    """The code of a user's policy raised something; the message says what, and in which line of which file."""


class PolicyUnreachable(VlagymError):
    """Nobody answers where a policy was said to be: there is no connection, it was closed, or an answer took too long."""


class PolicyTimeout(PolicyUnreachable):
    """A policy took a question and has not answered it in time. It may compute still, so that nobody asks it again: the message names the option."""


class NotReset(VlagymError):
    """The environment was stepped or observed before the first reset or after the end of an episode."""


class Divergence(VlagymError):
    """The simulation became unstable; the message holds the physics warning."""


class Unsatisfiable(VlagymError):
    """No episode with the wanted premises was found within the bounded number of tries."""


class Unspeakable(VlagymError):
    """No sentence of the wanted kind asks for the goal of an episode and for nothing else in its scene."""


class NotGraspable(VlagymError):
    """No grasp of the prop fits the gripper and the reach of the arm."""


class ConventionMismatch(VlagymError):
    """Policy and environment state conventions between which no conversion is known."""


class RunStopped(VlagymError):
    """A run was ended before its last episode because its policy kept failing. What was played is stored, and the run can be resumed."""

    def __init__(self, what: str, *, ledger: str, go_on: str, once: str = "the policy answers") -> None:
        super().__init__(f"{what}. All that was played is kept in {ledger}; once {once}, go on with: {go_on}")
        self.what, self.ledger = what, ledger


class MissingPackage(VlagymError):
    """An optional package is absent; the message holds the line that installs it."""


class NoRenderer(VlagymError):
    """No GL backend renders on this machine; the message says what to install."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns the known names that are near to one, as a question in brackets with a space before it; nothing where there is none."""
    near = difflib.get_close_matches(name, list(known), n=2, cutoff=0.6)
    return f" (did you mean {' or '.join(near)}?)" if near else ""


_MANY = 40
"""Names that are not listed where a near one is known."""


def unknown_name(what: str, name: str, known: Iterable[str], hint: str = "") -> UnknownName:
    """Returns the error for a name that is not among the known ones, near names first.

    Args:
      what: The kind of thing, in the words of a sentence: "camera", "task".
      name: What was asked for.
      known: What there is.
      hint: What to do, appended as a sentence of its own.
    """
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.6)
    message = f"no {what} is called {name!r}."
    if near:
        message += f" Did you mean {' or '.join(near)}?"
    if near and len(names) > _MANY:
        message += f" There are {len(names)}."
    else:
        message += f" There are: {', '.join(names) if names else 'none'}."
    return UnknownName(f"{message} {hint}".rstrip())
