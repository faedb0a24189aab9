"""Several documents in one row of tokens, each read as if it stood alone.

A row's documents are told apart by a number for each position, int64 (batch, tokens): neighbouring
positions with the same number belong to one document. Padding has a number of its own, -1.
"""

import torch
from torch import Tensor

from hornbook.errors import HornbookError


def require_numbers(documents: Tensor, ids: Tensor) -> None:
    """Check that every position of `ids` has a document.

    Raises:
        HornbookError: the shapes differ.
    """
    if documents.shape != ids.shape:
        raise HornbookError(
            f"documents are {tuple(documents.shape)} and ids {tuple(ids.shape)}; every token needs "
            "the number of its document."
        )


def runs_of(documents: Tensor) -> Tensor:
    """Where in its row each position's document begins, int64 (batch, tokens).

    >>> runs_of(torch.tensor([[0, 0, 0, 1, 1, -1]])).tolist()
    [[0, 0, 0, 3, 3, 5]]
    """
    places = torch.arange(documents.shape[1], device=documents.device).expand_as(documents)
    begins = torch.ones_like(documents, dtype=torch.bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return places.masked_fill(~begins, 0).cummax(dim=1).values


def places_of(documents: Tensor) -> Tensor:
    """How many tokens of its own document stand before each position, int64 (batch, tokens).

    >>> places_of(torch.tensor([[0, 0, 0, 1, 1, -1]])).tolist()
    [[0, 1, 2, 0, 1, 0]]
    """
    tokens = torch.arange(documents.shape[1], device=documents.device)
    return tokens - runs_of(documents)


def visible_in(documents: Tensor) -> Tensor:
    """Which positions each may see: those of its own document up to itself.

    Every position sees itself, padding too, so that no row of attention weights is empty.

    Returns:
        Bool (batch, 1, tokens, tokens), the 1 standing for all heads.
    """
    runs = runs_of(documents)
    same = runs[:, :, None] == runs[:, None, :]  # (batch, tokens, tokens)
    return same.tril()[:, None]
