"""The largest micro-batch that fits into memory, found by trying: `training.micro_batch_size = "auto"`.

Smaller micro-batches change no result beyond rounding (sums are divided once, by the whole batch's
positions), so any size that fits is right, and the largest is the fastest.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from hornbook.errors import HornbookError
from hornbook.model.mode import in_mode
from hornbook.runtime import Runtime
from hornbook.sampling.batch import Batch
from hornbook.training.memory import is_out_of_memory
from hornbook.training.parallel import Objective, Parallel

GPU_SHARE = 0.9
"""Of a GPU's memory; the rest is for the optimizer's step and for fragments."""
CPU_SHARE = 0.5
"""Of the memory that is free; a process that takes all of it is killed instead of told."""


def largest_micro_batch(
    model: nn.Module,
    objective: Objective,
    rows: int,
    width: int,
    runtime: Runtime,
    parallel: Parallel,
) -> int:
    """The largest micro-batch, of `rows` halved as often as needed, whose gradient can be computed.

    Each size is tried with a batch as wide as any will be, in which everything is trained, forward
    and backward, in all processes at once: a size is taken only if it fits in each. The model's
    gradients are None afterwards; torch's random numbers go on as if nothing had been drawn.

    Args:
        objective: the loss of `model`, which is on its device with its optimizer beside it; without
            an exchange of gradients, so that none waits for a process that has run out of memory.
        rows: this process's share of a batch.
        width: tokens of the widest batch.

    Raises:
        HornbookError: a single sequence is too much.
    """
    with (
        in_mode(model, training=True),
        torch.random.fork_rng(_devices(runtime)),
        _memory_held_back(runtime),
    ):
        size = rows
        while not _fits(model, objective, _widest(size, width), runtime, parallel):
            if size == 1:
                raise HornbookError(
                    f"not even one sequence of {width:,} tokens fits into memory; set "
                    "training.checkpoint_activations=true, lower sampling.max_length, or take a "
                    "smaller model."
                )
            size = -(-size // 2)
    return size


def _widest(rows: int, width: int) -> Batch:
    ids = torch.zeros(rows, width, dtype=torch.int64)
    return Batch(ids, ids, position=0)


def _fits(
    model: nn.Module, objective: Objective, batch: Batch, runtime: Runtime, parallel: Parallel
) -> bool:
    """Whether no process runs out of memory."""
    ran_out = parallel.any(not _enough_on_cpu(objective, batch, runtime))
    if not ran_out:
        try:
            _loss(objective, batch, runtime).backward()  # type: ignore[no-untyped-call]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            ran_out = True
    for parameter in model.parameters():
        parameter.grad = None
    if runtime.device.type == "cuda":
        torch.cuda.empty_cache()
    return not parallel.any(ran_out)


def _loss(objective: Objective, batch: Batch, runtime: Runtime) -> Tensor:
    with runtime.autocast():
        return objective(batch)


def _enough_on_cpu(objective: Objective, batch: Batch, runtime: Runtime) -> bool:
    """Whether what a CPU would keep for the gradient fits well into its free memory.

    A GPU says so when memory runs out; on a CPU the system ends the process. So the tensors kept
    for one row are weighed, and multiplied.
    """
    free = free_memory() if runtime.device.type == "cpu" else None
    if free is None:
        return True
    one_row = Batch(batch.inputs[:1], batch.targets[:1], batch.position)
    return bytes_kept(objective, one_row, runtime) * len(batch.inputs) <= CPU_SHARE * free


def bytes_kept(objective: Objective, batch: Batch, runtime: Runtime) -> int:
    """Bytes of all that the way forward keeps for the way back, parameters among them."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = _loss(objective, batch, runtime)  # holds the graph, so that no address comes twice
    del loss
    return sum(kept.values())


def free_memory() -> int | None:
    """Bytes that this process may still take from the machine, or its container; None if unknown."""
    known = [_meminfo(), _control_group()]
    return min((free for free in known if free is not None), default=None)


def _meminfo() -> int | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(AttributeError, ValueError, OSError):  # macOS has no such figure
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _control_group() -> int | None:
    """What a container's limit leaves (cgroup version 2)."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text("ascii").strip()
        return None if limit == "max" else int(limit) - int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return None


def _devices(runtime: Runtime) -> list[torch.device]:
    return [runtime.device] if runtime.device.type == "cuda" else []


@contextlib.contextmanager
def _memory_held_back(runtime: Runtime) -> Iterator[None]:
    """Try with less of the GPU's memory than there is, so that what fits here fits for long."""
    if runtime.device.type != "cuda":
        yield
        return
    torch.cuda.set_per_process_memory_fraction(GPU_SHARE, runtime.device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, runtime.device)
