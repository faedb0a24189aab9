"""Examples of many lengths are padded so that padding neither counts nor outgrows the model."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hornbook.errors import HornbookError
from hornbook.sampling.batch import IGNORE
from hornbook.sampling.dataset import Examples, next_token_example


def test_a_batch_is_padded_on_the_right_to_a_multiple_of_eight() -> None:
    examples = Examples([([1, 2, 3], [IGNORE, 3, 4]), ([5], [6])], pad_id=99)
    inputs, targets = examples.collate([1, 0])
    assert inputs.tolist() == [[5] + [99] * 7, [1, 2, 3] + [99] * 5]
    assert targets.tolist() == [[6] + [IGNORE] * 7, [IGNORE, 3, 4] + [IGNORE] * 5]
    assert inputs.dtype == targets.dtype == torch.int64


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    max_length=st.none() | st.integers(40, 44),
)
def test_unpadded_every_example_is_itself(lengths: list[int], max_length: int | None) -> None:
    pairs = [(list(range(n)), list(range(1, n + 1))) for n in lengths]
    examples = Examples(pairs, pad_id=7, max_length=max_length)
    inputs, targets = examples.collate(range(len(pairs)))
    width = -(-max(lengths) // 8) * 8
    assert inputs.shape[1] == (width if max_length is None else min(width, max_length))
    for row, (ids, wanted) in enumerate(pairs):
        length = examples.length(row)
        assert inputs[row, :length].tolist() == ids
        assert targets[row, :length].tolist() == wanted
        assert (inputs[row, length:] == 7).all()
        assert (targets[row, length:] == IGNORE).all()
    assert examples.n_tokens == sum(lengths)


def test_the_next_token_is_the_target_where_it_is_trained() -> None:
    ids, trained = [10, 11, 12, 13, 14], [True, False, False, True, True]
    assert next_token_example(ids, trained) == ([10, 11, 12, 13], [IGNORE, IGNORE, 13, 14])


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (([1, 2], [1]), "example 2 has 2 token ids and 1 targets"),
        (([], []), "example 2 has no tokens"),
        (([1] * 5, [1] * 5), "example 2 has 5 tokens, above the model's 4; shorten it"),
    ],
)
def test_bad_examples_are_named(pair: tuple[list[int], list[int]], expected: str) -> None:
    with pytest.raises(HornbookError, match=expected):
        Examples([([1], [1]), pair], pad_id=0, max_length=4)
