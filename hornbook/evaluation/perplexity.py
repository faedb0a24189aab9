"""How well a model predicts a text: perplexity with a sliding window, and bits per byte."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from hornbook.errors import HornbookError
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.training.evaluation import Score, evaluate


def sliding_window_perplexity(
    model: Transformer,
    tokens: npt.NDArray[np.integer],
    runtime: Runtime,
    *,
    context_length: int | None = None,
    stride: int | None = None,
    batch_size: int = 8,
) -> Score:
    """Score every token of a text but the first, each once.

    Windows of `context_length` tokens start `stride` apart, and a token is scored in the first
    window that reaches it, so that it sees at least `context_length - stride` tokens before it
    (all there are, near the beginning). Windows laid end to end (`stride` = `context_length`) are
    the quickest, and make the loss look higher: the first token of each sees none.

    Args:
        tokens: ids, (n,), n at least 2.
        context_length: the model's when not given.
        stride: half of `context_length` when not given.
        batch_size: windows computed at once.

    Raises:
        HornbookError: fewer than 2 tokens, or a stride or length that cannot be.
    """
    length = model.config.context_length if context_length is None else context_length
    stride = max(length // 2, 1) if stride is None else stride
    if len(tokens) < 2:
        raise HornbookError(f"perplexity needs a text of 2 tokens or more, not {len(tokens)}.")
    if not 0 < length <= model.config.context_length:
        raise HornbookError(
            f"context_length {length} is not between 1 and the model's "
            f"{model.config.context_length}."
        )
    if not 0 < stride <= length:
        raise HornbookError(f"stride {stride} is not between 1 and the context_length {length}.")
    return evaluate(model, _window_batches(tokens, length, stride, batch_size), runtime)


def _window_batches(
    tokens: npt.NDArray[np.integer], length: int, stride: int, batch_size: int
) -> Iterator[Batch]:
    windows = list(window_starts(len(tokens), length, stride))
    for first in range(0, len(windows), batch_size):
        chosen = windows[first : first + batch_size]
        width = min(length, len(tokens) - 1)
        inputs = torch.zeros(len(chosen), width, dtype=torch.int64)
        targets = torch.full((len(chosen), width), IGNORE, dtype=torch.int64)
        for row, (start, scored_from) in enumerate(chosen):
            end = min(start + length, len(tokens) - 1)
            inputs[row, : end - start] = torch.from_numpy(tokens[start:end].astype(np.int64))
            next_ids = torch.from_numpy(tokens[scored_from + 1 : end + 1].astype(np.int64))
            targets[row, scored_from - start : end - start] = next_ids
        yield Batch(inputs, targets, first // batch_size + 1)


def window_starts(n_tokens: int, length: int, stride: int) -> Iterator[tuple[int, int]]:
    """Where each window starts, and the first position in the text whose next token it scores."""
    scored_to = 0
    for start in range(0, n_tokens - 1, stride):
        yield start, scored_to
        scored_to = min(start + length, n_tokens - 1)
        if scored_to == n_tokens - 1:
            return
