"""The one shape in which every objective reaches the training loop."""

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

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        return Batch(
            self.inputs.to(device, non_blocking=True),
            self.targets.to(device, non_blocking=True),
            self.position,
        )
