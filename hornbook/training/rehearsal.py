"""A training tried for some seconds before it starts: how long a step takes, how much it keeps."""

import itertools
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import Batch
from hornbook.training.batch_size import bytes_kept
from hornbook.training.evaluation import evaluate
from hornbook.training.loop import train_steps
from hornbook.training.objective import loss_sum
from hornbook.training.optimizer import Optimizer
from hornbook.training.schedule import Plan, plan_training
from hornbook.training.settings import TrainingSettings

SECONDS = 8.0
"""Time for the steps of each of the two sizes that may be timed."""
MOST_STEPS = 30


@dataclass(frozen=True)
class Rehearsal:
    """What a few steps on random tokens have shown."""

    step_seconds: float
    """Of a whole batch."""
    evaluation_seconds: float
    """Of one sequence, forward only."""
    activation_bytes: int
    """Kept from the way forward for the way back by one micro-batch."""
    source: str
    """What was timed, in words to print."""


def rehearse(
    model: Transformer, settings: TrainingSettings, width: int, runtime: Runtime
) -> Rehearsal:
    """Time training steps of `model`, which changes; some 20 seconds at most, with small models less.

    A batch that would take too long is not computed: its time follows from those of one sequence
    and of a few, as a straight line.

    Args:
        settings: with a number or None as micro_batch_size.
        width: tokens of a sequence.
    """
    at_once = settings.micro_batch_size
    at_once = min(at_once, settings.batch_size) if isinstance(at_once, int) else settings.batch_size
    optimizer = Optimizer(model, settings, runtime.dtype)
    one, _ = _time(model, optimizer, settings, random_batches(model, 1, width), runtime)
    rows = max(1, min(settings.batch_size, int(SECONDS / 3 / one)))
    if rows < settings.batch_size:
        rows = min(rows, at_once)
    several, steps = one, 1
    if rows > 1:
        several, steps = _time(
            model, optimizer, settings, random_batches(model, rows, width), runtime
        )
    seconds, source = several, f"{steps} steps of the whole batch"
    if rows < settings.batch_size:
        each = (several - one) / (rows - 1) if rows > 1 else one
        seconds = several + max(each, 0.0) * (settings.batch_size - rows)
        source = f"steps of 1 and of {rows} sequences, carried on to {settings.batch_size}"
    return Rehearsal(
        step_seconds=seconds,
        evaluation_seconds=_time_evaluation(model, rows, width, runtime),
        activation_bytes=activation_bytes(model, at_once, width, runtime),
        source=source,
    )


def random_batches(model: Transformer, rows: int, width: int) -> Iterator[Batch]:
    """Endless batches of random tokens, (rows, width)."""
    generator = torch.Generator().manual_seed(0)
    for position in itertools.count(1):
        ids = torch.randint(model.config.vocab_size, (rows, width + 1), generator=generator)
        yield Batch(ids[:, :-1], ids[:, 1:], position)


def _time(
    model: Transformer,
    optimizer: Optimizer,
    settings: TrainingSettings,
    batches: Iterator[Batch],
    runtime: Runtime,
) -> tuple[float, int]:
    """Median seconds of a step, and of how many; the first, which sets things up, is not among them."""
    seconds: list[float] = []
    started = time.perf_counter()
    for step in train_steps(model, optimizer, batches, settings, runtime, _plan(settings)):
        _ = step.loss  # waits for a GPU
        seconds.append(time.perf_counter() - started)
        if sum(seconds) > SECONDS and len(seconds) > 1:
            break
        started = time.perf_counter()
    return statistics.median(seconds[1:]), len(seconds) - 1


def _plan(settings: TrainingSettings) -> Plan:
    few = settings.model_copy(update={"steps": MOST_STEPS, "tokens": None, "epochs": None})
    return plan_training(few, batches_per_epoch=MOST_STEPS, tokens_per_batch=1)


def _time_evaluation(model: Transformer, rows: int, width: int, runtime: Runtime) -> float:
    """Seconds for each of so many sequences."""
    batch = next(random_batches(model, rows, width))
    evaluate(model, [batch], runtime)
    started = time.perf_counter()
    evaluate(model, [batch], runtime)
    return (time.perf_counter() - started) / rows


def activation_bytes(model: Transformer, rows: int, width: int, runtime: Runtime) -> int:
    """Bytes kept for the gradient by so many rows, from what one row and two rows keep."""
    model.train()
    one, two = (
        bytes_kept(
            lambda batch: loss_sum(model, batch)[0],
            next(random_batches(model, some, width)),
            runtime,
        )
        for some in (1, 2)
    )
    each = two - one
    # What is kept once is the weights: themselves, which are counted elsewhere, or narrow copies.
    copies = 0 if runtime.dtype == torch.float32 else max(one - each, 0)
    return copies + each * rows
