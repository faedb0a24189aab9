"""Products with frozen weights, made fast: no gradient of the weight, no rounding it anew each step.

In a LoRA step nine tenths of the arithmetic is products with matrices that never change. Three things
make them quicker than `nn.Linear`'s: on a CPU, float32 products run in oneDNN, which on processors that
are not Intel's is up to 1.6 times as fast as the library that torch takes by itself; in bfloat16 the
matrix is rounded once and kept (`narrow_frozen`), where autocast would round it in every step; and the
two thin products of an adapter are added in place, forward and back, with nothing kept but their input.
Where memory allows it, float32 matrices are also kept in oneDNN's own order (`pack`).
"""

from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hornbook.divided import is_divided
from hornbook.training.products import packed, product


class Compact(Protocol):
    """A frozen matrix kept in few bits (see `quantized`)."""

    @property
    def dtype(self) -> torch.dtype:
        """In which it multiplies."""
        ...

    def dense(self, dtype: torch.dtype) -> Tensor:
        """The matrix as floats, (d_out, d_in)."""
        ...


FrozenMatrix = Tensor | Compact


def dense(weight: FrozenMatrix, dtype: torch.dtype) -> Tensor:
    """A frozen matrix as floats, (d_out, d_in)."""
    return weight.to(dtype) if isinstance(weight, Tensor) else weight.dense(dtype)


@dataclass(frozen=True)
class Packed:
    """A float32 matrix with copies in the order in which oneDNN reads it, one for each way through it."""

    weight: Tensor
    """(d_out, d_in)."""
    ahead: Tensor
    """From inputs to outputs."""
    back: Tensor
    """From the outputs' gradient to the inputs'."""

    @property
    def dtype(self) -> torch.dtype:
        """In which it multiplies."""
        return self.weight.dtype

    def dense(self, dtype: torch.dtype) -> Tensor:
        """The matrix as it is, (d_out, d_in)."""
        return self.weight.to(dtype)


def pack(weight: Tensor) -> Packed | None:
    """A matrix with its copies; None where there is nothing to gain."""
    if weight.dtype != torch.float32 or weight.device.type != "cpu":
        return None
    ahead, back = packed(weight), packed(weight.t())
    return None if ahead is None or back is None else Packed(weight, ahead, back)


def _through(rows: Tensor, weight: FrozenMatrix, bias: Tensor | None) -> Tensor:
    """(rows, d_in) to (rows, d_out)."""
    if isinstance(weight, Packed) and rows.dtype == torch.float32:
        return product(rows, weight.ahead, bias)
    return product(rows, dense(weight, rows.dtype), bias)


def _back_through(slope: Tensor, weight: FrozenMatrix) -> Tensor:
    """(rows, d_out) to (rows, d_in)."""
    if isinstance(weight, Packed) and slope.dtype == torch.float32:
        return product(slope, weight.back)
    return product(slope, dense(weight, slope.dtype).t())


def compute_dtype(x: Tensor, weight: FrozenMatrix) -> torch.dtype:
    """In which a layer multiplies: autocast's where it is on, else the weight's."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def frozen_linear(x: Tensor, weight: FrozenMatrix, bias: Tensor | None) -> Tensor:
    """A linear layer whose weight and bias get no gradient: (..., d_in) to (..., d_out)."""
    dtype = compute_dtype(x, weight)
    narrow = None if bias is None else bias.to(dtype)
    kept = weight.to(dtype) if isinstance(weight, Tensor) else weight
    return cast(Tensor, _Frozen.apply(x.to(dtype), kept, narrow))  # type: ignore[no-untyped-call]


def adapted_linear(
    x: Tensor, weight: FrozenMatrix, bias: Tensor | None, a: Tensor, b: Tensor, scale: float
) -> Tensor:
    """x weightᵀ + bias + scale * (x aᵀ) bᵀ with a gradient of x, a and b only.

    Args:
        x: (..., d_in).
        weight: (d_out, d_in), frozen; one in few bits is made floats for each product anew.
        bias: (d_out,), frozen.
        a: (rank, d_in).
        b: (d_out, rank).
        scale: of the correction.

    Returns:
        (..., d_out), in autocast's dtype where it is on, else in the weight's.
    """
    dtype = compute_dtype(x, weight)
    narrow = None if bias is None else bias.to(dtype)
    kept = weight.to(dtype) if isinstance(weight, Tensor) else weight
    y = _Adapted.apply(  # type: ignore[no-untyped-call]
        x.to(dtype), kept, narrow, a.to(dtype), b.to(dtype), scale
    )
    return cast(Tensor, y)


class _Frozen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: FrozenMatrix, bias: Tensor | None) -> Tensor:
        """(..., d_in) to (..., d_out)."""
        _keep(ctx, weight)
        y = _through(x.reshape(-1, x.shape[-1]), weight, bias)
        return y.view(*x.shape[:-1], y.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        """Nothing for weight and bias."""
        slope = slopes[0].reshape(-1, slopes[0].shape[-1])  # (rows, d_out)
        by_x = _back_through(slope, _kept(ctx))  # (rows, d_in)
        return by_x.view(*slopes[0].shape[:-1], by_x.shape[1]), None, None


class _Adapted(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: FrozenMatrix,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scale: float,
    ) -> Tensor:
        """(..., d_in) to (..., d_out)."""
        rows = x.reshape(-1, x.shape[-1])  # (rows, d_in)
        y = _through(rows, weight, bias)  # (rows, d_out)
        low = product(rows, a).mul_(scale)  # (rows, rank)
        y.addmm_(low, b.t())
        _keep(ctx, weight, rows, a, b, low)
        ctx.scale, ctx.leading = scale, x.shape[:-1]
        return y.view(*x.shape[:-1], len(b))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        """By x where it is asked for, by a and b; nothing for weight, bias and scale."""
        rows, a, b, low = ctx.saved_tensors[-4:]
        slope = slopes[0].reshape(-1, len(b))  # (rows, d_out)
        by_low = product(slope, b.t()).mul_(ctx.scale)  # (rows, rank)
        by_a = product(by_low.t(), rows.t())  # (rank, d_in)
        by_b = product(
            low.t(), slope.t()
        ).t()  # (d_out, rank); twice as fast as the other way round
        by_x = None
        if ctx.needs_input_grad[0]:
            by_x = _back_through(slope, _kept(ctx)).addmm_(by_low, a)  # (rows, d_in)
            by_x = by_x.view(*ctx.leading, a.shape[1])
        return by_x, None, None, by_a, by_b, None


def _keep(ctx: Any, weight: FrozenMatrix, *others: Tensor) -> None:
    """For the way back: tensors as autograd asks for it, a matrix in another form as it is."""
    is_tensor = isinstance(weight, Tensor)
    ctx.save_for_backward(*([weight] if is_tensor else []), *others)
    ctx.compact = None if is_tensor else weight


def _kept(ctx: Any) -> FrozenMatrix:
    return cast(FrozenMatrix, ctx.saved_tensors[0] if ctx.compact is None else ctx.compact)


class FrozenLinear(nn.Linear):
    """A linear layer that is not trained, multiplied as `frozen_linear` does."""

    packed: Packed | None = None
    """Its matrix as oneDNN reads it, where it was packed."""

    @classmethod
    def of(cls, linear: nn.Linear) -> "FrozenLinear":
        """The same layer, sharing its parameters."""
        frozen = cls(linear.in_features, linear.out_features, bias=False, device="meta")
        frozen.weight, frozen.bias = linear.weight, linear.bias
        return frozen

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_in) to (..., d_out)."""
        trained = any(parameter.requires_grad for parameter in self.parameters())
        if trained or is_divided(self.weight):
            return super().forward(x)
        return frozen_linear(x, self.packed or self.weight, self.bias)

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
