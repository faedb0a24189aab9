"""The transformer: embedding, a stack of blocks, a last normalization, an output head."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.errors import HornbookError
from hornbook.model.attention import MultiHeadAttention
from hornbook.model.config import ModelConfig
from hornbook.model.documents import places_of, require_numbers, visible_in
from hornbook.model.embedding import Embedding
from hornbook.model.feedforward import build_feedforward
from hornbook.model.kv_cache import KVCache, LayerCache
from hornbook.model.norm import NORMS, build_norm
from hornbook.model.rotary import LongRopeScaling, RotaryEmbedding, Rotation
from hornbook.model.rows_cache import RowsCache, RowsLayerCache
from hornbook.model.undrawn import Undrawn

INIT_STD = 0.02
"""Standard deviation of fresh weights, GPT-2's."""
LAST_PROJECTIONS = ("attention.out.weight", "down.weight")
"""With which the branches of a block end."""
Draw = Callable[[Tensor, torch.Generator | None], object]
"""Fills a tensor, in place, with the first values of a parameter of its shape."""


class TransformerBlock(nn.Module):
    """Attention, then a feed-forward layer, each added to the stream that passes by.

    Each branch reads a normalized copy (pre-norm, Radford et al. 2019, §2.3), so that the sum
    itself runs through the whole model: a shortcut from every layer to the last. Where the config
    places norms "after", what a branch gives is normalized instead, before it is added (OLMo et al.
    2024, 2 OLMo 2 Furious, §3.3); "both" does both, as Gemma 2.
    """

    def __init__(self, config: ModelConfig, layer: int = 0) -> None:
        super().__init__()

        def norm(place: str) -> nn.Module:
            placed = config.norm_place in (place, "both")
            return build_norm(config, config.embed_dim) if placed else nn.Identity()

        self.attention_norm = norm("before")
        self.attention = MultiHeadAttention(config, layer)
        self.attention_post_norm = norm("after")
        self.feedforward_norm = norm("before")
        self.feedforward = build_feedforward(config, layer)
        self.feedforward_post_norm = norm("after")
        self.in_training: Callable[..., Tensor] | None = None
        """How a trainer has `add_branches` computed in training mode, from x, rotation and
        `visible`: compiled, or anew in the backward pass. None for plainly, as always outside
        training."""

    def forward(
        self,
        x: Tensor,
        rotation: Rotation | None = None,
        cache: LayerCache | RowsLayerCache | None = None,
        visible: Tensor | None = None,
    ) -> Tensor:
        """Float (batch, tokens, embed_dim) in and out; see `MultiHeadAttention` for the rest."""
        if self.in_training is not None and self.training:
            return self.in_training(x, rotation, visible=visible)
        return self.add_branches(x, rotation, cache, visible)

    def add_branches(
        self,
        x: Tensor,
        rotation: Rotation | None = None,
        cache: LayerCache | RowsLayerCache | None = None,
        visible: Tensor | None = None,
    ) -> Tensor:
        """The same, without regard to how a trainer wants it."""
        attended = self.attention(self.attention_norm(x), rotation, cache, visible)
        x = x + self.attention_post_norm(attended)
        y: Tensor = x + self.feedforward_post_norm(self.feedforward(self.feedforward_norm(x)))
        return y


class SoftcappedHead(nn.Linear):
    """An output head whose logits stay within a bound: cap * tanh(logits / cap).

    (Gemma Team 2024, Gemma 2, §2.)
    """

    def __init__(self, inputs: int, outputs: int, cap: float) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.cap = cap

    def forward(self, x: Tensor) -> Tensor:
        """Float (..., inputs) to (..., outputs)."""
        return self.cap * torch.tanh(super().forward(x) / self.cap)


class Transformer(nn.Module):
    """A decoder-only language model, GPT-2 or a modern one as its config says.

    Weights are float32 and drawn as GPT-2's (see `initialize`), from torch's global generator
    unless one is given: seed it first, as `choose_runtime` does.
    """

    def __init__(self, config: ModelConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.embedding = Embedding(config)
        self.rotary = None
        self.window_rotary = None
        """Of the layers with a window, where they turn otherwise than the rest."""
        if config.positions == "rotary":
            turned = config.turned_dims
            self.rotary = RotaryEmbedding(turned, config.rope_theta, config.rope_scaling)
            if config.window is not None and config.window_rope_theta is not None:
                self.window_rotary = RotaryEmbedding(turned, config.window_rope_theta)
        layers = range(config.n_layers)
        self.blocks = nn.ModuleList(TransformerBlock(config, layer) for layer in layers)
        self.norm = build_norm(config, config.embed_dim)
        self.head = (
            nn.Linear(config.embed_dim, config.vocab_size, bias=False)
            if config.logit_softcap is None
            else SoftcappedHead(config.embed_dim, config.vocab_size, config.logit_softcap)
        )
        if config.tied_embeddings:
            self.head.weight = self.embedding.token.weight
        self.loss_in_training: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
        """How a trainer has the head's summed loss computed, from rows (rows, embed_dim), the
        head's weight and targets (rows,); None for as everywhere."""
        self.hidden_in_training: Callable[..., tuple[Tensor, Tensor]] | None = None
        """How a trainer has `hidden` computed (ids, documents=...), and with it what is added to the
        loss of each trained position, float32 (). None for plainly, and nothing."""
        self.criterion: Callable[[Tensor, Tensor], Tensor] | None = None
        """How a trainer scores the logits (rows, outputs) of trained positions against their
        targets (rows,): each one's loss, float32 (rows,). None for cross-entropy."""
        self.initialize(generator)

    def initialize(self, generator: torch.Generator | None = None) -> None:
        """Draw all weights afresh.

        As GPT-2's: normal with a standard deviation of 0.02, biases zero; the last projection of
        each of the 2 * n_layers branches divided by sqrt(2 * n_layers), so that their sum starts at
        one size in a model of any depth (Radford et al. 2019, §2.3). With `init` "torch" as
        `nn.Linear` and `nn.Embedding` draw theirs. With `zero_init` the last projections are zero.
        """
        self.reset_constants()
        for weight, draw in self.draws():
            draw(weight, generator)

    def reset_constants(self) -> None:
        """Set the parameters that do not begin at random: norms' scales and the like."""
        for module in self.modules():
            if isinstance(module, NORMS | Embedding):
                module.reset_parameters()

    def draws(self) -> Iterator[tuple[Tensor, Draw]]:
        """The random parameters with how each is drawn, in the order in which they are; some twice."""
        draws_of = _draws_as_torch if self.config.init == "torch" else _draws_as_gpt2
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                yield from draws_of(module)
        for name, weight in self.named_parameters():
            if not name.endswith(LAST_PROJECTIONS):
                continue
            if self.config.zero_init:
                yield weight, _zeros
            elif self.config.init == "gpt2":
                yield weight, partial(_normal, INIT_STD / (2 * self.config.n_layers) ** 0.5)

    def hidden(
        self,
        ids: Tensor,
        cache: KVCache | RowsCache | None = None,
        documents: Tensor | None = None,
    ) -> Tensor:
        """What the model has made of each token, before the head.

        Args:
            ids: int64 (batch, tokens); with a cache, the tokens that follow those it holds.
            cache: keys and values of earlier tokens; these tokens' are added to it. With a
                `RowsCache` one token of each of its rows is read; rows of `ids` beyond those in use
                only fill the batch up.
            documents: int64 (batch, tokens), the number of each token's document within its row,
                where a row holds several: each is then read as if it stood alone.

        Returns:
            Float (batch, tokens, embed_dim), normalized.

        Raises:
            HornbookError: the tokens reach beyond the context length, or `documents` do not fit
                `ids` or come together with a cache.
        """
        if documents is not None:
            return self._hidden_in_documents(ids, cache, documents)
        if isinstance(cache, RowsCache):
            return self._hidden_in_rows(ids, cache)
        start = cache.length if cache is not None else 0
        x: Tensor = self.embedding(ids, start, cache.last_ids if cache is not None else None)
        stop = start + ids.shape[1]
        whole = max(stop, cache.expected if cache is not None else 0)
        rotations = self._rotations(lambda rotary: rotary(start, stop, ids.device, whole))
        for index, block in enumerate(self.blocks):
            x = block(x, rotations[index], cache.layers[index] if cache is not None else None)
        if cache is not None:
            cache.last_ids = self.embedding.last_ids(ids, cache.last_ids)
        y: Tensor = self.norm(x)
        return y

    def residual_streams(self, ids: Tensor) -> list[Tensor]:
        """What runs from layer to layer, to be looked at: before the first block and after each.

        `head(norm(...))` of the last is `forward`'s.

        Args:
            ids: int64 (batch, tokens).

        Returns:
            n_layers + 1 of float (batch, tokens, embed_dim).
        """
        streams: list[Tensor] = [self.embedding(ids)]
        rotations = self.rotations(ids)
        for block, rotation in zip(self.blocks, rotations, strict=True):
            streams.append(block(streams[-1], rotation))
        return streams

    def rotations(self, ids: Tensor) -> list[Rotation | None]:
        """By how much each layer turns the queries and keys of a whole text (batch, tokens)."""
        return self._rotations(lambda rotary: rotary(0, ids.shape[1], ids.device))

    def _hidden_in_rows(self, ids: Tensor, cache: RowsCache) -> Tensor:
        """The same for one token of each of several texts, each at a place of its own."""
        places = cache.open()  # (rows that are read, 1)
        read = len(places)
        places = F.pad(places, (0, 0, 0, len(ids) - read))  # (rows, 1)
        x: Tensor = self.embedding(ids, last_ids=cache.last_ids[: len(ids)], places=places)
        rotations = self._rotations(lambda rotary: cache.rotation(rotary, places))
        for index, block in enumerate(self.blocks):
            x = block(x, rotations[index], cache.layers[index])
        cache.close(ids[:read])
        y: Tensor = self.norm(x)
        return y

    def _hidden_in_documents(
        self, ids: Tensor, cache: KVCache | RowsCache | None, documents: Tensor
    ) -> Tensor:
        """The same where positions begin anew, and attention ends, at each document's beginning."""
        if cache is not None:
            raise HornbookError(
                "rows of several documents are for training; give a cache, or documents, not both."
            )
        require_numbers(documents, ids)
        places, visible = places_of(documents), visible_in(documents)
        x: Tensor = self.embedding(ids, places=places)
        rotations = self._rotations(lambda rotary: rotary.of_rows(places))
        for index, block in enumerate(self.blocks):
            x = block(x, rotations[index], visible=visible)
        y: Tensor = self.norm(x)
        return y

    def _rotations(self, of: Callable[[RotaryEmbedding], Rotation]) -> list[Rotation | None]:
        """By how much each layer turns its queries and keys; None where it does not."""
        config = self.config
        common = of(self.rotary) if self.rotary is not None else None
        windowed = of(self.window_rotary) if self.window_rotary is not None else common
        return [
            None
            if not config.turns(layer)
            else common
            if config.window_of(layer) is None
            else windowed
            for layer in range(config.n_layers)
        ]

    def reads_anew(self, known: int, length: int) -> bool:
        """Whether a text whose first `known` tokens are cached must be read again at this length.

        So it is with positions whose turns depend on how long the whole text is.
        """
        scaling = self.config.rope_scaling if self.config.positions == "rotary" else None
        if not isinstance(scaling, LongRopeScaling):
            return False
        return 0 < known <= scaling.original_context < length

    def forward(self, ids: Tensor, cache: KVCache | None = None) -> Tensor:
        """Logits of the token that follows each position, float (batch, tokens, vocab_size)."""
        logits: Tensor = self.head(self.hidden(ids, cache))
        return logits


def _draws_as_gpt2(module: nn.Linear | nn.Embedding) -> Iterator[tuple[Tensor, Draw]]:
    yield module.weight, partial(_normal, INIT_STD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        yield module.bias, _zeros


def _draws_as_torch(module: nn.Linear | nn.Embedding) -> Iterator[tuple[Tensor, Draw]]:
    if isinstance(module, nn.Embedding):
        yield module.weight, partial(_normal, 1.0)
        return
    draw = partial(_uniform, module.in_features**-0.5)
    yield module.weight, draw
    if module.bias is not None:
        yield module.bias, draw


def _normal(std: float, weight: Tensor, generator: torch.Generator | None) -> None:
    nn.init.normal_(weight, std=std, generator=generator)


def _uniform(bound: float, weight: Tensor, generator: torch.Generator | None) -> None:
    nn.init.uniform_(weight, -bound, bound, generator=generator)


def _zeros(weight: Tensor, generator: torch.Generator | None) -> None:
    nn.init.zeros_(weight)


def shapes_of(config: ModelConfig) -> Transformer:
    """A model of shapes alone, on the meta device: it takes no memory, and no time to speak of."""
    with torch.device("meta"), Undrawn():
        return Transformer(config)


def count_parameters(model: nn.Module) -> int:
    """Number of parameters; a tensor that two modules share counts once."""
    return sum(parameter.numel() for parameter in model.parameters())
