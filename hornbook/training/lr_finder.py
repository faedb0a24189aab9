"""Which learning rate to take: a range test, in which it is raised until the loss goes up.

Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3, with the rate raised
geometrically instead of evenly, as is usual since fastai's `lr_find`.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hornbook.errors import HornbookError
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import Batch
from hornbook.training.loop import Step, train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.schedule import Plan
from hornbook.training.settings import TrainingSettings

LOWEST, HIGHEST = 1e-5, 1.0
"""AdamW's learning rate at the test's first and last step."""
NEIGHBOURS = 3
"""Losses on either side that a smoothed one is the mean of."""
FEWEST = 20
RISE = 0.2
"""The loss has turned up when it has lost this share of its fall."""


@dataclass(frozen=True)
class Ramp(Plan):
    """A plan whose learning rate rises by the same factor at each step."""

    lowest: float
    highest: float
    """First and last learning rate, as shares of the settings'."""

    def lr_scale(self, step: int) -> float:
        """The learning rate of step `step`, 1 to `total_steps`."""
        done = (step - 1) / (self.total_steps - 1)
        return float(self.lowest * (self.highest / self.lowest) ** done)


@dataclass(frozen=True)
class RangeTest:
    """The loss at each learning rate, both (steps,), and what follows from them."""

    rates: npt.NDArray[np.float64]
    """AdamW's; Muon's rises in proportion."""
    losses: npt.NDArray[np.float64]
    diverged: bool
    """Whether the test was ended early by a loss that had gone up again."""

    @property
    def smoothed(self) -> npt.NDArray[np.float64]:
        """Each loss as the mean of itself and its neighbours."""
        around = [
            self.losses[max(i - NEIGHBOURS, 0) : i + NEIGHBOURS + 1].mean()
            for i in range(len(self.losses))
        ]
        return np.array(around)

    @property
    def steepest(self) -> float:
        """The rate at which the loss fell fastest, per factor of the rate."""
        smoothed = self.smoothed
        slopes = np.gradient(smoothed, np.log(self.rates))
        until_lowest = slopes[: int(smoothed.argmin()) + 1]
        return float(self.rates[int(until_lowest.argmin())])

    @property
    def turning(self) -> float | None:
        """The rate from which the loss went up again; None if it never did."""
        smoothed = self.smoothed
        lowest = int(smoothed.argmin())
        limit = smoothed[lowest] + RISE * (smoothed[0] - smoothed[lowest])
        above = np.flatnonzero(smoothed[lowest:] > limit)
        return float(self.rates[lowest + above[0]]) if len(above) else None

    @property
    def suggestion(self) -> float:
        """The peak rate to train with: where the loss fell fastest, a tenth of turning at most."""
        turning = self.turning
        return self.steepest if turning is None else min(self.steepest, turning / 10)


def find_lr(
    model: Transformer,
    settings: TrainingSettings,
    batches: Iterator[Batch],
    runtime: Runtime,
    steps: int = 100,
    seen: Callable[[Step], None] = lambda step: None,
) -> RangeTest:
    """Train a copy of `model`, which itself stays as it is, with ever larger learning rates.

    Args:
        settings: the run's; both learning rates are raised together, in the proportion they have.
        batches: from `Loader.batches()`.
        seen: called with each step, to show that something is going on.

    Raises:
        HornbookError: too few steps for a curve, or the loss never fell.
    """
    if steps < FEWEST:
        raise HornbookError(f"{steps} steps are too few to see a curve; give {FEWEST} or more.")
    trial = copy.deepcopy(model)
    settings = settings.model_copy(update={"on_nonfinite": "skip"})  # such a loss ends the test
    optimizer = Optimizer(trial, settings, runtime.dtype)
    plan = _ramp(steps, settings)
    rates, losses = [], []
    watch = _Divergence()
    for step in train_steps(trial, optimizer, batches, settings, runtime, plan):
        seen(step)
        if math.isfinite(step.loss):
            rates.append(step.lr)
            losses.append(step.loss)
        if watch.diverged(step.loss):
            break
    found = RangeTest(np.array(rates), np.array(losses), diverged=watch.has_diverged)
    if len(losses) < FEWEST or found.smoothed.min() > 0.99 * found.smoothed[0]:
        raise HornbookError(
            f"the loss never fell in {len(losses)} steps; give more steps, a larger batch, or a "
            "model that is not trained already."
        )
    return found


def _ramp(steps: int, settings: TrainingSettings) -> Ramp:
    return Ramp(
        total_steps=steps,
        warmup_steps=0,
        batches_per_epoch=steps,
        tokens_per_batch=0,
        schedule="constant",
        final_lr_share=1.0,
        eval_every=0,
        sample_every=0,
        save_every=0,
        lowest=LOWEST / settings.lr,
        highest=HIGHEST / settings.lr,
    )


class _Divergence:
    """Tells when there is nothing more to learn from higher rates."""

    def __init__(self) -> None:
        self.has_diverged = False
        self._first = self._mean = self._lowest = math.nan

    def diverged(self, loss: float) -> bool:
        """Whether the loss, as a running mean, is above the first one or half way back to it."""
        if math.isnan(self._first):
            self._first = self._mean = self._lowest = loss
        self._mean = 0.8 * self._mean + 0.2 * loss
        self._lowest = min(self._lowest, self._mean)
        fall = self._first - self._lowest
        limit = self._lowest + fall / 2 if fall > 0.05 * self._first else 1.25 * self._first
        self.has_diverged = not self._mean <= limit  # also when it is no number
        return self.has_diverged
