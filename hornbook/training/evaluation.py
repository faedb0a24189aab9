"""How well a model predicts data held out."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import Batch
from hornbook.training.objective import NEXT_TOKEN, Loss, check_ids
from hornbook.training.parallel import ALONE, Parallel


@dataclass(frozen=True)
class Score:
    """Mean loss over every trained position, and what follows from it."""

    loss: float
    """Mean negative log-likelihood of a position, in nats."""
    tokens: int
    """Positions that the mean is over, or what else the loss counts."""
    sources: Mapping[str, "Score"] = field(default_factory=dict)
    """By name, where held-out data of several sources were scored each by itself."""
    others: Mapping[str, float] = field(default_factory=dict)
    """Means of what else the loss measures."""

    @property
    def perplexity(self) -> float:
        """exp(loss): as good as choosing among so many equally likely tokens."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    def as_dict(self) -> dict[str, float]:
        """The figures by name: perplexity where the loss is a token's, else what the loss measures."""
        of_sources = {f"loss/{name}": score.loss for name, score in self.sources.items()}
        others = self.others or {"perplexity": self.perplexity}
        return {"loss": self.loss, **others, **of_sources}

    @property
    def nats(self) -> float:
        """Negative log-likelihood of all positions together."""
        return self.loss * self.tokens

    def bits_per_byte(self, byte_count: int) -> float:
        """Bits needed for each of the text's UTF-8 bytes: comparable between tokenizers.

        Args:
            byte_count: bytes of the text that the scored tokens spell.
        """
        return self.nats / math.log(2) / byte_count


def pooled(scores: Mapping[str, Score]) -> Score:
    """One score of several sources: the mean over all their positions, each source's beside it."""
    tokens = sum(score.tokens for score in scores.values())
    return Score(sum(score.nats for score in scores.values()) / tokens, tokens, dict(scores))


@torch.no_grad()
def evaluate(
    model: Transformer,
    batches: Iterable[Batch],
    runtime: Runtime,
    parallel: Parallel = ALONE,
    loss: Loss = NEXT_TOKEN,
) -> Score:
    """Score `model` without dropout on batches such as `Loader.epoch()` gives.

    The model is left in the mode, training or not, in which it came. Sums over batches are float64.
    Several processes score their shares of each batch, and each gets the score of all.

    Raises:
        HornbookError: no position is trained in any batch.
    """
    was_training = model.training
    model.eval()
    try:
        sums: list[Tensor] = []  # of each batch, (figures,)
        names: list[str] = []
        count = 0
        for batch in batches:
            check_ids(model, batch)
            with runtime.autocast():
                figures = loss.figures(model, batch)
            names = list(figures)
            sums.append(torch.stack(list(figures.values())))
            count += int(loss.count(batch))
    finally:
        model.train(was_training)
    count = int(parallel.sum(torch.tensor(count)))
    if not count:
        raise HornbookError(
            "there is nothing to evaluate: the data held out have no trained position; "
            "give more text or a larger share to validation."
        )
    # Moved once at the end, so that a GPU is not waited for at every batch.
    totals = parallel.sum(torch.stack(sums).cpu().double().sum(dim=0)).tolist()
    means = {name: total / count for name, total in zip(names, totals, strict=True)}
    return Score(means.pop("loss"), count, others=means)
