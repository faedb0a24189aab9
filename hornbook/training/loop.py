"""The training loop: a generator of steps that the caller drives.

    for step in train_steps(model, optimizer, loader.batches(), settings, runtime, plan):
        log.write(step.index, loss=step.loss)
        if plan.due(step.index, plan.eval_every):
            ...

Logging, evaluating, sampling and saving are the caller's, between two steps, in plain sight.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from hornbook.errors import HornbookError, Terminated
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.training.figures import Figures, FiniteOnly
from hornbook.training.gradient import accumulate
from hornbook.training.memory import memory_explained
from hornbook.training.objective import NEXT_TOKEN, Loss, check_ids
from hornbook.training.optimizer import Optimizer
from hornbook.training.parallel import ALONE, Parallel
from hornbook.training.schedule import Plan
from hornbook.training.settings import TrainingSettings


@dataclass(frozen=True)
class Step:
    """What one optimizer step did."""

    index: int
    """Number of the step, from 1."""
    figures: Figures
    """Loss and gradient length. On a GPU, reading them in the step's own round of the loop means
    waiting for it: read them every few steps."""
    lr: float
    """AdamW's learning rate."""
    tokens: int
    """Trained positions of the batch, or what else the loss counts."""
    position: int
    """`Batch.position`: where the loader goes on when the run is resumed after this step."""
    skipped: int
    """Batches passed over since the step before because no position of theirs is trained."""
    seconds: float
    """Duration, without what the caller does between steps. On a GPU, which runs up to two steps
    behind, only the mean over several says anything."""

    @property
    def loss(self) -> float:
        """Mean negative log-likelihood of the batch's trained positions before the step, in nats."""
        return self.figures.read()[0]

    @property
    def grad_norm(self) -> float:
        """Length of the gradient before clipping."""
        return self.figures.read()[1]


def _at_once() -> None:
    """Nothing else is reading the weights."""


def train_steps(
    model: Transformer,
    optimizer: Optimizer,
    batches: Iterator[Batch],
    settings: TrainingSettings,
    runtime: Runtime,
    plan: Plan,
    start_step: int = 0,
    parallel: Parallel = ALONE,
    may_change: Callable[[], None] = _at_once,
    loss: Loss = NEXT_TOKEN,
) -> Iterator[Step]:
    """Train `model` in place, one optimizer step for each `Step` given out.

    Args:
        model: on `runtime.device`; put into training mode at each step.
        optimizer: over the model's trained parameters.
        batches: from `Loader.batches(position)`; may lie on the CPU.
        start_step: the last step done before, when resuming.
        may_change: returns when the weights may be changed: a checkpoint being copied in the
            background has until then, which is nearly the whole step.
        loss: what is made small.

    Raises:
        HornbookError: the loss or the gradient is not a finite number and `on_nonfinite` is "stop"
            (the weights are then those of the step before), a target is beyond the head's width,
            the batches end too early, or nothing in them is trained.
    """
    optimizer.zero_grad()
    objective = parallel.objective(model, loss)
    finite_only = FiniteOnly(settings, runtime.device)
    for index in range(start_step + 1, plan.total_steps + 1):
        started = time.perf_counter()
        batch, skipped = _next_trained(batches, index, plan, parallel)
        check_ids(model, batch)
        model.train()
        with memory_explained(settings, batch, index):
            mean, trained = accumulate(
                objective, batch, settings.at_once, runtime, parallel, loss.count
            )
            optimizer.set_lr_scale(plan.lr_scale(index))
            norm = optimizer.clip(settings.clip)
            may_change()
            figures = finite_only.update(optimizer, mean, norm)
        optimizer.zero_grad()
        finite_only.check(index, batch.position, figures)
        yield Step(
            index=index,
            figures=figures,
            lr=optimizer.lr,
            tokens=trained,
            position=batch.position,
            skipped=skipped,
            seconds=time.perf_counter() - started,
        )
    finite_only.check_all()


def _next_trained(
    batches: Iterator[Batch], index: int, plan: Plan, parallel: Parallel
) -> tuple[Batch, int]:
    """The next batch with a trained position, and how many without one came before it."""
    for skipped in range(plan.batches_per_epoch + 1):
        batch = next(batches, None)
        if batch is None:
            raise HornbookError(
                f"the batches ended before step {index} of {plan.total_steps}; give more data or "
                "fewer training.steps."
            )
        if parallel.any(bool((batch.targets != IGNORE).any())):  # in any process's share
            return batch, skipped
    raise HornbookError(
        f"step {index}: no position is trained in a whole epoch of {plan.batches_per_epoch} "
        "batches; is the prompt so long that every answer is cut off?"
    )


class Interrupt:
    """Whether the process has been asked to end, and by which signal."""

    signal: int | None = None

    @property
    def requested(self) -> bool:
        """Whether it has."""
        return self.signal is not None

    def exception(self) -> BaseException:
        """What to raise once everything is saved: Ctrl-C ends a command with 130, SIGTERM with 0."""
        return KeyboardInterrupt() if self.signal == signal.SIGINT else Terminated()


@contextlib.contextmanager
def hold_interrupt() -> Iterator[Interrupt]:
    """Let the step under way finish at Ctrl-C (SIGINT) or SIGTERM, so that a whole state is saved.

    The caller looks at `requested` between steps, saves and raises `Interrupt.exception()`. A second
    signal acts at once. Outside the main thread, where Python sends no signals, it does nothing.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    previous: dict[int, Any] = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
    }

    def on_signal(number: int, frame: FrameType | None) -> None:
        interrupt.signal = number
        put_back()

    def put_back() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    for number in previous:
        signal.signal(number, on_signal)
    try:
        yield interrupt
    finally:
        put_back()
