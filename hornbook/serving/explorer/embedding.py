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


def principal_plane(vectors: Tensor) -> tuple[Tensor, list[float]]:
    """Coordinates along the two directions in which vectors vary most (principal components).

    Args:
        vectors: float (count, dim).

    Returns:
        (count, 2), and the share of the variance that each direction has.
    """
    centered = vectors.double() - vectors.double().mean(dim=0)
    spread, directions = torch.linalg.eigh(centered.T @ centered)  # ascending
    plane = directions[:, -2:].flip(1)  # (dim, 2)
    # A direction and its opposite are as good: the largest part is made positive.
    signs = plane.gather(0, plane.abs().argmax(dim=0, keepdim=True)).sign()
    shares = spread[-2:].flip(0) / spread.sum().clamp(min=1e-30)
    return centered @ (plane * signs), shares.tolist()


class EmbeddingMap:
    """A model's token vectors in a plane; computed once, asked often."""

    def __init__(self, model: Transformer, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        vectors = model.embedding.token.weight.detach().float().cpu()
        self._vectors = vectors[: tokenizer.vocab_size]
        self._plane, self._shares = principal_plane(self._vectors)
        self._unit = self._vectors / self._vectors.norm(dim=1, keepdim=True).clamp(min=1e-12)

    def points(self, ids: Sequence[int]) -> dict[str, Any]:
        """Where these tokens lie, and some of the rest: ids that are spread over the vocabulary."""
        size = len(self._vectors)
        step = max(1, size // SHOWN)
        chosen = sorted({*ids, *range(0, size, step)})
        known = [token for token in chosen if self._is_token(token)]
        return {
            "points": [
                {**one, "x": x, "y": y, "of_text": one["id"] in ids}
                for one, (x, y) in zip(
                    named(self._tokenizer, known), self._plane[known].tolist(), strict=True
                )
            ],
            "shares": self._shares,
            "dim": self._vectors.shape[1],
        }

    def neighbours(self, token: int, count: int = 10) -> list[dict[str, Any]]:
        """The tokens whose vectors point most nearly the same way: by cosine, with their places.

        Raises:
            HornbookError: the vocabulary has no such token.
        """
        token = self._tokenizer.check_id(token)
        likeness = self._unit @ self._unit[token]
        likeness[token] = -2
        nearest = likeness.topk(min(count, len(likeness) - 1)).indices.tolist()
        ids = [other for other in nearest if self._is_token(other)]
        return [
            {**one, "cosine": float(likeness[one["id"]]), "x": x, "y": y}
            for one, (x, y) in zip(
                named(self._tokenizer, ids), self._plane[ids].tolist(), strict=True
            )
        ]

    def _is_token(self, token: int) -> bool:
        """Whether the vocabulary has it: some have gaps."""
        try:
            self._tokenizer.check_id(token)
        except HornbookError:
            return False
        return True
