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

from hornbook.inference.int8 import Int8Linear, quantize_int8
from hornbook.model.transformer import Transformer

Weights = Literal["float32", "bfloat16", "int8"]


class NarrowLinear(nn.Module):
    """A linear layer whose weights are narrower than what goes in and comes out, float32.

    So what lies between the layers (norms, attention, the sums that pass by) stays float32, without
    the casts of autocast at every operation.
    """

    def __init__(self, layer: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(layer.weight.detach().to(dtype), requires_grad=False)
        bias = layer.bias
        self.bias = None if bias is None else nn.Parameter(bias.detach().to(dtype), False)

    def forward(self, x: Tensor) -> Tensor:
        """Float32 (..., inputs) to (..., outputs)."""
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias).float()


def sharing_copy(model: Transformer) -> Transformer:
    """A model of the same tensors whose layers can be exchanged without changing `model`."""
    shared = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    return copy.deepcopy(model, shared)


def prepared(model: Transformer, weights: Weights) -> Transformer:
    """A model for writing with, whose linear layers are as narrow as asked.

    Everything else is shared with `model`, which stays as it is; for float32 it is `model` itself.
    """
    if weights == "float32":
        return model
    copied = sharing_copy(model)
    if weights == "int8":
        learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        quantize_int8(copied)
        for parameter in learning:  # what is shared stays as it was
            parameter.requires_grad_(True)
        return copied
    for parent in list(copied.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is nn.Linear and name != "router":
                setattr(parent, name, NarrowLinear(layer, torch.bfloat16))
    return copied


def steady_rows(model: Transformer, rows: int, further: Iterable[nn.Module] = ()) -> int:
    """The fewest rows from which on a product's bits do not hang on how many there are, up to `rows`.

    Libraries take other ways through a product for few rows than for many, and sum up in another
    order: then a text's logits differ in the last bits with how many are written beside it. Found
    by trying every number of rows on one layer of each shape, of the model's and of `further` ones.
    """
    layers: dict[tuple[str, torch.Size], nn.Module] = {}
    for module in chain(model.modules(), further):
        if isinstance(module, nn.Linear | NarrowLinear | Int8Linear):
            layers[type(module).__name__, module.weight.shape] = module
    device = model.embedding.token.weight.device
    generator = torch.Generator().manual_seed(1)
    fewest = 1
    with torch.inference_mode():
        for layer in layers.values():
            probe, inputs = _probe(layer, generator)
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


def _probe(layer: nn.Module, generator: torch.Generator) -> tuple[nn.Module, int]:
    """A layer of the same shape whose outputs are nothing but rounding; and how many inputs it has.

    The second half of its weights is the first, so that inputs of which the second half is the first
    one's negative give zero, were it not for the order in which they are summed up. Where what comes
    out is rounded to bfloat16, that order would hardly ever show otherwise.
    """
    probe = copy.deepcopy(layer)
    weight = probe.weight
    assert isinstance(weight, Tensor)
    inputs = weight.shape[1]
    half = torch.randn(weight.shape[0], inputs // 2, generator=generator)
    scale = 1.0 if weight.is_floating_point() else 40.0
    weight.zero_()
    weight[:, : inputs // 2] = (half * scale).to(weight.dtype)
    weight[:, inputs // 2 : inputs // 2 * 2] = weight[:, : inputs // 2]
    if isinstance(probe.bias, Tensor):
        probe.bias.zero_()
    return probe, inputs
