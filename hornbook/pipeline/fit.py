"""One training, whatever its objective: the loop driven, with all that happens between its steps."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hornbook.checkpoints.folder import CheckpointFolder
from hornbook.checkpoints.store import load_training_state, load_weights
from hornbook.console import Meter, console, meter
from hornbook.model.transformer import Transformer
from hornbook.pipeline.recorder import Recorder
from hornbook.runtime import Runtime
from hornbook.sampling.loader import Loader
from hornbook.training.evaluation import Score, evaluate
from hornbook.training.loop import Step, hold_interrupt, train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.schedule import Plan, plan_training
from hornbook.training.settings import TrainingSettings

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Task:
    """What is trained, on what, and what is looked at meanwhile."""

    name: str
    """The stage, as shown beside the progress bar."""
    model: Transformer
    """On the runtime's device; only parameters that require gradients are trained."""
    train: Loader
    validation: Loader | None
    """None when no data were held out: then the last weights are kept instead of the best."""
    settings: TrainingSettings
    tokenizer_fingerprint: str
    tokens_per_batch: int
    facts: dict[str, Any]
    """Stored with each checkpoint; a classifier's labels."""
    sample: Callable[[], str] | None = None
    """A piece of text that the model writes now."""


@dataclass(frozen=True)
class Fitted:
    """What came out; the model itself was trained in place and holds the best weights."""

    steps: int
    validation: Score | None
    """Of the weights kept."""
    tokens: int
    """Input tokens read."""
    seconds: float
    """Time in training steps."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        figures: dict[str, Any] = {
            "steps": self.steps,
            "tokens": self.tokens,
            "training_seconds": round(self.seconds, 1),
            "tokens_per_second": round(self.tokens / max(self.seconds, 1e-9)),
        }
        if self.validation is not None:
            figures["validation_loss"] = self.validation.loss
            figures["validation_perplexity"] = self.validation.perplexity
        return figures


def fit(task: Task, folder: Path, runtime: Runtime) -> Fitted:
    """Train a task to its end, going on from the newest checkpoint in `folder` if there is one.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; a checkpoint of the last whole step is saved.
    """
    plan = plan_training(task.settings, task.train.batches_per_epoch, task.tokens_per_batch)
    console.print(f"  {plan.describe()}", style="dim")
    torch.manual_seed(runtime.seed)  # dropout's: the same whichever stages ran before this one
    run = _Fit(task, folder, runtime, plan)
    with (
        meter(task.name, plan.total_steps, "step", run.start_step) as shown,
        hold_interrupt() as interrupt,
    ):
        for step in run.steps():
            run.after(step, shown)
            if interrupt.requested:
                run.save(step)
                raise KeyboardInterrupt
    return run.finish()


class _Fit:
    """The state of one training between its steps."""

    def __init__(self, task: Task, folder: Path, runtime: Runtime, plan: Plan) -> None:
        self.task, self.runtime, self.plan = task, runtime, plan
        self.optimizer = Optimizer(task.model, task.settings, runtime.dtype)
        self.checkpoints = CheckpointFolder(folder / CHECKPOINTS, task.settings.keep)
        self.start_step, self.position, self.seconds = 0, 0, 0.0
        self.score: Score | None = None
        self._resume()
        self.recorder = Recorder(folder, plan, self.start_step)

    def _resume(self) -> None:
        newest = self.checkpoints.latest()
        if newest is None:
            return
        load_weights(newest, self.task.model)
        state = load_training_state(newest, self.optimizer)
        self.start_step, self.position = state["step"], state["position"]
        self.seconds = state["seconds"]
        self.score = _score_from(state.get("validation"))
        console.print(f"  going on from step {self.start_step:,} ({newest})")

    def steps(self) -> Any:
        """The steps that are still to do."""
        return train_steps(
            self.task.model,
            self.optimizer,
            self.task.train.batches(self.position),
            self.task.settings,
            self.runtime,
            self.plan,
            self.start_step,
        )

    def after(self, step: Step, shown: Meter) -> None:
        """Log a step; evaluate, sample and save when each is due."""
        self.seconds += step.seconds
        self.recorder.step(step, shown, self.score)  # before a save, so that it is never missing
        if self.plan.due(step.index, self.plan.eval_every):
            self._evaluate(step)
        if self.task.sample is not None and self.plan.due(step.index, self.plan.sample_every):
            self.recorder.sample(step, self.task.sample())
        if self.plan.due(step.index, self.plan.save_every):
            self.save(step)

    def _evaluate(self, step: Step) -> None:
        if self.task.validation is None:
            return
        self.score = evaluate(self.task.model, self.task.validation.epoch(), self.runtime)
        self.recorder.evaluation(step, self.score)

    def save(self, step: Step) -> None:
        """Write a checkpoint that training can go on from, exactly."""
        score = self.score
        self.checkpoints.save(
            step.index,
            self.task.model,
            tokenizer_fingerprint=self.task.tokenizer_fingerprint,
            optimizer=self.optimizer,
            state={
                "position": step.position,
                "seconds": self.seconds,
                "validation": None if score is None else [score.loss, score.tokens],
            },
            facts=self.task.facts,
            validation_loss=None if score is None else score.loss,
        )

    def finish(self) -> Fitted:
        """Put the best weights saved into the model."""
        best = self.checkpoints.best()
        if best is not None:
            load_weights(best, self.task.model)
            assert self.task.validation is not None
            self.score = evaluate(self.task.model, self.task.validation.epoch(), self.runtime)
        self.task.model.eval()
        tokens = self.plan.total_steps * self.plan.tokens_per_batch
        return Fitted(self.plan.total_steps, self.score, tokens, self.seconds)


def _score_from(saved: list[float] | None) -> Score | None:
    if saved is None or not math.isfinite(saved[0]):
        return None
    return Score(saved[0], int(saved[1]))
