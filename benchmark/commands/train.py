"""Trains a policy of our own on demonstrations, and says as it goes how often it succeeds on fresh episodes."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlagym.benchmark import console
from vlagym.envs.errors import BadData

if TYPE_CHECKING:
    from vlagym.benchmark.training_data import TrainingData
    from vlagym.envs.types import EpisodeResult, EpisodeSpec
    from vlagym.policies.loss_curve import Point
    from vlagym.policies.train_options import TrainOptions
    from vlagym.policies.training_loop import Progress, TrainResult
    from vlagym.results.format import DatasetReader

FIRST_SEED = 800_000
"""Of the episodes that a training is evaluated on: above what suites use, below where demonstrations begin."""
_OVERRIDES = ("model", "steps", "minutes", "seed", "batch", "learning_rate", "sentences", "mirror", "frame_stride")
"""Options that a resumed training takes from the one before, unless they are said."""


def main(args: Sequence[str]) -> int:
    """Trains a policy; the folder that it leaves is a checkpoint."""
    options = _parse(args)
    settings = _settings(options)
    with ExitStack() as stack:
        files = _open(options.data, stack)
        result = _train(_demonstrations(settings.model, files), settings, options, _record(args, files))
    _answer(result, as_json=options.json)
    return 0


def _parse(args: Sequence[str]) -> Namespace:
    parser = console.parser(
        prog="vlagym train",
        description="Trains a policy on demonstrations until a budget is spent. The folder that it writes is a checkpoint: card.json, "
        "model.safetensors, with loss.csv and loss.png. Interrupted, it goes on with --resume, exactly where its budget is one of steps.",
        example="vlagym train --model minivla --data demos/train.hdf5 --out runs/minivla --minutes 30 --workers 2 --eval-every 6\n"
        "vlagym run --policy minivla:runs/minivla --suite smoke",
    )
    parser.add_argument("--model", metavar="M", help="what is trained; minivla by default")
    parser.add_argument("--data", nargs="+", type=Path, default=[], metavar="PATH", help="datasets of any format; after --resume rarely needed")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="becomes the checkpoint")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, metavar="M", help="budget in wall time, evaluations included, reading the data not")
    budget.add_argument("--steps", type=int, metavar="N", help="budget in steps: the same every time")
    parser.add_argument("--seed", type=int, metavar="S", help="of weights, order and augmentation; 0 by default")
    parser.add_argument("--batch", type=int, metavar="B", help="frames a step, over all workers; 96 by default")
    parser.add_argument("--lr", type=float, dest="learning_rate", metavar="LR", help="highest learning rate; 0.002 by default")
    parser.add_argument("--sentences", type=int, metavar="K", help="sentences that are drawn for each demonstration; 32 by default")
    parser.add_argument("--mirror", type=float, metavar="P", help="share of frames that are shown left for right; 0 by default")
    parser.add_argument("--frame-stride", type=int, metavar="K", help="a frame every K control steps; default: all that the datasets hold")
    parser.add_argument("--workers", type=int, metavar="N", help="processes of one thread each; default: the usable cores on a CPU, 2 at most")
    parser.add_argument("--device", default="cpu", metavar="D", help="cpu (default) or cuda")
    parser.add_argument("--no-bf16", action="store_true", help="computes in float32 throughout")
    parser.add_argument("--resume", action="store_true", help="goes on with the training in --out")
    parser.add_argument("--eval-every", type=float, metavar="X", help="evaluates every X minutes (or steps, as the budget is); default: at the end")
    parser.add_argument("--eval-episodes", type=int, default=20, metavar="N", help="fresh episodes of each task; 20 by default, 0: no evaluation")
    parser.add_argument("--eval-suite", metavar="S", help="takes robot, splits and catalogue of these episodes from a suite; never its seeds")
    parser.add_argument("--keep-cache", action="store_true", help="leaves the laid out frames in out/cache")
    parser.add_argument("--json", action="store_true", help="prints the checkpoint and its last evaluation as JSON")
    return parser.parse_args(args)


def _settings(options: Namespace) -> TrainOptions:
    from vlagym.benchmark.header import usable_cores
    from vlagym.policies import training_state
    from vlagym.policies.train_options import TrainOptions

    said: dict[str, Any] = {name: getattr(options, name) for name in _OVERRIDES if getattr(options, name) is not None}
    said["bf16"] = not options.no_bf16
    if options.resume:
        before = dict(training_state.read(options.out / "state").options)
        if "steps" in said or "minutes" in said:
            before |= {"steps": None, "minutes": None}
        said = {**before, **said, "bf16": before["bf16"] and said["bf16"]}
    elif not options.data:
        raise BadData("say what to train on: --data PATH. Datasets are collected by vlagym demo")
    on_cpu = options.device == "cpu"
    workers = (min(2, usable_cores()) if on_cpu else 1) if options.workers is None else options.workers
    settings = TrainOptions(
        **said, out=options.out, workers=workers, device=options.device, evaluate_every=options.eval_every, keep_cache=options.keep_cache
    )
    settings.check()
    if options.eval_episodes < 0:
        raise BadData(f"--eval-episodes is 0 or more, not {options.eval_episodes}")
    return settings


def _open(paths: Sequence[Path], stack: ExitStack) -> dict[str, DatasetReader]:
    """Opens the datasets, by the name of each; they stay open, for images are read when they are laid out."""
    from vlagym.results.datasets import open_dataset

    readers: dict[str, DatasetReader] = {}
    for path in paths:
        if str(path) in readers:
            raise BadData(f"{path} was given twice; every demonstration counts once")
        readers[str(path)] = stack.enter_context(open_dataset(path))
    return readers


def _demonstrations(model: str, files: Mapping[str, DatasetReader]) -> TrainingData:
    """Returns what of the datasets is trained on, as the model sees it; what is left out is said."""
    from vlagym.benchmark.training_data import TrainingData
    from vlagym.policies.train_options import images

    found = TrainingData(files, images(model))
    for name, count in found.left_out.items():
        console.note(f"{count} of the {len(files[name])} demonstrations of {name} did not succeed, and are left out")
    return found


def _record(args: Sequence[str], files: Mapping[str, DatasetReader]) -> dict[str, Any]:
    """Returns what the card should say besides what training knows itself: the commands that made it, versions, the machine."""
    from vlagym.benchmark.header import machine, now, packages

    for name, reader in files.items():
        for what in reader.info.provenance.get("held_out", ()):
            console.note(f"{name} holds demonstrations of what is held out for tests: {what}. The card says so")
    data = [{"file": Path(name).name, "demonstrations": len(reader), **dict(reader.info.provenance)} for name, reader in files.items()]
    told: dict[str, Any] = {"command": ["vlagym", "train", *args], "begun": now(), "packages": packages(), "machine": machine()}
    return {**told, "datasets": data} if data else told


def _train(demonstrations: TrainingData, settings: TrainOptions, options: Namespace, record: Mapping[str, Any]) -> TrainResult:
    from vlagym.policies import training_state
    from vlagym.policies.train import train
    from vlagym.policies.training_loop import Hooks

    with _Told(settings, len(demonstrations)) as told:
        hooks = Hooks(
            prepared=told.prepared,
            stepped=told.stepped,
            evaluate=_Evaluation(settings, options.eval_episodes, options.eval_suite) if options.eval_episodes else None,
            evaluated=told.evaluated,
            note=console.note,
            record=record,
        )
        try:
            return train(demonstrations, settings, hooks, resume=options.resume)
        except KeyboardInterrupt:
            saved = training_state.exists(settings.state)
            how = f"Go on with: vlagym train --resume --out {settings.out}" if saved else "Nothing was stored yet"
            console.note(f"interrupted. {how}")
            raise


class _Evaluation:
    """Plays the checkpoint of a moment on fresh episodes, the same ones each time."""

    def __init__(self, settings: TrainOptions, episodes: int, suite: str | None) -> None:
        from vlagym.benchmark.suite_files import load_suite

        self._settings, self._num_episodes = settings, episodes
        self._suite = None if suite is None else load_suite(suite)
        self._specs: tuple[EpisodeSpec, ...] = ()

    def __call__(self, folder: Path) -> dict[str, float]:
        """Returns the share of successes for each task that the checkpoint was trained on."""
        import shutil

        from vlagym.benchmark.runner import RunOptions, run
        from vlagym.benchmark.suite_files import task_suite
        from vlagym.envs import backend
        from vlagym.policies.checkpoint import read_card

        backend.choose()
        training = read_card(folder)["training"]
        tasks = sorted(training["tasks"])
        suite = (self._suite or task_suite(tasks, episodes=1)).restrict(tasks=tasks, episodes=self._num_episodes, first_seed=FIRST_SEED).check()
        self._specs = self._specs or suite.expand()
        out = folder / "evaluations" / f"step-{training['steps']:07d}"
        # A training that was killed during an evaluation comes by here again.
        shutil.rmtree(out, ignore_errors=True)
        device = {"device": self._settings.device}
        wanted = RunOptions(
            policy=f"{self._settings.model}:{folder}",
            policy_options=device,
            suite=suite,
            workers=self._settings.workers,
            stop_after_errors=0,  # a checkpoint that fails costs its evaluation, not the training
            out=out,
        )
        results = run(wanted, self._specs, _Silent()).results
        errors = [r for r in results if r.outcome == "error"]
        if errors:
            console.note(f"{len(errors)} episodes of the evaluation ended in an error and do not count ({out}/episodes.jsonl)")
        played = {task: [r.outcome == "success" for r in results if r.task == task and r.outcome != "error"] for task in sorted(training["tasks"])}
        return {task: sum(outcomes) / len(outcomes) for task, outcomes in played.items() if outcomes}


class _Silent:
    """Shows nothing of a run: the training has a bar of its own."""

    def begins(self, path: Path, total: int, done: int, workers: int) -> None:
        """Says nothing."""

    def stored(self, result: EpisodeResult) -> None:
        """Says nothing."""


class _Told:
    """Shows on the console how a training goes on: a bar for the data, then one for the budget."""

    def __init__(self, settings: TrainOptions, num_demonstrations: int) -> None:
        self._settings = settings
        self._reading = console.Progress(num_demonstrations, "reading", unit="demo")
        self._training: console.Progress | None = None
        self._stack = ExitStack()
        self._done = 0

    def __enter__(self) -> _Told:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._stack.close()

    def prepared(self) -> None:
        if self._done == 0:
            self._stack.enter_context(self._reading)
        self._done += 1
        self._reading.advance()

    def stepped(self, progress: Progress) -> None:
        steps = self._settings.steps
        at = progress.step if steps is not None else int(progress.elapsed_s)
        if self._training is None:
            self._stack.close()
            total = steps if steps is not None else round(60 * (self._settings.minutes or 0))
            done = at - 1 if steps is not None else at
            self._training = self._stack.enter_context(console.Progress(total, "training", unit="step" if steps is not None else "s", done=done))
            self._done = done
        losses = " ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
        if at > self._done:
            self._training.advance(at - self._done, note=f"step {progress.step}, {progress.samples_per_s:.0f} frames/s, {losses}")
            self._done = at

    def evaluated(self, point: Point) -> None:
        success = ", ".join(f"{task} {100 * share:.0f} %" for task, share in point.success.items())
        console.note(f"step {point.step}, {point.elapsed_s / 60:.1f} min: {success}")


def _answer(result: TrainResult, *, as_json: bool) -> None:
    last = next((p for p in reversed(result.points) if p.success), None)
    if as_json:
        told = {"checkpoint": str(result.checkpoint), "digest": result.digest, "steps": result.steps, "elapsed_s": result.elapsed_s}
        console.answer(json.dumps({**told, "success": dict(last.success) if last else {}}, indent=2))
        return
    for task, share in (last.success if last else {}).items():
        console.answer(f"{task}: {100 * share:.0f} % on fresh episodes")
    console.answer(f"{result.steps} steps in {result.elapsed_s / 60:.1f} min: checkpoint {result.digest[:8]} ({result.checkpoint})")

