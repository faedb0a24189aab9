import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from hornbook.errors import HornbookError
from hornbook.sampling.batch import Batch
from hornbook.sampling.prefetch import AHEAD, Prefetcher, prefetched


def batches(count: int, made: list[int] | None = None) -> Iterator[Batch]:
    for position in range(1, count + 1):
        if made is not None:
            made.append(position)
        yield Batch(torch.full((2, 3), position), torch.full((2, 3), position), position)


def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it never came about")


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "batches"]


def test_the_same_batches_in_the_same_order() -> None:
    with Prefetcher(batches(20)) as ready:
        taken = list(ready)
    assert [batch.position for batch in taken] == list(range(1, 21))
    assert all(int(batch.inputs[0, 0]) == batch.position for batch in taken)
    assert not threads()


def test_what_is_done_in_the_background_is_done_to_each() -> None:
    def doubled(batch: Batch) -> Batch:
        assert threading.current_thread().name == "batches"
        return Batch(batch.inputs * 2, batch.targets, batch.position)

    with Prefetcher(batches(3), doubled) as ready:
        assert [int(batch.inputs[0, 0]) for batch in ready] == [2, 4, 6]


def test_few_are_held() -> None:
    made: list[int] = []
    with Prefetcher(batches(100, made)) as ready:
        until(lambda: len(made) == AHEAD + 1)
        time.sleep(0.05)
        assert len(made) == AHEAD + 1
        next(ready)
        until(lambda: len(made) == AHEAD + 2)


def test_an_error_comes_where_its_batch_would_have() -> None:
    def failing() -> Iterator[Batch]:
        yield from batches(2)
        raise HornbookError("the third is damaged.")

    with Prefetcher(failing()) as ready:
        assert [next(ready).position, next(ready).position] == [1, 2]
        with pytest.raises(HornbookError, match="the third is damaged"):
            next(ready)
        with pytest.raises(StopIteration):
            next(ready)
    assert not threads()


def test_a_thread_that_dies_silently_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hornbook.sampling.prefetch.LOOK_EVERY", 0.01)
    made = Prefetcher._make

    def dies(self: Prefetcher) -> None:
        self._put(next(self._batches))  # and no word after it

    monkeypatch.setattr(Prefetcher, "_make", dies)
    with Prefetcher(batches(5)) as ready:
        assert next(ready).position == 1
        with pytest.raises(HornbookError, match="the thread that makes batches has died; resume"):
            next(ready)
        with pytest.raises(StopIteration):
            next(ready)
    monkeypatch.setattr(Prefetcher, "_make", made)
    with Prefetcher(batches(1)) as ready:  # what was put before the end is still taken
        until(lambda: not threads())
        assert [batch.position for batch in ready] == [1]


def test_closing_in_the_middle_ends_the_thread() -> None:
    endless = (batch for _ in itertools.count() for batch in batches(1))
    ready = Prefetcher(endless)
    with contextlib.suppress(KeyboardInterrupt), ready:
        next(ready)
        raise KeyboardInterrupt
    assert not threads()
    assert list(ready) == []


def test_on_a_cpu_batches_go_through_as_they_are() -> None:
    source = batches(3)
    with prefetched(source, torch.device("cpu")) as ready:
        assert ready is source
        assert not threads()


def test_for_a_gpu_they_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor + 1)
    with prefetched(batches(2), torch.device("cuda")) as ready:
        first = next(ready)
    assert (int(first.inputs[0, 0]), int(first.targets[0, 0]), first.position) == (2, 2, 1)


def test_document_numbers_are_pinned_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor + 1)
    ids = torch.zeros(1, 2, dtype=torch.int64)
    with prefetched(iter([Batch(ids, ids, 1, ids)]), torch.device("cuda")) as ready:
        documents = next(ready).documents
    assert documents is not None
    assert documents.tolist() == [[1, 1]]
