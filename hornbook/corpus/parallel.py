"""Documents worked on in batches by several processes, in the order in which they come."""

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from operator import attrgetter
from typing import Any, TypeVar

from hornbook.corpus.document import Document
from hornbook.errors import HornbookError

BATCH_DOCUMENTS, BATCH_CHARACTERS = 4096, 2**22
"""Documents that are worked on together: as many as fill one of both."""
LOOK_EVERY_S = 1.0
"""Seconds after which a process looks whether the one that started it is still there."""

Result = TypeVar("Result")


def computed(
    documents: Iterable[Document],
    compute: Callable[[Sequence[Any]], Result],
    workers: int | None,
    work: str,
    take: Callable[[Document], Any] = attrgetter("text"),
) -> Iterator[tuple[list[Document], Result]]:
    """Each batch of documents with what `compute` makes of its texts, or of what `take` takes of each.

    A single batch is computed here; of several, some are computed ahead in other processes, and
    `compute` is sent there by pickling. One more batch than there are processes is in memory.

    Args:
        workers: processes; as many as there are cores when None. The outcome does not hang on it.
        work: what a process does, for a sentence about one that has died: "computes ...".

    Raises:
        HornbookError: a process has died.
    """
    workers = workers or os.cpu_count() or 1
    batches = batched(documents, BATCH_DOCUMENTS, BATCH_CHARACTERS)
    head = list(itertools.islice(batches, 2))
    stream = itertools.chain(head, batches)
    if len(head) < 2 or workers == 1:
        for batch in stream:
            yield batch, compute(list(map(take, batch)))
        return
    waiting: deque[tuple[list[Document], Future[Result]]] = deque()
    with processes(workers) as pool:
        for batch in stream:
            waiting.append((batch, pool.submit(compute, list(map(take, batch)))))
            if len(waiting) > workers:
                yield _finished(*waiting.popleft(), work)
        while waiting:
            yield _finished(*waiting.popleft(), work)


class Pool:
    """Processes that compute; see `processes`."""

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        """Wrap an executor of which nothing was asked yet."""
        self._executor = executor

    def submit(self, compute: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Have one of them compute something, all of which is sent by pickling."""
        with _signals_kept_here():  # the first submits start the processes
            return self._executor.submit(compute, *arguments)


@contextlib.contextmanager
def processes(workers: int) -> Iterator[Pool]:
    """So many processes, for a block of work.

    They end with the block, after an error at once, and without the process that started them. Ctrl-C and
    SIGTERM are not for them, even where they are sent to all: that one is to answer, by ending them.
    """
    # Started afresh: a fork of a process with threads, as torch has, may hang.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, context, begin_process, (os.getpid(),)) as executor:
        try:
            yield Pool(executor)
        except BaseException:
            # What they are at is not waited for.
            for process in set(multiprocessing.active_children()) - others:
                process.kill()
            raise


def begin_process(parent: int) -> None:
    """What a process does first that one of this number has started.

    Each of as many as there are cores would start as many threads for products of matrices, too, which
    wait for each other.
    """
    import numpy  # noqa: F401  whose library is to be there when it is limited
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where signals cannot be blocked

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _signals_kept_here() -> Iterator[None]:
    """Processes started in the block do not hear Ctrl-C and SIGTERM.

    A signal that is blocked when a process starts stays so in it; here it waits until the block ends.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def batched(
    documents: Iterable[Document], most: int, most_characters: int
) -> Iterator[list[Document]]:
    """Documents together: `most` of them, or as many as reach `most_characters`."""
    batch: list[Document] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += len(document.text)
        if len(batch) == most or characters >= most_characters:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _finished(
    batch: list[Document], future: Future[Result], work: str
) -> tuple[list[Document], Result]:
    try:
        return batch, future.result()
    except BrokenProcessPool:
        raise HornbookError(
            f"a process that {work} has died; see whether memory is short, and whether the script "
            'that started it keeps its work under `if __name__ == "__main__":`.'
        ) from None
