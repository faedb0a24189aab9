"""How well a model predicts data held out."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.model.mode import in_mode
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import Batch
from hornbook.training.objective import NEXT_TOKEN, Loss, check_ids
from hornbook.training.parallel import ALONE, Parallel

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """The same of each row that was scored, such as a window or an example, in their order."""

    counts: Floats
    """Positions of each, or what else the loss counts: (rows,)."""
    sums: Mapping[str, Floats]
    """Of each the sum of every figure over them, (rows,); "loss" first."""


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
    rows: Rows | None = field(default=None, compare=False, repr=False)
    """What its interval is computed from; None of a score that was only noted down."""

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
    loss = sum(score.nats for score in scores.values()) / tokens
    known = [score.rows for score in scores.values() if score.rows is not None]
    sums = {"loss": np.concatenate([some.sums["loss"] for some in known])} if known else {}
    rows = Rows(np.concatenate([some.counts for some in known]), sums) if known else None
    return Score(loss, tokens, dict(scores), rows=rows)


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
    with in_mode(model):
        found: list[Tensor] = []  # of each batch, (1 + figures, rows): counts first
        names: list[str] = []
        for batch in batches:
            check_ids(model, batch)
            with runtime.autocast():
                figures = loss.figures(model, batch)
            names = list(figures)
            counts = loss.counts(batch).to(figures["loss"].device, figures["loss"].dtype)
            found.append(torch.stack([counts, *figures.values()]))
    rows = _of_all(found, parallel)  # (1 + figures, rows)
    count = int(rows[0].sum())
    if not count:
        raise HornbookError(
            "there is nothing to evaluate: the data held out have no trained position; "
            "give more text or a larger share to validation."
        )
    sums = dict(zip(names, rows[1:], strict=True))
    means = {name: float(each.sum()) / count for name, each in sums.items()}
    return Score(means.pop("loss"), count, others=means, rows=Rows(rows[0], sums))


def _of_all(found: Sequence[Tensor], parallel: Parallel) -> Floats:
    """What all processes have found of their shares of each batch, the rows in the order of the data.

    A row with nothing to score is left out, such as one that fills a short batch up.

    Args:
        found: of each batch, (figures, rows): counts first, the same shape in every process.
    """
    if not found:
        return np.zeros((2, 0))
    # Moved once at the end, so that a GPU is not waited for at every batch.
    own = torch.cat([*found], dim=1).cpu().double()  # (figures, rows of all batches)
    shares = own.new_zeros((parallel.data_size, *own.shape))
    shares[parallel.data_rank] = own
    widths = [one.shape[1] for one in found]
    batches = torch.split(parallel.sum(shares), widths, dim=2)  # each (shares, figures, rows)
    together = torch.cat([part.transpose(0, 1).flatten(1) for part in batches], dim=1)
    rows: Floats = together[:, together[0] > 0].numpy()
    return rows
