"""Keys and values of the tokens already read, so that each is computed once.

The cache belongs to its caller, one for each conversation or batch; the model keeps no state.
`KVCache` holds texts that are read in step; `rows_cache.py` has one for texts of different lengths.
"""

import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig

CHUNK = 256
"""Tokens of a long text that are read at once: a layer with a window has room for so many more."""
MARGIN = 16
"""Tokens before its window that such a layer keeps, so that so many last ones can be forgotten."""


class LayerCache:
    """One attention layer's keys and values, each (batch, kv_heads, room, head_dim).

    Args:
        keys: the memory for them.
        values: the same.
        capacity: most tokens of a text.
        window: tokens that the layer sees. With less room than capacity the oldest are dropped, of
            which none can be seen any more.
    """

    def __init__(
        self, keys: Tensor, values: Tensor, capacity: int, window: int | None = None
    ) -> None:
        self.keys = keys
        self.values = values
        self.capacity = capacity
        self.window = window
        self.length = 0
        """Tokens of the text so far."""
        self.first = 0
        """Number of the first one that is held."""

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store `key` and `value` (batch, kv_heads, tokens, head_dim) after what is there.

        Returns everything that is held, and these, (batch, kv_heads, tokens held, head_dim), in
        `key`'s dtype.

        Raises:
            HornbookError: the cache is full.
        """
        held, stop = self.length - self.first, self.length + key.shape[2]
        if stop > self.capacity:
            raise HornbookError(
                f"the key-value cache has room for {self.capacity} tokens, not {stop}; "
                f"make it larger, up to the model's context length."
            )
        self.length = stop
        if stop - self.first > self.keys.shape[2]:
            return self._drop_oldest(held, key, value)
        places = slice(held, stop - self.first)
        self.keys[:, :, places], self.values[:, :, places] = key, value
        return (
            self.keys[:, :, : places.stop].to(key.dtype),
            self.values[:, :, : places.stop].to(value.dtype),
        )

    def _drop_oldest(self, held: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        assert self.window is not None
        kept = slice(max(held - self.window - MARGIN, 0), held)
        found = []
        for memory, new in ((self.keys, key), (self.values, value)):
            whole = torch.cat((memory[:, :, kept].to(new.dtype), new), dim=2)
            last = whole[:, :, -memory.shape[2] :]
            memory[:, :, : last.shape[2]] = last
            self.first = self.length - last.shape[2]
            found.append(whole)
        return found[0], found[1]

    def last(self, tokens: int) -> tuple[Tensor, Tensor]:
        """Of the last `tokens`, which are held: (batch, kv_heads, tokens, head_dim)."""
        places = slice(self.length - tokens - self.first, self.length - self.first)
        return self.keys[:, :, places], self.values[:, :, places]

    def can_end_at(self, length: int) -> bool:
        """Whether all that a token after the first `length` sees is held."""
        return self.first == 0 or length - self.first >= (self.window or 0)

    def forget_after(self, length: int) -> None:
        """Keep the first `length` tokens; of none, all memory is free."""
        self.length = min(self.length, length)
        self.first = min(self.first, self.length)


class KVCache:
    """The caches of all layers; memory is taken once, at the start.

    A layer with a window has room for the window and CHUNK tokens, however long the text is.

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
        most = min(capacity or config.context_length, config.context_length)

        def layer(window: int | None) -> LayerCache:
            room = most if window is None else min(window + MARGIN + CHUNK, most)
            shape = (batch_size, config.kv_heads, room, config.head_dim)
            keys, values = (torch.empty(shape, device=device, dtype=dtype) for _ in range(2))
            return LayerCache(keys, values, most, window)

        self.layers = [layer(config.window_of(number)) for number in range(config.n_layers)]
        self.expected = 0
        """Length that the text is known to reach, where it is read in parts: positions whose turns
        hang on the whole text's length look at it."""
        self.last_ids: Tensor | None = None
        """Ids of the last tokens read, int64 (batch, up to `Embedding.reach`), for models whose
        embedding looks back."""

    @property
    def length(self) -> int:
        """How many tokens it has read: the position of the next one."""
        return self.layers[0].length

    def clear(self) -> None:
        """Forget all tokens and keep the memory."""
        self.last_ids = None
        self.expected = 0
        self.forget_after(0)

    def forget_after(self, length: int) -> int:
        """Keep the first `length` tokens; what `last_ids` are then is for the caller to say.

        Returns how many it keeps: none where a layer no longer holds the window before that place.
        """
        if not all(layer.can_end_at(length) for layer in self.layers):
            length = 0
        for layer in self.layers:
            layer.forget_after(length)
        return self.length

    def keep(self, rows: Tensor) -> None:
        """Keep only these rows of the batch (int64 indices), in this order."""
        if self.last_ids is not None:
            self.last_ids = self.last_ids[rows]
        for layer in self.layers:
            layer.keys = layer.keys[rows]
            layer.values = layer.values[rows]
