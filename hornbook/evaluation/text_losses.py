"""How well a model predicts each of many texts, or examples: one loss for each, computed in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from hornbook.evaluation.perplexity import window_starts
from hornbook.model.mode import in_mode
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import IGNORE
from hornbook.sampling.dataset import Dataset, Examples

TOKENS_AT_ONCE = 2**13
"""Tokens of a batch, padding included."""
LOGITS_AT_ONCE = 2**22
"""16 MiB of float32."""


@dataclass(frozen=True)
class TextLosses:
    """Of each text, in the order given."""

    nats: npt.NDArray[np.float64]
    """Negative log-likelihood of the tokens scored, together: (texts,)."""
    tokens: npt.NDArray[np.int64]
    """How many were scored: (texts,)."""

    @property
    def loss(self) -> npt.NDArray[np.float64]:
        """Nats a token, the logarithm of the perplexity: (texts,); nan where nothing is scored."""
        found = np.full(len(self.nats), np.nan)
        np.divide(self.nats, self.tokens, out=found, where=self.tokens > 0)
        return found


def text_losses(
    model: Transformer,
    texts: Sequence[Sequence[int]],
    runtime: Runtime,
    *,
    stride: int | None = None,
    scored_from: Sequence[int] | None = None,
) -> TextLosses:
    """Score every token of each text but its first, each once.

    A text longer than the model reads is scored in windows, as by `sliding_window_perplexity`.

    Args:
        texts: token ids; those of fewer than two tokens have nothing to be scored.
        stride: tokens from one window to the next; half of the model's context when not given.
        scored_from: of each text, its first token that is scored (at least 1); 1 when not given.
    """
    length = model.config.context_length
    step = max(length // 2, 1) if stride is None else stride
    pairs: list[tuple[list[int], list[int]]] = []
    owners: list[int] = []
    for owner, text in enumerate(texts):
        ids = list(text)
        least = 1 if scored_from is None else scored_from[owner]
        for start, first in window_starts(len(ids), length, step) if len(ids) > 1 else ():
            end = min(start + length, len(ids) - 1)
            targets = ids[start + 1 : end + 1]
            # Scored by an earlier window, or not to be scored at all.
            hidden = min(max(first + 1, least) - start - 1, len(targets))
            pairs.append((ids[start:end], [IGNORE] * hidden + targets[hidden:]))
            owners.append(owner)
    found = example_losses(model, Examples(pairs, pad_id=0, max_length=length), runtime)
    return TextLosses(
        np.bincount(owners, found.nats, len(texts)).astype(np.float64),
        np.bincount(owners, found.tokens, len(texts)).astype(np.int64),
    )


def window_losses(
    model: Transformer, text: Sequence[int], runtime: Runtime, *, stride: int | None = None
) -> TextLosses:
    """The same of one text, of each window that it is scored in; together they are
    `sliding_window_perplexity`'s score."""
    length = model.config.context_length
    step = max(length // 2, 1) if stride is None else stride
    pairs = []
    for start, first in window_starts(len(text), length, step):
        end = min(start + length, len(text) - 1)
        targets = [IGNORE] * (first - start) + list(text[first + 1 : end + 1])
        pairs.append((list(text[start:end]), targets))
    return example_losses(model, Examples(pairs, pad_id=0, max_length=length), runtime)


def example_losses(model: Transformer, examples: Examples, runtime: Runtime) -> TextLosses:
    """The loss of each example at its trained positions, without dropout.

    The model may be a classifier, whose targets are classes. It is left in the mode in which it came.
    """
    nats = np.zeros(len(examples))
    tokens = np.zeros(len(examples), dtype=np.int64)
    with in_mode(model):
        for chosen in batches_by_length(examples):
            sums, counts = row_losses(model, examples, chosen, runtime)
            nats[chosen], tokens[chosen] = sums, counts
    return TextLosses(nats, tokens)


def batches_by_length(examples: Examples) -> Iterator[list[int]]:
    """Which examples share a batch: such as are about equally long, as many as fit."""
    batch: list[int] = []
    # The longest first, so that memory runs out at once or never.
    for index in sorted(range(len(examples)), key=lambda index: -examples.length(index)):
        if batch and (len(batch) + 1) * examples.length(batch[0]) > TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


@torch.no_grad()
def row_losses(
    model: Transformer, dataset: Dataset, chosen: Sequence[int], runtime: Runtime
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Nats and trained positions of each of some samples: two of (samples,)."""
    inputs, targets = (tensor.to(runtime.device) for tensor in dataset.collate(chosen))
    trained = targets != IGNORE  # (batch, tokens)
    wanted = targets[trained]  # (trained,)
    chunk = max(LOGITS_AT_ONCE // model.head.out_features, 64)
    losses = [torch.zeros(0, device=runtime.device)]
    with runtime.autocast():
        rows = model.hidden(inputs)[trained]  # (trained, embed_dim)
        parts = zip(torch.split(rows, chunk), torch.split(wanted, chunk), strict=True)
        for some, ids in parts:
            losses.append(F.cross_entropy(model.head(some).float(), ids, reduction="none"))
    sums = torch.zeros(len(chosen), dtype=torch.float64, device=runtime.device)
    sums.index_add_(0, trained.nonzero()[:, 0], torch.cat(losses).double())
    return sums.cpu().numpy(), trained.sum(dim=1).cpu().numpy()
