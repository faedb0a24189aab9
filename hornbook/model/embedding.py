"""From token ids to vectors, and how a token learns where it stands."""

import torch
from torch import Tensor, nn

from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig

SHIFT = 0.5
"""How much of a token's vector the next token starts with, where there is a token shift."""

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines of the rotary angles, each float32 (tokens, head_dim / 2)."""


class Embedding(nn.Module):
    """A vector for each token id and, with learned positions, one for each place, added.

    With a token shift, a learnt share of the vector before is added to each (as in RWKV, Peng et
    al. 2023, §3.1): a key then tells what came before its token, so that one layer of attention can
    find what followed an earlier occurrence, for which it otherwise takes two (Olsson et al. 2022).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.context_length = config.context_length
        self.token = nn.Embedding(config.vocab_size, config.embed_dim)
        self.position = (
            nn.Embedding(config.context_length, config.embed_dim)
            if config.positions == "learned"
            else None
        )
        self.shift = (
            nn.Parameter(torch.full((config.embed_dim,), SHIFT)) if config.token_shift else None
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, ids: Tensor, start: int = 0, last_ids: Tensor | None = None) -> Tensor:
        """Embed int64 `ids` (batch, tokens), the first at position `start`.

        `last_ids` (batch, 1) are the tokens before the first, for models with a token shift.

        Returns float (batch, tokens, embed_dim).

        Raises:
            HornbookError: the tokens reach beyond the model's context length.
        """
        stop = start + ids.shape[1]
        if stop > self.context_length:
            raise HornbookError(
                f"the text is {stop} tokens long, but this model reads at most "
                f"{self.context_length} (model.context_length); shorten the text."
            )
        x: Tensor = self.token(ids)  # (batch, tokens, embed_dim)
        if self.shift is not None:
            before = torch.zeros_like(x[:, :1]) if last_ids is None else self.token(last_ids)
            x = x + self.shift * torch.cat((before, x[:, :-1]), dim=1)
        if self.position is not None:
            x = x + self.position(torch.arange(start, stop, device=ids.device))
        dropped: Tensor = self.dropout(x)
        return dropped


class RotaryEmbedding(nn.Module):
    """Angles by which queries and keys are turned, so that their product depends on distance.

    Su et al. 2021, RoFormer, §3.2.2: in a head, the pair of dimensions number i of a token at
    position p turns by the angle p * theta^(-2i / head_dim). The module has no tensors of its
    own, so it is the same on every device and in every dtype.
    """

    def __init__(self, head_dim: int, theta: float) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.theta = theta

    def forward(self, start: int, stop: int, device: torch.device) -> Rotation:
        """Cosines and sines for positions `start` up to `stop`."""
        pairs = torch.arange(0, self.head_dim, 2, device=device, dtype=torch.float32)
        frequencies = 1.0 / self.theta ** (pairs / self.head_dim)  # (head_dim / 2)
        positions = torch.arange(start, stop, device=device, dtype=torch.float32)
        angles = positions[:, None] * frequencies  # (tokens, head_dim / 2)
        return angles.cos(), angles.sin()


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn queries or keys `x` (batch, heads, tokens, head_dim), keeping shape and dtype.

    Dimension i makes a pair with dimension i + head_dim / 2, as in Llama's published weights
    (the RoFormer paper pairs neighbours; the two differ by the order of the dimensions only).
    """
    cos, sin = (part.to(x.dtype) for part in rotation)
    left, right = x.chunk(2, dim=-1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)
