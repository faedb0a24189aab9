"""Sliding windows over a stream of tokens: each position is to predict the next token.

Shapes: (batch, tokens), where tokens is `max_length`.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from hornbook.config import Settings
from hornbook.errors import HornbookError
from hornbook.sampling.batch import IGNORE
from hornbook.sampling.shards import Shards, Tokens
from hornbook.sampling.token_writer import SHARD_BYTES

FILLER = 0
"""The input id to the right of a short last window; nothing is trained there."""


class SamplingSettings(Settings):
    """How windows are cut from the tokens."""

    max_length: int | None = Field(default=None, gt=0)
    """Tokens in a window; the model's context length when not given."""
    stride: int | None = Field(default=None, gt=0)
    """Tokens from the start of one window to the next; `max_length` when not given (each token is
    then learnt once an epoch). Below it windows overlap, above it tokens are left out."""
    packing: Literal["none", "documents"] = "none"
    """"none": windows are cut from all documents in a row, and a model reads from one into the
    next. "documents": documents are packed into rows of `max_length`, each read by itself from
    position 0, with as little padding as can be; it takes no `stride`."""
    mask_every: int | None = Field(default=None, ge=2)
    """Leave one in so many tokens untrained, the same ones wherever a passage comes again, so that
    no passage is learnt by heart (the goldfish loss); all are trained when not given."""
    mask_context: int = Field(default=13, ge=1)
    """Tokens before one that decide whether it is left untrained."""
    drop_last: bool = True
    """Leave out the windows, and batches, at the end of an epoch that are not full."""
    shuffle: bool = True
    """Draw windows in another order each epoch."""
    shard_bytes: int = Field(default=SHARD_BYTES, ge=2)
    """Bytes of the largest file of token ids; only a longer document makes a larger one."""


class Windows:
    """A dataset of windows: sample i reads `tokens[i * stride :][:max_length]`.

    Its target is the same shifted by one token.

    >>> windows = Windows(np.array([40, 367, 2885, 1464, 1807, 3619]), max_length=4, stride=1)
    >>> windows.collate([0])
    (tensor([[  40,  367, 2885, 1464]]), tensor([[ 367, 2885, 1464, 1807]]))
    """

    def __init__(
        self,
        tokens: Tokens,
        max_length: int,
        stride: int | None = None,
        drop_last: bool = True,
        name: str = "the text",
    ) -> None:
        """Lay windows over `tokens`, (tokens,) of an integer type, which may lie on disk.

        With `drop_last=False` what is left at the end is one more window, filled up on the right
        with positions that are not trained; then no text of two tokens is too short.

        Raises:
            HornbookError: `tokens`, called `name` there, is shorter than one window, or a length
                is below 1.
        """
        self.max_length, self.stride = max_length, max_length if stride is None else stride
        if self.max_length < 1 or self.stride < 1:
            raise HornbookError(
                f"max_length {self.max_length} and stride {self.stride} must both be 1 or more."
            )
        self._tokens = tokens if isinstance(tokens, Shards) else np.asarray(tokens)
        needed = max_length + 1 if drop_last else 2
        if len(tokens) < needed:
            raise HornbookError(_too_short(name, len(tokens), max_length, needed))
        self._full = max(0, -(-(len(tokens) - max_length) // self.stride))
        self._count = self._full + (not drop_last and self._leaves_rest())

    def _leaves_rest(self) -> bool:
        """Whether tokens after the last full window are no window's target yet."""
        last = len(self._tokens) - 1  # the last token is a target only
        reached = (self._full - 1) * self.stride + self.max_length if self._full else 0
        return reached < last and self._full * self.stride < last

    def __len__(self) -> int:
        return self._count

    def length(self, index: int) -> int:
        """Tokens of a sample, without what fills up a short last one."""
        start = range(self._count)[index] * self.stride
        return min(self.max_length, len(self._tokens) - 1 - start)

    def spans(self, index: int) -> list[tuple[int, int]]:
        """Where a sample's tokens lie in the stream, in one piece: from the first to behind its last
        target."""
        start = range(self._count)[index] * self.stride
        return [(start, start + self.length(index) + 1)]

    @property
    def widest(self) -> int:
        """Tokens of a batch: the window's length."""
        return self.max_length

    @property
    def same_width(self) -> bool:
        """A short last window is filled up, so every batch is equally wide."""
        return True

    @property
    def n_tokens(self) -> int:
        """Tokens of all samples together, without padding."""
        rest = sum(self.length(index) for index in range(self._full, self._count))
        return self._full * self.max_length + rest

    def describe(self) -> str:
        """How samples are cut, in a few words."""
        return f"max_length {self.max_length:,}, stride {self.stride:,}"

    def collate(self, indices: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of these windows, each (batch, max_length) int64."""
        rows = np.asarray(indices, dtype=np.int64)
        if len(rows) and not (rows.min() >= 0 and rows.max() < self._count):
            raise IndexError(f"windows are numbered 0 to {self._count - 1}")
        last = len(self._tokens) - 1
        # (batch, max_length + 1): where in the stream each input and the target after it stand
        places = rows[:, None] * self.stride + np.arange(self.max_length + 1)
        spans = self._tokens[np.minimum(places, last)].astype(np.int64)
        inputs, targets = spans[:, :-1].copy(), spans[:, 1:].copy()
        beyond = places[:, 1:] > last  # only in a short last window
        inputs[beyond] = FILLER
        targets[beyond] = IGNORE
        return torch.from_numpy(inputs), torch.from_numpy(targets)

    def documents(self, indices: Sequence[int]) -> None:
        """A window is read as one text, whatever it was cut from."""


def make_windows(
    tokens: Tokens, settings: SamplingSettings, context_length: int, name: str
) -> Windows:
    """Windows as the settings say, for a model that reads `context_length` tokens.

    Raises:
        HornbookError: `max_length` is above the context length, or the text too short for it.
    """
    max_length = length_for(settings, context_length)
    return Windows(tokens, max_length, settings.stride, settings.drop_last, name)


def length_for(settings: SamplingSettings, context_length: int) -> int:
    """Tokens in a window, for a model that reads `context_length` tokens.

    Raises:
        HornbookError: `max_length` is above the context length.
    """
    max_length = settings.max_length or context_length
    if max_length > context_length:
        raise HornbookError(
            f"sampling.max_length {max_length} is above the model's context_length "
            f"{context_length}; lower it, or raise model.context_length."
        )
    return max_length


def _too_short(name: str, tokens: int, max_length: int, needed: int) -> str:
    if tokens < 2:
        return f"{name} has {tokens} tokens, where a window needs 2 or more; give it more text."
    return (
        f"{name} has {tokens} tokens, where one window of max_length {max_length} needs {needed}; "
        f"lower sampling.max_length to {tokens - 1} or below, or give it more text."
    )
