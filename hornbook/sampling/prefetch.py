"""Batches made ready in the background, in memory from which a GPU copies by itself.

On a CPU this gains nothing: making a batch of windows takes microseconds. On a GPU a copy from
ordinary memory makes the program wait until all work queued before it is done; from page-locked
(pinned) memory it is queued like any other work. The copy itself stays on the model's own stream: a
batch is some hundred kilobytes, 10 µs of a step, and no second stream has to be kept in step.
Targets and inputs stay on the CPU here, so that whoever looks at them waits for nobody.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Self

import torch

from hornbook.errors import HornbookError
from hornbook.sampling.batch import Batch

AHEAD = 2
"""Batches kept ready; one more may be in the making."""
LOOK_EVERY = 0.5
"""Seconds of waiting for a batch after which is looked whether its maker is still alive."""


class Prefetcher:
    """An iterator over the same batches in the same order, made by a thread of its own.

    An error in the making is raised where its batch would have been taken. Close it, or use it as a
    context, when the batches are not taken to their end.
    """

    def __init__(
        self, batches: Iterator[Batch], ready: Callable[[Batch], Batch] = lambda batch: batch
    ) -> None:
        """`ready` is what is done with each batch in the background; `pin`, for a GPU."""
        self._batches, self._ready = batches, ready
        self._queue: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._make, name="batches", daemon=True)
        self._thread.start()

    def _make(self) -> None:
        """In the thread: one batch after another, until closed; at last None or the error."""
        end: BaseException | None = None
        try:
            for batch in self._batches:
                self._put(self._ready(batch))
                if self._closed.is_set():
                    return
        except BaseException as error:  # whatever it is, the taker must hear of it
            end = error
        self._put(end)

    def _put(self, item: Batch | BaseException | None) -> None:
        """Wait for room, but not beyond closing."""
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        if self._closed.is_set():
            raise StopIteration
        item = self._get()
        if isinstance(item, Batch):
            return item
        self.close()
        if item is None:
            raise StopIteration
        raise item

    def _get(self) -> Batch | BaseException | None:
        """What the thread made next; an error if it has ended without a word."""
        while True:
            alive = self._thread.is_alive()  # looked at first: what it put before ending is there
            try:
                return self._queue.get(timeout=LOOK_EVERY if alive else 0)
            except queue.Empty:
                if not alive:
                    return HornbookError(
                        "the thread that makes batches has died; resume the run from its last "
                        "checkpoint."
                    )

    def close(self) -> None:
        """Stop making batches, and wait until the thread has ended."""
        self._closed.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def prefetched(batches: Iterator[Batch], device: torch.device) -> Iterator[Iterator[Batch]]:
    """The batches for a model on `device`: made in the background for a GPU, else as they are."""
    if device.type != "cuda":
        yield batches
        return
    with Prefetcher(batches, pin) as ready:
        yield ready


def pin(batch: Batch) -> Batch:
    """The batch in page-locked memory; needs a GPU."""
    return batch.map(torch.Tensor.pin_memory)
