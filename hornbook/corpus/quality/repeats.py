"""N-grams of words that come again within one text, found quickly: by hashes, and the longer ones only
where the shorter ones come again. Most texts repeat so little that a bound says enough."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hornbook.corpus.ngrams import FACTOR
from hornbook.corpus.quality.characters import Words


@dataclass(frozen=True)
class Ngrams:
    """The n-grams of one length of which a text has several alike."""

    length: int
    """Words in each."""
    starts: NDArray[np.int64]
    """The words that they begin with, ascending."""
    kinds: NDArray[np.int64]
    """A number for each, the same for those that are alike."""
    share: float
    """Of the text's characters, those of all these n-grams together: above 1 where they overlap."""


class Repeats:
    """The n-grams of words that come again in a text.

    Takes time in proportion to n log n for n words, and memory of about 100 bytes a word.
    """

    def __init__(self, words: Words) -> None:
        """`words` are the text's, in order."""
        self._ends = words.ends
        self._words = words
        self._found: list[Ngrams] = []

    @cached_property
    def _hashes(self) -> list[NDArray[np.uint64]]:
        """Of all words, pairs of words and so on, as far as was asked for."""
        return [self._words.hashes]

    def _hashes_of(self, length: int) -> NDArray[np.uint64]:
        """Of all n-grams of so many words, in order."""
        while len(self._hashes) < length:
            before = self._hashes[-1][:-1]
            self._hashes.append(before * FACTOR + self._hashes[0][len(self._hashes) :])
        return self._hashes[length - 1]

    def top_bound(self, length: int) -> float:
        """The most frequent n-gram of so many words has at most this share of the characters.

        They are put into many more boxes than there are n-grams by a part of their hashes, so that
        others may count with them.
        """
        hashes = self._hashes_of(length)
        if not len(hashes):
            return 0.0
        bits = len(hashes).bit_length() + 2
        boxes = (hashes >> np.uint64(64 - bits)).view(np.int64)
        characters = self._ends[length:] - self._ends[:-length]
        return float(np.bincount(boxes, characters).max() / self._ends[-1])

    def duplicate_bound(self, shortest: int) -> float:
        """N-grams of `shortest` words or more that came before have at most this share of them.

        Every word of a longer one lies in one of `shortest` words that came before.
        """
        hashes = np.sort(self._hashes_of(shortest))
        before = np.count_nonzero(hashes[1:] == hashes[:-1])
        if not before:
            return 0.0
        longest = (self._ends[shortest:] - self._ends[:-shortest]).max()
        return float(before * longest / self._ends[-1])

    def ngrams(self) -> Iterator[Ngrams]:
        """Those that come again, of 2 words, of 3 and so on, until there are none."""
        yield from self._found
        while (found := self._next()) is not None:
            self._found.append(found)
            yield found

    def _next(self) -> Ngrams | None:
        """Those one word longer than the last found: where both halves, so to say, come again."""
        length = len(self._found) + 2
        if self._found:
            before = self._found[-1].starts
            starts = before[:-1][before[1:] - before[:-1] == 1]
        else:
            starts = np.arange(max(len(self._words) - 1, 0))
        if len(starts) < 2:
            return None
        words = self._hashes[0]
        hashes = words[starts]
        for offset in range(1, length):
            hashes = hashes * FACTOR + words[starts + offset]
        ranked = np.sort(hashes)
        again = ranked[1:][ranked[1:] == ranked[:-1]]
        if not len(again):
            return None
        kinds = np.searchsorted(again, hashes)
        several = again[np.minimum(kinds, len(again) - 1)] == hashes
        starts = starts[several]
        characters = (self._ends[starts + length] - self._ends[starts]).sum()
        return Ngrams(length, starts, kinds[several], float(characters / self._ends[-1]))

    def top_shares(self, longest: int, above: float = 0) -> Iterator[tuple[int, float]]:
        """Words of an n-gram, and the share of characters in the most frequent one of so many.

        Those whose share cannot be `above` that are passed over.
        """
        for ngrams in self.ngrams():
            # One of a word more lies in two of these, side by side: at most twice the characters.
            if ngrams.share * 2.0 ** (longest - ngrams.length) <= above:
                return
            if ngrams.share > above:
                counts = np.bincount(ngrams.kinds)[ngrams.kinds]
                most = counts.max()
                starts = ngrams.starts[counts == most]
                lengths = self._ends[starts + ngrams.length] - self._ends[starts]
                yield ngrams.length, float(most * lengths.max() / self._ends[-1])
            if ngrams.length == longest:
                return

    def duplicate_shares(
        self, shortest: int, longest: int, above: float = 0
    ) -> Iterator[tuple[int, float]]:
        """Words of an n-gram, and the share of characters in those of so many that came before.

        It ends where no share can be `above` that: a longer n-gram that comes again lies within
        shorter ones that do.
        """
        for ngrams in self.ngrams():
            if ngrams.share <= above:
                return
            if ngrams.length >= shortest:
                yield ngrams.length, self._share_before(ngrams)
            if ngrams.length == longest:
                return

    def _share_before(self, ngrams: Ngrams) -> float:
        """The share of characters in those that came before, each character once."""
        later = np.ones(len(ngrams.kinds), dtype=bool)
        later[np.unique(ngrams.kinds, return_index=True)[1]] = False
        inside = np.zeros(len(self._words), dtype=bool)
        for offset in range(ngrams.length):
            inside[ngrams.starts[later] + offset] = True
        return float(np.diff(self._ends)[inside].sum() / self._ends[-1])
