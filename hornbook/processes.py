"""The processes of one run: who leads, who waits, and that none is left waiting for ever.

`torchrun` starts them and tells each its place through the environment; without it there is one
process, for which everything here is a plain call. They share a small store of strings: through
it the others learn that the main process has made something, or that one of them has failed.
"""

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn, TypeVar

from hornbook.console import console
from hornbook.errors import HornbookError, Terminated

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

T = TypeVar("T")
MEETING, FAILURE = "hornbook", "failure"
GLANCE_S = 0.2
"""How often one that waits looks around."""
TIME_TO_HEAR_S, TIME_TO_SPEAK_S = 1.0, 3.0
"""How long a main process that failed keeps the store, and the others keep silent."""
KNOCK = timedelta(seconds=2)
"""How long a process tries an address at which the main one may be no more."""
FAILED = 1
INTERRUPTED = 130


class Processes:
    """One process's place among those of a run. Made plainly, it is the only one."""

    def __init__(self, rank: int = 0, world_size: int = 1, store: "Store | None" = None) -> None:
        """`store` is shared by all; one process needs none."""
        self.rank, self.world_size = rank, world_size
        self._store = store
        self._turns = itertools.count()

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and talks to the user."""
        return self.rank == 0

    def main_first(self, make: Callable[[], T], read: Callable[[], T] | None = None) -> T:
        """What the main process makes while the others wait, and then read.

        All processes must come here in the same order. There is no limit to how long they wait,
        but when any of them has failed, all end.

        Args:
            make: called in the main process.
            read: called in the others, afterwards; `make`, where it finds its work done.

        Raises:
            SystemExit: in a process that waits, when another one has failed.
        """
        if self._store is None:
            return make()
        key = f"made {next(self._turns)}"
        if self.is_main:
            made = make()
            self._store.set(key, "")
            return made
        self._wait(key)
        return (read or make)()

    def as_main(self, value: str) -> str:
        """The main process's value, in every process."""
        if self._store is None:
            return value
        key = f"value {next(self._turns)}"
        if self.is_main:
            self._store.set(key, value)
        else:
            self._wait(key)
        return self._store.get(key).decode()

    def _wait(self, key: str) -> None:
        """Return when the key is there; end when a process has failed."""
        from torch.distributed import DistNetworkError

        assert self._store is not None
        try:
            # Asking again and again: waits of the store's own that run out fill the log.
            while not self._store.check([key]):
                if self._store.check([FAILURE]):
                    _end_quietly()
                time.sleep(GLANCE_S)
        except DistNetworkError:  # the main process is gone, and the store with it
            _end_quietly()

    def tell_failure(self, error: BaseException) -> None:
        """Let the others know, and let the one sentence about a mistake be said by one process.

        Raises:
            SystemExit: another process has failed in the same way before, and says so.
        """
        if self._store is None:
            return
        sentence = str(error) if isinstance(error, HornbookError) else ""
        own = f"{self.rank} {sentence}"
        from torch.distributed import DistError

        try:
            first = self._store.compare_set(FAILURE, "", own).decode()
        except DistError:  # the store is gone: the main process has ended, and has said why
            first = f"0 {sentence}"
        if sentence and first != own and first.partition(" ")[2] == sentence:
            _end_quietly()
        if self.is_main:
            time.sleep(TIME_TO_HEAR_S)


def _end_quietly() -> NoReturn:
    """End, when another process has something to say: not before it, as torchrun ends them all."""
    time.sleep(TIME_TO_SPEAK_S)
    raise SystemExit(FAILED)


ONE = Processes()
"""A run in one process."""


@contextlib.contextmanager
def joined_processes(device: str, patience_s: float) -> Iterator[Processes]:
    """Join the other processes of the run, if `torchrun` has started any, for a block of work.

    Only the main process prints inside the block. Without `torchrun` nothing happens.

    Args:
        device: "auto", "cpu", "cuda" or "mps"; of several GPUs each process takes one.
        patience_s: how long a process waits for the others when they compute together.

    Raises:
        HornbookError: this machine has fewer GPUs than processes, or a device of which there can
            be but one was asked for.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ONE
        return
    processes = _join(device, patience_s)
    console.quiet = not processes.is_main
    try:
        yield processes
    except (KeyboardInterrupt, Terminated) as error:
        processes.tell_failure(error)
        if processes.is_main:
            raise
        sys.exit(error.code if isinstance(error, Terminated) else INTERRUPTED)
    except BaseException as error:
        # The group is not taken down: that could wait for processes that are no longer there.
        processes.tell_failure(error)
        raise
    else:
        from torch.distributed import barrier, destroy_process_group

        barrier()  # the store goes with the main process: not before all are done with it
        destroy_process_group()
    finally:
        console.quiet = False


def _join(device: str, patience_s: float) -> Processes:
    import torch
    from torch import distributed
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]
    from torch.distributed.rendezvous import rendezvous

    if device == "mps":
        raise HornbookError("runtime.device: mps is for one process; start without torchrun.")
    on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if on_gpu:
        _take_gpu(int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count())
    patience = timedelta(seconds=patience_s)
    meeting_point, rank, world_size = next(rendezvous("env://", timeout=patience))
    store = _fresh_store(meeting_point, rank, patience)
    distributed.init_process_group(
        # Small numbers that lie on the CPU are added up there, without waiting for a GPU.
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        store=PrefixStore("group", store),
        rank=rank,
        world_size=world_size,
        timeout=patience,
    )
    return Processes(rank, world_size, PrefixStore("run", store))


def _fresh_store(meeting_point: "Store", rank: int, patience: timedelta) -> "Store":
    """A store of these processes alone, in the main one.

    torchrun's outlives the processes that it restarts, and still holds what they wrote: addresses of
    the dead, for one. Of all that only the main process's address is read from it, again and again
    until somebody answers there.
    """
    from torch.distributed import DistError, TCPStore  # type: ignore[attr-defined]

    host = os.environ["MASTER_ADDR"]
    if rank == 0:
        store = TCPStore(host, 0, None, True, patience, wait_for_workers=False)
        meeting_point.set(MEETING, str(store.port))
        return store
    give_up = time.monotonic() + patience.total_seconds()
    while True:
        port = int(meeting_point.get(MEETING))
        try:
            store = TCPStore(host, port, None, False, KNOCK, wait_for_workers=False)
        except DistError:
            if time.monotonic() > give_up:
                raise
        else:
            store.set_timeout(patience)
            return store


def _take_gpu(number: int, present: int) -> None:
    import torch

    if number >= present:
        raise HornbookError(
            f"process {number + 1} of this machine finds {present} GPU(s); start torchrun with "
            f"--nproc-per-node {max(present, 1)}, or set runtime.device=cpu."
        )
    torch.cuda.set_device(number)
