"""Keys and values of several texts of different lengths, each growing by one token in a step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig
from hornbook.model.kv_cache import KVCache
from hornbook.model.rotary import RotaryEmbedding, Rotation

BUCKET = 64
"""Rows of a `RowsCache` attend to whole multiples of so many places."""


@dataclass(frozen=True)
class Run:
    """Neighbouring rows whose tokens attend in one product: each sees as many places as the others."""

    rows: slice
    seen: Tensor
    """Added to the scores: 0 where a row may look, minus infinity beyond its last token; float
    (rows, 1, 1, places)."""


@dataclass(frozen=True)
class Step:
    """Where the tokens of one step go in the layers of one size, and which rows attend together."""

    rows: Tensor
    """Numbers of the rows in use, int64 (rows in use,)."""
    places: Tensor
    """The place of each row's new token, int64 (rows in use,)."""
    first_place: int | None
    """That of the first row, where it is known to the host."""
    runs: list[Run]


class RowsLayerCache:
    """One attention layer's keys and values of several texts, (rows, kv_heads, capacity, head_dim).

    A layer with a window has room for that many tokens only: a new one takes the oldest one's place.
    """

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys = keys
        self.values = values
        self.step: Step

    @property
    def capacity(self) -> int:
        """Tokens of each row that it has room for."""
        return self.keys.shape[2]

    def extend(self, key: Tensor, value: Tensor) -> Iterator[tuple[Run, Tensor, Tensor]]:
        """Store one token of each row, `key` and `value` (rows in use or more, kv_heads, 1, head_dim).

        Gives runs of rows with their keys and values, (rows, kv_heads, places, head_dim).
        """
        step = self.step
        used = len(step.rows)
        for kept, new in ((self.keys, key), (self.values, value)):
            if used == 1 and step.first_place is not None:
                kept[0, :, step.first_place] = new[0, :, 0]
            else:
                kept[step.rows, :, step.places] = new[:used, :, 0].to(kept.dtype)
        for run in step.runs:
            places = run.seen.shape[-1]
            yield run, self.keys[run.rows, :, :places], self.values[run.rows, :, :places]


class RowsCache:
    """Texts of different lengths side by side, each growing by one token in a step.

    The rows in use are the first ones. Memory is taken once, at the start.

    Args:
        config: of the model that will fill it.
        rows: most texts at a time.
        device: where the model is.
        dtype: of the stored keys and values.
        capacity: most tokens of a text; the model's context length when not given.
        reach: `Embedding.reach` of the model.
    """

    def __init__(
        self,
        config: ModelConfig,
        rows: int,
        device: torch.device,
        dtype: torch.dtype,
        capacity: int | None = None,
        reach: int = 0,
    ) -> None:
        self.capacity = min(capacity or config.context_length, config.context_length)

        def layer(window: int | None) -> RowsLayerCache:
            places = min(window or self.capacity, self.capacity)
            shape = (rows, config.kv_heads, places, config.head_dim)
            # Zeros: what is read with no weight must be a number.
            keys, values = (torch.zeros(shape, device=device, dtype=dtype) for _ in range(2))
            return RowsLayerCache(keys, values)

        self.layers = [layer(config.window_of(number)) for number in range(config.n_layers)]
        self.rows = rows
        self.lengths: list[int] = []
        """How many tokens each row in use holds."""
        self._turns: dict[RotaryEmbedding, Callable[[Tensor], Rotation]] = {}
        self.last_ids = torch.zeros(rows, reach, dtype=torch.int64, device=device)
        """Ids of the last tokens read; of a shorter text the first columns mean nothing."""

    def join(self, cache: KVCache) -> int:
        """Take a text over that has been read alone, as the next row; returns the row's number.

        Raises:
            HornbookError: all rows are in use, or the text is too long.
        """
        row, length = len(self.lengths), cache.length
        if row == self.rows or length > self.capacity:
            raise HornbookError(
                f"the cache has {self.rows} rows of {self.capacity} tokens; no room for a text of "
                f"{length} as number {row + 1}."
            )
        for mine, its in zip(self.layers, cache.layers, strict=True):
            first = max(length - mine.capacity, 0)
            places = torch.arange(first, length, device=mine.keys.device) % mine.capacity
            keys, values = its.last(length - first)
            mine.keys[row, :, places] = keys[0].to(mine.keys.dtype)
            mine.values[row, :, places] = values[0].to(mine.values.dtype)
        if cache.last_ids is not None and (known := cache.last_ids.shape[1]):
            self.last_ids[row, -known:] = cache.last_ids[0]
        self.lengths.append(length)
        return row

    def leave(self, row: int) -> None:
        """Free a row; the last row in use moves into its place."""
        last = len(self.lengths) - 1
        length = self.lengths[last]
        if row != last:
            for layer in self.layers:
                layer.keys[row, :, :length] = layer.keys[last, :, :length]
                layer.values[row, :, :length] = layer.values[last, :, :length]
            self.last_ids[row] = self.last_ids[last]
            self.lengths[row] = length
        self.lengths.pop()

    def rotation(self, rotary: RotaryEmbedding, places: Tensor) -> Rotation:
        """By how much tokens at these places are turned, int64 (rows, 1)."""
        if rotary not in self._turns:
            self._turns[rotary] = rotary.table(self.capacity, places.device)
        return self._turns[rotary](places)

    def open(self) -> Tensor:
        """Tell the layers where the next token of each row goes: int64 (rows in use, 1)."""
        device = self.last_ids.device
        places = torch.tensor(self.lengths, device=device)
        self._tell(torch.arange(len(self.lengths), device=device), places, self.lengths[0])
        return places[:, None]

    def _tell(self, rows: Tensor, places: Tensor, first: int | None) -> None:
        """Give each layer its `Step`, those of one size the same."""
        steps: dict[int, Step] = {}
        for layer in self.layers:
            size = layer.capacity
            if size not in steps:
                runs = self._runs(places, size, layer.keys.dtype)
                own = None if first is None else first % size
                steps[size] = Step(rows, places % size, own, runs)
            layer.step = steps[size]

    def _runs(self, places: Tensor, capacity: int, dtype: torch.dtype) -> list[Run]:
        """Neighbours that see as many places of a layer, in whole buckets.

        How many a row sees hangs on its own length alone, and so do its sums.
        """
        seen = _seen(places, capacity, dtype)
        runs, row = [], 0
        for buckets, same in groupby(length // BUCKET for length in self.lengths):
            rows = slice(row, row + len(list(same)))
            runs.append(Run(rows, seen[rows, ..., : (buckets + 1) * BUCKET]))
            row = rows.stop
        return runs

    def close(self, ids: Tensor) -> None:
        """Count the tokens just read, int64 (rows in use, 1), as held."""
        self._remember(ids)
        self.grow()

    def grow(self) -> None:
        """Each row in use holds one token more."""
        self.lengths = [length + 1 for length in self.lengths]

    def _remember(self, ids: Tensor) -> None:
        used, reach = len(ids), self.last_ids.shape[1]
        if reach:
            known = torch.cat((self.last_ids[:used], ids), dim=1)
            self.last_ids[:used] = known[:, -reach:]


class StaticRowsCache(RowsCache):
    """A `RowsCache` of which a step does the same to the same memory each time: it can be recorded.

    Every row is read, in use or not, and all see the same number of places. Where their tokens stand is
    no number of the host's but a tensor on the device, `places`, which whoever has a step done fills
    in before, as it calls `grow` after it.
    """

    def __init__(
        self,
        config: ModelConfig,
        rows: int,
        device: torch.device,
        dtype: torch.dtype,
        capacity: int | None = None,
        reach: int = 0,
    ) -> None:
        super().__init__(config, rows, device, dtype, capacity, reach)
        self.places = torch.zeros(rows, 1, dtype=torch.int64, device=device)
        """Where each row's next token goes; of a row that is not in use, anywhere, such as 0."""
        self.seen = self.capacity
        """Places of a row that a step looks at, at least as many as the longest row's tokens."""
        self._numbers = torch.arange(rows, device=device)

    def open(self) -> Tensor:
        """Tell the layers where the next token of each row goes: int64 (rows, 1)."""
        self._tell(self._numbers, self.places[:, 0], None)
        return self.places

    def _runs(self, places: Tensor, capacity: int, dtype: torch.dtype) -> list[Run]:
        """One of all rows."""
        return [Run(slice(self.rows), _seen(places, min(self.seen, capacity), dtype))]

    def close(self, ids: Tensor) -> None:
        """Note the tokens just read, int64 (rows, 1), on the device."""
        self._remember(ids)


def _seen(places: Tensor, capacity: int, dtype: torch.dtype) -> Tensor:
    """What is added to the scores of tokens at int64 `places` (rows,): (rows, 1, 1, capacity)."""
    beyond = torch.arange(capacity, device=places.device) > places[:, None]  # (rows, capacity)
    seen = torch.zeros(beyond.shape, device=places.device, dtype=dtype)
    return seen.masked_fill(beyond, -torch.inf)[:, None, None]
