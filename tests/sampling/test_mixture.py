"""Mixtures: as many samples of each source as its weight says, in an order that can be resumed."""

from collections import Counter
from itertools import chain, islice, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hornbook.errors import HornbookError
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.sampling.dataset import Dataset, Examples
from hornbook.sampling.loader import Loader
from hornbook.sampling.mixture import Mixture
from hornbook.sampling.packing import PackedExamples
from hornbook.sampling.windows import Windows

sizes = st.lists(st.integers(1, 30), min_size=1, max_size=4)


def source(count: int, first: int = 0) -> Windows:
    """Sample i reads [first + i]."""
    return Windows(np.arange(first, first + count + 1), max_length=1)


def mixture(counts: list[int], weights: list[float] | None = None, alpha: float = 1.0) -> Mixture:
    """Source number n reads 100 n, 100 n + 1 ..."""
    named = {f"s{n}": source(count, 100 * n) for n, count in enumerate(counts)}
    given_weights = None if weights is None else dict(zip(named, weights, strict=True))
    return Mixture(named, given_weights, alpha)


def read(batches: list[Batch]) -> list[int]:
    return list(chain(*(batch.inputs[:, 0].tolist() for batch in batches)))


def test_shares_follow_weights_and_temperature() -> None:
    assert mixture([10, 30]).shares == {"s0": 0.25, "s1": 0.75}
    assert mixture([10, 30], [3, 1]).shares == {"s0": 0.75, "s1": 0.25}
    assert mixture([10, 30], alpha=0.0).shares == {"s0": 0.5, "s1": 0.5}
    shares = mixture([1, 16], alpha=0.5).shares  # 1 ** 0.5 to 16 ** 0.5
    assert shares == {"s0": pytest.approx(0.2), "s1": pytest.approx(0.8)}


def test_an_epoch_has_each_sources_share() -> None:
    mixed = mixture([10, 30], [1, 1])
    for epoch in range(3):
        counts = Counter(mixed.source_of(mixed.order(5, epoch)).tolist())
        assert counts == {0: 20, 1: 20}
    assert mixed.epochs == {"s0": 2.0, "s1": pytest.approx(20 / 30)}
    assert mixed.describe() == (
        "a mixture of s0 50.0% (2.00 epochs of it in one of the mixture), "
        "s1 50.0% (0.67 epochs of it in one of the mixture)"
    )


@given(counts=sizes, seed=st.integers(-3, 2**65), data=st.data(), shuffle=st.booleans())
def test_a_sources_samples_come_equally_often(
    counts: list[int], seed: int, data: st.DataObject, shuffle: bool
) -> None:
    weights = data.draw(st.lists(st.integers(5, 9), min_size=len(counts), max_size=len(counts)))
    try:
        mixed = mixture(counts, [float(weight) for weight in weights])
    except HornbookError as error:
        assert "less than one of" in str(error)  # noqa: PT017
        return
    drawn: Counter[int] = Counter()
    for epoch in range(4):
        order = mixed.order(seed, epoch, shuffle)
        assert len(order) == len(mixed) == sum(counts)
        drawn.update(order.tolist())
        first = 0
        for count in counts:
            times = [drawn[sample] for sample in range(first, first + count)]
            assert max(times) - min(times) <= 1
            first += count


def test_neighbours_are_of_shuffled_sources() -> None:
    mixed = mixture([90, 90])
    sources = mixed.source_of(mixed.order(1, 0)).tolist()
    changes = sum(one != other for one, other in pairwise(sources))
    assert 60 < changes < 120  # of 179; about half
    order = mixed.order(1, 0)
    for source in (0, 1):  # each in an order of its own, too
        own = order[mixed.source_of(order) == source]
        assert sum(later == one + 1 for one, later in pairwise(own.tolist())) < 10  # of 89
    evenly = mixed.source_of(mixed.order(1, 0, shuffle=False)).tolist()
    assert evenly == [0, 1] * 90


@given(
    counts=st.lists(st.integers(8, 30), min_size=1, max_size=3),
    world=st.sampled_from([1, 2, 4, 8]),
    start=st.integers(0, 20),
)
def test_a_loader_of_a_mixture_resumes_and_is_shared(
    counts: list[int], world: int, start: int
) -> None:
    whole = read(list(islice(Loader(mixture(counts), 8, 3).batches(), start + 4)))
    ranks = [Loader(mixture(counts), 8, 3, rank=rank, world_size=world) for rank in range(world)]
    shares = zip(*(islice(loader.batches(start), 4) for loader in ranks), strict=True)
    assert read(list(chain(*shares))) == whole[8 * start :]
    position = start + 1
    assert len(ranks[0].samples(position)) == 8


def test_resuming_far_ahead_walks_through_nothing() -> None:
    loader = Loader(mixture([10, 30], [1, 1]), 8, 3)
    [batch] = islice(loader.batches(10**12), 1)
    assert batch.position == 10**12 + 1


def test_an_evaluation_takes_every_sample_once() -> None:
    loader = Loader(mixture([3, 2], [2, 1]), 2, 1, drop_last=False)
    assert read(list(loader.epoch())) == [0, 1, 2, 100, 101]


def test_widths_are_made_alike() -> None:
    sources: dict[str, Dataset] = {
        "a": Windows(np.arange(9), 4),
        "b": Examples([([7, 8], [8, 9])], pad_id=5),
    }
    mixed = Mixture(sources, pad_id=5)
    inputs, targets = mixed.collate([2, 0])
    assert inputs.tolist() == [[7, 8, 5, 5, 5, 5, 5, 5], [0, 1, 2, 3, 5, 5, 5, 5]]
    assert targets[0].tolist() == [8, 9, *[IGNORE] * 6]
    assert targets[1].tolist() == [1, 2, 3, 4, *[IGNORE] * 4]
    assert (mixed.widest, mixed.same_width) == (8, False)
    assert mixed.documents([2, 0]) is None


def test_packed_rows_mix_with_windows() -> None:
    packed = PackedExamples(Examples([([7, 8], [8, 9]), ([3], [4])], pad_id=5), 4)
    mixed = Mixture({"packed": packed, "windows": Windows(np.arange(9), 4)})
    documents = mixed.documents([1, 0])
    assert documents is not None
    assert documents.tolist() == [[0, 0, 0, 0], [0, 0, 1, -1]]
    assert documents.dtype == torch.int64
    assert mixed.same_width


def test_what_cannot_be_mixed_is_refused() -> None:
    with pytest.raises(HornbookError, match="there is none"):
        Mixture({})
    with pytest.raises(HornbookError, match="'b' of the mixture has no samples"):
        Mixture({"a": source(3), "b": Examples([], pad_id=0)})
    with pytest.raises(HornbookError, match="name 'x' and its sources are 'a'"):
        Mixture({"a": source(3)}, {"x": 1.0})
    for weight in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(HornbookError, match="expected above 0"):
            Mixture({"a": source(3)}, {"a": weight})
    with pytest.raises(HornbookError, match="alpha is 2; expected 0 to 1"):
        Mixture({"a": source(3)}, alpha=2)
    with pytest.raises(HornbookError, match="less than one of the 6 samples"):
        Mixture({"a": source(3), "b": source(3)}, {"a": 1.0, "b": 1e-6})
    with pytest.raises(IndexError):
        mixture([3]).collate([3])
