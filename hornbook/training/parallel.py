"""How one training is spread over processes; a single process is the simplest case."""

import contextlib
from collections.abc import Callable, Iterator

from torch import Tensor

from hornbook.model.transformer import Transformer
from hornbook.sampling.batch import Batch
from hornbook.training.objective import loss_sum

Objective = Callable[[Batch], Tensor]
"""The summed loss of a (micro-)batch, float32 (), differentiable."""


class Parallel:
    """One process's part in a training. This class is the only process there is."""

    data_rank: int = 0
    """Which share of every batch this process takes."""
    data_size: int = 1
    """Into how many shares a batch is divided."""
    is_main: bool = True
    """Whether this process writes files and talks to the user."""

    def spread(self, model: Transformer) -> None:
        """Divide the model's tensors among the processes, in place, before its optimizer is built."""

    def objective(self, model: Transformer) -> Objective:
        """The loss to take the gradient of: gradients are exchanged in its backward pass."""
        return lambda batch: loss_sum(model, batch)[0]

    def sum(self, value: Tensor) -> Tensor:
        """`value` added up over the shares of a batch, the same on every process."""
        return value

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process."""
        return flag

    def barrier(self) -> None:
        """Wait until every process is here."""

    @contextlib.contextmanager
    def exchanging(self, last: bool) -> Iterator[None]:
        """Around a micro-batch's backward pass: gradients are exchanged in the `last` one only."""
        yield


ALONE = Parallel()
"""A training in one process."""
