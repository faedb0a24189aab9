"""How much arithmetic a training step is, and how much of it the device could do at its best.

Model FLOPs utilization (MFU) is the share of a device's peak that goes into the model's own
products: Chowdhery et al. 2022, PaLM, appendix B (nanoGPT's `estimate_mfu` counts the same way).
A multiplication and an addition are two FLOPs.
"""

import functools
from dataclasses import dataclass

import torch
from torch import nn

from hornbook.model.feedforward import MixtureOfExperts
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime, time_product

BFLOAT16_PEAKS = {
    # Dense bfloat16 with float32 sums, without sparsity, in FLOP/s. The first name that stands in
    # the device's is taken. Sources: NVIDIA's and AMD's data sheets of each product; for RTX cards
    # the tables at the end of the GA102, Ada and Blackwell white papers.
    "B200": 2250e12,
    "GH200": 989e12,
    "H200 NVL": 835e12,
    "H200": 989e12,
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,  # SXM: "NVIDIA H100 80GB HBM3"
    "H800": 989e12,
    "A100": 312e12,
    "A800": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "RTX 5090": 209.5e12,
    "RTX 4090": 165.2e12,
    "RTX 3090": 71e12,
    "MI300X": 1307e12,
}
MEASURED_SIZE = {"cpu": 768, "cuda": 8192, "mps": 2048}
"""Rows and columns of the product that is timed where no table knows the device: large enough for
its full speed, small enough to take a few hundredths of a second."""
MEASURED_REPEATS = 4


def forward_flops(model: Transformer, tokens: float) -> float:
    """FLOPs of a forward pass for each of a sequence's `tokens`: 2 N + 4 L d T.

    N are the weights that something is multiplied by: linear layers, adapters and the head (also a
    tied one, once), but not the look-up in an embedding, gains or biases. L d T are the layers, the
    width of all heads together and `tokens`: queries by keys, then weights by values, counted for
    the whole square as is usual, although half of it is masked.
    """
    return 2 * _multiplied(model, trained_only=False) + 4 * _attention(model, tokens)


def training_flops(model: Transformer, tokens: float) -> float:
    """FLOPs of a training step for each token: 6 N + 12 L d T when everything is trained.

    The way back multiplies twice for each product on the way forward: once for the gradient of
    what came in and once for the weight's own, which a frozen weight is spared. Computing
    activations a second time to save memory is not counted.
    """
    weights = 4 * _multiplied(model, trained_only=False) + 2 * _multiplied(model, trained_only=True)
    return weights + 12 * _attention(model, tokens)


def _attention(model: Transformer, tokens: float) -> float:
    config = model.config
    return config.n_layers * config.n_heads * config.head_dim * tokens


def _multiplied(model: Transformer, trained_only: bool) -> int:
    """Numbers in the matrices that a token is multiplied by: of experts, of those that it is sent to."""
    total = _numbers(model, trained_only)
    for module in model.modules():
        if isinstance(module, MixtureOfExperts):
            experts = _numbers(module.experts, trained_only)
            total -= experts - experts * module.per_token // len(module.experts)
    return total


def _numbers(module: nn.Module, trained_only: bool) -> int:
    return sum(
        weight.numel()
        for part in module.modules()
        if not isinstance(part, nn.Embedding)  # a table is looked up; a tied head is a Linear
        for weight in part.parameters(recurse=False)
        if weight.ndim == 2 and (weight.requires_grad or not trained_only)
    )


@dataclass(frozen=True)
class Peak:
    """What a device can do at most."""

    flops: float
    """FLOP/s of one device."""
    source: str
    """How it is known: "NVIDIA H100 …, data sheet" or "measured"."""


def find_peak(runtime: Runtime) -> Peak:
    """The peak of the runtime's device in its precision: from the table, else measured.

    Measuring multiplies two matrices a few times, in about a tenth of a second, once a process. It
    says what this machine's own library reaches now, so beside other work it comes out low.
    """
    return _find_peak(runtime.device, runtime.dtype)


@functools.cache
def _find_peak(device: torch.device, dtype: torch.dtype) -> Peak:
    if device.type == "cuda" and dtype == torch.bfloat16:
        name = torch.cuda.get_device_name(device)
        flops = named_peak(name)
        if flops is not None:
            return Peak(flops, f"{name}, data sheet")
    size = MEASURED_SIZE.get(device.type, MEASURED_SIZE["cpu"])
    seconds = time_product(device, dtype, size, MEASURED_REPEATS)
    return Peak(2 * size**3 / seconds, f"measured with a {size:,} x {size:,} matrix product")


def named_peak(device_name: str) -> float | None:
    """FLOP/s of a GPU by its name, as `torch.cuda.get_device_name` gives it; None if unknown."""
    return next((flops for name, flops in BFLOAT16_PEAKS.items() if name in device_name), None)


@dataclass(frozen=True)
class Cost:
    """What a token of a training costs, on the devices that compute it."""

    flops_per_token: float
    peak: Peak
    devices: int = 1

    def utilization(self, tokens_per_second: float) -> float:
        """MFU, 0 to 1: the share of the devices' peak that the model's own products take."""
        return tokens_per_second * self.flops_per_token / (self.peak.flops * self.devices)


def training_cost(model: Transformer, tokens: float, runtime: Runtime) -> Cost:
    """What training `model` on sequences of so many `tokens` costs where `runtime` computes."""
    return Cost(training_flops(model, tokens), find_peak(runtime), runtime.world_size)
