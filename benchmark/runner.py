"""Many episodes: schedules them, isolates what goes wrong, retries, resumes, and stores each before the next is counted."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, get_args

from vlagym.benchmark import relocation, scoring
from vlagym.benchmark.episode import Connections, MakeWorld, Played, PlayerOptions, WorldOptions, errored, make_world
from vlagym.benchmark.executor import Crew, Executor, Finished, Job, Schedule
from vlagym.benchmark.header import differences, make_header, now, usable_cores
from vlagym.benchmark.station import refuse_elsewhere
from vlagym.benchmark.suite import Suite
from vlagym.envs import catalog
from vlagym.envs.errors import BadData, ConventionMismatch, RunStopped, VlagymError
from vlagym.envs.robot import look_of
from vlagym.envs.safety import check_mode
from vlagym.envs.safety_limits import limits_of
from vlagym.envs.types import EpisodeResult, EpisodeSpec, Outcome, RunHeader, Trace, stream
from vlagym.policies.base import Policy
from vlagym.policies.chunking import declared, parse
from vlagym.policies.connections.limits import read_reconnect
from vlagym.policies.conventions import Pipeline
from vlagym.policies.foreign import without_query
from vlagym.policies.loading import load_policy
from vlagym.results.store import HEADER, Store

_WORKERS_MAX = 8
"""Unless said otherwise: more of them cost memory, and one policy seldom feeds more."""

_TOLD_MAX = 300
"""Characters of a policy's error that the line which ends a run repeats; the ledger has all of it."""

_SAMPLED_TOGETHER = 24
"""Suites below this many episodes are sampled in this process: starting others takes longer."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """All that a run is asked for, besides its episodes."""

    policy: str
    """As it is written: name, name:argument or package.module:ATTRIBUTE."""
    suite: Suite
    policy_options: Mapping[str, str] = field(default_factory=dict)
    chunking: str | None = None
    """receding:STEPS, whole, ensemble or ensemble:DECAY; None: as the policy declares."""
    executor: str = "processes"
    workers: int | None = None
    """None: as many as there are usable cores, 8 at most."""
    quality: str = "fast"
    look: str = "auto"
    safety: str = "off"
    """Of the safety filter between policy and robot: off, clip or stop."""
    retries: int = 0
    """Further attempts of an episode that ended in an error; those that an interrupted run still owes are made when it is resumed."""
    stop_after_errors: int = 5
    """The run ends after so many episodes in a row that the policy brought down; 0: it never does. Errors of the environment do not count."""
    episode_timeout_s: float | None = None
    """Wall time after which an episode is given up as an error; None: never. The time in which it waits for the policy counts."""
    shuffle: int | None = None
    """Seed of the order of the episodes; None: the suite's order. Results do not depend on it."""
    out: Path | None = None
    """The run folder; None: runs/<UTC time>-<policy>-<suite>."""
    resume: Path | None = None
    """A run folder to go on with."""
    retry_errors: bool = False
    """When resuming: whether episodes that ended in an error are played again."""
    command: tuple[str, ...] = ()
    make_world: MakeWorld = make_world
    """Builds the world in each worker; importable there."""
    any_rig: bool = False
    """Whether a policy that was made for a rig may play at another one; the header says so where it does."""
    load: Callable[[], Policy] | None = None
    """Makes the policy, where `policy` is only what it is called; None: it is loaded by that name."""


class Reporter(Protocol):
    """Is told how a run goes on."""

    def begins(self, path: Path, total: int, done: int, workers: int) -> None:
        """The run folder exists.

        Args:
          path: The run folder.
          total: Episodes of the run.
          done: Those that were stored before.
          workers: Processes at work; 0 where there is none besides this one.
        """
        ...

    def stored(self, result: EpisodeResult) -> None:
        """An episode has ended and is on disk."""
        ...


class RunReport(NamedTuple):
    """What became of a run."""

    path: Path
    results: list[EpisodeResult]
    """One for each episode, the last attempt."""

    def tally(self) -> dict[str, int]:
        """Returns outcome -> number of episodes."""
        return {outcome: sum(r.outcome == outcome for r in self.results) for outcome in get_args(Outcome)}


def run(options: RunOptions, episodes: Sequence[EpisodeSpec] | Callable[[], Sequence[EpisodeSpec]], reporter: Reporter) -> RunReport:
    """Plays episodes and stores them. Interrupted at any moment, it leaves a folder that can be resumed.

    Args:
      options: How.
      episodes: `options.suite`, expanded; or what expands it, which is called once the policy is there and every name is known.
      reporter: Is told how it goes on.

    Raises:
      UnknownName: If there is no such policy, executor, quality or look.
      ConventionMismatch: If policy and environment do not fit; before anything is written.
      BadData: If the folder to resume belongs to another run; the message names each difference.
      RunStopped: If the policy brought down `options.stop_after_errors` episodes in a row and others are still owed, or a worker cannot begin.
    """
    with session(options, episodes, reporter) as under_way:
        under_way.play()
        return under_way.finish()


class Session:
    """A run that is under way: its policy is loaded, its folder is open, its workers wait between two calls. Use `session`."""

    def __init__(
        self,
        store: Store,
        jobs: Sequence[Job],
        retries: int,
        executor: Callable[[Schedule], Iterator[Finished]],
        reporter: Reporter,
        stop_after_errors: int = 0,
    ) -> None:
        self._store, self._retries, self._reporter = store, retries, reporter
        self._row: set[str] = set()
        self._row_max = stop_after_errors
        self._owed = {job.key: job for job in jobs}
        self._schedule = Schedule(())
        self._finished = executor(self._schedule)
        """Begins to work when it is first asked, and goes on whenever there is something in the schedule again."""

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._store.path

    @property
    def owed(self) -> tuple[str, ...]:
        """Digests of the episodes that are still to be played, in order."""
        return tuple(self._owed)

    def results(self) -> list[EpisodeResult]:
        """Returns what is stored, one for each episode, the last attempt."""
        return self._store.results()

    def play(self, digests: Iterable[str] | None = None) -> None:
        """Plays some of the episodes that are still owed, in that order, retries among them, and returns when all are stored.

        Args:
          digests: Those that are not owed are passed over. None: all.

        Raises:
          RunStopped: If the policy keeps bringing episodes down, or a worker cannot begin; what has ended is stored.
        """
        due = [self._owed.pop(digest) for digest in list(self._owed if digests is None else digests) if digest in self._owed]
        for job in due:
            self._schedule.put(job)
        num_awaited = len(due)
        while num_awaited:
            one = self._next()
            result = _keep(self._store, one)
            if result.outcome == "error" and result.attempt <= self._retries:
                self._schedule.put(replace(one.job, attempt=one.job.attempt + 1))
            else:
                num_awaited -= 1
                self._reporter.stored(result)
            self._count(result)
            if 0 < self._row_max <= len(self._row) and (num_awaited or self._owed):
                raise _stopped(self._store.path, len(self._row), result)

    def _next(self) -> Finished:
        try:
            return next(self._finished)
        except VlagymError as error:
            once, go_on = "that is mended", f"vlagym run --resume {self._store.path}"
            raise RunStopped(str(error), ledger=f"{self._store.path}/episodes.jsonl", go_on=go_on, once=once) from error

    def _count(self, result: EpisodeResult) -> None:
        """Counts the episodes that the policy brought down since it last played one to the end; one that is tried again counts once."""
        if result.ended_by == "policy_error":
            self._row.add(result.digest)
        elif result.ended_by != "env_error":
            self._row.clear()

    def finish(self) -> RunReport:
        """Writes into the header that the run has ended, and returns what became of it."""
        self._store.finish()
        return RunReport(self._store.path, self._store.results())


@contextlib.contextmanager
def session(
    options: RunOptions, episodes: Sequence[EpisodeSpec] | Callable[[], Sequence[EpisodeSpec]], reporter: Reporter
) -> Iterator[Session]:
    """Prepares a run whose episodes are played portion by portion: whoever looks at the results may stop when they tell enough.

    A run that is left without `finish` is one that can be resumed.

    Args:
      options: As `run`.
      episodes: As `run`.
      reporter: As `run`.

    Raises:
      VlagymError: As `run`.
    """
    _check(options)
    executor: Executor = catalog.load("executor", options.executor)
    policy = _load(options)
    with contextlib.closing(policy):
        reconnect_s = read_reconnect(options.policy, options.policy_options)
        is_elsewhere = refuse_elsewhere(policy.spec, options.suite.entries, any_rig=options.any_rig)
        if callable(episodes):
            episodes = episodes()
        if not episodes:
            raise BadData("a run needs at least one episode")
        chunking = parse(options.chunking) if options.chunking else declared(policy.spec)
        probe = _probe(options, episodes, policy)
        header = make_header(
            suite=options.suite,
            episodes=episodes,
            policy=policy.spec,
            policy_text=options.policy,
            policy_options=options.policy_options,
            chunking=chunking,
            pipelines=probe.pipelines,
            looks=probe.looks,
            quality=options.quality,
            gl_renderer=probe.gl_renderer,
            shuffle=options.shuffle,
            retries=options.retries,
            command=options.command,
            safety=check_mode(options.safety),
            is_elsewhere=is_elsewhere,
        )
        player = PlayerOptions(
            policy=policy.spec,
            load_own=partial(load_policy, options.policy, dict(options.policy_options)) if policy.spec.runs_in_worker else None,
            chunking=chunking,
            known=probe.pipelines,
            world=_world_options(options, policy),
            make_world=options.make_world,
            safety=check_mode(options.safety),
            weights=options.suite.cost,
            reconnect_s=reconnect_s,
        )
        with _store(options, header, episodes) as store:
            jobs = _jobs(options, episodes, store)
            workers = min(options.workers or min(usable_cores(), _WORKERS_MAX), max(1, len(jobs)))
            reporter.begins(store.path, len(episodes), len(episodes) - len(jobs), workers if options.executor != "serial" else 0)
            outside = None if policy.spec.runs_in_worker else policy
            crew = Crew(make=player.make, policy=outside, workers=workers, job_timeout_s=options.episode_timeout_s, reconnect_s=reconnect_s)
            with contextlib.ExitStack() as at_work:

                def work(schedule: Schedule) -> Iterator[Finished]:
                    return at_work.enter_context(contextlib.closing(executor(crew, schedule)))

                yield Session(store, jobs, options.retries, work, reporter, options.stop_after_errors)


def expand(suite: Suite, workers: int | None = None, advance: Callable[[], None] = lambda: None) -> tuple[EpisodeSpec, ...]:
    """Returns the episodes of a suite, sampled in as many processes as pay.

    Args:
      suite: What is sampled.
      workers: Processes at most; None: as many as there are usable cores.
      advance: Called after each episode.
    """
    return suite.expand(workers=min(workers or usable_cores(), suite.num_episodes // _SAMPLED_TOGETHER + 1), advance=advance)


def default_folder(policy: str, suite: str) -> Path:
    """Returns where a run goes that was not told: runs/<UTC time>-<policy>-<suite>."""
    words = [re.sub(r"[^A-Za-z0-9._+]+", "_", word).strip("_") for word in (without_query(policy), suite)]
    moment = now().split("+")[0].replace(":", "").replace("-", "")
    return Path("runs") / "-".join([moment, *words])


# ----------------------------------------------------------------------------------------------------------------------- before
class _Probe(NamedTuple):
    pipelines: dict[str, Pipeline]
    """By `Connections.key`."""
    looks: dict[str, str]
    gl_renderer: str | None


def _check(options: RunOptions) -> None:
    """Finds out what costs nothing to find out: before the policy is loaded and before anything is sampled."""
    if options.workers is not None and options.workers < 1:
        raise BadData(f"a run needs at least 1 worker, not {options.workers}")
    if options.executor == "serial" and (options.workers or 1) > 1:
        raise BadData(f"the serial executor plays in one process; leave out --workers {options.workers}, or take --executor processes")
    if options.retries < 0:
        raise BadData(f"retries is 0 or more, not {options.retries}")
    if options.stop_after_errors < 0:
        raise BadData(f"a run stops after 1 error of the policy or more, or 0 for never, not after {options.stop_after_errors}")
    if options.shuffle is not None and options.shuffle < 0:
        raise BadData(f"the seed of the order is 0 or more, not {options.shuffle}")
    if options.episode_timeout_s is not None and not options.episode_timeout_s > 0:
        raise BadData(f"a time limit is more than 0 s, not {options.episode_timeout_s:g}")
    if options.episode_timeout_s is not None and options.executor == "serial":
        raise BadData("the serial executor cannot end an episode that takes too long; leave out the time limit, or take --executor processes")
    if options.resume is not None and options.out is not None and options.resume != options.out:
        raise BadData(f"a run is resumed in its own folder: leave out --out {options.out}")
    out = options.out if options.resume is None else None
    if out is not None and (out / HEADER).exists():
        raise BadData(f"{out} exists already. Choose another folder with --out, or go on with its run with --resume {out}")
    scoring.Scorer(weights=options.suite.cost)
    # The world first: it chooses the GL backend, which must be done before anything else imports mujoco.
    options.make_world(WorldOptions(quality=options.quality, look=options.look, render=False)).close()
    for name in sorted({entry.body for entry in options.suite.entries}):
        look_of(options.look, catalog.load("robot", name))
        if check_mode(options.safety) != "off":
            limits_of(name)


def _load(options: RunOptions) -> Policy:
    if options.load is not None:
        return options.load()
    try:
        return load_policy(options.policy, options.policy_options)
    except SystemExit as leaving:
        # Else the run would end without a word, and with whatever status the policy liked.
        raise BadData(f"the policy {options.policy} called sys.exit({leaving.code!r}) while it was loaded") from leaving


def _world_options(options: RunOptions, policy: Policy) -> WorldOptions:
    return WorldOptions(quality=options.quality, look=options.look, render=bool(policy.spec.observation.images))


def _probe(options: RunOptions, episodes: Sequence[EpisodeSpec], policy: Policy) -> _Probe:
    """Starts one episode of each environment that differs, and compares conventions before anything is played.

    An episode that does not start costs itself later, not the run now: then the next one of the same environment is asked.
    """
    connections = Connections(policy.spec)
    looks: dict[str, str] = {}
    found: dict[str, Pipeline] = {}
    failed: dict[str, Exception] = {}
    world = options.make_world(replace(_world_options(options, policy), render=False))
    with contextlib.closing(world):
        for spec in episodes:
            key = Connections.key(spec)
            if key in found:
                continue
            try:
                found[key] = connections.of(spec, world)
                looks[spec.robot] = world.look
            except ConventionMismatch:
                raise
            except Exception as error:
                failed.setdefault(key, error)
    for key, cause in failed.items():
        if key not in found:
            raise cause
    renders = any(p.cameras for p in found.values())
    return _Probe(found, looks, world.gl_renderer() if renders else None)


def _store(options: RunOptions, header: RunHeader, episodes: Sequence[EpisodeSpec]) -> Store:
    if options.resume is None:
        return Store.create(options.out or default_folder(options.policy, options.suite.name), header)
    store = Store.resume(options.resume)
    different = differences(store.header, header)
    if different:
        store.close()
        raise BadData(
            f"{options.resume} cannot be resumed like this, for its numbers would not belong together: {'; '.join(different[:4])}"
            + (f"; and {len(different) - 4} more" if len(different) > 4 else "")
            + f". Resume it as it was begun (`vlagym run --resume {options.resume}`), or begin another run"
        )
    wanted = {episode.digest() for episode in episodes}
    strange = [f"{r.task} seed {r.seed}" for r in store.results() if r.digest not in wanted]
    if strange:
        store.close()
        raise BadData(
            f"{options.resume} cannot be resumed: its ledger holds {len(strange)} episodes that its suite does not, {', '.join(strange[:3])}"
            + (f" and {len(strange) - 3} more" if len(strange) > 3 else "")
            + f". Lines of another run are among them; `vlagym verify {options.resume}` finds which"
        )
    if (going_on := relocation.noted(store.header, header)) is not store.header:
        store.update_header(going_on)
    return store


def _jobs(options: RunOptions, episodes: Sequence[EpisodeSpec], store: Store) -> list[Job]:
    """Returns what is still to be played, in order: what is not stored, and errors that may be tried again."""
    stored = {r.digest: r for r in store.results()}
    jobs: list[Job] = []
    for spec in episodes:
        digest = spec.digest()
        before = stored.get(digest)
        if before is None:
            jobs.append(Job(key=digest, content=spec))
        elif before.outcome == "error" and (options.retry_errors or before.attempt <= options.retries):
            jobs.append(Job(key=digest, content=spec, attempt=before.attempt + 1))
    if options.shuffle is not None:
        order = stream(options.shuffle, "order").permutation(len(jobs))
        jobs = [jobs[i] for i in order]
    return jobs


# ----------------------------------------------------------------------------------------------------------------------- during
def _keep(store: Store, finished: Finished) -> EpisodeResult:
    """Stores what came of a job."""
    trace: Trace | None = None
    said: Sequence[Mapping[str, Any]] = ()
    if finished.error is None:
        played: Played = finished.result
        result, trace, said = played.result, played.trace, played.said
    else:
        result = errored(finished.job.content, finished.error, finished.job.attempt, finished.ended_by)
    store.append(result, trace, said)
    return result


def _stopped(path: Path, count: int, last: EpisodeResult) -> RunStopped:
    """Returns the error that ends a run whose policy keeps failing: what, where the ledger is, and how to go on."""
    assert last.error is not None
    message = " ".join(last.error.message.split())
    message = message if len(message) <= _TOLD_MAX else f"{message[:_TOLD_MAX]} …"
    row = "1 episode" if count == 1 else f"{count} episodes in a row"
    what = f"stopped after {row} that the policy brought down, the last with {last.error.type}: {message}"
    return RunStopped(what, ledger=f"{path}/episodes.jsonl", go_on=f"vlagym run --resume {path} --retry-errors")
