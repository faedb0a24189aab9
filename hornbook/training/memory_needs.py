"""What memory a training will take, from a model's config: counted, and for activations tried small.

The activations of a deep model follow from those of its first layers, since each layer (or each
turn of a pattern of layers) keeps as much as the one before.
"""

import math
from dataclasses import dataclass

import torch

from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer, shapes_of
from hornbook.runtime import Runtime
from hornbook.training.acceleration import accelerate
from hornbook.training.optimizer import Optimizer
from hornbook.training.rehearsal import activation_bytes
from hornbook.training.settings import TrainingSettings


@dataclass(frozen=True)
class MemoryNeeds:
    """Bytes that a training holds at its peak, beside the process's own."""

    parameters: int
    optimizer: int
    gradients: int
    activations: int
    """Kept from the way forward for the way back by one micro-batch."""
    working: int
    """Gradients by the widest activations of a layer, before and behind its curve: in passing."""

    @property
    def total(self) -> int:
        """At the peak, where the way back begins: no gradients by parameters are there yet. They
        take the places of activations, which go; at its end they are all that is left."""
        passing = max(self.activations + self.working, self.gradients)
        return self.parameters + self.optimizer + passing


def state_bytes(
    config: ModelConfig, settings: TrainingSettings, dtype: torch.dtype
) -> tuple[int, int]:
    """Bytes of a model's parameters, and of its optimizer's sums; no memory is taken."""
    shapes = shapes_of(config)
    optimizer = Optimizer(shapes, settings, dtype).state_dict().values()
    return sum(p.nbytes for p in shapes.parameters()), sum(t.nbytes for t in optimizer)


def memory_needs(
    config: ModelConfig, settings: TrainingSettings, rows: int, width: int, runtime: Runtime
) -> MemoryNeeds:
    """Estimate a training with micro-batches of `rows` sequences of `width` tokens.

    Two small models, of one and two turns of the pattern of layers, read up to two sequences.
    """
    parameters, optimizer = state_bytes(config, settings, runtime.dtype)
    period = period_of(config)
    few = min(2 * period, config.n_layers)
    shallow = _activations(config, min(period, config.n_layers), settings, rows, width, runtime)
    activations = shallow
    if few > period:
        each = _activations(config, few, settings, rows, width, runtime) - shallow
        activations += each * (config.n_layers - period) // (few - period)
    working = 2 * rows * width * config.mlp_dim * runtime.dtype.itemsize
    return MemoryNeeds(parameters, optimizer, parameters, activations, working)


def _activations(
    config: ModelConfig,
    n_layers: int,
    settings: TrainingSettings,
    rows: int,
    width: int,
    runtime: Runtime,
) -> int:
    few = config.model_copy(update={"n_layers": n_layers})
    model = Transformer(few, torch.Generator().manual_seed(0)).to(runtime.device)
    accelerate(model, settings, runtime, same_width=True)
    return activation_bytes(model, rows, width, runtime)


def period_of(config: ModelConfig) -> int:
    """After how many layers their kinds come again."""
    patterns = (config.rotary_layers, config.windowed_layers, config.expert_layers)
    return math.lcm(*(len(pattern) for pattern in patterns))
