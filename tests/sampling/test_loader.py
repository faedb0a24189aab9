"""The order of batches hangs on seed, epoch and index alone."""

from collections.abc import Sequence
from itertools import chain, islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hornbook.errors import HornbookError
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.sampling.dataset import Examples
from hornbook.sampling.loader import Loader
from hornbook.sampling.windows import Windows

sizes = st.integers(1, 40)
seeds = st.integers(-5, 2**70)


def numbered(count: int) -> Windows:
    """A dataset whose sample i reads [i]."""
    return Windows(np.arange(count + 1, dtype=np.uint16), max_length=1)


def samples(batch: Batch) -> list[int]:
    return batch.inputs[:, 0].tolist()


def trained_samples(batch: Batch) -> list[int]:
    """Without the rows that fill up a share of a short batch."""
    return batch.inputs[batch.targets[:, 0] != IGNORE, 0].tolist()


def trained_targets(batch: Batch) -> list[int]:
    return batch.targets[batch.targets[:, 0] != IGNORE, 0].tolist()


def drawn(loader: Loader, count: int, start: int = 0) -> list[tuple[int, list[int]]]:
    return [
        (batch.position, trained_samples(batch)) for batch in islice(loader.batches(start), count)
    ]


@given(count=sizes, batch_size=sizes, seed=seeds, shuffle=st.booleans())
def test_every_sample_is_drawn_once_an_epoch(
    count: int, batch_size: int, seed: int, shuffle: bool
) -> None:
    loader = Loader(numbered(count), batch_size, seed, shuffle, drop_last=False)
    batches = drawn(loader, 2 * loader.batches_per_epoch)
    for epoch in (batches[: len(batches) // 2], batches[len(batches) // 2 :]):
        order = [sample for _, batch in epoch for sample in batch]
        assert sorted(order) == list(range(count))
        if not shuffle:
            assert order == list(range(count))
    assert [position for position, _ in batches] == list(range(1, len(batches) + 1))


@given(count=sizes, batch_size=sizes, seed=seeds)
def test_drop_last_leaves_only_full_batches_without_repeats(
    count: int, batch_size: int, seed: int
) -> None:
    if count < batch_size:
        return
    loader = Loader(numbered(count), batch_size, seed)
    assert loader.batches_per_epoch == count // batch_size
    epoch = [batch for _, batch in drawn(loader, loader.batches_per_epoch)]
    assert {len(batch) for batch in epoch} == {batch_size}
    assert len({sample for batch in epoch for sample in batch}) == len(epoch) * batch_size


@given(
    count=sizes,
    batch_size=st.integers(1, 8),
    start=st.integers(0, 60),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
)
def test_a_resumed_run_draws_what_the_uninterrupted_one_does(
    count: int, batch_size: int, start: int, shuffle: bool, drop_last: bool
) -> None:
    if drop_last and count < batch_size:
        return
    loader = Loader(numbered(count), batch_size, 7, shuffle, drop_last)
    assert drawn(loader, start + 9)[start:] == drawn(loader, 9, start)


def test_resuming_far_ahead_walks_through_nothing() -> None:
    loader = Loader(numbered(10), 2, 1)
    [(position, batch)] = drawn(loader, 1, start=10**15)
    assert position == 10**15 + 1
    assert batch == loader.order(10**15 // 5)[:2].tolist()


@given(
    count=st.integers(12, 60),
    world_size=st.sampled_from([1, 2, 3, 4, 6, 12]),
    drop_last=st.booleans(),
)
def test_shares_side_by_side_are_the_batch_of_one_process(
    count: int, world_size: int, drop_last: bool
) -> None:
    one = Loader(numbered(count), 12, 3, drop_last=drop_last)
    ranks = [
        Loader(numbered(count), 12, 3, drop_last=drop_last, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    steps = 2 * one.batches_per_epoch + 1
    shares = zip(*(islice(loader.batches(), steps) for loader in ranks), strict=True)
    for whole, parts in zip(one.batches(), shares, strict=False):
        assert list(chain(*map(trained_samples, parts))) == samples(whole)
        assert list(chain(*map(trained_targets, parts))) == whole.targets[:, 0].tolist()
        assert {part.position for part in parts} == {whole.position}
        assert len({part.inputs.shape[0] for part in parts}) == 1  # all compute alike
    evaluated = [[trained_samples(batch) for batch in loader.epoch()] for loader in ranks]
    joined = [list(chain(*parts)) for parts in zip(*evaluated, strict=True)]
    assert joined == [samples(batch) for batch in one.epoch()]


def test_epochs_and_seeds_differ_and_are_repeated_exactly() -> None:
    loader = Loader(numbered(30), 5, seed=1)
    orders = [loader.order(0), loader.order(1), Loader(numbered(30), 5, seed=2).order(0)]
    assert len({tuple(order.tolist()) for order in orders}) == 3
    assert loader.order(1).tolist() == Loader(numbered(30), 6, seed=1).order(1).tolist()


def test_an_evaluation_pass_is_in_order_with_the_short_last_batch() -> None:
    loader = Loader(numbered(7), 3, seed=1)
    assert [samples(batch) for batch in loader.epoch()] == [[0, 1, 2], [3, 4, 5], [6]]
    assert loader.batches_per_epoch == 2


def test_examples_are_drawn_too() -> None:
    examples = Examples([([number], [number]) for number in range(5)], pad_id=9)
    order = list(chain(*(samples(batch) for batch in Loader(examples, 2, 1).epoch())))
    assert order == [0, 1, 2, 3, 4]


def test_what_does_not_fit_is_refused_with_what_does() -> None:
    with pytest.raises(HornbookError, match=r"take a batch_size of 8 or 12, or 1, 2, 5, 10 proc"):
        Loader(numbered(40), 10, 1, world_size=4)
    with pytest.raises(HornbookError, match=r"take a batch_size of 4, or 1, 3 processes"):
        Loader(numbered(40), 3, 1, world_size=4)
    with pytest.raises(HornbookError, match="3 samples, which is less than one batch of 8; lower"):
        Loader(numbered(3), 8, 1)
    with pytest.raises(HornbookError, match="no samples"):
        Loader(Examples([], pad_id=0), 8, 1)
    with pytest.raises(HornbookError, match="batch_size is 0"):
        Loader(numbered(3), 0, 1)


@given(count=sizes, batch_size=sizes, seed=seeds, shuffle=st.booleans())
def test_the_samples_of_a_batch_can_be_told_from_its_position(
    count: int, batch_size: int, seed: int, shuffle: bool
) -> None:
    loader = Loader(numbered(count), batch_size, seed, shuffle, drop_last=False)
    share = Loader(numbered(count), 2 * batch_size, seed, shuffle, False, 1, world_size=2)
    for position, held in drawn(loader, 2 * loader.batches_per_epoch):
        assert loader.samples(position).tolist() == held
    whole = Loader(numbered(count), 2 * batch_size, seed, shuffle, drop_last=False)
    assert share.samples(1).tolist() == whole.samples(1).tolist()


class Counted(Windows):
    """Windows that count how often samples were asked for."""

    asked = 0

    def collate(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        self.asked += len(indices)
        return super().collate(indices)


@given(
    count=st.integers(8, 60),
    seed=seeds,
    epoch=st.integers(0, 10**12),
    world_size=st.sampled_from([1, 2, 4, 8]),
)
def test_the_order_is_a_function_of_seed_epoch_and_index_alone(
    count: int, seed: int, epoch: int, world_size: int
) -> None:
    """Not of the ranks, nor of what was drawn before, nor of the batch size."""
    expected = Loader(numbered(count), 1, seed).order(epoch).tolist()
    ranks = [
        Loader(numbered(count), 8, seed, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    start = epoch * ranks[0].batches_per_epoch
    for loader in ranks:
        next(loader.batches())  # no trace of it
        assert loader.order(epoch).tolist() == expected
    for number in range(ranks[0].batches_per_epoch):
        shares = [next(loader.batches(start + number)) for loader in ranks]
        assert list(chain(*map(samples, shares))) == expected[number * 8 :][:8]


@given(start=st.integers(0, 10**15))
def test_resuming_asks_for_no_sample_but_its_own(start: int) -> None:
    windows = Counted(np.arange(41, dtype=np.uint16), max_length=1)
    batches = Loader(windows, 4, 1).batches(start)
    assert windows.asked == 0
    assert next(batches).position == start + 1
    assert windows.asked == 4
