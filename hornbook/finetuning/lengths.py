"""Examples of many lengths: what became of the longest, and which share a batch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hornbook.sampling.dataset import Examples

BATCHES_SORTED = 32
"""Batches whose examples are sorted by length together: a little order, and much chance left."""


@dataclass(frozen=True)
class LengthReport:
    """Counts over one set of examples."""

    examples: int
    """How many were given."""
    shortened: int
    """How many were longer than `max_length` and lost their last tokens."""
    dropped: int
    """How many were left out because nothing to train was left of them."""
    longest: int
    """Tokens of the longest, as it was given."""
    max_length: int
    """Most tokens of an example that is kept."""

    @property
    def kept(self) -> int:
        """How many are trained on."""
        return self.examples - self.dropped

    def warning(self) -> str | None:
        """One sentence to print when an example lost tokens; None when all fitted."""
        if not self.shortened and not self.dropped:
            return None
        parts = [f"{self.shortened:,} shortened"] if self.shortened else []
        parts += [f"{self.dropped:,} dropped"] if self.dropped else []
        return (
            f"{' and '.join(parts)} of {self.examples:,} examples: the longest has "
            f"{self.longest:,} tokens, above max_length {self.max_length:,}."
        )


class BucketedExamples(Examples):
    """Examples of which those of similar length share a batch, so that little is padding.

    An epoch's order is drawn at random, cut into stretches of 32 batches, each sorted by length and
    cut into batches, which then come in an order drawn at random.
    """

    def __init__(
        self,
        examples: Iterable[tuple[Sequence[int], Sequence[int]]],
        pad_id: int,
        max_length: int | None,
        batch_size: int,
    ) -> None:
        """As `Examples`; `batch_size` is that of the loader."""
        super().__init__(examples, pad_id, max_length)
        self._batch_size = batch_size
        self._lengths = np.array([self.length(index) for index in range(len(self))])

    def order(self, seed: int, epoch: int, shuffle: bool) -> npt.NDArray[np.int64]:
        """The samples of an epoch, (samples,), a function of the arguments alone."""
        if not shuffle:
            return np.arange(len(self))
        generator = np.random.default_rng([seed % 2**64, epoch])
        drawn = generator.permutation(len(self))
        size, stretch = self._batch_size, self._batch_size * BATCHES_SORTED
        full = len(self) // size
        whole, rest = drawn[: full * size], drawn[full * size :]
        parts = [whole[start : start + stretch] for start in range(0, len(whole), stretch)]
        ordered = [part[np.argsort(self._lengths[part], kind="stable")] for part in parts]
        batches = np.concatenate([np.empty(0, dtype=np.int64), *ordered]).reshape(full, size)
        return np.concatenate([generator.permutation(batches).ravel(), rest])


def batches_by_length(examples: Examples, batch_tokens: int) -> Iterator[list[int]]:
    """Numbers of the examples by growing length, in batches of so many tokens with their padding."""
    batch: list[int] = []
    for index in sorted(range(len(examples)), key=examples.length):
        if batch and (len(batch) + 1) * examples.length(index) > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
