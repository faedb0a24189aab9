"""Packing: every piece once, in rows as a plain best-fit would fill them."""

from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.errors import HornbookError
from hornbook.sampling.batch import IGNORE
from hornbook.sampling.dataset import Examples
from hornbook.sampling.loader import Loader
from hornbook.sampling.packing import PackedDocuments, PackedExamples, best_fit

pieces = st.lists(st.integers(1, 20), max_size=60)
stores = st.lists(st.lists(st.integers(2, 99), max_size=30), min_size=1, max_size=12)


def free_spaces(lengths: list[int], capacity: int) -> list[int]:
    """What plain best-fit decreasing leaves free in each row."""
    free: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [row for row, space in enumerate(free) if space >= length]
        if not fitting:
            fitting = [len(free)]
            free.append(capacity)
        free[min(fitting, key=free.__getitem__)] -= length
    return sorted(free)


@given(lengths=pieces, capacity=st.integers(20, 40), seed=st.integers(-3, 2**65))
def test_rows_are_those_of_a_plain_best_fit(lengths: list[int], capacity: int, seed: int) -> None:
    packing = best_fit(np.array(lengths), capacity, seed)
    assert sorted(packing.order.tolist()) == list(range(len(lengths)))
    rows = [[lengths[piece] for piece in packing.row(row)] for row in range(len(packing))]
    assert sorted(capacity - sum(row) for row in rows) == free_spaces(lengths, capacity)
    again = best_fit(np.array(lengths), capacity, seed)
    assert again.order.tolist() == packing.order.tolist()


def test_the_seed_decides_which_of_equal_length_meet() -> None:
    lengths = np.full(50, 3)
    orders = {tuple(best_fit(lengths, 6, seed).order.tolist()) for seed in range(3)}
    assert len(orders) == 3


def test_few_rows_are_needed() -> None:
    """Where first-come packing wastes half: no more than 11/9 of the least that could do."""
    lengths = np.random.default_rng(1).integers(1, 101, 2_000)
    least = -(-int(lengths.sum()) // 128)
    assert len(best_fit(lengths, 128)) <= least * 11 / 9 + 4


def test_pieces_that_do_not_fit_are_refused() -> None:
    with pytest.raises(HornbookError, match="rows of 8 tokens cannot take pieces of 1 to 9 tokens"):
        best_fit(np.array([1, 9]), 8)
    with pytest.raises(HornbookError, match="pieces of 0 to 0"):
        best_fit(np.array([0]), 8)


def stored(documents: list[list[int]], end: list[int]) -> tuple[Any, Any]:
    tokens = np.array([token for document in documents for token in [*document, *end]], np.uint16)
    return tokens, np.cumsum([0, *(len(document) + len(end) for document in documents)])


def texts_of(rows: PackedDocuments | PackedExamples) -> list[tuple[list[int], list[int]]]:
    """Inputs and targets of each document of each row."""
    found = []
    for index in range(len(rows)):
        inputs, targets = rows.collate([index])
        numbers = rows.documents([index])[0]
        count = int(numbers.max()) + 1
        assert (numbers >= 0).sum() == rows.length(index)
        for number in range(count):
            own = numbers == number
            found.append((inputs[0, own].tolist(), targets[0, own].tolist()))
        assert (targets[0, numbers < 0] == IGNORE).all()
        assert (inputs[0, numbers < 0] == 0).all()
    return found


@given(documents=stores, max_length=st.integers(1, 12), ends=st.booleans())
def test_every_token_of_a_document_is_learnt_once_within_it(
    documents: list[list[int]], max_length: int, ends: bool
) -> None:
    end = [1] if ends else []
    tokens, starts = stored(documents, end)
    expected = []
    for number, document in enumerate(documents):
        text = [*(end if number else []), *document, *end]
        for begin in range(0, len(text) - 1, max_length):
            span = text[begin : begin + max_length + 1]
            expected.append((span[:-1], span[1:]))
    if not expected:
        with pytest.raises(HornbookError, match="the train split has no document of two tokens"):
            PackedDocuments(tokens, starts, max_length, None, name="the train split")
        return
    rows = PackedDocuments(tokens, starts, max_length, 1 if ends else None)
    assert sorted(texts_of(rows)) == sorted(expected)
    assert rows.n_tokens == sum(len(inputs) for inputs, _ in expected)
    if ends:
        assert rows.n_tokens == len(tokens) - 1  # as windows laid end to end


@given(documents=stores, max_length=st.integers(1, 12))
def test_spans_are_the_targets_of_one_document(documents: list[list[int]], max_length: int) -> None:
    tokens, starts = stored(documents, [1])
    if len(tokens) < 2:
        return
    rows = PackedDocuments(tokens, starts, max_length, 1)
    for index in range(len(rows)):
        _, targets = rows.collate([index])
        joined = [tokens[start:stop].tolist() for start, stop in rows.spans(index)]
        assert list(chain(*joined)) == targets[0, : rows.length(index)].tolist()
        for start, stop in rows.spans(index):
            first, last = np.searchsorted(starts, (start, stop - 1), side="right") - 1
            assert first == last


def test_examples_are_packed_as_they_are() -> None:
    pairs = [([3, 4, 5], [IGNORE, 5, 6]), ([7], [8]), ([9, 9, 9, 9], [1, 2, 3, 4])]
    rows = PackedExamples(Examples(pairs, pad_id=0), 5)
    assert len(rows) == 2
    assert (rows.widest, rows.same_width) == (5, True)
    assert sorted(texts_of(rows)) == sorted(pairs)
    assert rows.efficiency == 0.8
    assert rows.describe() == "max_length 5, 3 pieces packed by best-fit, 80.0% not padding"
    with pytest.raises(HornbookError, match="rows of 3 tokens cannot take"):
        PackedExamples(Examples(pairs, pad_id=0), 3)


def test_batches_carry_their_documents() -> None:
    pairs = [([3, 4, 5], [1, 5, 6]), ([7], [8]), ([9, 9, 9, 9], [1, 2, 3, 4])]
    rows = PackedExamples(Examples(pairs, pad_id=0), 5)
    [batch] = Loader(rows, 2, seed=1, shuffle=False).epoch()
    assert batch.documents is not None
    assert batch.documents.tolist() == [[0, 0, 0, 0, 1], [0, 0, 0, -1, -1]]
    part = batch.rows(1, 2)
    assert part.documents is not None
    assert part.documents.tolist() == [[0, 0, 0, -1, -1]]
    assert batch.to(batch.inputs.device).documents is not None
    [plain] = Loader(Examples(pairs, pad_id=0), 3, seed=1).epoch()
    assert plain.documents is None


def test_a_position_outside_is_an_error() -> None:
    rows = PackedExamples(Examples([([1], [2])], pad_id=0), 4)
    with pytest.raises(IndexError):
        rows.collate([1])
