"""Weights in eight bits for inference: a quarter of float32's memory, and less to read for each token.

One token at a time, a linear layer waits for its weights to come from memory. Each row of a matrix
becomes whole numbers from -127 to 127 and one factor, so that its largest weight is met exactly:

    w ~ q * scale,  scale = max |w| / 127

(symmetric, per output channel: Dettmers et al. 2022, LLM.int8(), §2; without its outliers, since the
activations stay as they are). Biases, norms and the table of embeddings stay as they are too.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hornbook.finetuning.quantized import int8_rows
from hornbook.model.transformer import SoftcappedHead, Transformer

FEW_ROWS = 16
"""Rows up to which a CPU multiplies by the numbers as they are; for more it is quicker to make a matrix
of floats first, once for all rows."""


class Int8Linear(nn.Module):
    """A linear layer with weights in int8; made from one in floating point, for inference only."""

    weight: Tensor
    """int8 (outputs, inputs)."""
    scale: Tensor
    """float32 (outputs,)."""
    narrow_scale: Tensor
    """The same in bfloat16."""
    bias: Tensor | None
    """(outputs,)."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach()
        numbers, scale = int8_rows(weight)
        self.register_buffer("weight", numbers)
        self.register_buffer("scale", scale)
        self.register_buffer("narrow_scale", scale.to(torch.bfloat16))
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Float (..., inputs) to (..., outputs), in x's dtype."""
        rows = x.reshape(-1, self.in_features)  # (rows, inputs)
        kind = x.device.type
        if kind == "cuda" or (kind == "cpu" and rows.shape[0] <= FEW_ROWS):
            # The kernels are quick in bfloat16 only; its rounding is below that of the weights.
            narrow = rows.to(torch.bfloat16).contiguous()
            y = torch._weight_int8pack_mm(narrow, self.weight, self.narrow_scale).to(x.dtype)
        else:
            # Whole numbers up to 127 are exact in bfloat16.
            quick = kind == "cpu" and torch.cpu._is_avx512_bf16_supported()
            dtype = torch.bfloat16 if quick else x.dtype
            y = F.linear(rows.to(dtype), self.weight.to(dtype)).to(x.dtype) * self.scale.to(x.dtype)
        if self.bias is not None:
            y = y + self.bias.to(y.dtype)
        return y.view(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """What `print(model)` shows beside the layer."""
        return f"in_features={self.in_features}, out_features={self.out_features}"


class CappedHead(nn.Module):
    """A `SoftcappedHead` whose product is another layer's."""

    def __init__(self, product: nn.Module, cap: float) -> None:
        super().__init__()
        self.product = product
        self.cap = cap

    def forward(self, x: Tensor) -> Tensor:
        """Float (..., inputs) to (..., outputs)."""
        return self.cap * torch.tanh(self.product(x) / self.cap)


def quantize_int8(model: Transformer) -> Transformer:
    """Put int8 layers in the place of a model's linear ones, in place; it can only infer from then on.

    A head that shares its matrix with the embedding gets one of its own. Routers of experts stay:
    they are small, and decide.
    """
    replace_linears(model, Int8Linear)
    return model.requires_grad_(False).eval()


def replace_linears(model: Transformer, make: Callable[[nn.Linear], nn.Module]) -> None:
    """Put what `make` makes of a model's linear layers in their place, but for experts' routers."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, SoftcappedHead):
                setattr(parent, name, CappedHead(make(layer), layer.cap))
            elif isinstance(layer, nn.Linear) and name != "router":
                setattr(parent, name, make(layer))
