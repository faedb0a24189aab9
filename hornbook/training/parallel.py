"""How one training is spread over processes; a single process is the simplest case."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from hornbook.config import Settings
from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer, count_parameters
from hornbook.runtime import Runtime
from hornbook.sampling.batch import Batch
from hornbook.training.objective import NEXT_TOKEN, Loss

Objective = Callable[[Batch], Tensor]
"""The summed loss of a (micro-)batch, float32 (), differentiable."""

BYTES_PER_PARAMETER = 16
"""Of a parameter, its gradient and two sums of the optimizer, all float32."""
SMALL = 8 * 2**30
"""A training whose bytes are at most so many is kept whole in every process by "auto"."""


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


class Parallel:
    """One process's part in a training. This class is the only process there is."""

    data_rank: int = 0
    """Which share of every batch this process takes."""
    data_size: int = 1
    """Into how many shares a batch is divided."""
    rank: int = 0
    """This process among all."""
    world_size: int = 1
    """All processes."""
    is_main: bool = True
    """Whether this process writes files and talks to the user."""
    divides: bool = False
    """Whether each process holds a part of the model only: `spread` then takes one on the meta
    device, which has shapes and no numbers, and makes room for this process's parts."""

    def spread(self, model: Transformer, device: torch.device) -> None:
        """Bring a model to the device, in place, divided among the processes where they divide it.

        Call it before the optimizer is built, with a model that is the same in every process.
        Weights that were on the meta device are arbitrary afterwards: fill them.
        """
        model.to(device)

    def gather(self, model: Transformer) -> Transformer:
        """The whole model in the main process; the model itself where it is not divided.

        All processes must take part. In the others, of a model that is divided, only its form is
        given: its shapes, on the meta device.
        """
        return model

    def objective(self, model: Transformer, loss: Loss = NEXT_TOKEN) -> Objective:
        """The loss to take the gradient of: gradients are exchanged in its backward pass."""
        return lambda batch: loss(model, batch)

    def sum(self, value: Tensor) -> Tensor:
        """`value` added up over the shares of a batch, the same on every process."""
        return value

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process."""
        return flag

    def of_main(self, value: int) -> int:
        """The main process's value."""
        return value

    def barrier(self) -> None:
        """Wait until every process is here."""

    @contextlib.contextmanager
    def exchanging(self, last: bool) -> Iterator[None]:
        """Around a micro-batch's backward pass: gradients are whole after the `last` one."""
        yield

    def norm(self, parameters: Iterable[Tensor]) -> Tensor:
        """Length of the whole gradient of parameters that may be divided, float32 ()."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        return torch.nn.utils.get_total_norm(gradients)

    def on_whole(self, function: Callable[[Tensor], Tensor], parts: Tensor, like: Tensor) -> Tensor:
        """Apply a function to whole matrices of which each process holds parts.

        The processes share the work: each computes some of the matrices.

        Args:
            function: from float (n, rows, columns) to the same shape, one matrix at a time.
            parts: this process's parts of n matrices, (n, rows here, columns here).
            like: a parameter that is divided as those matrices are.

        Returns:
            This process's parts of the results.
        """
        return function(parts)


ALONE = Parallel()
"""A training in one process."""


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
    if config.qk_norm == "whole":
        raise HornbookError(
            f"parallel.tensor {tensor} divides heads, which a model that normalizes across all heads "
            "does not allow; set parallel.tensor=1."
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
