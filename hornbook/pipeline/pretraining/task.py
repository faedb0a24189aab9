"""What a training is given, and what comes out of it, whatever its objective."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hornbook.evaluation.units import score_intervals
from hornbook.model.transformer import Transformer
from hornbook.sampling.loader import Loader
from hornbook.training.evaluation import Score
from hornbook.training.flops import Cost
from hornbook.training.objective import NEXT_TOKEN, Loss
from hornbook.training.settings import TrainingSettings
from hornbook.training.trackers import TrackerName


@dataclass(frozen=True)
class Task:
    """What is trained, on what, and what is looked at meanwhile."""

    name: str
    """The stage, as shown beside the progress bar."""
    model: Transformer
    """Trained in place: those parameters that require gradients."""
    train: Loader
    validation: Loader | Mapping[str, Loader] | None
    """None when no data were held out: then the last weights are kept instead of the best. Several
    by name are scored each by itself, and the best weights are those with the best mean over all
    positions."""
    settings: TrainingSettings
    tokenizer_fingerprint: str
    tokens_per_batch: int
    facts: dict[str, Any]
    """Stored with each checkpoint; a classifier's labels."""
    sample: Callable[[Transformer], str] | None = None
    """A piece of text that the model writes now; given the model, whole."""
    trackers: tuple[TrackerName, ...] = ()
    """Where the figures can be watched besides the run's own files."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """The run's resolved settings, stored with each checkpoint; plain JSON values."""
    loss: Loss = NEXT_TOKEN
    """What is made small."""
    fill: Callable[[Transformer], None] | None = None
    """Called when the model is spread over processes and has not changed: gives it its weights, where it
    came on the meta device, or computes with them."""
    at_end: Callable[[Transformer], None] | None = None
    """What is done to the weights that are kept, before they are measured and saved for good; all
    processes call it together."""
    trace: Callable[[int], list[str]] | None = None
    """Names the documents of a batch of `train` by its `Batch.position`."""

    def samples(self, position: int) -> list[str]:
        """What can be said of any batch: the numbers of its samples among the training set's."""
        return [f"training sample {index + 1:,}" for index in self.train.samples(position)]


@dataclass(frozen=True)
class Fitted:
    """What came out."""

    model: Transformer
    """With the best weights, in evaluation mode: the task's model, or where that is divided among
    processes a whole one in the main process, and its form in the others."""
    trained: Transformer
    """The task's model with the same weights: what all processes can compute with together."""
    steps: int
    validation: Score | None
    """Of the weights kept."""
    validation_prompts: str
    """SHA-256 of what was held out for it; "" where nothing was."""
    tokens: int
    """Input tokens read."""
    seconds: float
    """Time in training steps."""
    cost: Cost
    """Arithmetic of a token, and the device's peak."""
    checkpoint: Path | None = None
    """Where the model's weights are already stored, as they are."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        rate = self.tokens / max(self.seconds, 1e-9)
        figures: dict[str, Any] = {
            "steps": self.steps,
            "tokens": self.tokens,
            "training_seconds": round(self.seconds, 1),
            "tokens_per_second": round(rate),
            "mfu": round(self.cost.utilization(rate), 4),
        }
        if self.validation is None:
            return figures
        scores = score_intervals(self.validation)
        of_sources = self.validation.sources.items()
        scores |= {f"loss/{name}": score_intervals(one)["loss"] for name, one in of_sources}
        figures |= {f"validation_{name}": score.as_dict() for name, score in scores.items()}
        return {**figures, "validation_prompts_sha256": self.validation_prompts}
