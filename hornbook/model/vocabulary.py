"""Room for new tokens in a model that is trained already."""

import torch
from torch import Tensor, nn

from hornbook.errors import HornbookError
from hornbook.model.transformer import Transformer


@torch.no_grad()
def extend_vocabulary(model: Transformer, known: int, wanted: int) -> Transformer:
    """Give the ids from `known` up to `wanted` the mean of the vectors of those before, in place.

    The embedding and the head grow where they are smaller; where both share one matrix they go on to.
    With the mean as their output vectors, new tokens together take at most (wanted - known) / known
    of the probability that the others had, and change nothing else (Hewitt 2021, "Initializing New
    Word Embeddings for Pretrained Language Models"); random vectors can take nearly all of it.

    Args:
        known: how many ids the tokenizer had: a model may have been made with more rows.
        wanted: how many it has now.

    Raises:
        HornbookError: the model's outputs are classes, or there is nothing to add.
    """
    config = model.config
    if model.head.out_features != config.vocab_size:
        raise HornbookError("the model's outputs are classes; extend the model it was made from.")
    if not 0 < known < wanted:
        raise HornbookError(f"a vocabulary of {known:,} cannot be extended to {wanted:,} tokens.")
    size = max(config.vocab_size, wanted)
    embedding = model.embedding.token
    grown = nn.Embedding(size, config.embed_dim, _weight=_grown(embedding.weight, known, size))
    model.embedding.token = grown
    head = nn.Linear(config.embed_dim, size, bias=model.head.bias is not None, device="meta")
    if config.tied_embeddings:
        head.weight = grown.weight
    else:
        head.weight = nn.Parameter(_grown(model.head.weight, known, size))
    if model.head.bias is not None:
        head.bias = nn.Parameter(_grown(model.head.bias, known, size))
    model.head = head
    model.config = config.model_copy(update={"vocab_size": size})
    return model


def _grown(rows: Tensor, known: int, size: int) -> Tensor:
    """`rows` (ids, ...) with the mean of the first `known` in all others, (size, ...)."""
    grown = rows.new_empty(size, *rows.shape[1:])
    grown[:known] = rows[:known]
    grown[known:] = rows[:known].double().mean(dim=0)
    return grown
