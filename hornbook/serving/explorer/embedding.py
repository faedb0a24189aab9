"""Stage 3: the vectors of the vocabulary, seen in the plane in which they differ most."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.model.transformer import Transformer
from hornbook.serving.explorer.tokens import named
from hornbook.tokenizing.tokenizer import Tokenizer

SHOWN = 400
"""Tokens of the vocabulary that are drawn beside those of the text."""
MOST_FOR_PLANE = 16_384
"""Vectors that the plane is worked out from: of a larger vocabulary every so-manyth."""
CHUNK = 2_048
"""Vectors made double at a time."""


def principal_plane(vectors: Tensor) -> tuple[Tensor, Tensor, list[float]]:
    """The two directions in which vectors vary most (principal components).

    Args:
        vectors: float (count, dim).

    Returns:
        The vectors' mean (dim,) and the directions (dim, 2), both float64, and the share of the
        variance that each direction has.
    """
    mean = vectors.mean(dim=0, dtype=torch.float64)
    spread = mean.new_zeros(len(mean), len(mean))
    for some in torch.split(vectors, CHUNK):
        centered = some.double() - mean
        spread.addmm_(centered.T, centered)
    shares, directions = torch.linalg.eigh(spread)  # ascending
    plane = directions[:, -2:].flip(1)
    # A direction and its opposite are as good: the largest part is made positive.
    signs = plane.gather(0, plane.abs().argmax(dim=0, keepdim=True)).sign()
    return mean, plane * signs, (shares[-2:].flip(0) / shares.sum().clamp(min=1e-30)).tolist()


class EmbeddingMap:
    """A model's token vectors in a plane; computed once, asked often."""

    def __init__(self, model: Transformer, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        vectors = model.embedding.token.weight.detach().float().cpu()
        self._vectors = vectors[: tokenizer.vocab_size]
        known = self._vectors[:: -(-len(self._vectors) // MOST_FOR_PLANE)]
        self._mean, self._plane, self._shares = principal_plane(known)
        self._of = len(known)
        self._lengths = self._vectors.norm(dim=1).clamp(min=1e-12)

    def points(self, ids: Sequence[int]) -> dict[str, Any]:
        """Where these tokens lie, and some of the rest: ids that are spread over the vocabulary."""
        size, of_text = len(self._vectors), set(ids)
        step = max(1, size // SHOWN)
        chosen = sorted({*of_text, *range(0, size, step)})
        known = [token for token in chosen if self._is_token(token)]
        return {
            "points": [{**one, "of_text": one["id"] in of_text} for one in self._placed(known)],
            "shares": self._shares,
            "dim": self._vectors.shape[1],
            "of": self._of,
            "vocab_size": size,
        }

    def neighbours(self, token: int, count: int = 10) -> list[dict[str, Any]]:
        """The tokens whose vectors point most nearly the same way: by cosine, with their places.

        Raises:
            HornbookError: the vocabulary has no such token.
        """
        token = self._tokenizer.check_id(token)
        lengths = self._lengths
        likeness = self._vectors @ (self._vectors[token] / lengths[token]) / lengths
        likeness[token] = -2
        nearest = likeness.topk(min(count, len(likeness) - 1)).indices.tolist()
        ids = [other for other in nearest if self._is_token(other)]
        return [{**one, "cosine": float(likeness[one["id"]])} for one in self._placed(ids)]

    def _placed(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """Tokens with their places in the plane."""
        places = (self._vectors[list(ids)].double() - self._mean) @ self._plane
        return [
            {**one, "x": x, "y": y}
            for one, (x, y) in zip(named(self._tokenizer, ids), places.tolist(), strict=True)
        ]

    def _is_token(self, token: int) -> bool:
        """Whether the vocabulary has it: some have gaps."""
        try:
            self._tokenizer.check_id(token)
        except HornbookError:
            return False
        return True
