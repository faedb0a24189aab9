"""Attention in five steps, each adding one idea to the step before it.

    1. attend_without_weights   each token becomes a mixture of all tokens alike to it
    2. SelfAttention            what "alike" means is learned: queries, keys and values
    3. CausalAttention          a token sees only itself and what came before; dropout
    4. StackedHeads             several small attentions side by side, one after the other
    5. attention.MultiHeadAttention   all heads in one product: the form that the model uses

Nothing here is fast, and the model does not use it. Tests hold each step to the next.
"""

import math

import torch
from torch import Tensor, nn


def attend_without_weights(x: Tensor) -> Tensor:
    """Step 1: mix tokens by how alike they are; nothing is learned.

    x: float (tokens, dim). Returns (tokens, dim).
    """
    scores = x @ x.T  # (tokens, tokens): the dot product of each two tokens
    weights = scores.softmax(dim=-1)  # each row is positive and sums to one
    return weights @ x  # each output is the weighted mean of all tokens


class SelfAttention(nn.Module):
    """Step 2: three learned views of each token.

    What it looks for (query), what it offers to be found by (key), what it gives (value).
    """

    def __init__(self, dim: int, out_dim: int, bias: bool = False) -> None:
        super().__init__()
        self.query = nn.Linear(dim, out_dim, bias=bias)
        self.key = nn.Linear(dim, out_dim, bias=bias)
        self.value = nn.Linear(dim, out_dim, bias=bias)

    def scores(self, x: Tensor) -> Tensor:
        """How well each query (row) fits each key (column): (batch, tokens, tokens).

        Divided by sqrt(out_dim): a dot product of n terms grows as sqrt(n), and large scores
        would make the softmax choose one token and pass back no gradient.
        """
        query: Tensor = self.query(x)  # (batch, tokens, out_dim)
        key: Tensor = self.key(x)
        return query @ key.transpose(1, 2) / math.sqrt(key.shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, dim) to (batch, tokens, out_dim)."""
        weights = self.scores(x).softmax(dim=-1)  # (batch, tokens, tokens)
        mixed: Tensor = weights @ self.value(x)
        return mixed


def hide_future(scores: Tensor) -> Tensor:
    """Set the scores of later tokens to minus infinity, which softmax turns to zero.

    scores: (..., tokens, tokens), a row for each query.
    """
    tokens = scores.shape[-1]
    future = torch.ones(tokens, tokens, dtype=torch.bool, device=scores.device).triu(diagonal=1)
    return scores.masked_fill(future, -torch.inf)


class CausalAttention(SelfAttention):
    """Step 3: no token sees the future, and while training some weights are dropped."""

    def __init__(self, dim: int, out_dim: int, dropout: float = 0.0, bias: bool = False) -> None:
        super().__init__(dim, out_dim, bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, dim) to (batch, tokens, out_dim)."""
        weights = hide_future(self.scores(x)).softmax(dim=-1)
        mixed: Tensor = self.dropout(weights) @ self.value(x)
        return mixed


class StackedHeads(nn.Module):
    """Step 4: several causal attentions, each on its own small views, then mixed by `out`."""

    def __init__(self, dim: int, n_heads: int, dropout: float = 0.0, bias: bool = False) -> None:
        super().__init__()
        head_dim = dim // n_heads
        self.heads = nn.ModuleList(
            CausalAttention(dim, head_dim, dropout, bias) for _ in range(n_heads)
        )
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, dim) in and out."""
        gathered = torch.cat([head(x) for head in self.heads], dim=-1)  # (batch, tokens, dim)
        mixed: Tensor = self.out(gathered)
        return mixed
