"""In which way a training is spread over the processes that there are."""

from typing import Literal

from pydantic import Field

from hornbook.config import Settings
from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer, count_parameters
from hornbook.runtime import Runtime
from hornbook.training.parallel import ALONE, SMALL, Parallel

BYTES_PER_PARAMETER = 16
"""Of a parameter, its gradient and two sums of the optimizer, all float32."""


class ParallelSettings(Settings):
    """How a training is spread over the processes that `torchrun` has started."""

    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """"ddp": every process keeps the whole model and takes a share of each batch. "fsdp": model,
    gradient and optimizer are divided too, each layer gathered when it is needed. "auto" takes ddp
    while parameters, gradient and optimizer are 8 GiB at most."""
    tensor: int = Field(default=1, gt=0)
    """Processes that share each layer's heads and hidden units (tensor parallelism); keep them on
    one machine. It must divide n_heads, n_kv_heads, hidden_dim (and an expert's) and the number of
    processes."""
    timeout: int = Field(default=600, gt=0)
    """Seconds that a process waits for the others in a step before it takes one for dead."""


def make_parallel(settings: ParallelSettings, runtime: Runtime, model: Transformer) -> Parallel:
    """How to train `model` with the processes that there are; they must have been joined before.

    Raises:
        HornbookError: the processes cannot be divided as the settings say, or not for this model.
    """
    _check(settings, runtime.world_size, model.config)
    if runtime.world_size == 1:
        return ALONE
    from hornbook.training.distributed import Divided, Replicated, make_mesh

    mesh = make_mesh(runtime, settings.tensor)
    small = count_parameters(model) * BYTES_PER_PARAMETER <= SMALL
    whole = settings.strategy == "ddp" or (settings.strategy == "auto" and small)
    return Replicated(mesh) if whole and settings.tensor == 1 else Divided(mesh)


def _check(settings: ParallelSettings, world_size: int, config: ModelConfig) -> None:
    tensor = settings.tensor
    if tensor == 1:
        return
    if settings.strategy == "ddp":
        raise HornbookError(
            f"parallel.strategy ddp keeps the model whole, which parallel.tensor {tensor} divides; "
            'set parallel.strategy="fsdp", or parallel.tensor=1.'
        )
    counts = {
        "the processes, of which there": world_size,
        "n_heads, of which there": config.n_heads,
        "n_kv_heads, of which there": config.kv_heads,
        "the hidden units of a layer, of which there": config.mlp_dim,
    }
    if config.n_experts is not None:
        width = config.expert_dim or config.mlp_dim
        counts["the hidden units of an expert, of which there"] = width
    for name, count in counts.items():
        if count % tensor:
            fitting = [n for n in range(1, 65) if all(c % n == 0 for c in counts.values())]
            raise HornbookError(
                f"parallel.tensor {tensor} does not divide {name} are {count}; "
                f"take {' or '.join(map(str, fitting))}."
            )
