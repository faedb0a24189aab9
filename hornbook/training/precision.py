"""Matrix products in 8-bit floating point, for GPUs that multiply them twice as fast as bfloat16.

Each product's two sides are scaled, as a whole, so that the largest value of each is the largest
that its type can hold: e4m3 (four bits of exponent, three of mantissa) for weights and what flows
forward, e5m2 (more range, less precision) for gradients. Micikevicius et al. 2022, "FP8 Formats for
Deep Learning", § 3. Only layers inside the blocks compute so; embedding, norms, head, loss and the
weights themselves keep their precision, and so does the model outside training.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.errors import HornbookError
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime

E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
MULTIPLE = 16
"""Every side of an 8-bit product must be a multiple of this (cuBLASLt's rule)."""
LEAST_SCALE = 1e-12
"""Keeps a tensor of zeros from being divided by zero."""
FIRST_CAPABLE = (8, 9)
"""Compute capability of the first NVIDIA GPUs with 8-bit products: Ada; Hopper is (9, 0)."""


def to_float8(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Values of `dtype` and the scale, float32 (), with x ≈ values * scale.

    Nothing here waits for the device: the scale stays on it.
    """
    largest = torch.finfo(dtype).max
    scale = (x.detach().abs().amax().float() / largest).clamp(min=LEAST_SCALE)
    return (x.float() / scale).clamp(-largest, largest).to(dtype), scale


class _Float8Product(torch.autograd.Function):
    """x Wᵀ in e4m3 on the way forward; both gradients from e5m2 and e4m3 on the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        """(rows, in) and (out, in) to (rows, out), bfloat16."""
        x8, x_scale = to_float8(x, E4M3)
        weight8, weight_scale = to_float8(weight, E4M3)
        ctx.save_for_backward(x8, x_scale, weight8, weight_scale)
        ctx.dtypes = x.dtype, weight.dtype
        # _scaled_mm wants its right side stored column by column, as a transposed view is.
        return torch._scaled_mm(
            x8,
            weight8.t(),
            scale_a=x_scale,
            scale_b=weight_scale,
            out_dtype=torch.bfloat16,
            use_fast_accum=True,  # enough on the way forward; gradients are summed exactly
        )

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """The gradients of x and of the weight, each in its dtype."""
        x8, x_scale, weight8, weight_scale = ctx.saved_tensors
        x_dtype, weight_dtype = ctx.dtypes
        slope8, slope_scale = to_float8(upstream[0], E5M2)  # (rows, out)
        x_gradient = weight_gradient = None
        if ctx.needs_input_grad[0]:
            x_gradient = torch._scaled_mm(
                slope8,
                weight8.t().contiguous().t(),
                scale_a=slope_scale,
                scale_b=weight_scale,
                out_dtype=torch.bfloat16,
            ).to(x_dtype)
        if ctx.needs_input_grad[1]:
            weight_gradient = torch._scaled_mm(
                slope8.t().contiguous(),
                x8.t().contiguous().t(),
                scale_a=slope_scale,
                scale_b=x_scale,
                out_dtype=torch.float32,
            ).to(weight_dtype)
        return x_gradient, weight_gradient


class Float8Linear(nn.Linear):
    """A linear layer that multiplies in 8 bits while training; its parameters are the layer's own.

    So optimizers, checkpoints and adapters see no difference.
    """

    @classmethod
    def of(cls, linear: nn.Linear) -> "Float8Linear":
        """The same layer, sharing its parameters and mode."""
        layer = cls(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        layer.weight, layer.bias = linear.weight, linear.bias
        return layer.train(linear.training)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out); bfloat16 while training."""
        rows = x.numel() // x.shape[-1]
        if not self.training or rows % MULTIPLE or rows == 0:
            return F.linear(x, self.weight, self.bias)
        y: Tensor = _Float8Product.apply(x.reshape(rows, -1), self.weight)  # type: ignore[no-untyped-call]
        if self.bias is not None:
            y = y + self.bias.to(y.dtype)
        return y.view(*x.shape[:-1], -1)


def use_float8(model: Transformer) -> int:
    """Let the linear layers of the blocks multiply in 8 bits while training; how many there are.

    In place. A layer with a side that is not a multiple of 16 (an adapter's, say) stays as it is.
    """
    swapped = 0
    for module in list(model.blocks.modules()):
        for name, child in list(module.named_children()):
            if type(child) is not nn.Linear:
                continue
            if child.in_features % MULTIPLE == 0 and child.out_features % MULTIPLE == 0:
                setattr(module, name, Float8Linear.of(child))
                swapped += 1
    return swapped


def require_float8(runtime: Runtime) -> None:
    """Refuse 8-bit products where they cannot run or would gain nothing.

    Raises:
        HornbookError: not an NVIDIA GPU of compute capability 8.9 or above, or not in bfloat16.
    """
    if runtime.device.type != "cuda" or torch.version.hip is not None:
        raise HornbookError(
            f"training.fp8 needs an NVIDIA GPU, and this run is on {runtime.device.type}; "
            "leave it out."
        )
    capability = torch.cuda.get_device_capability(runtime.device)
    if capability < FIRST_CAPABLE:
        raise HornbookError(
            "training.fp8 needs a GPU of compute capability 8.9 or above (Ada, Hopper or later), "
            f"and this one has {'.'.join(map(str, capability))}; leave it out."
        )
    if runtime.dtype != torch.bfloat16:
        raise HornbookError(
            "training.fp8 keeps all but its products in bfloat16; set runtime.precision=bfloat16."
        )
