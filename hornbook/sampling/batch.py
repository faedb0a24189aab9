"""The one shape in which every objective reaches the training loop."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

IGNORE = -100
"""The target of a position that is not trained (the value torch's cross-entropy ignores)."""


@dataclass(frozen=True)
class Batch:
    """A batch of token windows.

    Pre-training trains every position; instruction tuning the response's; classification only
    the last real token, whose target is a class instead of a token.
    """

    inputs: torch.Tensor
    """Token ids, int64, (batch, tokens)."""
    targets: torch.Tensor
    """What each position should predict, int64, (batch, tokens); `IGNORE` where nothing."""
    position: int
    """How many batches the loader has given out, this one included: where to resume."""

    documents: torch.Tensor | None = None
    """Where rows hold several documents, the number of each token's within its row, int64 (batch,
    tokens), -1 for padding; see `hornbook.model.documents`. None where a row is one text."""

    reference: torch.Tensor | None = None
    """Where rows are pairs, of a chosen and a rejected answer: the logarithm of the probability that
    a reference model gives each, float32 (batch, 2). None elsewhere."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))

    def rows(self, start: int, stop: int) -> "Batch":
        """Some rows of it, as a batch of the same position."""
        return self.map(lambda tensor: tensor[start:stop])

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        """The batch with every tensor changed."""
        documents = None if self.documents is None else change(self.documents)
        reference = None if self.reference is None else change(self.reference)
        inputs, targets = change(self.inputs), change(self.targets)
        return Batch(inputs, targets, self.position, documents, reference)
