"""From token ids to vectors, and learned positions; `rotary.py` has those that turn."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig
from hornbook.model.dropout import Dropout

SHIFT = 0.5
"""How much of a token's vector the next token starts with, where there is a token shift."""

NO_TOKEN = -1
"""Stands for the tokens before a text begins."""
HASH_FACTOR = 0x1E3779B97F4A7C15
"""An odd number with the golden ratio's digits: products with it spread over all bits (Knuth, TAOCP 6.4)."""
HASH_SHIFT = 33
"""The product's upper bits depend on all bits of the ids."""


class Embedding(nn.Module):
    """A vector for each token id and, with learned positions, one for each place, added.

    With a token shift, a learnt share of the vector before is added to each (as in RWKV, Peng et
    al. 2023, §3.1): a key then tells what came before its token, so that one layer of attention can
    find what followed an earlier occurrence, for which it otherwise takes two (Olsson et al. 2022).
    With n-grams, runs of 2 and more tokens have vectors of their own as well, see `NGramEmbedding`.
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
        self.shift = nn.Parameter(torch.empty(config.embed_dim)) if config.token_shift else None
        self.ngram = NGramEmbedding(config) if config.ngram_order > 1 else None
        self.scale = config.embed_dim**0.5 if config.scaled_embeddings else None
        self.dropout = Dropout(config.dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set what is no table of vectors: the share of a token shift."""
        if self.shift is not None:
            nn.init.constant_(self.shift, SHIFT)

    @property
    def reach(self) -> int:
        """How many tokens before a token its vector depends on."""
        ngram = self.ngram.order - 1 if self.ngram is not None else 0
        return max(ngram, 1 if self.shift is not None else 0)

    def last_ids(self, ids: Tensor, before: Tensor | None = None) -> Tensor:
        """What has to be kept of `ids` (batch, tokens), which follow `before`, for the tokens next."""
        known = ids if before is None else torch.cat((before, ids), dim=1)
        return known[:, known.shape[1] - min(self.reach, known.shape[1]) :]

    def forward(
        self,
        ids: Tensor,
        start: int = 0,
        last_ids: Tensor | None = None,
        places: Tensor | None = None,
    ) -> Tensor:
        """Embed int64 `ids` (batch, tokens), the first at position `start`.

        `last_ids` (batch, up to `reach`) are the tokens before the first, where there are any.
        `places`, int64 (batch, tokens), are the positions in rows of several documents, see
        `places_of`: what stands before a document's first token is then no part of its text.

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
        if self.scale is not None:
            x = x * self.scale
        if self.shift is not None:
            before = torch.zeros_like(x[:, :1])
            if last_ids is not None and last_ids.shape[1]:
                before = self.token(last_ids[:, -1:])
            before = torch.cat((before, x[:, :-1]), dim=1)
            if places is not None:
                before = before.masked_fill(places[..., None] == 0, 0.0)
            x = x + self.shift * before
        if self.ngram is not None:
            x = x + self.ngram(ids, last_ids, places)
        if self.position is not None:
            row = torch.arange(start, stop, device=ids.device) if places is None else places
            x = x + self.position(row)
        dropped: Tensor = self.dropout(x)
        return dropped


class NGramEmbedding(nn.Module):
    """A vector for each run of 2, 3 ... `order` tokens, added to the vector of its last token.

    What a small model would have to work out with layers of attention, that these letters spell a
    word or these words belong together, it looks up instead: learnt sooner, and at no cost in matrix
    products. There are too many runs for a table of their own, so each is hashed to one of
    `ngram_rows` rows a length, and runs whose hashes agree share one (Bojanowski et al. 2017,
    fastText, §3.2; for transformers Pagnoni et al. 2024, Byte Latent Transformer, §3.2.1). Runs at
    the beginning of a text are filled up on the left with an id of no token.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.order, self.rows = config.ngram_order, config.ngram_rows
        self.table = nn.Embedding((self.order - 1) * self.rows, config.embed_dim)

    def forward(
        self, ids: Tensor, last_ids: Tensor | None = None, places: Tensor | None = None
    ) -> Tensor:
        """Of int64 `ids` (batch, tokens) after `last_ids`, float (batch, tokens, embed_dim).

        `places` as in `Embedding`.
        """
        vectors: Tensor = self.table(self.slots(ids, last_ids, places)).sum(dim=-2)
        return vectors

    def slots(
        self, ids: Tensor, last_ids: Tensor | None = None, places: Tensor | None = None
    ) -> Tensor:
        """Rows of the table for the runs that end at each token, int64 (batch, tokens, order - 1)."""
        tokens = ids.shape[1]
        known = ids if last_ids is None else torch.cat((last_ids, ids), dim=1)
        missing = max(tokens + self.order - 1 - known.shape[1], 0)
        known = F.pad(known, (missing, 0), value=NO_TOKEN)[:, -(tokens + self.order - 1) :]
        hashed = torch.zeros_like(ids)
        slots = []
        for back in range(self.order):
            start = self.order - 1 - back
            earlier = known[:, start : start + tokens]
            if places is not None:
                earlier = earlier.masked_fill(places < back, NO_TOKEN)
            # int64 products wrap around, alike on every device
            hashed = (hashed + earlier + 1) * HASH_FACTOR
            if back:
                row = (hashed >> HASH_SHIFT) % self.rows
                slots.append(row + (back - 1) * self.rows)
        return torch.stack(slots, dim=-1)
