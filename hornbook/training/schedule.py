"""How many steps a run has, and the learning rate at each of them."""

import math
from dataclasses import dataclass
from typing import Literal

from hornbook.training.settings import TrainingSettings


@dataclass(frozen=True)
class Plan:
    """All that follows from the settings and the size of the data. Steps are counted from 1."""

    total_steps: int
    warmup_steps: int
    batches_per_epoch: int
    tokens_per_batch: int
    """Input tokens of one optimizer step, padding included."""
    schedule: Literal["cosine", "linear", "constant"]
    final_lr_share: float
    eval_every: int
    sample_every: int
    save_every: int

    def lr_scale(self, step: int) -> float:
        """The learning rate of step `step`, 1 to `total_steps`, as a share of its peak.

        It rises in a straight line to 1 at `warmup_steps`, then falls to `final_lr_share` at the
        last step: along half a cosine (Loshchilov and Hutter 2017, eq. 5) or in a straight line.
        """
        if step <= self.warmup_steps:
            return step / self.warmup_steps
        done = (step - self.warmup_steps) / max(self.total_steps - self.warmup_steps, 1)
        height = {
            "cosine": (1 + math.cos(math.pi * done)) / 2,
            "linear": 1 - done,
            "constant": 1.0,
        }[self.schedule]
        return self.final_lr_share + (1 - self.final_lr_share) * height

    def due(self, step: int, every: int) -> bool:
        """Whether something done each `every` steps is due after `step`; at the end it always is."""
        return step == self.total_steps or (every > 0 and step % every == 0)

    @property
    def epochs(self) -> float:
        """How often the training data are gone through."""
        return self.total_steps / self.batches_per_epoch

    def describe(self) -> str:
        """The derived numbers, in one line to print."""
        tokens = self.total_steps * self.tokens_per_batch
        course = (
            "constant"
            if self.schedule == "constant"
            else (f"{self.schedule} down to {self.final_lr_share:.0%}")
        )
        return (
            f"{self.total_steps:,} steps of {self.tokens_per_batch:,} tokens "
            f"({self.epochs:.3g} epochs, {tokens / 1e6:.3g} M tokens); learning rate: "
            f"{self.warmup_steps:,} steps up, then {course}; evaluated every "
            f"{self.eval_every or self.total_steps:,}, saved every "
            f"{self.save_every or self.total_steps:,} steps"
        )


def plan_training(
    settings: TrainingSettings, batches_per_epoch: int, tokens_per_batch: int
) -> Plan:
    """Work out a run: its length in steps, its warm-up, how often it is evaluated and saved."""
    total = _total_steps(settings, batches_per_epoch, tokens_per_batch)
    warmup = min(math.ceil(total * settings.warmup_share), total - 1)
    return Plan(
        total_steps=total,
        warmup_steps=warmup,
        batches_per_epoch=batches_per_epoch,
        tokens_per_batch=tokens_per_batch,
        schedule=settings.schedule,
        final_lr_share=1.0 if settings.schedule == "constant" else settings.final_lr_share,
        eval_every=_every(settings.eval_every, total, 10),
        sample_every=_every(settings.sample_every, total, 5),
        save_every=_every(settings.save_every, total, 5),
    )


def _total_steps(settings: TrainingSettings, batches_per_epoch: int, tokens_per_batch: int) -> int:
    if settings.steps is not None:
        return settings.steps
    if settings.tokens is not None:
        return max(math.ceil(settings.tokens / tokens_per_batch), 1)
    epochs = settings.epochs if settings.epochs is not None else 1.0
    return max(round(epochs * batches_per_epoch), 1)


def _every(given: int | None, total: int, parts: int) -> int:
    return max(total // parts, 1) if given is None else given
