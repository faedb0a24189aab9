"""Which documents have a band in common: sorted arrays, as a hash table of Python takes ten times
the memory."""

import numpy as np
from numpy.typing import NDArray

MOST_IN_BUCKET = 64
"""Documents with one band that are found in each array at most, so that a phrase which all documents
share does not compare each with each."""

Run = tuple[NDArray[np.uint64], NDArray[np.uint32]]


class BandIndex:
    """Documents by the hashes of their bands; a log-structured merge tree (O'Neil et al., 1996).

    Arrays at least halve in size from each to the next. New entries become the last, which is merged
    into those before it that are not twice its size.

    Memory: 12 bytes for each document and band, up to four times that while two are merged.
    """

    def __init__(self) -> None:
        self._runs: list[Run] = []

    def add(self, bands: NDArray[np.uint64], numbers: NDArray[np.uint32]) -> None:
        """Remember documents by their numbers: bands (documents, bands), numbers (documents,)."""
        run = bands.ravel(), np.repeat(numbers, bands.shape[1])
        run = _sorted(*run)
        while self._runs and len(self._runs[-1][0]) < 2 * len(run[0]):
            run = _merged(self._runs.pop(), run)
        self._runs.append(run)

    def find(self, bands: NDArray[np.uint64]) -> list[list[int]]:
        """For each row of bands, the documents with one of them, as often as they have one."""
        # In order, so that neighbours in the search are neighbours in memory.
        order = np.argsort(bands, axis=None, kind="stable")
        wanted = bands.ravel()[order]
        rows: list[NDArray[np.int64]] = []
        found: list[NDArray[np.uint32]] = []
        for keys, numbers in self._runs:
            start = np.searchsorted(keys, wanted, "left")
            present = start < len(keys)
            present[present] = keys[start[present]] == wanted[present]
            start = start[present]
            end = np.searchsorted(keys, wanted[present], "right")
            counts = np.minimum(end - start, MOST_IN_BUCKET)
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            found.append(numbers[np.repeat(start, counts) + within])
            rows.append(np.repeat(order[present] // bands.shape[1], counts))
        hits: list[list[int]] = [[] for _ in bands]
        for row, number in zip(
            np.concatenate(rows or [np.zeros(0, np.int64)]).tolist(),
            np.concatenate(found or [np.zeros(0, np.uint32)]).tolist(),
            strict=True,
        ):
            hits[row].append(number)
        return hits


def _sorted(keys: NDArray[np.uint64], numbers: NDArray[np.uint32]) -> Run:
    # Stable, so that of equal keys the earliest documents come first; and quick where, as in a
    # merge, there are two ordered parts (timsort).
    order = np.argsort(keys, kind="stable")
    return keys[order], numbers[order]


def _merged(first: Run, second: Run) -> Run:
    return _sorted(np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]]))
