"""How a classifier's outputs are scored while it trains, where plain cross-entropy does not do.

Each takes logits, float32 (texts, classes), and targets, int64 (texts,), and gives each text's loss,
float32 (texts,): what `Transformer.criterion` asks for.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


class WeightedClasses:
    """Cross-entropy in which each class has a weight."""

    def __init__(self, weights: Sequence[float]) -> None:
        """One weight for each class."""
        self._weights = torch.tensor(weights, dtype=torch.float32)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Of each text; targets are classes."""
        weights = self._weights.to(logits.device)
        return F.cross_entropy(logits, targets, weights, reduction="none")


class ManyLabels:
    """Each class is a question of its own, yes or no: binary cross-entropy, the mean over classes."""

    def __init__(self, yes_weights: Sequence[float] | None = None) -> None:
        """`yes_weights` is how much more a text counts that is of a class; 1 when not given."""
        self._yes = None if yes_weights is None else torch.tensor(yes_weights, dtype=torch.float32)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Of each text; a target is the sum of 2**class over a text's classes."""
        yes = None if self._yes is None else self._yes.to(logits.device)
        wanted = bits_of(targets, logits.shape[1])
        losses = F.binary_cross_entropy_with_logits(
            logits, wanted, pos_weight=yes, reduction="none"
        )
        return losses.mean(dim=1)


def bits_of(targets: Tensor, classes: int) -> Tensor:
    """Which classes a text is of, float32 (texts, classes) of 0 and 1."""
    places = torch.arange(classes, device=targets.device)
    return ((targets[:, None] >> places) & 1).float()


def class_weights(targets: Sequence[int], classes: int) -> list[float]:
    """Weights with which every class has the same sum, and their mean over the texts is 1."""
    counts = np.bincount(targets, minlength=classes)
    return [len(targets) / (classes * max(int(count), 1)) for count in counts]


def yes_weights(targets: Sequence[int], classes: int) -> list[float]:
    """Of each class, the texts that are not of it over those that are."""
    yes = bits_of(torch.tensor(targets), classes).sum(dim=0).clamp_min(1)
    return [float(weight) for weight in (len(targets) - yes).clamp_min(1) / yes]
