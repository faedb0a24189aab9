"""Checkpoints written while training goes on.

The loop hands a checkpoint over and goes on at once. Its tensors are copied into memory kept for
that (page-locked when they lie on a GPU) while the next step's gradient is computed, which leaves
them alone; only the update has to wait for the copies, `may_change`. Then a thread writes the files,
flushes and hashes them, renames the directory into place and deletes those no longer kept: alone,
or together with the threads of the training's other processes.

It takes as much memory again as the parameters and the optimizer's state.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from hornbook.checkpoints.shards import room_for
from hornbook.checkpoints.store import Content
from hornbook.divided import local

Tensors = dict[str, dict[str, Tensor]]
"""By file, then by name."""
Copied = Future[None] | torch.cuda.Event
"""Done when all copies are made: by the thread, or by the GPU."""


class Saver:
    """Writes a run's checkpoints in the background, one at a time.

    Use it as a context: leaving waits until all is on the disk. Python itself waits for that, too,
    before a process ends on its own.
    """

    def __init__(self, write: Callable[[int, Content, float | None], object]) -> None:
        """`write` is a `CheckpointFolder`'s or a `ShardedFolder`'s: step, content, validation loss."""
        self._to_disk = write
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._buffers: Tensors = {}
        self._copied: Copied | None = None
        self._written: Future[None] | None = None
        self.seconds_waited = 0.0
        """How long the caller has been held up, in all."""
        self.seconds_saving = 0.0
        """How long the thread has been at it, copying aside."""

    def save(self, step: int, content: Content, validation_loss: float | None = None) -> None:
        """Hand over the checkpoint of a step; `may_change` says when its tensors may be changed.

        One that is being written is waited for.

        Raises:
            HornbookError: that one could not be written, and neither is this one then.
        """
        self.wait()
        started = time.perf_counter()
        self._copied = self._copy(content.tensors)
        own = content.with_tensors(self._buffers)
        self._written = self._thread.submit(self._write, step, own, validation_loss, self._copied)
        self.seconds_waited += time.perf_counter() - started

    def may_change(self) -> None:
        """Return when the tensors handed over last are copied; on a GPU, let the GPU see to that."""
        copied, self._copied = self._copied, None
        if isinstance(copied, Future):
            started = time.perf_counter()
            wait([copied])
            self.seconds_waited += time.perf_counter() - started
        elif copied is not None:
            torch.cuda.current_stream().wait_event(copied)

    def wait(self) -> None:
        """Return when nothing is being written.

        Raises:
            HornbookError: the last checkpoint could not be written.
        """
        self.may_change()
        written, self._written = self._written, None
        if written is None:
            return
        started = time.perf_counter()
        try:
            written.result()
        finally:
            self.seconds_waited += time.perf_counter() - started

    def _copy(self, tensors: Tensors) -> Copied:
        """Have the tensors copied into the buffers, and say when they are."""
        self._buffers = {
            file: {n: _buffer(t, self._buffers.get(file, {}).get(n)) for n, t in named.items()}
            for file, named in tensors.items()
        }
        pairs = [
            (self._buffers[file][name], tensor)
            for file, named in tensors.items()
            for name, tensor in named.items()
        ]
        if not any(tensor.is_cuda for _, tensor in pairs):
            return self._thread.submit(_copy_all, pairs)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            _copy_all(pairs)  # queued, not waited for
            copied: torch.cuda.Event = stream.record_event()
            return copied

    def _write(
        self, step: int, content: Content, validation_loss: float | None, copied: Copied
    ) -> None:
        """In the thread, once the copies are complete."""
        started = time.perf_counter()
        if isinstance(copied, Future):
            copied.result()
        else:
            copied.synchronize()
        self._to_disk(step, content, validation_loss)
        self.seconds_saving += time.perf_counter() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.shutdown(wait=True)
        if error is None:  # else that error is the one to hear of
            self.wait()


def _buffer(tensor: Tensor, kept: Tensor | None) -> Tensor:
    """Memory on the CPU that holds `tensor`: that of the last checkpoint where it fits."""
    if kept is not None and kept.shape == tensor.shape and kept.dtype == tensor.dtype:
        return kept
    return room_for(tensor)


def _copy_all(pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    for buffer, tensor in pairs:
        local(buffer).copy_(local(tensor), non_blocking=True)
