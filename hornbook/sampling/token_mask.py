"""Some tokens never trained, so that no passage is learnt as a whole: the goldfish loss.

Hans et al., *Be like a Goldfish, Don't Memorize! Mitigating Memorization in Generative LLMs* (2024),
section 3. Which tokens are left out hangs on the tokens just before them: the same passage misses the
same tokens wherever it comes again, so that repetition does not fill the gaps.
"""

from dataclasses import dataclass

import numpy as np
import torch

from hornbook.sampling.batch import IGNORE
from hornbook.sampling.windows import SamplingSettings

FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class TokenMask:
    """Leaves one in `every` tokens untrained."""

    every: int
    context: int
    """Tokens before one that decide whether it is left out."""

    def apply(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The targets with `IGNORE` where nothing is to be learnt.

        Args:
            inputs: token ids, int64, (batch, tokens).
            targets: the tokens after them, int64, (batch, tokens).
        """
        ids = inputs.numpy().astype(np.uint64) + np.uint64(1)
        hashed = np.zeros_like(ids)
        for back in range(min(self.context, ids.shape[1])):
            # At the beginning of a window there are fewer tokens before.
            hashed[:, back:] = hashed[:, back:] * FACTOR + ids[:, : ids.shape[1] - back]
        hashed = (hashed ^ (hashed >> np.uint64(30))) * FACTOR
        hashed ^= hashed >> np.uint64(31)
        left_out = torch.from_numpy(hashed % np.uint64(self.every) == 0)
        return targets.masked_fill(left_out, IGNORE)


def mask_for(settings: SamplingSettings) -> TokenMask | None:
    """The mask that the settings ask for, if they do."""
    if settings.mask_every is None:
        return None
    return TokenMask(settings.mask_every, settings.mask_context)
