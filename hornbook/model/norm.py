"""Normalization: every token's vector brought to one scale.

A vector may be divided among processes that compute a block together (see `training/tensor_cuts.py`):
each has a part of it, and of the scale. What a norm takes the mean of is then a sum over all parts.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.divided import local
from hornbook.model.config import ModelConfig

AddUp = Callable[[Tensor], Tensor]
"""Makes a sum over a whole vector of the sum over this process's part, differentiably."""


class LayerNorm(nn.Module):
    """Mean zero and variance one over the last dimension, then a learned scale and shift.

        y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias

    with the variance divided by n, not n - 1 (Ba et al. 2016, Layer Normalization).
    """

    add_up: AddUp | None = None
    """Set where other processes hold the rest of each vector."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim))
        self.bias = nn.Parameter(torch.empty(dim))
        self.eps = eps
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Neither scale nor shift."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize float `x` (..., dim), keeping shape and dtype."""
        if self.add_up is not None:
            width = self.weight.shape[0]
            centered = x.float() - self.add_up(_sum(x.float())) / width
            unit = _by_root_mean_square(centered, width, self.eps, self.add_up)
            return (unit * local(self.weight) + local(self.bias)).to(x.dtype)
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return F.layer_norm(x, weight.shape, weight, bias, self.eps)


class RMSNorm(nn.Module):
    """Root mean square one over the last dimension, then a learned scale.

        y = x / sqrt(mean(x^2) + eps) * weight

    (Zhang and Sennrich 2019, Root Mean Square Layer Normalization): LayerNorm without the mean
    and the shift.
    """

    add_up: AddUp | None = None
    """Set where other processes hold the rest of each vector."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim))
        self.eps = eps
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """No scale."""
        nn.init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize float `x` (..., dim), keeping shape and dtype."""
        if self.add_up is not None:
            unit = _by_root_mean_square(x.float(), self.weight.shape[0], self.eps, self.add_up)
            return (unit * local(self.weight)).to(x.dtype)
        weight = self.weight.to(x.dtype)
        return F.rms_norm(x, weight.shape, weight, self.eps)


class RMSNormPlusOne(nn.Module):
    """RMSNorm whose scale is 1 + weight, so that weight decay draws it to 1 (google/gemma_pytorch).

    The scale is applied in float32, before the result is rounded to x's dtype.
    """

    add_up: AddUp | None = None
    """Set where other processes hold the rest of each vector."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim))
        self.eps = eps
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """No scale."""
        nn.init.zeros_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize float `x` (..., dim), keeping shape and dtype."""
        if self.add_up is not None:
            unit = _by_root_mean_square(x.float(), self.weight.shape[0], self.eps, self.add_up)
            return (unit * (1.0 + local(self.weight))).to(x.dtype)
        scale = 1.0 + self.weight.float()
        return F.rms_norm(x.float(), scale.shape, scale, self.eps).to(x.dtype)


def _by_root_mean_square(part: Tensor, width: int, eps: float, add_up: AddUp) -> Tensor:
    """x / sqrt(mean(x^2) + eps) of vectors x of `width` numbers, of which (..., part) lie here."""
    return part * torch.rsqrt(add_up(_sum(part.square())) / width + eps)


def _sum(part: Tensor) -> Tensor:
    """Over the last dimension, (..., 1)."""
    return part.sum(dim=-1, keepdim=True)


NORMS = LayerNorm | RMSNorm | RMSNormPlusOne


def build_norm(config: ModelConfig, dim: int) -> nn.Module:
    """The kind of normalization that the config asks for, over `dim` dimensions."""
    kinds = {"layernorm": LayerNorm, "rmsnorm": RMSNorm, "rmsnorm_plus_one": RMSNormPlusOne}
    return kinds[config.norm](dim, config.norm_eps)
