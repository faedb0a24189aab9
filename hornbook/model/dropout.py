"""Dropout: in training some numbers are left out by chance, so that none is leant on too much.

What is kept is made larger, so that sums keep their size (Srivastava et al. 2014, Dropout).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BITS = 16
"""Of chance behind each number on a CPU: probabilities are met to 1/65,536."""
WORD = torch.int64
"""In which they are drawn, four numbers' at a time."""


class Dropout(nn.Dropout):
    """`dropped` in training mode, nothing otherwise."""

    def forward(self, x: Tensor) -> Tensor:
        """Float `x` of any shape, in and out."""
        return dropped(x, self.p) if self.training else x


def dropped(x: Tensor, p: float) -> Tensor:
    """Float `x` with each number zero with probability `p`, else divided by 1 - p.

    Drawn from torch's global generator. On a CPU torch's own dropout spends six nanoseconds on each
    number's chance, in a small model a tenth of a step; sixteen random bits, compared with a
    threshold, take a fifth of that.
    """
    if x.device.type != "cpu" or not 0 < p < 1 or torch.compiler.is_compiling():
        return F.dropout(x, p)
    return x * _kept(x, p)


def _kept(x: Tensor, p: float) -> Tensor:
    """Zero or 1 / (1 - p) for each number of `x`, of its shape and dtype."""
    n, per_word = x.numel(), 8 * WORD.itemsize // BITS
    words = torch.empty(-(-n // per_word), dtype=WORD).random_(torch.iinfo(WORD).min, None)
    chances = words.view(torch.int16)[:n]
    lowest = torch.iinfo(torch.int16).min
    kept = chances.ge_(min(round(p * 2**BITS), 2**BITS - 1) + lowest)  # 0 or 1, in place
    if x.dtype == torch.bfloat16:
        # As wide as the number itself: its bits are put in place without a pass to another memory.
        bits = torch.tensor(1 / (1 - p), dtype=x.dtype).view(torch.int16)
        return kept.mul_(bits).view(x.dtype).view(x.shape)
    return kept.to(x.dtype).mul_(1 / (1 - p)).view(x.shape)
