"""A model's weights in the form that writing reads them from memory quickest.

To write one token, every weight is read once, so that on a CPU the time of a step is about the
weights' bytes divided by the memory's speed: half the bytes, half the time.
"""

import copy
from collections.abc import Iterable
from itertools import chain
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.finetuning.lora import lora_layers, set_submodule
from hornbook.inference.int8 import Int8Linear, replace_linears
from hornbook.model.attention import MultiHeadAttention, join_projections
from hornbook.model.transformer import Transformer
from hornbook.training.products import packed, packed_product, product

Weights = Literal["float32", "bfloat16", "int8"]

TYPICAL_ROWS = 256
"""Rows for which packed weights are laid out: those of a prompt's chunk. One row is as quick with any."""


class PackedLinear(nn.Module):
    """A linear layer for inference whose weights are packed, and may be narrower than float32.

    Packed: laid out in the blocks in which oneDNN's products read them, once and not at each product.
    What goes in and comes out is float32, so that what lies between the layers (norms, attention, the
    sums that pass by) stays float32, without the casts of autocast at every operation.
    """

    def __init__(self, layer: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.dtype = dtype
        weight = layer.weight.detach().to(dtype)
        packed_weight = packed(weight, TYPICAL_ROWS)
        self.packed = packed_weight is not None
        bias = layer.bias
        self.register_buffer("weight", weight if packed_weight is None else packed_weight)
        self.register_buffer("bias", None if bias is None else bias.detach().to(dtype))

    weight: Tensor
    """(outputs, inputs)."""
    bias: Tensor | None
    """(outputs,)."""

    def forward(self, x: Tensor) -> Tensor:
        """Float32 (..., inputs) to (..., outputs)."""
        narrow = x.to(self.dtype)
        if self.packed:
            return packed_product(narrow, self.weight, self.bias).float()
        return F.linear(narrow, self.weight, self.bias).float()

    def extra_repr(self) -> str:
        """What `print(model)` shows beside the layer."""
        return f"in_features={self.in_features}, out_features={self.out_features}"


class LaidLinear(nn.Linear):
    """A float32 layer on a CPU for one row above all: its matrix's longer side is contiguous.

    A product with one row then has long vectors to add up, or to multiply: with 768 inputs and 3,072
    outputs it reads 1.7 times as many bytes a second as from rows of 768.
    """

    def __init__(self, layer: nn.Linear) -> None:
        with torch.device("meta"):
            super().__init__(layer.in_features, layer.out_features, layer.bias is not None)
        weight = layer.weight.detach()
        if self.out_features > self.in_features:
            weight = weight.t().contiguous().t()
        self.weight = nn.Parameter(weight, requires_grad=False)
        if layer.bias is not None:
            self.bias = nn.Parameter(layer.bias.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Float32 (..., inputs) to (..., outputs)."""
        multiply = F.linear if x.numel() == self.in_features else product
        return multiply(x, self.weight, self.bias)


def sharing_copy(model: Transformer) -> Transformer:
    """A model of the same tensors whose layers can be exchanged without changing `model`."""
    shared = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    return copy.deepcopy(model, shared)


def prepared(model: Transformer, weights: Weights, for_long: bool = False) -> Transformer:
    """A model for writing with, whose linear layers are as narrow as asked, and packed on a CPU.

    All but the linear layers is shared with `model`, which stays as it is; one that is prepared
    already is returned itself, and so is any for float32 unless it is `for_long`, since packing takes
    the time of some tens of tokens.
    """
    wanted = weights != "float32" or (for_long and _on_cpu(model))
    if not wanted or any(isinstance(layer, PackedLinear | Int8Linear) for layer in model.modules()):
        return model
    copied = _joined(model)
    if weights == "int8":
        replace_linears(copied, Int8Linear)
    else:
        dtype = getattr(torch, weights)
        replace_linears(copied, lambda layer: PackedLinear(layer, dtype))
    return copied.eval()


def laid_out(model: Transformer) -> Transformer:
    """A model for writing single texts in float32, as `prepared` otherwise; on a CPU see `LaidLinear`."""
    ready = PackedLinear | Int8Linear | LaidLinear
    if not _on_cpu(model) or any(isinstance(layer, ready) for layer in model.modules()):
        return model
    copied = _joined(model)
    replace_linears(copied, LaidLinear)
    return copied.eval()


def _joined(model: Transformer) -> Transformer:
    """A copy that shares its tensors, with adapters folded in and one matrix for query, key and value."""
    copied = sharing_copy(model)
    for name, adapted in list(lora_layers(copied)):
        set_submodule(copied, name, adapted.folded())
    for module in list(copied.modules()):
        if isinstance(module, MultiHeadAttention):
            join_projections(module)
    return copied


def _on_cpu(model: Transformer) -> bool:
    return model.embedding.token.weight.device.type == "cpu"


def steady_rows(model: Transformer, rows: int, further: Iterable[nn.Module] = ()) -> int:
    """The fewest rows from which on a product's bits do not hang on how many there are, up to `rows`.

    Libraries take other ways through a product for few rows than for many, and sum up in another
    order: then a text's logits differ in the last bits with how many are written beside it. Found
    by trying every number of rows on one layer of each shape, of the model's and of `further` ones.
    """
    layers: dict[tuple[type[nn.Module], int, int], nn.Linear | PackedLinear | Int8Linear] = {}
    for module in chain(model.modules(), further):
        if isinstance(module, nn.Linear | PackedLinear | Int8Linear):
            layers[type(module), module.in_features, module.out_features] = module
    device = model.embedding.token.weight.device
    generator = torch.Generator().manual_seed(1)
    fewest = 1
    with torch.inference_mode():
        for (_, inputs, outputs), layer in layers.items():
            probe = _probe(layer, inputs, outputs, generator)
            half = torch.randn(rows, inputs // 2, generator=generator)
            x = torch.zeros(rows, inputs)
            x[:, : inputs // 2], x[:, inputs // 2 : inputs // 2 * 2] = half, -half
            x = x.to(device)
            whole = probe(x)
            for count in range(rows - 1, fewest - 1, -1):
                if not torch.equal(probe(x[:count]), whole[:count]):
                    fewest = count + 1
                    break
    return fewest


def _probe(
    layer: nn.Linear | PackedLinear | Int8Linear,
    inputs: int,
    outputs: int,
    generator: torch.Generator,
) -> nn.Module:
    """A layer of the same kind and shape whose outputs are nothing but rounding.

    The second half of its weights is the first, so that inputs of which the second half is the first
    one's negative give zero, were it not for the order in which they are summed up. Where what comes
    out is rounded to bfloat16, that order would hardly ever show otherwise.
    """
    plain = nn.Linear(inputs, outputs, layer.bias is not None).requires_grad_(False)
    if layer.bias is not None:
        plain.bias.zero_()
    half = torch.randn(outputs, inputs // 2, generator=generator)
    plain.weight.zero_()
    plain.weight[:, : inputs // 2] = half
    plain.weight[:, inputs // 2 : inputs // 2 * 2] = half
    plain.to(layer.weight.device)
    if isinstance(layer, PackedLinear):
        return type(layer)(plain, layer.dtype)
    if isinstance(layer, Int8Linear):
        return type(layer)(plain)
    probe = copy.deepcopy(layer)
    probe.weight, probe.bias = plain.weight, plain.bias
    return probe
