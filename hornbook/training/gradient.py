"""The gradient of a batch's mean loss, added up over its micro-batches."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from hornbook.runtime import Runtime
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.training.objective import NEXT_TOKEN
from hornbook.training.parallel import Objective, Parallel


def accumulate(
    objective: Objective,
    batch: Batch,
    micro_batch_size: int | None,
    runtime: Runtime,
    parallel: Parallel,
    count: Callable[[Batch], Tensor] = NEXT_TOKEN.count,
) -> tuple[Tensor, int]:
    """Add up the gradient of a batch's mean loss; give that loss, float32 (), and its units.

    Both are of the whole batch, over all processes. Each part's sum is divided by the units (trained
    positions, where `count` says nothing else) of all parts together, so that a unit weighs the same
    in whichever part it stands.

    Nothing waits for a GPU when the batch lies on the CPU: what is trained is counted there, and
    the loss stays on the device.
    """
    trained = int(parallel.sum(count(batch)))
    total = torch.zeros((), dtype=torch.float32, device=runtime.device)
    parts = list(_micro_batches(batch, micro_batch_size))
    if parallel.data_size == 1:  # several processes must compute the same number of parts
        parts = [part for part in parts if bool((part.targets != IGNORE).any())]
    for number, part in enumerate(parts, start=1):
        with parallel.exchanging(last=number == len(parts)):
            with runtime.autocast():
                loss = objective(part)
            mean: Tensor = loss / trained
            mean.backward()  # type: ignore[no-untyped-call]
        total += mean.detach()
    return parallel.sum(total), trained


def _micro_batches(batch: Batch, size: int | None) -> Iterator[Batch]:
    rows = batch.inputs.shape[0]
    for start in range(0, rows, size or rows):
        yield batch.rows(start, start + (size or rows))
