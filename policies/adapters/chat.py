"""A vision-language model that plans: it is asked by chat completions and calls skills, and the expert's skills carry them out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadData, BadSpec, NotReset, unknown_name
from vlagym.envs.types import ActionChunk, ImageComponent, Observation, ObservationSpec
from vlagym.policies.adapters.expert import action_towards
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.connections import limits
from vlagym.policies.loading import refuse_options
from vlagym.policies.planners import manners, prompts
from vlagym.policies.planners.desk import Desk, Order
from vlagym.policies.planners.endpoint import Endpoint
from vlagym.policies.planners.execution import Doing, Outcome
from vlagym.policies.planners.grammar import tools
from vlagym.policies.planners.talk import Talk
from vlagym.policies.planners.work import CannotDo, stripped, work_of
from vlagym.policies.skills.view import Command, View
from vlagym.policies.wire.openai_chat import Asking

LOW_LEVEL = "privileged skills; what is tested is the plan"
_OPENAI = "api.openai.com"
_OPENAI_KEY = "OPENAI_API_KEY"
_OPTIONS = (
    *("model", "manner", "calls", "names", "cameras", "size", "temperature", "seed", "max_tokens", "max_calls", "snap", "retries", "api_key_env"),
    *limits.OPTIONS,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How a planner is asked."""

    asking: Asking
    """Without its seed, which is the episode's own, and without tools."""
    manner: str = "tools"
    by_json: bool = False
    """Calls of tools are JSON in the text: for servers without tools."""
    has_names: bool = False
    """The planner is told what the things of the scene are called."""
    cameras: tuple[str, ...] = ("front",)
    size: int = 256
    calls_max: int = 20
    snap_px: int = 6
    seed: int | str | None = "episode"
    """Of the sampling: a number, "episode" for one that follows from the episode, None for none."""


class ChatPlanner:
    """Plans with a model and acts with the expert's skills. Privileged: the low level reads the true state; the model sees images and text alone."""

    def __init__(self, endpoint: Endpoint, settings: Settings) -> None:
        """Takes over a connection.

        Args:
          endpoint: Where the model is.
          settings: How it is asked.
        """
        self._endpoint, self._settings = endpoint, settings
        self._episodes: dict[int, _Episode] = {}
        images = tuple(ImageComponent(name=name, width=settings.size, height=settings.size, fit="stretch") for name in settings.cameras)
        self.spec = PolicySpec(
            name="chat",
            action=None,
            controls=("ee_delta",),
            observation=ObservationSpec(images=images, state=(), rate_hz=0.0),
            reads_all_state=True,
            privileged=True,
            runs_in_worker=True,
            card=_card(endpoint, settings),
        )

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode with an empty conversation.

        Raises:
          BadSpec: If it is not given the episode's spec.
        """
        self._episodes[context.slot] = _Episode(context, self._endpoint, self._settings)

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Returns one action for each slot, and what was said and counted since the last.

        Raises:
          NotReset: If an episode was not begun.
          PolicyUnreachable: If the model does not answer.
          BadReply: If its server answers with something else.
        """
        missing = sorted(set(observations) - set(self._episodes))
        if missing:
            raise NotReset(f"slot {missing[0]} was asked for actions before it was told its episode: call reset first")
        return {slot: self._episodes[slot].act(seen) for slot, seen in observations.items()}

    def close(self) -> None:
        """Closes the connection and forgets all conversations."""
        self._endpoint.close()
        self._episodes.clear()


class _Episode:
    """One episode: a conversation, and the skill that is at work."""

    def __init__(self, context: EpisodeContext, endpoint: Endpoint, settings: Settings) -> None:
        if context.spec is None:
            raise BadSpec("the skills of a planner are privileged: it needs the episode's spec")
        self._action, self._has_names = context.action, settings.has_names
        self._spec = stripped(context.spec)
        size = (settings.size, settings.size)
        self._desk = Desk(context.spec, settings.cameras[0], size, has_names=settings.has_names, snap_px=settings.snap_px)
        uses_tools = settings.manner == "tools" and not settings.by_json
        seed = int(context.digest[:7], 16) if settings.seed == "episode" else settings.seed
        asking = dataclasses.replace(settings.asking, seed=seed if isinstance(seed, int) else None, tools=tools() if uses_tools else ())
        self.talk = Talk(endpoint.complete, asking, settings.cameras, calls_max=settings.calls_max)
        manner = manners.by_json if settings.by_json else manners.MANNERS[settings.manner]
        self._dialogue = manner(self.talk, self._desk, prompts.common(settings.cameras, size, self._desk.names), context.instruction)
        self._has_begun = self._is_over = False
        self._order: Order | None = None
        self._doing: Doing | None = None

    def act(self, seen: Observation) -> ActionChunk:
        """Returns the next action."""
        self.talk.seen = seen
        command = self._command(seen)
        if command is None:  # nothing is left to do: the hand stays as it was told last
            proprio = seen.proprio
            gripper = float(proprio["gripper_command"][0])
            command = Command(proprio["ee_target_pos_base_m"].astype(np.float64), proprio["ee_target_quat_base_wxyz"].astype(np.float64), gripper)
        values: NDArray[np.float32] = action_towards(command, seen, self._action)[None]
        return ActionChunk(values=values, spec=self._action, notes=self.talk.notes())

    def _command(self, seen: Observation) -> Command | None:
        view = View.of(seen)
        if not self._has_begun:
            self._has_begun = True
            self._take(None)
        command = None
        while not self._is_over:
            outcome = self._begin(view)
            if outcome is None:
                assert self._doing is not None
                command, outcome = self._doing.step(view)
                if outcome is None:
                    return command
            self._doing = None
            self._take(outcome)
        return command

    def _begin(self, view: View) -> Outcome | None:
        """Begins what was ordered, unless it is at work; returns why it cannot be done."""
        assert self._order is not None
        if self._doing is None:
            try:
                work = work_of(self._order.call, self._order.things, self._spec, view, self._order.company)
            except CannotDo as error:
                return Outcome(False, str(error))
            self._doing = Doing(work, self._action.rate_hz, tells=self._has_names)
        return None

    def _take(self, outcome: Outcome | None) -> None:
        """Tells the planner what came of its order, and takes the next one."""
        if outcome is not None:
            assert self._order is not None
            meant = {slot: thing.joint or thing.name or "table" for slot, thing in self._order.things.items()}
            self.talk.tally.failed += not outcome.is_done
            self.talk.event("skill", call=self._order.call.skill, words=dict(self._order.call.words), meant=meant, came_of_it=outcome.text)
        try:
            self._order = next(self._dialogue) if outcome is None else self._dialogue.send(outcome)
            self.talk.tally.begun += 1
        except StopIteration:
            self._is_over = True
            self.talk.event("the plan is at its end")


def POLICY(argument: str | None, options: Mapping[str, str]) -> ChatPlanner:
    """Reaches a server of chat completions.

    Args:
      argument: Its address, and the model: http://host:8000/v1?model=NAME. Without a path it is /v1. Where the server lists just one model, that one
        is taken.
      options: "model": instead of `?model=`. "manner": tools (default), text or program. "calls": native (default), or json for servers without
        tools. "names": true tells the planner what the things of the scene are called. "cameras": front (default), or several with commas; pixels
        count in the first. "size": side of the images in pixels, 256. "temperature": 0, or none, which sends none. "seed": episode (default), a
        number, or none. "max_tokens" of an answer, 1024. "max_calls" of the model in an episode, 20. "snap": pixels by which a pixel may miss a
        thing, 6. "retries" where the server is busy, 4. "api_key_env": name of the environment variable that holds the key; for api.openai.com it
        is OPENAI_API_KEY. "timeout", "first_timeout", "connect_timeout" in s, "max_mib" in MiB.

    Raises:
      UnknownName: For another option, manner or way of calling.
      BadData: If there is no address or no model, or an option is no value of its kind.
      PolicyUnreachable: If the server is not there, or wants a key.
    """
    refuse_options("chat", options, known=_OPTIONS)
    if argument is None:
        raise BadData("chat is the address of a server too: write chat:http://host:8000/v1?model=NAME")
    url, named = _split_model(argument)
    settings = _settings(options)
    key_option = options if "api_key_env" in options or urlsplit(url).hostname != _OPENAI else {**options, "api_key_env": _OPENAI_KEY}
    key = limits.read_secret("chat", "api_key_env", key_option)
    endpoint = Endpoint(url, limits=limits.read_limits("chat", options), key=key, retries=_whole("retries", options, 4, least=0))
    listed = endpoint.models()
    model = options.get("model", named)
    if not model:
        if len(listed) != 1:
            known = ", ".join(listed[:20]) or "none that it lists"
            raise BadData(f"say which model of {endpoint.address}: …?model=NAME. There are: {known}")
        model = listed[0]
    return ChatPlanner(endpoint, dataclasses.replace(settings, asking=dataclasses.replace(settings.asking, model=model)))


def _split_model(argument: str) -> tuple[str, str]:
    parts = urlsplit(argument)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    model = next((value for name, value in pairs if name == "model"), "")
    return urlunsplit(parts._replace(query=urlencode([pair for pair in pairs if pair[0] != "model"]))), model


def _settings(options: Mapping[str, str]) -> Settings:
    manner, calls, names = options.get("manner", "tools"), options.get("calls", "native"), options.get("names", "false")
    if manner not in manners.MANNERS:
        raise unknown_name("manner of planning", manner, manners.MANNERS)
    if calls not in ("native", "json"):
        raise unknown_name("way of calling", calls, ("native", "json"))
    if calls == "json" and manner != "tools":
        raise BadData(f"calls=json is for manner=tools; manner={manner} calls no tools at all")
    if names not in ("true", "false"):
        raise BadData(f"names of chat is true or false, not {names!r}")
    cameras = tuple(options.get("cameras", "front").split(","))
    if not all(cameras) or len(set(cameras)) < len(cameras):
        raise BadData(f"cameras of chat are names with commas between them, each once, not {options['cameras']!r}")
    said = options.get("seed", "episode")
    seed = said if said == "episode" else None if said == "none" else _whole("seed", options, 0, least=0)
    return Settings(
        asking=Asking(model="", temperature=_temperature(options.get("temperature", "0")), max_tokens=_whole("max_tokens", options, 1024)),
        manner=manner,
        by_json=calls == "json",
        has_names=names == "true",
        cameras=cameras,
        size=_whole("size", options, 256, least=16, most=2048),
        calls_max=_whole("max_calls", options, 20),
        snap_px=_whole("snap", options, 6, least=0, most=64),
        seed=seed,
    )


def _whole(name: str, options: Mapping[str, str], usual: int, *, least: int = 1, most: int = 1 << 31) -> int:
    text = options.get(name)
    if text is None:
        return usual
    if not text.isascii() or not text.isdigit() or not least <= int(text[:12]) <= most:
        raise BadData(f"{name} of chat is a whole number from {least} to {most}, not {text!r}")
    return int(text)


def _temperature(text: str) -> float | None:
    if text == "none":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 2:
        raise BadData(f"temperature of chat is a number from 0 to 2, or none, not {text!r}")
    return value


def _card(endpoint: Endpoint, settings: Settings) -> dict[str, object]:
    """Returns what the run header says of the planner."""
    sees = f"images of {', '.join(settings.cameras)}, the sentence" + (", and the names of the things of the scene" if settings.has_names else "")
    return {
        "about": "a vision-language model that plans by calling skills",
        "low_level": LOW_LEVEL,
        "planner_sees": sees,
        "pixels": f"looked up in the true state; one within {settings.snap_px} pixels of a thing counts as on it",
        "url": endpoint.address,
        "model": settings.asking.model,
        "manner": settings.manner,
        "calls": "json" if settings.by_json else "native" if settings.manner == "tools" else "none",
        "names": settings.has_names,
        "temperature": settings.asking.temperature,
        "seed": settings.seed,
        "max_tokens": settings.asking.max_tokens,
        "max_calls": settings.calls_max,
    }
