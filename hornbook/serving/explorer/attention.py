"""Stage 4: who looks at whom in each layer and head, and the steps that lead there."""

from typing import Any

import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.model.naive_attention import hide_future
from hornbook.model.transformer import Transformer


@torch.no_grad()
def attention_maps(model: Transformer, ids: Tensor, layer: int) -> Tensor:
    """The weights of every head of a layer, (heads, tokens, tokens): each row sums to 1.

    Args:
        ids: int64 (1, tokens).

    Raises:
        HornbookError: the model has no such layer.
    """
    stream, block = _entering(model, ids, layer)
    weights: Tensor = block.attention.weights(stream, model.rotations(ids)[layer])
    return weights[0].float()


@torch.no_grad()
def naive_steps(model: Transformer, ids: Tensor, layer: int, head: int) -> list[dict[str, Any]]:
    """From plain dot products to a head's weights, as in `naive_attention`, a matrix each.

    Returns:
        Of each step: name, text that explains it, and matrix, (tokens, tokens); minus infinity, which
        JSON has not, is None.

    Raises:
        HornbookError: the model has no such layer or head.
    """
    stream, block = _entering(model, ids, layer)
    if not 0 <= head < model.config.n_heads:
        raise HornbookError(f"the model has heads 0 to {model.config.n_heads - 1}; not {head}.")
    x = stream[0].float()  # (tokens, embed_dim)
    rotation = model.rotations(ids)[layer]
    alike = x @ x.T
    scores = block.attention.scores(stream, rotation)[0, head].float()
    weights = block.attention.weights(stream, rotation)[0, head].float()
    steps = (
        ("1 dot products", "How alike any two token vectors are. Nothing is learnt yet.", alike),
        (
            "2 softmax",
            "Each row made positive, with sum 1: each token as a mixture of those like it.",
            alike.softmax(dim=-1),
        ),
        (
            "3 queries and keys",
            "What each token looks for (row) times what each offers (column), learnt, divided by "
            "the root of the head's width.",
            scores,
        ),
        (
            "4 softmax",
            "The mixture that would come of it, if tokens could see the future.",
            scores.softmax(dim=-1),
        ),
        (
            "5 the future hidden",
            "Scores of later tokens become minus infinity; softmax will make them 0.",
            hide_future(scores),
        ),
        (
            "6 the weights",
            "What this head really gathers from where, with its window if any.",
            weights,
        ),
    )
    return [{"name": name, "text": text, "matrix": _plain(matrix)} for name, text, matrix in steps]


def _entering(model: Transformer, ids: Tensor, layer: int) -> tuple[Tensor, Any]:
    """What the attention of a layer reads, (1, tokens, embed_dim), and the block that it is in."""
    if not 0 <= layer < model.config.n_layers:
        raise HornbookError(f"the model has layers 0 to {model.config.n_layers - 1}; not {layer}.")
    block: Any = model.blocks[layer]
    normalized: Tensor = block.attention_norm(model.residual_streams(ids)[layer])
    return normalized, block


def _plain(matrix: Tensor) -> list[list[float | None]]:
    rows: list[list[float]] = matrix.tolist()
    return [[None if v == -torch.inf else round(v, 5) for v in row] for row in rows]
