"""The training loop: a generator of steps that the caller drives.

    for step in train_steps(model, optimizer, loader.batches(), settings, runtime, plan):
        log.write(step.index, loss=step.loss)
        if plan.due(step.index, plan.eval_every):
            ...

Logging, evaluating, sampling and saving are the caller's, between two steps, in plain sight.
"""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

import torch

from hornbook.errors import HornbookError
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.training.gradient import accumulate
from hornbook.training.objective import check_ids
from hornbook.training.optimizer import Optimizer
from hornbook.training.parallel import ALONE, Parallel
from hornbook.training.schedule import Plan
from hornbook.training.settings import TrainingSettings


@dataclass(frozen=True)
class Step:
    """What one optimizer step did."""

    index: int
    """Number of the step, from 1."""
    loss: float
    """Mean negative log-likelihood of the batch's trained positions before the step, in nats."""
    lr: float
    """AdamW's learning rate."""
    grad_norm: float
    """Length of the gradient before clipping."""
    tokens: int
    """Trained positions of the batch."""
    position: int
    """`Batch.position`: where the loader goes on when the run is resumed after this step."""
    skipped: int
    """Batches passed over since the step before because no position of theirs is trained."""
    seconds: float
    """Duration, without what the caller does between steps."""


def train_steps(
    model: Transformer,
    optimizer: Optimizer,
    batches: Iterator[Batch],
    settings: TrainingSettings,
    runtime: Runtime,
    plan: Plan,
    start_step: int = 0,
    parallel: Parallel = ALONE,
) -> Iterator[Step]:
    """Train `model` in place, one optimizer step for each `Step` given out.

    Args:
        model: on `runtime.device`; put into training mode at each step.
        optimizer: over the model's trained parameters.
        batches: from `Loader.batches(position)`; may lie on the CPU.
        start_step: the last step done before, when resuming.

    Raises:
        HornbookError: the loss or the gradient is not a finite number (the weights are then those
            of the step before), a target is beyond the head's width, the batches end too early, or
            nothing in them is trained.
    """
    optimizer.zero_grad()
    objective = parallel.objective(model)
    for index in range(start_step + 1, plan.total_steps + 1):
        started = time.perf_counter()
        batch, skipped = _next_trained(batches, index, plan)
        check_ids(model, batch)
        model.train()
        loss, trained = accumulate(objective, batch, settings.micro_batch_size, runtime, parallel)
        optimizer.set_lr_scale(plan.lr_scale(index))
        norm = optimizer.clip(settings.clip)
        # The step's one wait for the device.
        loss_value, norm_value = torch.stack((loss, norm.float())).tolist()
        _require_finite(loss_value, norm_value, index, batch.position)
        optimizer.step()
        optimizer.zero_grad()
        yield Step(
            index=index,
            loss=loss_value,
            lr=optimizer.lr,
            grad_norm=norm_value,
            tokens=trained,
            position=batch.position,
            skipped=skipped,
            seconds=time.perf_counter() - started,
        )


def _next_trained(batches: Iterator[Batch], index: int, plan: Plan) -> tuple[Batch, int]:
    """The next batch with a trained position, and how many without one came before it."""
    for skipped in range(plan.batches_per_epoch + 1):
        batch = next(batches, None)
        if batch is None:
            raise HornbookError(
                f"the batches ended before step {index} of {plan.total_steps}; give more data or "
                "fewer training.steps."
            )
        if bool((batch.targets != IGNORE).any()):
            return batch, skipped
    raise HornbookError(
        f"step {index}: no position is trained in a whole epoch of {plan.batches_per_epoch} "
        "batches; is the prompt so long that every answer is cut off?"
    )


def _require_finite(loss: float, norm: float, index: int, position: int) -> None:
    for name, value in (("loss", loss), ("gradient's length", norm)):
        if not math.isfinite(value):
            raise HornbookError(
                f"step {index} (batch {position}): the {name} is {value}; the weights are still "
                f"those of step {index - 1}. Lower training.lr, or look at that batch."
            )


class Interrupt:
    """Whether Ctrl-C has been pressed."""

    requested = False


@contextlib.contextmanager
def hold_interrupt() -> Iterator[Interrupt]:
    """Let the step under way finish when Ctrl-C is pressed, so that a whole state can be saved.

    The caller looks at `requested` between steps, saves and raises `KeyboardInterrupt`. A second
    Ctrl-C interrupts at once. Outside the main thread, where Python sends no signals, it does
    nothing.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    previous = signal.getsignal(signal.SIGINT)

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        interrupt.requested = True
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, previous)
