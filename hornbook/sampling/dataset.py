"""What the loader draws from, and examples of many lengths.

Shapes: (batch, tokens), inputs and targets alike, int64.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from hornbook.errors import HornbookError
from hornbook.sampling.batch import IGNORE

MULTIPLE = 8
"""Batches are padded to a multiple of this: few distinct shapes, and the ones that GPUs like."""


class Dataset(Protocol):
    """Numbered samples that can be put side by side."""

    @property
    def widest(self) -> int:
        """Tokens of the widest batch."""
        ...

    @property
    def same_width(self) -> bool:
        """Whether every batch is that wide."""
        ...

    def __len__(self) -> int:
        """How many samples there are."""
        ...

    def collate(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of these samples, each (batch, tokens) int64."""
        ...

    def documents(self, indices: Sequence[int]) -> torch.Tensor | None:
        """`Batch.documents` of these samples, (batch, tokens) int64; None where each is one text."""
        ...


@runtime_checkable
class OwnOrder(Protocol):
    """A dataset that says itself in which order its samples are drawn."""

    def order(self, seed: int, epoch: int, shuffle: bool) -> npt.NDArray[np.int64]:
        """The samples of an epoch, (samples,), a function of the arguments alone."""
        ...


@runtime_checkable
class Referenced(Protocol):
    """A dataset of pairs, of which a reference model has said how probable they are."""

    def reference(self, indices: Sequence[int]) -> torch.Tensor:
        """`Batch.reference` of these samples, float32 (batch, 2)."""
        ...


class Examples:
    """Samples of many lengths, padded on the right to the longest of each batch.

    A batch is as wide as its longest example, rounded up to a multiple of 8 (but not above
    `max_length`). Inputs are padded with `pad_id`, targets with `IGNORE`: a causal model is not
    touched by what stands to the right, and what is not trained does not count.
    """

    def __init__(
        self,
        examples: Iterable[tuple[Sequence[int], Sequence[int]]],
        pad_id: int,
        max_length: int | None = None,
    ) -> None:
        """Take pairs of token ids and targets, one target for each id.

        Raises:
            HornbookError: a pair is empty, its lengths differ, or it is above `max_length`.
        """
        self._examples = [
            _checked(ids, targets, max_length, f"example {number}")
            for number, (ids, targets) in enumerate(examples, start=1)
        ]
        self.pad_id, self._max_length = pad_id, max_length

    def __len__(self) -> int:
        return len(self._examples)

    def length(self, index: int) -> int:
        """Tokens of a sample, without padding."""
        return len(self._examples[index][0])

    @property
    def n_tokens(self) -> int:
        """Tokens of all samples together, without padding."""
        return sum(len(ids) for ids, _ in self._examples)

    @property
    def widest(self) -> int:
        """Tokens of a batch with the longest example in it."""
        return self._width(max((len(ids) for ids, _ in self._examples), default=0))

    @property
    def same_width(self) -> bool:
        """Batches are as wide as their own longest example."""
        return False

    def describe(self) -> str:
        """How samples are cut, in a few words."""
        longest = max((len(ids) for ids, _ in self._examples), default=0)
        return f"of up to {longest:,} tokens, padded to the longest of a batch"

    def collate(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of these samples, each (batch, tokens) int64."""
        chosen = [self._examples[index] for index in indices]
        shape = (len(chosen), self._width(max((len(ids) for ids, _ in chosen), default=0)))
        inputs = np.full(shape, self.pad_id, dtype=np.int64)
        labels = np.full(shape, IGNORE, dtype=np.int64)
        for row, (ids, targets) in enumerate(chosen):
            inputs[row, : len(ids)] = ids
            labels[row, : len(ids)] = targets
        return torch.from_numpy(inputs), torch.from_numpy(labels)

    def documents(self, indices: Sequence[int]) -> None:
        """Each sample is one text."""

    def example(self, index: int) -> "Pair":
        """The token ids and the targets of a sample, each int32 (tokens,), without padding."""
        return self._examples[index]

    def _width(self, longest: int) -> int:
        width = -(-longest // MULTIPLE) * MULTIPLE
        return width if self._max_length is None else min(width, self._max_length)


Pair = tuple[np.ndarray[tuple[int], np.dtype[np.int32]], np.ndarray[tuple[int], np.dtype[np.int32]]]


def _checked(
    ids: Sequence[int], targets: Sequence[int], max_length: int | None, where: str
) -> Pair:
    if len(ids) != len(targets):
        raise HornbookError(f"{where} has {len(ids)} token ids and {len(targets)} targets.")
    if not ids:
        raise HornbookError(f"{where} has no tokens; leave it out.")
    if max_length is not None and len(ids) > max_length:
        raise HornbookError(
            f"{where} has {len(ids)} tokens, above the model's {max_length}; shorten it."
        )
    return np.array(ids, dtype=np.int32), np.array(targets, dtype=np.int32)


def next_token_example(ids: Sequence[int], trained: Sequence[bool]) -> tuple[list[int], list[int]]:
    """Inputs and targets from a sequence and which of its tokens are to be learnt.

    Position i reads `ids[i]` and is to predict `ids[i + 1]`, when that one is trained. Both come
    out one shorter than `ids`.

    >>> next_token_example([5, 6, 7], [False, False, True])
    ([5, 6], [-100, 7])
    """
    pairs = zip(ids[1:], trained[1:], strict=True)
    return list(ids[:-1]), [token if learnt else IGNORE for token, learnt in pairs]
