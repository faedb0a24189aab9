"""Hashes of n-grams: the different ones."""

import numpy as np
import pytest

from hornbook.corpus.ngrams import distinct


@pytest.mark.parametrize("size", [0, 1, 2, 1000])
def test_distinct_numbers_are_numpys(size: int) -> None:
    numbers = np.random.default_rng(size).integers(0, 2**64 - 1, size, dtype=np.uint64) % 700
    assert distinct(numbers).tolist() == np.unique(numbers).tolist()
