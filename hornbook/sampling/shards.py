"""Token ids in several files, read as one array."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class Shards:
    """Arrays one after another, (tokens,), of which nothing is read but what is asked for.

    As much of an array as windows and packing need: a length, slices, and any array of places.
    """

    def __init__(self, parts: Sequence[npt.NDArray[Any]]) -> None:
        """`parts` are of one dtype, and may lie on disk."""
        self._parts = list(parts)
        self._ends = np.cumsum([len(part) for part in self._parts])
        self.dtype: np.dtype[Any] = self._parts[0].dtype
        """Of the ids."""

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, places: slice | npt.NDArray[np.integer]) -> npt.NDArray[Any]:
        """The ids at these places, in memory, in the shape of `places`.

        Raises:
            IndexError: a place is outside, or a slice leaves any out.
        """
        if isinstance(places, slice):
            return self._run(*places.indices(len(self)))
        if places.size and not (places.min() >= 0 and places.max() < len(self)):
            raise IndexError(f"places are numbered 0 to {len(self) - 1}")
        shard_of = np.searchsorted(self._ends, places, side="right")
        ids = np.empty(places.shape, self.dtype)
        for shard in np.unique(shard_of):
            inside = shard_of == shard
            ids[inside] = self._parts[shard][places[inside] - self._start(shard)]
        return ids

    def _run(self, start: int, stop: int, step: int) -> npt.NDArray[Any]:
        if step != 1:
            raise IndexError("shards are sliced without a step")
        first = int(np.searchsorted(self._ends, start, side="right"))
        pieces = [np.empty(0, self.dtype)]
        for shard in range(first, len(self._parts)):
            begin = self._start(shard)
            if begin >= stop:
                break
            pieces.append(self._parts[shard][max(start - begin, 0) : stop - begin])
        return np.concatenate(pieces) if len(pieces) != 2 else pieces[1]

    def _start(self, shard: int) -> int:
        return int(self._ends[shard]) - len(self._parts[shard])


Tokens = npt.NDArray[Any] | Shards
"""A row of token ids, (tokens,), in memory or on disk, in one piece or in several."""
