"""Keys and values of the tokens already read, so that each is computed once.

The cache belongs to its caller, one for each conversation or batch; the model keeps no state.
`KVCache` holds texts that are read in step, `RowsCache` texts of different lengths.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig
from hornbook.model.rotary import RotaryEmbedding, Rotation


class LayerCache:
    """One attention layer's keys and values, each (batch, kv_heads, capacity, head_dim)."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys = keys
        self.values = values
        self.length = 0

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store `key` and `value` (batch, kv_heads, tokens, head_dim) after what is there.

        Returns everything stored so far, (batch, kv_heads, length, head_dim), in `key`'s dtype.

        Raises:
            HornbookError: the cache is full.
        """
        stop = self.length + key.shape[2]
        if stop > self.keys.shape[2]:
            raise HornbookError(
                f"the key-value cache has room for {self.keys.shape[2]} tokens, not {stop}; "
                f"make it larger, up to the model's context length."
            )
        self.keys[:, :, self.length : stop] = key
        self.values[:, :, self.length : stop] = value
        self.length = stop
        return self.keys[:, :, :stop].to(key.dtype), self.values[:, :, :stop].to(value.dtype)


class KVCache:
    """The caches of all layers; memory is taken once, at the start.

    Args:
        config: of the model that will fill it.
        batch_size: rows that are read side by side.
        device: where the model is.
        dtype: of the stored keys and values; the runtime's dtype is the natural choice.
        capacity: most tokens that it holds; the model's context length when not given.
    """

    def __init__(
        self,
        config: ModelConfig,
        batch_size: int,
        device: torch.device,
        dtype: torch.dtype,
        capacity: int | None = None,
    ) -> None:
        capacity = min(capacity or config.context_length, config.context_length)
        shape = (batch_size, config.kv_heads, capacity, config.head_dim)

        def empty() -> Tensor:
            return torch.empty(shape, device=device, dtype=dtype)

        self.layers = [LayerCache(empty(), empty()) for _ in range(config.n_layers)]
        self.last_ids: Tensor | None = None
        """Ids of the last tokens read, int64 (batch, up to `Embedding.reach`), for models whose
        embedding looks back."""

    @property
    def length(self) -> int:
        """How many tokens it holds: the position of the next one."""
        return self.layers[0].length

    def clear(self) -> None:
        """Forget all tokens and keep the memory."""
        self.last_ids = None
        for layer in self.layers:
            layer.length = 0

    def forget_after(self, length: int) -> None:
        """Keep the first `length` tokens; what `last_ids` are then is for the caller to say."""
        for layer in self.layers:
            layer.length = min(layer.length, length)

    def keep(self, rows: Tensor) -> None:
        """Keep only these rows of the batch (int64 indices), in this order."""
        if self.last_ids is not None:
            self.last_ids = self.last_ids[rows]
        for layer in self.layers:
            layer.keys = layer.keys[rows]
            layer.values = layer.values[rows]


class RowsLayerCache:
    """One attention layer's keys and values of several texts, (rows, kv_heads, capacity, head_dim)."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys = keys
        self.values = values
        self.rows: Tensor
        """Numbers of the rows in use, int64 (rows in use,)."""
        self.lengths: list[int] = []
        """How many tokens each row in use holds, the ones being read now not among them."""
        self.places: Tensor
        """The same, int64 (rows in use,)."""

    def extend(self, key: Tensor, value: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Store one token of each row, `key` and `value` (rows in use or more, kv_heads, 1, head_dim).

        Returns each row's keys and values, (1, kv_heads, its length + 1, head_dim).
        """
        used = len(self.lengths)
        self.keys[self.rows, :, self.places] = key[:used, :, 0].to(self.keys.dtype)
        self.values[self.rows, :, self.places] = value[:used, :, 0].to(self.values.dtype)
        return [
            (
                self.keys[row : row + 1, :, : length + 1].to(key.dtype),
                self.values[row : row + 1, :, : length + 1].to(value.dtype),
            )
            for row, length in enumerate(self.lengths)
        ]


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
        shape = (rows, config.kv_heads, self.capacity, config.head_dim)

        def empty() -> Tensor:
            return torch.empty(shape, device=device, dtype=dtype)

        self.layers = [RowsLayerCache(empty(), empty()) for _ in range(config.n_layers)]
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
            mine.keys[row, :, :length] = its.keys[0, :, :length]
            mine.values[row, :, :length] = its.values[0, :, :length]
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
        rows = torch.arange(len(self.lengths), device=device)
        places = torch.tensor(self.lengths, device=device)
        for layer in self.layers:
            layer.lengths, layer.rows, layer.places = list(self.lengths), rows, places
        return places[:, None]

    def close(self, ids: Tensor) -> None:
        """Count the tokens just read, int64 (rows in use, 1), as held."""
        self.lengths = [length + 1 for length in self.lengths]
        used, reach = len(self.lengths), self.last_ids.shape[1]
        if reach:
            known = torch.cat((self.last_ids[:used], ids), dim=1)
            self.last_ids[:used] = known[:, -reach:]
