"""The attention that the model uses: many heads at once, in whatever form runs fastest.

`naive_attention.py` builds the same computation step by step; tests hold the two together.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.model.config import ModelConfig
from hornbook.model.dropout import Dropout, dropped
from hornbook.model.kv_cache import LayerCache
from hornbook.model.norm import build_norm
from hornbook.model.rotary import Rotation, rotate
from hornbook.model.rows_cache import RowsLayerCache, Run

PLAIN_UP_TO = 512
"""Keys up to which plain products beat the fused kernel in bfloat16 on a CPU."""


class MultiHeadAttention(nn.Module):
    """Causal self-attention: each token gathers from itself and the tokens before it.

    With fewer key-value heads than query heads, groups of neighbouring query heads share one
    (Ainslie et al. 2023, GQA). With `qk_norm`, every head's queries and keys are normalized
    before they are rotated (Henry et al. 2020; the order is Qwen3's), or all heads' together
    (OLMo 2). A layer with a window sees no further back than that (Beltagy et al. 2020, Longformer,
    §3.1).
    """

    def __init__(self, config: ModelConfig, layer: int = 0) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        q_dim, kv_dim = config.n_heads * config.head_dim, config.kv_heads * config.head_dim
        self.query = nn.Linear(config.embed_dim, q_dim, bias=config.qkv_bias)
        self.key = nn.Linear(config.embed_dim, kv_dim, bias=config.qkv_bias)
        self.value = nn.Linear(config.embed_dim, kv_dim, bias=config.qkv_bias)
        out_bias = config.bias if config.out_bias is None else config.out_bias
        self.out = nn.Linear(q_dim, config.embed_dim, bias=out_bias)
        self.widths = (q_dim, kv_dim, kv_dim)
        self.joined: nn.Module | None = None
        """For inference, one layer in the place of query, key and value, see `join_projections`."""
        self.norms_whole = config.qk_norm == "whole"
        widths = (q_dim, kv_dim) if self.norms_whole else (config.head_dim, config.head_dim)
        self.query_norm = build_norm(config, widths[0]) if config.qk_norm else nn.Identity()
        self.key_norm = build_norm(config, widths[1]) if config.qk_norm else nn.Identity()
        self.query_scale = None
        if config.query_pre_attn_scalar is not None:
            self.query_scale = math.sqrt(config.head_dim / config.query_pre_attn_scalar)
        self.window = config.window_of(layer)
        self.softcap = config.attention_softcap
        self.weight_dropout = config.dropout
        self.dropout = Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        rotation: Rotation | None = None,
        cache: LayerCache | RowsLayerCache | None = None,
        visible: Tensor | None = None,
    ) -> Tensor:
        """Attend within float `x` (batch, tokens, embed_dim), and to what `cache` holds.

        `rotation` is that of x's positions, for rotary models. x's keys and values are added to
        the cache. `visible` is as in `attend`.
        """
        query, key, value = self._projected(x, rotation)
        if isinstance(cache, RowsLayerCache):
            gathered = self._attend_in_rows(query, key, value, cache)
            rows: Tensor = self.out(gathered.transpose(1, 2).flatten(2))
            return rows
        if cache is not None:
            key, value = cache.extend(key, value)
        dropout = self.weight_dropout if self.training else 0.0
        if self.window is None or key.shape[2] <= self.window:
            gathered = attend(query, key, value, dropout, visible, self.softcap)
        elif visible is None:
            gathered = attend_in_window(query, key, value, self.window, dropout, self.softcap)
        else:
            visible = within_window(query, key, self.window, visible)
            gathered = attend(query, key, value, dropout, visible, self.softcap)
        merged = gathered.transpose(1, 2).flatten(2)  # (batch, tokens, embed_dim)
        y: Tensor = self.dropout(self.out(merged))
        return y

    def scores(self, x: Tensor, rotation: Rotation | None = None) -> Tensor:
        """How well each query fits each key, whether it may see it or not, before the softmax.

        Nothing is computed from these where the model is used: they are to be looked at.

        Returns:
            Float (batch, heads, tokens, tokens), a row for each query.
        """
        query, key, _ = self._projected(x, rotation)
        key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
        scores = query / math.sqrt(query.shape[-1]) @ key.transpose(-2, -1)
        return scores if self.softcap is None else self.softcap * torch.tanh(scores / self.softcap)

    def weights(self, x: Tensor, rotation: Rotation | None = None) -> Tensor:
        """How much each token gathers from each, to be looked at; as `scores`, each row sums to 1."""
        query, key, _ = self._projected(x, rotation)
        visible = _visible(query, key)
        if self.window is not None:
            visible = within_window(query, key, self.window)
        return self.scores(x, rotation).masked_fill(~visible, -torch.inf).softmax(dim=-1)

    def _projected(self, x: Tensor, rotation: Rotation | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (batch, heads, tokens, head_dim), keys and values (batch, kv_heads, ...)."""
        if self.joined is not None:
            query, key, value = self.joined(x).split(self.widths, dim=-1)
        else:
            query, key, value = self.query(x), self.key(x), self.value(x)
        query, key = self._normed(query, self.query_norm), self._normed(key, self.key_norm)
        if self.query_scale is not None:
            query = query * self.query_scale
        if rotation is not None:
            query, key = rotate(query, rotation), rotate(key, rotation)
            if rotation.growth is not None:
                query = query * rotation.growth.to(query.dtype)
        return query, key, self._split(value)

    def _attend_in_rows(
        self, query: Tensor, key: Tensor, value: Tensor, cache: RowsLayerCache
    ) -> Tensor:
        """Each row's one new token attends to its own text, in products of its own.

        A row's sums hang on its own length alone, however long the others are. Rows beyond those in
        use, which fill a batch up, get zeros.
        """
        parts = [
            self._attend_in_run(query[run.rows], keys.to(query.dtype), values.to(query.dtype), run)
            for run, keys, values in cache.extend(key, value)
        ]
        unused = query.shape[0] - sum(len(part) for part in parts)
        if unused:
            parts.append(torch.zeros_like(query[:unused]))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _attend_in_run(self, query: Tensor, keys: Tensor, values: Tensor, run: Run) -> Tensor:
        """(rows, heads, 1, head_dim), of each row's last token, as `attend` gives it."""
        if self.softcap is not None:
            seen = run.seen == 0
            each = [slice(row, row + 1) for row in range(len(query))]
            return torch.cat(
                [
                    attend_plainly(query[row], keys[row], values[row], 0, seen[row], self.softcap)
                    for row in each
                ]
            )
        # The heads of a group look at the same keys, as if they were so many tokens.
        grouped = query.reshape(len(query), keys.shape[1], -1, self.head_dim)
        mask = run.seen.to(query.dtype)
        gathered = F.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask)
        return gathered.reshape(query.shape)

    def _normed(self, x: Tensor, norm: nn.Module) -> Tensor:
        """Split into heads and normalized, before or after."""
        y: Tensor = self._split(norm(x)) if self.norms_whole else norm(self._split(x))
        return y

    def _split(self, x: Tensor) -> Tensor:
        """(batch, tokens, heads * head_dim) to (batch, heads, tokens, head_dim)."""
        batch, tokens, _ = x.shape
        return x.view(batch, tokens, -1, self.head_dim).transpose(1, 2)


def join_projections(attention: MultiHeadAttention) -> None:
    """One matrix, read at once, in place of query, key and value: for inference, as a copy of them."""
    if attention.joined is not None:
        return
    layers = [attention.query, attention.key, attention.value]
    if any(type(layer) is not nn.Linear for layer in layers):
        return  # something else has taken the place of one
    outputs = sum(attention.widths)
    bias = layers[0].bias is not None
    with torch.device("meta"):
        joined = nn.Linear(layers[0].in_features, outputs, bias=bias)
    weights = [layer.weight.detach() for layer in layers]
    joined.weight = nn.Parameter(torch.cat(weights), requires_grad=False)
    if bias:
        biases = [layer.bias.detach() for layer in layers]
        joined.bias = nn.Parameter(torch.cat(biases), requires_grad=False)
    attention.joined = joined
    del attention.query, attention.key, attention.value


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    dropout: float = 0.0,
    visible: Tensor | None = None,
    softcap: float | None = None,
) -> Tensor:
    """Causal scaled dot-product attention (Vaswani et al. 2017, §3.2.1).

    The queries belong to the last tokens among the keys: query i of n sees all keys but the
    last n - 1 - i.

    Args:
        query: (batch, heads, tokens, head_dim).
        key: (batch, kv_heads, all tokens, head_dim); kv_heads divides heads.
        value: like key.
        dropout: probability of dropping an attention weight.
        visible: which keys each query may see, bool (batch, 1, tokens, all tokens), in place of
            all keys before it: of rows of several documents, see `visible_in`.
        softcap: bend the scores so that they stay within it, which no fused kernel can do.

    Returns:
        (batch, heads, tokens, head_dim), in the query's dtype.
    """
    tokens, keys = query.shape[2], key.shape[2]
    if softcap is not None:
        return attend_plainly(query, key, value, dropout, visible, softcap)
    if query.device.type == "cpu" and query.dtype == torch.bfloat16 and keys <= PLAIN_UP_TO:
        # The fused CPU kernel's backward pass takes twice as long as these plain products where
        # the CPU multiplies bfloat16; with longer texts its smaller memory wins.
        return attend_plainly(query, key, value, dropout, visible)
    square = tokens == keys and visible is None
    if visible is None and not square and tokens > 1:
        visible = _visible(query, key)
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=visible,
        dropout_p=dropout,
        is_causal=square,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def attend_plainly(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    dropout: float = 0.0,
    visible: Tensor | None = None,
    softcap: float | None = None,
) -> Tensor:
    """The same as `attend`, spelt out: softmax(query key^T / sqrt(head_dim) + mask) value."""
    group = query.shape[1] // key.shape[1]
    if group > 1:
        key, value = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)
    scores = query / math.sqrt(query.shape[-1]) @ key.transpose(-2, -1)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if visible is not None:
        scores = scores.masked_fill(~visible, -torch.inf)  # (batch, heads, tokens, all tokens)
    elif query.shape[2] > 1:
        mask = torch.zeros_like(scores[0, 0]).masked_fill(~_visible(query, key), -torch.inf)
        scores = scores + mask  # (batch, heads, tokens, all tokens)
    weights = dropped(scores.softmax(dim=-1), dropout)
    return weights @ value


def attend_in_window(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window: int,
    dropout: float = 0.0,
    softcap: float | None = None,
) -> Tensor:
    """The same as `attend`, where each query sees the last `window` keys only, its own among them.

    As many queries at a time as the window is wide, beside the keys that they see: time and memory
    grow with the text's length, not with its square, and a single query reads no more than a window.
    """
    tokens, before = query.shape[2], key.shape[2] - query.shape[2]
    parts = []
    for start in range(0, tokens, window):
        stop = min(start + window, tokens)
        first, last = max(before + start + 1 - window, 0), before + stop
        some, near = query[:, :, start:stop], key[:, :, first:last]
        visible = within_window(some, near, window) if stop - start > 1 else None
        parts.append(attend(some, near, value[:, :, first:last], dropout, visible, softcap))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def within_window(query: Tensor, key: Tensor, window: int, visible: Tensor | None = None) -> Tensor:
    """Which keys each query may see when it sees `window` tokens only, its own among them.

    Args:
        query: (batch, heads, tokens, head_dim).
        key: (batch, kv_heads, all tokens, head_dim).
        window: tokens, at least 1.
        visible: what each may see without a window, as in `attend`; its own key is the last.

    Returns:
        Bool (tokens, all tokens), or shaped as `visible`.
    """
    if visible is None:
        return _visible(query, key).triu(key.shape[2] - query.shape[2] + 1 - window)
    places = torch.arange(key.shape[2], device=key.device, dtype=torch.int32)
    own = places.masked_fill(~visible, 0).amax(dim=-1, keepdim=True)  # (..., tokens, 1)
    return visible & (places > own - window)


def _visible(query: Tensor, key: Tensor) -> Tensor:
    """Which keys each query may see, bool (tokens, all tokens)."""
    tokens, keys = query.shape[2], key.shape[2]
    return torch.ones(tokens, keys, dtype=torch.bool, device=query.device).tril(keys - tokens)
