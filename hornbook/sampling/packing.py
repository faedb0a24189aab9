"""Packing: short texts put side by side into rows of one length, with little padding left over.

Each text in a row is read as if it stood alone (`Batch.documents`): its positions count from 0 and
its attention ends where it begins. Nothing is cut that fits into a row whole.

Shapes: (batch, tokens), where tokens is `max_length`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from hornbook.errors import HornbookError
from hornbook.sampling.batch import IGNORE
from hornbook.sampling.dataset import Examples
from hornbook.sampling.shards import Shards, Tokens
from hornbook.sampling.windows import FILLER

PADDING = -1
"""The document number of padding."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Packing:
    """Which pieces stand in which row."""

    order: Integers
    """The pieces' numbers row after row, (pieces,)."""
    starts: Integers
    """Where in `order` each row starts, and the end of the last, (rows + 1,)."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def row(self, index: int) -> Integers:
        """The pieces of a row, from left to right."""
        begin, end = self.starts[index : index + 2]
        return self.order[begin:end]


def best_fit(lengths: npt.NDArray[np.integer], capacity: int, seed: int = 0) -> Packing:
    """Put pieces into rows of `capacity` tokens by best-fit decreasing.

    The longest piece first, each goes into the row whose free space it fills best, or into a new
    row where it fits into none (for language models Ding et al. 2024, "Fewer Truncations Improve
    Language Modeling", §3). It takes at most 11/9 of the fewest rows possible and four more (Johnson
    et al. 1974). Pieces of equal length come in an order drawn from the seed, so that a row's are
    not neighbours in the corpus.

    Rows are kept by their free space, and the spaces there are as the bits of one integer: a piece
    takes the same few operations however many rows there are. Memory: some 150 bytes a piece.

    Args:
        lengths: (pieces,), each from 1 to `capacity`.

    Raises:
        HornbookError: a piece is longer than a row, or empty.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    if len(lengths) and not (lengths.min() >= 1 and lengths.max() <= capacity):
        raise HornbookError(
            f"rows of {capacity} tokens cannot take pieces of {lengths.min()} to {lengths.max()} "
            f"tokens; cut them to 1 to {capacity} first."
        )
    ties = np.random.default_rng(seed % 2**64).permutation(len(lengths))
    pieces = np.lexsort((ties, -lengths))  # longest first
    row_of = np.empty(len(lengths), dtype=np.int64)
    open_rows: list[list[int]] = [[] for _ in range(capacity + 1)]  # by free space
    spaces = 0  # bit n is set while a row with n tokens free is open
    rows = 0
    for piece, length in zip(pieces.tolist(), lengths[pieces].tolist(), strict=True):
        enough = spaces >> length
        if enough:
            free = length + (enough & -enough).bit_length() - 1  # the least that is enough
            row = open_rows[free].pop()
            if not open_rows[free]:
                spaces ^= 1 << free
        else:
            free, row = capacity, rows
            rows += 1
        row_of[piece] = row
        if free > length:
            open_rows[free - length].append(row)
            spaces |= 1 << (free - length)
    order = pieces[np.argsort(row_of[pieces], kind="stable")]
    starts = np.zeros(rows + 1, dtype=np.int64)
    np.cumsum(np.bincount(row_of, minlength=rows), out=starts[1:])
    return Packing(order, starts)


class Pieces(Protocol):
    """Numbered texts to be packed."""

    @property
    def lengths(self) -> Integers:
        """Positions of each, (pieces,)."""
        ...

    def piece(self, index: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Inputs and targets of one, each (its length,)."""
        ...


class PackedRows:
    """A dataset of rows, each holding one or more pieces and as little padding as best-fit leaves.

    Which pieces share a row hangs on their lengths and the seed alone, so every epoch has the same
    rows; the loader draws them in another order each time.
    """

    def __init__(
        self, pieces: Pieces, max_length: int, pad_id: int = FILLER, seed: int = 0
    ) -> None:
        """Pack `pieces` into rows of `max_length`, filled up with `pad_id`.

        Raises:
            HornbookError: a piece is longer than a row.
        """
        self.max_length = max_length
        self._pieces, self._pad_id = pieces, pad_id
        self._packing = best_fit(pieces.lengths, max_length, seed)

    def __len__(self) -> int:
        return len(self._packing)

    def length(self, index: int) -> int:
        """Tokens of a row, without padding."""
        return int(self._pieces.lengths[self.pieces(index)].sum())

    def pieces(self, index: int) -> Integers:
        """The numbers of the pieces in a row, from left to right."""
        return self._packing.row(range(len(self))[index])

    @property
    def n_tokens(self) -> int:
        """Tokens of all rows together, without padding."""
        return int(self._pieces.lengths.sum())

    @property
    def efficiency(self) -> float:
        """Share of the rows' positions that are not padding, 0 to 1."""
        return self.n_tokens / (len(self) * self.max_length) if len(self) else 1.0

    @property
    def widest(self) -> int:
        """Tokens of a batch: a row's length."""
        return self.max_length

    @property
    def same_width(self) -> bool:
        """Every batch is equally wide."""
        return True

    def describe(self) -> str:
        """How samples are cut, in a few words."""
        return (
            f"max_length {self.max_length:,}, {len(self._packing.order):,} pieces packed by "
            f"best-fit, {self.efficiency:.1%} not padding"
        )

    def collate(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of these rows, each (batch, max_length) int64."""
        shape = (len(indices), self.max_length)
        inputs = np.full(shape, self._pad_id, dtype=np.int64)
        targets = np.full(shape, IGNORE, dtype=np.int64)
        for row, index in enumerate(indices):
            end = 0
            for piece in self.pieces(index).tolist():
                ids, wanted = self._pieces.piece(piece)
                begin, end = end, end + len(ids)
                inputs[row, begin:end] = ids
                targets[row, begin:end] = wanted
        return torch.from_numpy(inputs), torch.from_numpy(targets)

    def documents(self, indices: Sequence[int]) -> torch.Tensor:
        """Which piece of its row each position belongs to, (batch, max_length) int64; -1: padding."""
        numbers = np.full((len(indices), self.max_length), PADDING, dtype=np.int64)
        for row, index in enumerate(indices):
            lengths = self._pieces.lengths[self.pieces(index)]
            numbers[row, : lengths.sum()] = np.repeat(np.arange(len(lengths)), lengths)
        return torch.from_numpy(numbers)


class PackedDocuments(PackedRows):
    """The documents of a token store, packed for pre-training.

    A document begins with the token that ended the one before it, where the store has such tokens
    (`[EOS]`): as in windows, every token but the store's first is some position's target, once. A
    document longer than a row is cut into pieces of `max_length` and a rest; each piece is then a
    text of its own.

    >>> rows = PackedDocuments(np.array([5, 6, 7, 1, 8, 9, 1]), np.array([0, 4, 7]), 6, eos_id=1)
    >>> rows.collate([0])[0], rows.documents([0])
    (tensor([[5, 6, 7, 1, 8, 9]]), tensor([[0, 0, 0, 1, 1, 1]]))
    """

    def __init__(
        self,
        tokens: Tokens,
        boundaries: npt.NDArray[np.integer],
        max_length: int,
        eos_id: int | None = None,
        seed: int = 0,
        name: str = "the text",
    ) -> None:
        """Pack `tokens`, (tokens,), which may lie on disk and of which only the packed are read.

        Args:
            boundaries: where each document starts, and the end of the last, (documents + 1,).
            eos_id: the token that ends every document, if one does.
            name: what the text is called in errors.

        Raises:
            HornbookError: `max_length` is below 1, or no document has two tokens.
        """
        if max_length < 1:
            raise HornbookError(f"max_length is {max_length}; expected 1 or more.")
        self.cuts = DocumentPieces(tokens, boundaries, max_length, eos_id)
        """The pieces that are packed."""
        if not len(self.cuts.lengths):
            raise HornbookError(f"{name} has no document of two tokens; give it more text.")
        super().__init__(self.cuts, max_length, FILLER, seed)

    def spans(self, index: int) -> list[tuple[int, int]]:
        """Where in the store the targets of each piece of a row lie, from the first to behind the
        last: all of one document."""
        pieces = self.pieces(index)
        firsts, lengths = self.cuts.starts[pieces] + 1, self.cuts.lengths[pieces]
        return list(zip(firsts.tolist(), (firsts + lengths).tolist(), strict=True))


class DocumentPieces:
    """Documents of a token store, those longer than `max_length` in several pieces."""

    def __init__(
        self,
        tokens: Tokens,
        boundaries: npt.NDArray[np.integer],
        max_length: int,
        eos_id: int | None = None,
    ) -> None:
        self._tokens = tokens if isinstance(tokens, Shards) else np.asarray(tokens)
        bounds = np.asarray(boundaries, dtype=np.int64)
        begins, ends = bounds[:-1], bounds[1:]
        if eos_id is not None:  # begin with the end of the document before
            begins = np.maximum(begins - 1, 0)
        counts = np.maximum(ends - 1 - begins, 0)  # inputs of each document
        pieces = -(-counts // max_length)
        first = np.cumsum(pieces) - pieces
        number = np.arange(pieces.sum()) - np.repeat(first, pieces)  # of each piece in its document
        self.starts: Integers = np.repeat(begins, pieces) + number * max_length
        """Where in the store each piece starts, (pieces,)."""
        self.lengths: Integers = np.minimum(
            np.repeat(counts, pieces) - number * max_length, max_length
        )
        """Positions of each piece, (pieces,)."""

    def piece(self, index: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Inputs and targets of a piece, each (its length,)."""
        start = int(self.starts[index])
        span = self._tokens[start : start + int(self.lengths[index]) + 1]
        return span[:-1], span[1:]


def count_rows(lengths: npt.NDArray[np.integer], max_length: int, seed: int = 0) -> int:
    """Rows that documents of these lengths, (documents,) in tokens with the one that ends each, are
    packed into."""
    boundaries = np.concatenate([[0], np.cumsum(lengths)])
    nothing = np.broadcast_to(np.uint16(0), (int(boundaries[-1]),))  # takes no memory
    pieces = DocumentPieces(nothing, boundaries, max_length, eos_id=0)
    return len(best_fit(pieces.lengths, max_length, seed))


class PackedExamples(PackedRows):
    """Finetuning examples, packed: several conversations a row, each read by itself.

    >>> examples = Examples([([5, 6, 7], [6, 7, 8]), ([9], [1])], pad_id=2)
    >>> PackedExamples(examples, max_length=5).collate([0])
    (tensor([[5, 6, 7, 9, 2]]), tensor([[   6,    7,    8,    1, -100]]))
    """

    def __init__(self, examples: Examples, max_length: int, seed: int = 0) -> None:
        """Pack `examples` into rows of `max_length`, padded with their own padding token.

        Raises:
            HornbookError: an example is longer than `max_length`.
        """
        super().__init__(_ExamplePieces(examples), max_length, examples.pad_id, seed)


class _ExamplePieces:
    """Examples as pieces."""

    def __init__(self, examples: Examples) -> None:
        self._examples = examples
        self.lengths: Integers = np.array(
            [examples.length(index) for index in range(len(examples))], dtype=np.int64
        )

    def piece(self, index: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Inputs and targets of an example."""
        return self._examples.example(index)
