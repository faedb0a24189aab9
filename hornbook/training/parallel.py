"""What a training asks of the processes that it is spread over; a single one is the simplest case."""

import contextlib
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from hornbook.model.transformer import Transformer
from hornbook.sampling.batch import Batch
from hornbook.training.objective import NEXT_TOKEN, Loss

Objective = Callable[[Batch], Tensor]
"""The summed loss of a (micro-)batch, float32 (), differentiable."""

SMALL = 8 * 2**30
"""Bytes up to which a training is small: what of it fits is kept whole where that is quicker."""


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

    def let_go(self, model: Transformer) -> None:
        """Free what was gathered of other processes' parts to compute with, where a model is divided.

        Call it where something looks at the parameters after a forward pass without a backward one.
        """

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
