"""Products with frozen weights, made fast: no gradient of the weight, no rounding it anew each step.

In a LoRA step nine tenths of the arithmetic is products with matrices that never change. Three things
make them quicker than `nn.Linear`'s: on a CPU, float32 products run in oneDNN, which on processors that
are not Intel's is up to 1.6 times as fast as the library that torch takes by itself; in bfloat16 the
matrix is rounded once and kept (`narrow_frozen`), where autocast would round it in every step; and the
two thin products of an adapter are added in place, forward and back, with nothing kept but their input.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weightᵀ + bias; x is (rows, d_in), weight (d_out, d_in), of one dtype; no gradient.

    In float32 on a CPU through oneDNN, by the operation that torch's own compiler uses.
    """
    if _ONEDNN is not None and x.dtype == torch.float32 and x.device.type == "cpu" and len(x):
        return cast(Tensor, _ONEDNN(x, weight, bias, "none", [], ""))
    return F.linear(x, weight, bias)


def _onednn() -> Callable[..., Any] | None:
    """oneDNN's linear layer; None in a build of torch without it."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


_ONEDNN = _onednn()


def compute_dtype(x: Tensor, weight: Tensor) -> torch.dtype:
    """In which a layer multiplies: autocast's where it is on, else the weight's."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def frozen_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A linear layer whose weight and bias get no gradient: (..., d_in) to (..., d_out)."""
    dtype = compute_dtype(x, weight)
    narrow = None if bias is None else bias.to(dtype)
    return cast(Tensor, _Frozen.apply(x.to(dtype), weight.to(dtype), narrow))  # type: ignore[no-untyped-call]


def adapted_linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float
) -> Tensor:
    """x weightᵀ + bias + scale * (x aᵀ) bᵀ with a gradient of x, a and b only.

    Args:
        x: (..., d_in).
        weight: (d_out, d_in), frozen.
        bias: (d_out,), frozen.
        a: (rank, d_in).
        b: (d_out, rank).
        scale: of the correction.

    Returns:
        (..., d_out), in autocast's dtype where it is on, else in the weight's.
    """
    dtype = compute_dtype(x, weight)
    narrow = None if bias is None else bias.to(dtype)
    y = _Adapted.apply(  # type: ignore[no-untyped-call]
        x.to(dtype), weight.to(dtype), narrow, a.to(dtype), b.to(dtype), scale
    )
    return cast(Tensor, y)


class _Frozen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """(..., d_in) to (..., d_out)."""
        ctx.save_for_backward(weight)
        y = product(x.reshape(-1, x.shape[-1]), weight, bias)
        return y.view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        """Nothing for weight and bias."""
        (weight,) = ctx.saved_tensors
        slope = slopes[0].reshape(-1, weight.shape[0])  # (rows, d_out)
        by_x = product(slope, weight.t()).view(*slopes[0].shape[:-1], weight.shape[1])
        return by_x, None, None


class _Adapted(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float
    ) -> Tensor:
        """(..., d_in) to (..., d_out)."""
        rows = x.reshape(-1, x.shape[-1])  # (rows, d_in)
        y = product(rows, weight, bias)  # (rows, d_out)
        low = product(rows, a).mul_(scale)  # (rows, rank)
        y.addmm_(low, b.t())
        ctx.save_for_backward(rows, weight, a, b, low)
        ctx.scale, ctx.leading = scale, x.shape[:-1]
        return y.view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        """By x where it is asked for, by a and b; nothing for weight, bias and scale."""
        rows, weight, a, b, low = ctx.saved_tensors
        slope = slopes[0].reshape(-1, weight.shape[0])  # (rows, d_out)
        by_low = product(slope, b.t()).mul_(ctx.scale)  # (rows, rank)
        by_a = by_low.t() @ rows  # (rank, d_in)
        by_b = slope.t() @ low  # (d_out, rank)
        by_x = None
        if ctx.needs_input_grad[0]:
            by_x = product(slope, weight.t()).addmm_(by_low, a)  # (rows, d_in)
            by_x = by_x.view(*ctx.leading, weight.shape[1])
        return by_x, None, None, by_a, by_b, None


class FrozenLinear(nn.Linear):
    """A linear layer that is not trained, multiplied as `frozen_linear` does."""

    @classmethod
    def of(cls, linear: nn.Linear) -> "FrozenLinear":
        """The same layer, sharing its parameters."""
        frozen = cls(linear.in_features, linear.out_features, bias=False, device="meta")
        frozen.weight, frozen.bias = linear.weight, linear.bias
        return frozen

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_in) to (..., d_out)."""
        if self.weight.requires_grad or (self.bias is not None and self.bias.requires_grad):
            return super().forward(x)
        return frozen_linear(x, self.weight, self.bias)

    def thawed(self) -> nn.Linear:
        """A plain linear layer with these parameters."""
        plain = nn.Linear(self.in_features, self.out_features, bias=False, device="meta")
        plain.weight, plain.bias = self.weight, self.bias
        return plain


def narrow_frozen(model: nn.Module, dtype: torch.dtype) -> int:
    """Round the frozen weights of linear layers to the precision of the products, once; in place.

    What comes out is the same to the bit as with autocast, which rounds them each time; half the
    memory, and no time. An embedding that shares a head's matrix keeps its own, whole. Call it for
    a training whose base is kept elsewhere: the digits are gone.

    Returns:
        How many layers were narrowed.
    """
    if dtype == torch.float32:
        return 0
    changed = 0
    for module in list(model.modules()):
        if not isinstance(module, nn.Linear) or module.weight.dtype != torch.float32:
            continue
        for name, parameter in list(module.named_parameters(recurse=False)):
            if not parameter.requires_grad:
                narrow = nn.Parameter(parameter.detach().to(dtype), requires_grad=False)
                setattr(module, name, narrow)
                changed += name == "weight"
    return changed
