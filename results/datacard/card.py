"""The data card of a dataset as a value: what is in it, what it was made of, and what nobody knows; written as JSON and read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vlagym.envs.errors import BadData
from vlagym.envs.types import from_plain, to_plain
from vlagym.results.datacard.numbers import NumberSummary

CARD_SCHEMA = 1
"""Version of card.json."""
CARD_JSON = "card.json"


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Of demonstrations, in control steps."""

    total: int
    min: int
    median: float
    mean: float
    max: int


@dataclass(frozen=True, kw_only=True)
class TaskCount:
    """The demonstrations of one task."""

    task: str
    """"" where nobody says which task it is."""
    demonstrations: int
    successes: int
    seconds: float
    """Of recorded time, together."""
    steps: Lengths
    sentences: int
    """Different ones."""
    robots: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What the demonstrations of a dataset are, counted. Every mapping has the most frequent first, then by name."""

    demonstrations: int
    successes: int
    steps: Lengths
    seconds: float
    tasks: tuple[TaskCount, ...]
    robots: Mapping[str, int]
    arenas: Mapping[str, int]
    variations: Mapping[str, int]
    """"camera=3": demonstrations that are varied so."""
    sentences: Mapping[str, int]
    templates: Mapping[str, int]
    """Of which the sentences were made, where the episodes say so."""
    levels: Mapping[str, int]
    """How sentences say it: plain, paraphrase …"""
    words: Mapping[str, int]
    """Of all sentences, lower case."""
    paraphrases: int
    """Other sentences that are stored with the demonstrations, together."""
    objects: Mapping[str, int]
    """Assets that goals name: in how many demonstrations."""
    kinds: Mapping[str, int]
    colours: Mapping[str, int]
    stages: Mapping[str, int]
    """What the demonstrator was doing: in how many demonstrations."""
    actions: tuple[NumberSummary, ...]
    """Of the labels."""
    state: tuple[NumberSummary, ...]
    """Of proprioception."""
    disturbed_steps: int
    """Steps in which something else than the label was executed."""
    without_spec: int
    """Demonstrations that name no episode which could be simulated."""
    with_certificate: int


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Demonstrations that are there more than once; each number leaves out the first of its kind."""

    same_digest: int
    same_recording: int
    """Equal sentences and equal executed actions."""
    same_scene: int
    """Equal things in equal places, start posture and goal, whatever the sentence and the seed."""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What of a dataset is kept for evaluation."""

    demonstrations: int
    """That show, say or ask for something that is held out."""
    things: Mapping[str, int]
    """What it is: in how many demonstrations."""
    looked_at: int
    """Demonstrations; the others have no episode, or name what is not here."""
    allowed: tuple[str, ...] | None
    """What the collector was told to demonstrate all the same (--i-know); None where nobody says."""


@dataclass(frozen=True, kw_only=True)
class AgainstSuite:
    """A dataset compared with the test episodes of a suite."""

    suite: str
    version: int
    season: str
    """"" for the seeds that the suite states."""
    episodes: int
    """Of the suite."""
    near: int
    """Demonstrations of a task, robot and seed of the suite: only these can be among its episodes; they were looked at one by one."""
    same_digest: int
    """Demonstrations that are test episodes."""
    sampled: bool
    """Whether all episodes of the suite were sampled, so that scenes and sentences could be compared too."""
    same_scene: int | None = None
    """Demonstrations with the scene, start posture and goal of a test episode, under whatever seed; None where they were not compared."""
    same_sentence: int | None = None
    """Demonstrations whose sentence is said in a test episode too: no fault where the suite says what training says."""


@dataclass(frozen=True, kw_only=True)
class Disjoint:
    """Whether a dataset holds test episodes."""

    looked_at: int
    """Demonstrations that name an episode; of the others nobody can tell."""
    first_seed: int | None
    last_seed: int | None
    seeds_of_suites: int
    """Demonstrations with seeds that suites test with."""
    seeds_of_seasons: int
    """Demonstrations with seeds that seasons test with."""
    suites: tuple[AgainstSuite, ...]

    @property
    def is_proven(self) -> bool:
        """Whether no demonstration is a test episode, and of none it is unknown."""
        tested = self.seeds_of_seasons + sum(s.same_digest + (s.same_scene or 0) for s in self.suites)
        return self.looked_at > 0 and tested == 0


@dataclass(frozen=True, kw_only=True)
class TaskYield:
    """What became of the tries of one task."""

    task: str
    tried: int
    kept: int
    lost: Mapping[str, int]
    """Why the others were not kept: how the episode ended, or what went wrong."""
    kept_failures: int = 0
    """Of those that were kept: failures, which are kept only where that is asked for. They are no yield."""

    @property
    def kept_successes(self) -> int:
        """The yield."""
        return self.kept - self.kept_failures


@dataclass(frozen=True, kw_only=True)
class Yield:
    """What became of all tries, by the list of the collector."""

    tasks: tuple[TaskYield, ...]
    play_s: float
    """Of wall time, a try, in the mean."""
    render_s: float
    """A demonstration."""
    store_s: float
    """A demonstration."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Stored images of one camera."""

    name: str
    height: int
    width: int
    crop: int
    """Side in pixels of the square that was cut out before."""
    has_depth: bool


@dataclass(frozen=True, kw_only=True)
class DataCard:
    """All that is told of a dataset."""

    name: str
    """Of its file or folder."""
    format: str
    digest: str
    """Of the digests of all demonstrations, sorted: equal wherever the same ones are stored."""
    is_ours: bool
    """Whether it was made with vlagym."""
    size_bytes: int
    num_files: int
    vlagym: str
    """Version that made this card."""
    action: Mapping[str, Any]
    """Name, rate and components of the action convention."""
    cameras: tuple[Camera, ...]
    frame_stride: int
    commands: tuple[str, ...]
    """Other action conventions in which the motion is told too."""
    contents: Contents
    duplicates: Duplicates
    held_out: HeldOut
    disjoint: Disjoint
    yields: Yield | None
    """None where no list of tries is there."""
    provenance: Mapping[str, Any]
    """As the dataset has it: the command, versions, noise, options."""
    suite: Mapping[str, Any] | None
    """Name and version of the suite whose tasks were demonstrated, where one was named."""
    licence: str | None
    """SPDX; None where nobody says."""
    unknown: tuple[str, ...]
    """What cannot be told of it, in sentences."""
    pictures: Mapping[str, str] = field(default_factory=dict)
    """What is drawn -> name of the file beside card.json."""

    def to_json(self) -> str:
        """Returns card.json: indented, one final newline."""
        return json.dumps({"schema": CARD_SCHEMA, **to_plain(self)}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @staticmethod
    def from_json(text: str, where: str = CARD_JSON) -> DataCard:
        """Reads what `to_json` wrote.

        Raises:
          BadData: If it is no JSON, of another schema, or has missing, unknown or wrongly typed fields.
        """
        try:
            plain = json.loads(text)
        except ValueError as error:
            raise BadData(f"{where} is no JSON: {error}") from error
        schema = plain.pop("schema", None) if isinstance(plain, dict) else None
        if schema != CARD_SCHEMA:
            raise BadData(f"{where} has schema {schema!r}; this version of vlagym reads {CARD_SCHEMA}")
        return from_plain(DataCard, plain, where)
