"""One training, whatever its objective: the loop driven, with all that happens between its steps."""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from hornbook.artifact import hash_json
from hornbook.checkpoints.folder import CheckpointFolder
from hornbook.checkpoints.saver import Saver
from hornbook.checkpoints.sharded import ShardedFolder
from hornbook.checkpoints.store import ENDED, gather_content
from hornbook.console import Meter, console, meter
from hornbook.errors import HornbookError
from hornbook.evaluation.units import hash_samples
from hornbook.model.transformer import Transformer
from hornbook.pipeline.pretraining.incidents import Incidents, LossWatch
from hornbook.pipeline.pretraining.micro_batch import settle_micro_batch
from hornbook.pipeline.pretraining.recorder import (
    STEPS_AT_ONCE_ON_GPU,
    Onlooker,
    Recorder,
    describe_trackers,
    utilization_text,
)
from hornbook.pipeline.pretraining.resuming import CURVE, read_state, read_weights, warnings_shown
from hornbook.pipeline.pretraining.task import Fitted, Task
from hornbook.runtime import Runtime
from hornbook.sampling.batch import Batch
from hornbook.sampling.loader import Loader
from hornbook.sampling.prefetch import prefetched
from hornbook.training.acceleration import accelerate
from hornbook.training.evaluation import Score, evaluate, pooled
from hornbook.training.flops import Cost, training_cost
from hornbook.training.guard import Spike, SpikeGuard
from hornbook.training.loop import Interrupt, Step, hold_interrupt, train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.parallel import ALONE, Parallel
from hornbook.training.schedule import Plan, plan_training
from hornbook.training.trackers import Trackers

CHECKPOINTS = "checkpoints"


def fit(task: Task, folder: Path, runtime: Runtime, parallel: Parallel = ALONE) -> Fitted:
    """Train a task to its end, going on from the newest checkpoint in `folder` if there is one.

    Raises:
        HornbookError: the checkpoint there is another run's, a checkpoint could not be written, or
            training itself failed.
        KeyboardInterrupt: Ctrl-C was pressed; a checkpoint of the last whole step is saved.
        Terminated: SIGTERM came; the same.
    """
    if task.settings.patience is not None and task.validation is None:
        raise HornbookError(
            f"{task.name}: patience {task.settings.patience} needs data held out for validation; give "
            "validation a share or a file, or leave patience out."
        )
    plan = plan_training(task.settings, task.train.batches_per_epoch, task.tokens_per_batch)
    console.print(f"  {plan.describe()}", style="dim")
    # Dropout's: the same whichever stages ran before this one, another for each share of a batch.
    torch.manual_seed(runtime.seed + parallel.data_rank)
    run = _Fit(task, folder, runtime, plan, parallel)
    with hold_interrupt() as interrupt, run.saver:
        while not run.ended:  # once, and once more after each loss spike
            run.train(interrupt)
        run.recorder.close()  # while the last checkpoint is being written
    return run.finish()


class _Fit:
    """The state of one training between its steps."""

    def __init__(
        self, task: Task, folder: Path, runtime: Runtime, plan: Plan, parallel: Parallel
    ) -> None:
        self.task, self.runtime, self.plan, self.parallel = task, runtime, plan, parallel
        self._accelerate()
        parallel.spread(task.model, runtime.device)
        if task.fill is not None:
            task.fill(task.model)
        self.optimizer = Optimizer(task.model, task.settings, runtime.dtype, parallel)
        limit = task.settings.spike_guard
        self.guard = SpikeGuard(self.optimizer, task.settings, limit) if limit else None
        self.checkpoints = CheckpointFolder(folder / CHECKPOINTS, task.settings.keep)
        self.alone = parallel.world_size == 1
        on_disk = self.checkpoints if self.alone else ShardedFolder(self.checkpoints, parallel)
        self.saver = Saver(on_disk.write)
        self.done, self.position, self.seconds = 0, 0, 0.0
        self.scores: list[tuple[int, Score]] = []
        self.saved: tuple[int, int] | None = None
        self._resume()
        if self.guard and self.guard.empty:
            self.guard.snapshot(self.done)
        self.settings = settle_micro_batch(
            task.settings, task.model, task.train, folder, runtime, parallel, task.loss
        )
        self.cost = _cost(task, runtime)
        self.recorder = self._recorder(folder)
        self.incidents = Incidents(folder, task.trace or task.samples, parallel.is_main)
        self.watch = LossWatch(runtime, self.incidents, self.guard)

    @property
    def score(self) -> Score | None:
        """The newest evaluation's."""
        return self.scores[-1][1] if self.scores else None

    @property
    def since_best(self) -> int:
        """Evaluations since the one with the lowest loss."""
        losses = [s.loss if math.isfinite(s.loss) else math.inf for _, s in self.scores]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    @property
    def ended(self) -> bool:
        """Whether all steps are done, or the validation loss has stopped falling."""
        patience = self.task.settings.patience
        tired = patience is not None and self.since_best >= patience
        return tired or self.done >= self.plan.total_steps

    def _accelerate(self) -> None:
        same_width = self.task.train.dataset.same_width
        for done in accelerate(self.task.model, self.task.settings, self.runtime, same_width):
            console.print(f"  {done}", style="dim")

    def _resume(self) -> None:
        newest = self._agreed(self.checkpoints.latest)
        if newest is None:
            return
        read_weights(newest, self.task.model, self.parallel)
        state = read_state(newest, self.optimizer, self.guard, self._identity(), self.parallel)
        self.done, self.position = state["step"], state["position"]
        self.seconds = state["seconds"]
        self.scores = [
            (step, Score(loss, tokens, others=others))
            for step, loss, tokens, others in state["scores"]
        ]
        console.print(f"  going on from step {self.done:,} ({newest})")

    def _agreed(self, find: Callable[[], Path | None]) -> Path | None:
        """The checkpoint that the main process finds, and has verified."""
        step = -1
        if self.parallel.is_main:
            with warnings_shown():
                found = find()
            step = next((s for s, path in self.checkpoints.steps().items() if path == found), -1)
        step = self.parallel.of_main(step)
        return self.checkpoints.place(step) if step >= 0 else None

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must have in common with the run that goes on from it."""
        curve = {name: getattr(self.plan, name) for name in CURVE}
        return {"tokenizer": self.task.tokenizer_fingerprint, **curve}

    def _recorder(self, folder: Path) -> Recorder:
        if not self.parallel.is_main:
            return Onlooker()
        console.print(f"  {utilization_text(self.cost)}", style="dim")
        if self.task.trackers:
            console.print(f"  {describe_trackers(self.task.trackers)}", style="dim")
        settings = self.task.settings.model_dump(mode="json")
        trackers = Trackers(self.task.trackers, folder, settings, self.done)
        at_once = 1 if self.runtime.device.type == "cpu" else STEPS_AT_ONCE_ON_GPU
        return Recorder(folder, self.plan, self.done, self.cost, trackers, at_once)

    def train(self, interrupt: Interrupt) -> None:
        """Do the steps that are left, up to the end or to a loss spike and back from there."""
        with (
            meter(self.task.name, self.plan.total_steps, "step", self.done) as shown,
            prefetched(self.task.train.batches(self.position), self.runtime.device) as batches,
        ):
            for step in self._steps(batches):
                spike = self._after(step, shown)
                stops = self.parallel.any(interrupt.requested)
                spike = spike or (self.watch.look_at_all() if stops else None)
                if spike is not None:
                    self._go_back(spike, shown)
                if stops:
                    self._stop(interrupt, shown)
                if spike is not None or self.ended:
                    return

    def _steps(self, batches: Iterator[Batch]) -> Iterator[Step]:
        return train_steps(
            self.task.model,
            self.optimizer,
            batches,
            self.settings,
            self.runtime,
            self.plan,
            self.done,
            self.parallel,
            self.saver.may_change,
            self.task.loss,
        )

    def _after(self, step: Step, shown: Meter) -> Spike | None:
        """Log a step; evaluate, sample and save when each is due. A spike undoes the step."""
        task, plan = self.task, self.plan
        self.done, self.position = step.index, step.position
        self.seconds += step.seconds
        self.recorder.step(step, shown, self.score)  # before a save, so that it is never missing
        evaluates, saves = (plan.due(self.done, n) for n in (plan.eval_every, plan.save_every))
        samples = task.sample is not None and plan.due(self.done, plan.sample_every)
        keeps = self.guard is not None and self.guard.due(self.done)
        spike = self.watch.look(step, at_all=evaluates or saves or samples or keeps)
        if spike is not None:
            return spike
        if task.at_end is not None and self.done == plan.total_steps:
            task.at_end(task.model)
        if evaluates and task.validation is not None:
            self.scores.append((self.done, self._evaluate(task.validation)))
            self.recorder.evaluation(step, self.scores[-1][1])
        if samples and task.sample is not None:
            self._sample(step, task.sample)
        if self.guard and keeps:
            self.guard.snapshot(self.done)
        if self.ended and self.done < plan.total_steps:
            self._say_why()
        # With patience the best weights are what is wanted, wherever they are met.
        best = evaluates and task.settings.patience is not None and self.since_best == 0
        if saves or best or self.ended:
            self._save()
        return None

    def _say_why(self) -> None:
        best = self.scores[-1 - self.since_best]
        console.print(
            f"  ended at step {self.done:,}: the validation loss has not fallen in {self.since_best} "
            f"evaluations; kept are the weights of step {best[0]:,} (loss {best[1].loss:.3f})"
        )

    def _evaluate(self, validation: Loader | Mapping[str, Loader]) -> Score:
        if isinstance(validation, Mapping):
            return pooled({name: self._evaluate(one) for name, one in validation.items()})
        batches, loss = validation.epoch(), self.task.loss
        return evaluate(self.task.model, batches, self.runtime, self.parallel, loss)

    def _sample(self, step: Step, sample: Callable[[Transformer], str]) -> None:
        """Let the main process write a piece of text, with the whole model."""
        model = self.parallel.gather(self.task.model)
        if self.parallel.is_main:
            self.recorder.sample(step, sample(model))
        self.parallel.barrier()

    def _save(self, due: bool = True) -> None:
        """Hand over a checkpoint that training can go on from, exactly.

        `due`: a run never interrupted makes it, too.
        """
        if self.saved == (self.done, self.position):
            return
        if self.guard and due:
            self.guard.snapshot(self.done)
        score, ended = self.score, self.ended
        guard = self.guard if not ended else None
        content = gather_content(
            self.task.model,
            tokenizer_fingerprint=self.task.tokenizer_fingerprint,
            optimizer=None if ended else self.optimizer,
            state={
                ENDED: ended,
                "step": self.done,
                "position": self.position,
                "seconds": self.seconds,
                "scores": [
                    [step, score.loss, score.tokens, score.others]
                    for step, score in self.scores
                    if math.isfinite(score.loss)
                ],
                "guard": guard.state_dict() if guard else None,
                "run": self._identity(),
                "recipe": dict(self.task.recipe),
            },
            facts=self.task.facts,
            guard=guard.tensors(self.done, self.parallel.rank) if guard else None,
            rank=self.parallel.rank,
        )
        self.recorder.keep()
        self.saver.save(self.done, content, None if score is None else score.loss)
        self.saved = self.done, self.position

    def _go_back(self, spike: Spike, shown: Meter) -> None:
        """Put back the state from before a spike, and go on behind its batch."""
        assert self.guard
        self.recorder.flush(shown, self.score)
        self.saver.wait()
        self.done, self.position = self.guard.go_back(spike), spike.position
        self.scores = [(step, score) for step, score in self.scores if step <= self.done]
        self.recorder.go_back(self.done)
        if self.parallel.is_main:
            self.checkpoints.forget_after(self.done)
        self.incidents.spike(spike, self.done)
        self._save()  # so that a run resumed from here leaves the batch out, too

    def _stop(self, interrupt: Interrupt, shown: Meter) -> None:
        """End as a signal asks, with everything saved."""
        self.recorder.flush(shown, self.score)
        self._save(due=False)
        self.saver.wait()
        self.recorder.close()
        raise interrupt.exception()

    def finish(self) -> Fitted:
        """Put the best weights saved into the model, where they are not the last ones."""
        last = self.checkpoints.place(self.done)
        best = self._agreed(self.checkpoints.best)
        score, held_out = self.score, self.task.validation
        if best is not None and best != last:
            read_weights(best, self.task.model, self.parallel)
            if self.task.at_end is not None:
                self.task.at_end(self.task.model)
            score = None
        if held_out is not None and (score is None or score.rows is None):
            score = self._evaluate(held_out)
        model, trained = self.parallel.gather(self.task.model).eval(), self.task.model.eval()
        tokens = self.done * self.plan.tokens_per_batch
        as_stored = best in (None, last) or self.task.at_end is None
        stored = (best or last) if self.alone and as_stored else None
        asked = _hash(held_out) if held_out is not None and self.parallel.is_main else ""
        counts = self.done, score, asked, tokens
        return Fitted(model, trained, *counts, self.seconds, self.cost, stored)


def _hash(held_out: Loader | Mapping[str, Loader]) -> str:
    """SHA-256 of all samples."""
    if isinstance(held_out, Mapping):
        return hash_json([_hash(one) for one in held_out.values()])
    return hash_samples(held_out.dataset)


def _cost(task: Task, runtime: Runtime) -> Cost:
    mean_length = task.tokens_per_batch / task.settings.batch_size
    return training_cost(task.model, mean_length, runtime)
