"""Windows hold what the book's examples and naive slicing hold."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from hornbook.errors import HornbookError
from hornbook.sampling.batch import IGNORE
from hornbook.sampling.windows import SamplingSettings, Windows, make_windows

# The first ids of GPT-2's encoding of the-verdict.txt (../shared/data/README.md).
VERDICT = [40, 367, 2885, 1464, 1807, 3619, 402, 271, 10899, 2138]
VERDICT += [257, 7026, 15632, 438, 2016, 257, 922, 5891, 1576, 438]

streams = st.integers(2, 120).map(lambda n: np.arange(1, n + 1, dtype=np.uint16))
lengths = st.integers(1, 20)


class BookDataset(TorchDataset[tuple[torch.Tensor, torch.Tensor]]):
    """The sliding window as taught: one slice after another, shifted by one for the target."""

    def __init__(self, token_ids: list[int], max_length: int, stride: int) -> None:
        self.pairs = []
        for i in range(0, len(token_ids) - max_length, stride):
            chunk = token_ids[i : i + max_length + 1]
            self.pairs.append((torch.tensor(chunk[:-1]), torch.tensor(chunk[1:])))

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.pairs[index]


def test_stride_one_as_in_the_book() -> None:
    windows = Windows(np.array(VERDICT, dtype=np.uint16), max_length=4, stride=1)
    inputs, targets = windows.collate([0])
    assert inputs.tolist() == [[40, 367, 2885, 1464]]
    assert targets.tolist() == [[367, 2885, 1464, 1807]]
    assert windows.collate([1])[0].tolist() == [[367, 2885, 1464, 1807]]
    assert inputs.dtype == targets.dtype == torch.int64


def test_stride_four_as_in_the_book() -> None:
    windows = Windows(np.array(VERDICT, dtype=np.uint16), max_length=4, stride=4)
    inputs, targets = windows.collate(range(4))
    assert inputs.tolist() == [
        [40, 367, 2885, 1464],
        [1807, 3619, 402, 271],
        [10899, 2138, 257, 7026],
        [15632, 438, 2016, 257],
    ]
    assert targets.tolist() == [
        [367, 2885, 1464, 1807],
        [3619, 402, 271, 10899],
        [2138, 257, 7026, 15632],
        [438, 2016, 257, 922],
    ]


@given(tokens=streams, max_length=lengths, stride=lengths)
def test_every_stride_gives_the_windows_of_naive_slicing(
    tokens: np.ndarray[Any, Any], max_length: int, stride: int
) -> None:
    if len(tokens) <= max_length:
        return
    book = BookDataset(tokens.tolist(), max_length, stride)
    windows = Windows(tokens, max_length, stride)
    assert len(windows) == len(book)
    [[inputs, targets]] = list(DataLoader(book, batch_size=len(book)))
    ours = windows.collate(range(len(windows)))
    assert torch.equal(ours[0], inputs)
    assert torch.equal(ours[1], targets)


@given(tokens=streams, max_length=lengths)
def test_every_token_but_the_first_is_a_target_once(
    tokens: np.ndarray[Any, Any], max_length: int
) -> None:
    windows = Windows(tokens, max_length, drop_last=False)
    inputs, targets = windows.collate(range(len(windows)))
    real = targets != IGNORE
    assert targets[real].tolist() == tokens[1:].tolist()
    assert inputs[real].tolist() == tokens[:-1].tolist()
    assert real.sum(1).tolist() == [windows.length(index) for index in range(len(windows))]
    assert int(real.sum()) == windows.n_tokens


@given(tokens=streams, max_length=lengths, stride=lengths)
def test_the_rest_is_one_more_window_only_if_it_holds_new_targets(
    tokens: np.ndarray[Any, Any], max_length: int, stride: int
) -> None:
    windows = Windows(tokens, max_length, stride, drop_last=False)
    seen: list[set[int]] = []
    for index in range(len(windows)):
        targets = windows.collate([index])[1]
        seen.append(set(targets[targets != IGNORE].tolist()))
        begin = index * stride
        assert seen[-1] == set(tokens[begin + 1 : begin + 1 + max_length].tolist())
    assert all(new - old for old, new in pairwise(seen))
    if stride <= max_length:
        assert set().union(*seen) == set(tokens[1:].tolist())


@given(data=st.data(), tokens=streams, max_length=lengths, drop_last=st.booleans())
def test_a_batch_is_its_samples_side_by_side(
    data: st.DataObject, tokens: np.ndarray[Any, Any], max_length: int, drop_last: bool
) -> None:
    if drop_last and len(tokens) <= max_length:
        return
    windows = Windows(tokens, max_length, 2, drop_last)
    indices = data.draw(st.lists(st.integers(0, len(windows) - 1), min_size=1, max_size=5))
    single = [windows.collate([index]) for index in indices]
    inputs, targets = windows.collate(indices)
    assert torch.equal(inputs, torch.cat([one[0] for one in single]))
    assert torch.equal(targets, torch.cat([one[1] for one in single]))


def test_a_short_last_window_is_filled_up_and_not_trained_there() -> None:
    windows = Windows(np.array([5, 6, 7, 8, 9, 10, 11]), max_length=4, drop_last=False)
    inputs, targets = windows.collate([0, 1])
    assert inputs.tolist() == [[5, 6, 7, 8], [9, 10, 0, 0]]
    assert targets.tolist() == [[6, 7, 8, 9], [10, 11, IGNORE, IGNORE]]


def test_an_empty_batch_has_its_width() -> None:
    inputs, targets = Windows(np.arange(9), 4).collate([])
    assert inputs.shape == targets.shape == (0, 4)


def test_indices_outside_are_refused() -> None:
    windows = Windows(np.arange(9), 4)
    for index in (-1, len(windows)):
        with pytest.raises(IndexError, match="windows are numbered 0 to 1"):
            windows.collate([index])


def test_a_text_shorter_than_one_window_is_refused_with_the_numbers() -> None:
    with pytest.raises(HornbookError) as caught:
        Windows(np.arange(10), max_length=10, name="the train split")
    assert str(caught.value) == (
        "the train split has 10 tokens, where one window of max_length 10 needs 11; "
        "lower sampling.max_length to 9 or below, or give it more text."
    )
    for count in (0, 1):
        with pytest.raises(HornbookError, match=f"has {count} tokens, where a window needs 2"):
            Windows(np.arange(count), max_length=10, drop_last=False)


def test_settings_default_to_the_context_length_and_may_not_exceed_it() -> None:
    windows = make_windows(np.arange(100), SamplingSettings(), 16, "the text")
    assert (windows.max_length, windows.stride) == (16, 16)
    settings = SamplingSettings(max_length=8, stride=2)
    windows = make_windows(np.arange(100), settings, 16, "the text")
    assert (windows.max_length, windows.stride) == (8, 2)
    with pytest.raises(HornbookError, match=r"max_length 32 is above .* context_length 16"):
        make_windows(np.arange(100), SamplingSettings(max_length=32), 16, "the text")
    with pytest.raises(HornbookError, match="must both be 1 or more"):
        Windows(np.arange(100), 4, stride=0)


@given(ids=streams, max_length=lengths, stride=lengths)
def test_a_sample_is_its_span_of_the_stream(ids: Any, max_length: int, stride: int) -> None:
    windows = Windows(ids, max_length, stride, drop_last=False)
    for index in range(len(windows)):
        [(start, stop)] = windows.spans(index)
        inputs, targets = windows.collate([index])
        trained = int((targets != IGNORE).sum())
        assert ids[start : stop - 1].tolist() == inputs[0, :trained].tolist()
        assert ids[start + 1 : stop].tolist() == targets[0, :trained].tolist()
    with pytest.raises(IndexError):
        windows.spans(len(windows))
