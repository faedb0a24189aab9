"""What is written down and shown of a training as it goes on."""

from pathlib import Path

from rich.text import Text

from hornbook.console import Meter, console
from hornbook.training.evaluation import Score
from hornbook.training.loop import Step
from hornbook.training.metrics import MetricsLog
from hornbook.training.schedule import Plan

METRICS = "metrics.jsonl"


class Recorder:
    """The metrics of a training, in its folder, and the figures beside its progress bar."""

    def __init__(self, folder: Path, plan: Plan, start_step: int) -> None:
        self._plan = plan
        self._metrics = MetricsLog(folder / METRICS, start_step)

    def step(self, step: Step, shown: Meter, score: Score | None) -> None:
        """Write a step down and move the bar; `score` is the newest evaluation's."""
        figures = {"loss": step.loss, "lr": step.lr, "grad_norm": step.grad_norm}
        rate = self._plan.tokens_per_batch / step.seconds
        self._metrics.write("train", step.index, {**figures, "tokens_per_second": round(rate)})
        validation = f" · val {score.loss:.3f}" if score is not None else ""
        shown.advance(
            1,
            f"loss {step.loss:.3f}{validation} · {rate:,.0f} tok/s · lr {step.lr:.1e} · "
            f"grad {step.grad_norm:.2f}",
        )

    def evaluation(self, step: Step, score: Score) -> None:
        """Write down how well held-out data are predicted."""
        self._metrics.write(
            "evaluation", step.index, {"loss": score.loss, "perplexity": score.perplexity}
        )

    def sample(self, step: Step, text: str) -> None:
        """Write down and print a piece of text that the model has written."""
        self._metrics.write("sample", step.index, {"text": text})
        console.print(Text.assemble((f"  step {step.index:,}: ", "dim"), (text, "italic")))
