"""Keys and values of the tokens already read, so that each is computed once.

The cache belongs to its caller, one for each conversation or batch; the model keeps no state.
"""

import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig


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

    def keep(self, rows: Tensor) -> None:
        """Keep only these rows of the batch (int64 indices), in this order."""
        if self.last_ids is not None:
            self.last_ids = self.last_ids[rows]
        for layer in self.layers:
            layer.keys = layer.keys[rows]
            layer.values = layer.values[rows]
