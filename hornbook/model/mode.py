"""Whether a model trains, as dropout and the like ask: set for a while."""

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def in_mode(model: nn.Module, training: bool = False) -> Iterator[None]:
    """Put a model into evaluation mode, or training mode; the mode in which it came comes back after it."""
    before = model.training
    if before != training:  # looking at each of its modules takes its time where a token is written
        model.train(training)
    try:
        yield
    finally:
        if before != training:
            model.train(before)
