"""The index finds what a dictionary finds."""

import numpy as np

from hornbook.corpus.band_index import MOST_IN_BUCKET, BandIndex


def test_documents_are_found_by_each_band_that_they_share() -> None:
    rng = np.random.default_rng(1)
    index = BandIndex()
    places: dict[int, list[int]] = {}
    number = 0
    for size in (0, 5, 40, 1, 3, 17, 90, 2):
        bands = rng.integers(0, 60, (size, 4)).astype(np.uint64)
        numbers = np.arange(number, number + size, dtype=np.uint32)
        index.add(bands, numbers)
        for row, document in zip(bands.tolist(), numbers.tolist(), strict=True):
            for band in row:
                places.setdefault(band, []).append(document)
        number += size
        wanted = rng.integers(0, 80, (30, 4)).astype(np.uint64)
        expected = [sorted(n for b in row for n in places.get(b, [])) for row in wanted.tolist()]
        assert [sorted(found) for found in index.find(wanted)] == expected


def test_a_band_of_very_many_documents_brings_the_first_of_them() -> None:
    index = BandIndex()
    index.add(np.full((500, 1), 7, dtype=np.uint64), np.arange(500, dtype=np.uint32))
    assert index.find(np.array([[7], [8]], dtype=np.uint64)) == [list(range(MOST_IN_BUCKET)), []]


def test_an_empty_index_finds_nothing() -> None:
    assert BandIndex().find(np.zeros((2, 3), dtype=np.uint64)) == [[], []]
