"""What is written down and shown of a training as it goes on."""

import time
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from hornbook.console import Meter, console, visible
from hornbook.pipeline.pretraining.history import METRICS, draw
from hornbook.training.evaluation import Score
from hornbook.training.flops import Cost
from hornbook.training.loop import Step
from hornbook.training.metrics import MetricsLog
from hornbook.training.schedule import Plan
from hornbook.training.trackers import Trackers

STEPS_AT_ONCE_ON_GPU = 10
"""Reading a loss waits for the GPU, so it is done this seldom; each step is written all the same."""
REDRAW_AFTER_S = 60.0
"""The curves are drawn at an evaluation at most this often: the first time takes a second."""


class Recorder:
    """The metrics of a training, in its folder and its trackers, and the figures beside its bar."""

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        start_step: int,
        cost: Cost,
        trackers: Trackers,
        steps_at_once: int = 1,
    ) -> None:
        """`steps_at_once` is after how many steps their figures are read: 1 on a CPU."""
        self._folder, self._plan, self._cost = folder, plan, cost
        self._metrics = MetricsLog(folder / METRICS, start_step)
        self._trackers = trackers
        self._steps_at_once = steps_at_once
        self._unread: list[Step] = []
        self._began, self._drawn = 0.0, time.monotonic()

    def step(self, step: Step, shown: Meter, score: Score | None) -> None:
        """Take a step, and when it is time write down all that wait and move the bar.

        `score` is the newest evaluation's.
        """
        if not self._unread:
            self._began = time.perf_counter() - step.seconds
        self._unread.append(step)
        if len(self._unread) >= self._steps_at_once or self._something_follows(step):
            self._write_down(shown, score)

    def _something_follows(self, step: Step) -> bool:
        """Whether the caller will do more than go on: its time is not to count as training's."""
        plan = self._plan
        return any(
            plan.due(step.index, every)
            for every in (plan.eval_every, plan.sample_every, plan.save_every)
        )

    def _write_down(self, shown: Meter, score: Score | None) -> None:
        newest = self._unread[-1]
        loss, grad_norm = newest.loss, newest.grad_norm  # waits until all of them are computed
        seconds = newest.seconds
        if len(self._unread) > 1:
            seconds = (time.perf_counter() - self._began) / len(self._unread)
        rate = self._plan.tokens_per_batch / seconds
        utilization = self._cost.utilization(rate)
        for step in self._unread:
            figures = {
                "loss": step.loss,
                "lr": step.lr,
                "grad_norm": step.grad_norm,
                "tokens_per_second": round(rate),
                "mfu": round(utilization, 4),
                "seconds": round(seconds, 6),
            }
            self._metrics.write("train", step.index, figures)
            self._trackers.log("train", step.index, figures)
        validation = f" · val {score.loss:.3f}" if score is not None else ""
        shown.advance(
            len(self._unread),
            f"loss {loss:.3f}{validation} · lr {newest.lr:.1e} · grad {grad_norm:.2f} · "
            f"{rate:,.0f} tok/s · MFU {utilization:.1%}",
        )
        self._unread = []

    def flush(self, shown: Meter, score: Score | None) -> None:
        """Write down the steps that wait; call it before a checkpoint, which stands for them too."""
        if self._unread:
            self._write_down(shown, score)

    def keep(self) -> None:
        """Have what is written down on the disk: a checkpoint will say that training came so far."""
        self._metrics.sync()

    def go_back(self, step: int) -> None:
        """Forget what came after `step`: training goes on from there a second time."""
        self._metrics = MetricsLog(self._metrics.path, step)
        self._unread = []

    def evaluation(self, step: Step, score: Score) -> None:
        """Write down how well held-out data are predicted, and now and then draw the curves."""
        figures = score.as_dict()
        self._metrics.write("evaluation", step.index, figures)
        self._trackers.log("evaluation", step.index, figures)
        if time.monotonic() - self._drawn > REDRAW_AFTER_S:
            self._draw()

    def sample(self, step: Step, text: str) -> None:
        """Write down and print a piece of text that the model has written."""
        self._metrics.write("sample", step.index, {"text": text})
        console.print(Text.assemble((f"  step {step.index:,}: ", "dim"), (visible(text), "italic")))

    def _draw(self) -> None:
        draw(self._folder, self._folder.name)
        self._drawn = time.monotonic()

    def close(self) -> None:
        """Draw the curves a last time and let the trackers send what is left."""
        self._draw()
        self._trackers.close()


class Onlooker(Recorder):
    """In all processes of a training but the main one: nothing is written or shown."""

    def __init__(self) -> None:
        pass

    def step(self, step: Step, shown: Meter, score: Score | None) -> None:
        """Nothing."""

    def flush(self, shown: Meter, score: Score | None) -> None:
        """Nothing."""

    def keep(self) -> None:
        """Nothing."""

    def go_back(self, step: int) -> None:
        """Nothing."""

    def evaluation(self, step: Step, score: Score) -> None:
        """Nothing."""

    def sample(self, step: Step, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def utilization_text(cost: Cost) -> str:
    """What the MFU shown is a share of, in a line to print."""
    return (
        f"{cost.flops_per_token / 1e6:,.3g} MFLOP a token; MFU is the share of "
        f"{cost.peak.flops * cost.devices / 1e9:,.0f} GFLOP/s ({cost.peak.source})"
    )


def describe_trackers(names: Sequence[str]) -> str:
    """How to look at them, in a line to print."""
    ways = {
        "tensorboard": "tensorboard --logdir runs",
        "wandb": "wandb (a line of its own says where)",
        "trackio": "trackio show --project hornbook",
    }
    return "watch with: " + ", ".join(ways[name] for name in names)
