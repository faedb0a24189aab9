"""Out of memory: told apart from other errors, and answered with the setting to change."""

import contextlib
from collections.abc import Iterator

import torch

from hornbook.errors import HornbookError
from hornbook.sampling.batch import Batch
from hornbook.training.settings import TrainingSettings

SPELLINGS = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")
"""How torch's allocators (CUDA and MPS, CPU, CPU on Windows) and cuBLAS say it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that there was not enough memory, on whatever device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in SPELLINGS)


@contextlib.contextmanager
def memory_explained(settings: TrainingSettings, batch: Batch, step: int) -> Iterator[None]:
    """Around a training step: say which setting to lower, and to what, when memory runs out.

    Args:
        batch: this process's share, (rows, tokens).

    Raises:
        HornbookError: in place of the allocator's error.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        rows, tokens = batch.inputs.shape
        at_once = min(settings.at_once or rows, rows)
        advice = _advice(settings, at_once, tokens)
        raise HornbookError(
            f"step {step}: memory ran out with {at_once:,} sequences of {tokens:,} tokens at once; "
            f"{advice}."
        ) from None


def _advice(settings: TrainingSettings, at_once: int, tokens: int) -> str:
    """What to set; results stay the same with the first two."""
    ways = []
    if at_once > 1:
        ways.append(f"training.micro_batch_size={at_once // 2} (now {at_once})")
        ways.append('training.micro_batch_size="auto", which finds the largest that fits')
    if not settings.checkpoint_activations:
        ways.append("training.checkpoint_activations=true")
    if not ways:
        return f"lower sampling.max_length (now {tokens}), or take a smaller model"
    return f"set {', or '.join(ways)}"
