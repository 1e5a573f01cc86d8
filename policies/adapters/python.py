"""A class of one's own with `act(observation)`, fifteen lines long: `python:module:Class`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vlagym.envs import catalog
from vlagym.envs.errors import BadData, BadPolicyOutput, VlagymError
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.base import EpisodeContext
from vlagym.policies.families.answers import as_chunk
from vlagym.policies.families.digests import digest_of
from vlagym.policies.families.options import profile_of, read_options
from vlagym.policies.families.slots import Slots
from vlagym.policies.loading import refuse_options
from vlagym.policies.raised import blamed, told as told_of

_SHARED = ("profile", "execute")


class PythonPolicy:
    """Asks an object of the user's class, one for each episode that runs at the same time.

    The class says in its attributes

      profile: a profile's name, or the path of a file: the conventions that it reads and sends. The option `profile` has precedence.
      chunk_steps: how many actions it returns at once; 1 where it does not say. With 1 it may return a single action `(D,)`.
      execute_steps: how many of them are executed before it is asked again; all where it does not say.

    and has the methods

      act(observation) -> `(D,)` or `(T, D)`. The observation is a dictionary: "images" (name -> `(H, W, 3)`), "state" (name -> `(n,)` float32) and
        "instruction", all as the profile declares them; with a history also "past", a list of such dictionaries, oldest first.
      reset(instruction), if it has one: an episode begins.
      close(), if it has one.
    """

    def __init__(
        self, name: str, make: Callable[[], Any], profile: str | None, execute_steps: int | None, source: str | None = None
    ) -> None:
        self._make, self._who = make, f"python:{name}"
        self._spare: list[Any] = [make()]
        """Objects that no slot has asked for yet: the first is made at once, so that what is wrong with it is known before the first episode."""
        first = self._spare[0]
        if not callable(getattr(first, "act", None)):
            raise BadData(f"{name} makes {type(first).__name__}, which has no method act(observation): write one that returns (D,) or (T, D) numbers")
        found = profile_of(self._who, profile, getattr(first, "profile", None), where="the class attribute `profile`")
        steps = _steps(name, "chunk_steps", getattr(first, "chunk_steps", 1))
        execute = execute_steps or _steps(name, "execute_steps", getattr(first, "execute_steps", steps))
        if execute > steps:
            raise BadData(f"{name} sends chunks of {steps} actions; {execute} of them cannot be executed. Declare chunk_steps in the class")
        card = {"about": "a class of the user's", "class": name, "source": source, "profile": found.name}
        self.spec = found.spec("python", card=card, chunk_steps=steps, execute_steps=execute, runs_in_worker=True)
        self._slots: Slots[Any] = Slots(self._who)
        self._made: list[Any] = [first]

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode with the slot's own object."""
        mine = self._slots.memory(context.slot)
        if mine is None:
            mine = self._spare.pop() if self._spare else self._one_more()
        self._slots.begin(context, mine)
        if callable(getattr(mine, "reset", None)):
            with blamed(self._who, "reset", type(mine)):
                mine.reset(context.instruction)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns what each slot's object answers.

        Raises:
          PolicyRaised: If the user's code raises; the message says in which line of which file.
          NotReset: If a slot's episode was not begun.
          BadPolicyOutput: If an answer is no chunk of the profile's actions.
        """
        action = self.spec.action
        assert action is not None
        chunks = {}
        for slot, observation in observations.items():
            mine, shown = self._slots[slot].memory, told(observation)
            with blamed(self._who, "act", type(mine)):
                answer = mine.act(shown)
            if answer is None:
                wanted = f"({action.size},) or ({self.spec.chunk_steps}, {action.size})"
                raise BadPolicyOutput(f"{self._who} returned None from act: return {wanted} numbers")
            chunks[slot] = ActionChunk(values=as_chunk(answer, size=action.size, steps=self.spec.chunk_steps, who=self._who), spec=action)
        return chunks

    def close(self) -> None:
        """Closes the objects that want it."""
        for mine in self._made:
            if callable(getattr(mine, "close", None)):
                mine.close()
        self._made.clear()
        self._slots.clear()

    def _one_more(self) -> Any:
        self._made.append(self._make())
        return self._made[-1]


def told(observation: Observation) -> dict[str, Any]:
    """Returns an observation as the user's class is shown it; the arrays are copies that it may write to."""
    shown: dict[str, Any] = {
        "images": {name: np.array(image) for name, image in observation.images.items()},
        "state": {name: np.array(value) for name, value in observation.proprio.items()},
        "instruction": observation.instruction,
    }
    if observation.past:
        shown["past"] = [told(earlier) for earlier in observation.past]
    return shown


def _steps(name: str, what: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadData(f"{what} of {name} is {value!r}; it must be a whole number of 1 or more")
    return value


def POLICY(argument: str | None, options: Mapping[str, str]) -> PythonPolicy:
    """Builds the policy of a class.

    Args:
      argument: `module:Class`, or `module:Class:TEXT`: then the class is called with the text.
      options: "profile", "execute", and whatever the class takes by name; it gets that as text.

    Raises:
      BadData: If no class is named, it is none that acts, or its constructor raises.
      UnknownName: If there is no such module or attribute, or an option that the class does not take.
    """
    module, _, rest = (argument or "").partition(":")
    attribute, colon, text = rest.partition(":")
    if not module or not attribute:
        raise BadData("python needs a class that acts: python:module:Class. It has a method act(observation) and an attribute profile")
    name = f"{module}:{attribute}"
    kind: Any = catalog.load("policy", name)
    if not callable(kind):
        raise BadData(f"{name} is {type(kind).__name__}, not a class")
    positional = (text,) if colon else ()
    refuse_options(f"python:{name}", options, (*_SHARED, *_takes(kind, len(positional))))
    said = read_options("python", {key: value for key, value in options.items() if key in _SHARED}, _SHARED)
    own = {key: value for key, value in options.items() if key not in _SHARED}
    try:
        inspect.signature(kind).bind(*positional, **own)
    except TypeError as error:
        raise BadData(f"{name} cannot be called so: {error}. What follows a further colon comes first, options come by name") from error

    def make() -> Any:
        try:
            return kind(*positional, **own)
        except VlagymError:
            raise
        except Exception as error:
            raise BadData(f"{name} cannot be made: {told_of(error, kind)}") from error

    return PythonPolicy(name, make, said.profile, said.execute_steps, _digest_of_source(module, kind))


def _digest_of_source(module: str, kind: Callable[..., Any]) -> str | None:
    """Returns the digest of the file in which a class stands, and of the module that names it; None where neither lies in a file.

    What these import is not in it.
    """
    names = sorted({module, getattr(kind, "__module__", None) or module})
    paths = [Path(path) for name in names if (path := getattr(sys.modules.get(name), "__file__", None))]
    return digest_of(path for path in paths if path.is_file()) if paths else None


def _takes(kind: Callable[..., Any], given: int) -> list[str]:
    """Returns the names by which a class takes arguments, but for the first ones, which are given by place."""
    named = [p for p in inspect.signature(kind).parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return [p.name for p in named[given:]]
