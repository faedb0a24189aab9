"""A frozen base in 8 or 4 bits (QLoRA), for a training whose model would not fit in memory otherwise.

An adapter is trained beside matrices that never change, so these can be kept in few bits and be made
floats again where a product needs them, one matrix at a time, forward and back: the gradient flows
through the rounded matrix. What is trained stays float32 (Dettmers et al. 2023, "QLoRA: Efficient
Finetuning of Quantized LLMs", § 3).

- "int8": whole numbers from -127 to 127 and a factor for each row, as for inference: a quarter of
  float32's memory.
- "nf4": 4-bit NormalFloat. Blocks of 64 weights are divided by the largest of them, and each is taken for
  the nearest of 16 values, which lie as densely as weights drawn from a normal distribution do. The
  blocks' factors are themselves rounded to 8 bits, in groups of 256, once their mean is taken off ("double
  quantization"): 4.13 bits a weight in all.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from hornbook.finetuning.frozen import frozen_linear

BaseForm = Literal["float", "int8", "nf4"]

LARGEST = 127
BLOCK = 64
"""Weights with one factor."""
GROUP = 256
"""Factors that are rounded together."""
NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
)  # fmt: skip
"""Quantiles of the normal distribution, scaled to -1 to 1, with 0 among them (QLoRA, appendix E)."""


class QuantizedLinear(nn.Module):
    """A frozen linear layer whose matrix is kept in few bits; made from one in floating point."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.dtype = linear.weight.dtype
        """Of the matrix that it was made from: products are of it, unless autocast says otherwise."""
        self.bias = linear.bias

    @property
    def nbytes(self) -> int:
        """Of memory that the matrix takes."""
        return sum(buffer.nbytes for name, buffer in self.named_buffers() if name in self._kept)

    _kept: tuple[str, ...] = ()
    """Names of the tensors that the matrix consists of."""

    def dense(self, dtype: torch.dtype) -> Tensor:
        """The matrix as floats, (d_out, d_in)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_in) to (..., d_out)."""
        return frozen_linear(x, self, self.bias)

    def extra_repr(self) -> str:
        """What `print(model)` shows beside the layer."""
        return f"in_features={self.in_features}, out_features={self.out_features}"


class Int8Base(QuantizedLinear):
    """Eight bits a weight: w ~ number * factor of its row."""

    numbers: Tensor
    """int8 (d_out, d_in)."""
    factors: Tensor
    """float32 (d_out,)."""
    _kept = ("numbers", "factors")

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        numbers, factors = int8_rows(linear.weight.detach())
        self.register_buffer("numbers", numbers)
        self.register_buffer("factors", factors)

    def dense(self, dtype: torch.dtype) -> Tensor:
        """The matrix as floats, (d_out, d_in)."""
        return (self.numbers * self.factors[:, None]).to(dtype)


class NF4Base(QuantizedLinear):
    """Four bits a weight, and an eighth for the factors."""

    codes: Tensor
    """uint8 (blocks * BLOCK / 2,): places in NF4, two in a byte, the first in its upper half."""
    factors: Tensor
    """int8 (groups, GROUP): of the blocks, in steps from the mean."""
    steps: Tensor
    """float32 (groups,)."""
    mean: Tensor
    """float32 ()."""
    pairs: Tensor
    """float32 (256, 2): the two values of each byte."""
    _kept = ("codes", "factors", "steps", "mean")

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        flat = linear.weight.detach().float().flatten()
        blocks = _padded(flat, BLOCK).view(-1, BLOCK)
        largest = blocks.abs().amax(dim=1)  # (blocks,)
        tiny = torch.finfo(torch.float32).tiny
        self.register_buffer("codes", _codes(blocks / largest.clamp_min(tiny)[:, None]))
        mean = largest.mean()
        groups = _padded(largest - mean, GROUP).view(-1, GROUP)
        numbers, steps = int8_rows(groups)
        self.register_buffer("factors", numbers)
        self.register_buffer("steps", steps)
        self.register_buffer("mean", mean)
        values = torch.tensor(NF4, device=flat.device)
        byte = torch.arange(256, device=flat.device)
        pairs = torch.stack([values[byte >> 4], values[byte & 15]], dim=1)
        self.register_buffer("pairs", pairs, persistent=False)

    def dense(self, dtype: torch.dtype) -> Tensor:
        """The matrix as floats, (d_out, d_in)."""
        blocks = self.codes.numel() * 2 // BLOCK
        largest = (self.factors * self.steps[:, None]).flatten()[:blocks].add_(self.mean)
        values = nn.functional.embedding(self.codes.int(), self.pairs).view(blocks, BLOCK)
        flat = values.mul_(largest[:, None]).flatten()
        shape = (self.out_features, self.in_features)
        return flat[: self.out_features * self.in_features].view(shape).to(dtype)


def int8_rows(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers, int8 (rows, columns), and a factor for each row, float32 (rows,): matrix ~ their product.

    The largest of each row is met exactly (symmetric, per output channel: Dettmers et al. 2022,
    LLM.int8(), § 2, without its outliers).
    """
    largest = matrix.abs().amax(dim=1).float().clamp_min(torch.finfo(torch.float32).tiny)
    factors = largest / LARGEST
    return (matrix / factors[:, None]).round_().to(torch.int8), factors


def quantized(linear: nn.Linear, form: Literal["int8", "nf4"]) -> QuantizedLinear:
    """A frozen layer whose matrix is kept in few bits."""
    return {"int8": Int8Base, "nf4": NF4Base}[form](linear)


def _codes(shares: Tensor) -> Tensor:
    """The nearest of NF4's values for each of `shares` (blocks, BLOCK), -1 to 1; two in a byte."""
    values = torch.tensor(NF4, device=shares.device)
    between = (values[1:] + values[:-1]) / 2
    places = torch.bucketize(shares.flatten(), between, out_int32=True).to(torch.uint8)
    return (places[::2] << 4) | places[1::2]


def _padded(values: Tensor, multiple: int) -> Tensor:
    """Zeros after the values (count,), up to a multiple."""
    return nn.functional.pad(values, (0, -len(values) % multiple))
