"""The characters of a text as numbers, and the words among them: found by numpy, without a string for each."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hornbook.corpus.ngrams import FACTOR, mix

Codes = NDArray[np.uint32]

BLOCK = 2**16
"""Characters looked at together, so that a long text takes little memory."""
POWERS = np.cumprod(np.full(BLOCK, FACTOR))
"""FACTOR, FACTOR ** 2, ... modulo 2 ** 64."""
INVERSES = np.cumprod(np.full(BLOCK, pow(int(FACTOR), -1, 2**64), np.uint64))
LAST_BLANK = 0x3000
"""The last character that Unicode calls a blank."""
IS_BLANK = np.array([chr(code).isspace() for code in range(LAST_BLANK + 1)] + [False])
IS_LETTER = np.array([chr(code).isalpha() for code in range(LAST_BLANK + 1)] + [False])
"""Of the characters up to there, and, as the last, of all others: some of those are letters."""


def codes_of(text: str) -> Codes:
    """The code points of a text, (characters,)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


class Words:
    """What stands between blanks, as `str.split` finds it; memory of about 40 bytes a word."""

    def __init__(self, codes: Codes) -> None:
        """`codes` are the text's characters, (characters,)."""
        self._codes = codes
        blank = np.ones(len(codes) + 2, dtype=bool)
        for begin in range(0, len(codes), BLOCK):
            some = codes[begin : begin + BLOCK]
            blank[begin + 1 : begin + 1 + len(some)] = _look_up(IS_BLANK, some)
        edges = np.flatnonzero(blank[1:] != blank[:-1])  # starts and stops in turn
        self.starts, self.stops = edges[::2], edges[1::2]
        """Where each word starts, and behind its last character; both (words,) int64."""

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Characters of all words before each, and of all: (words + 1,)."""
        ends = np.zeros(len(self) + 1, np.int64)
        np.cumsum(self.stops - self.starts, out=ends[1:])
        return ends

    @property
    def characters(self) -> int:
        """Of all words together."""
        return int(self.ends[-1])

    @cached_property
    def hashes(self) -> NDArray[np.uint64]:
        """Of each word, (words,); two different ones have the same once in 10**19 pairs."""
        found = np.zeros(len(self), np.uint64)
        first = 0
        while first < len(self):
            begin = self.starts[first]
            behind = int(np.searchsorted(self.stops, begin + BLOCK, side="right"))
            if behind > first:
                found[first:behind] = self._polynomials(first, behind)
            else:  # a word longer than a block; Python's own hash is the same for it in this process
                behind = first + 1
                found[first] = hash(self._codes[begin : self.stops[first]].tobytes()) % 2**64
            first = behind
        return mix(found)

    def _polynomials(self, first: int, behind: int) -> NDArray[np.uint64]:
        """The sum of FACTOR ** place * (character + 1) over each word from number `first` to `behind` - 1.

        A difference of two sums over the text up to there, divided by the power for the word's own place.
        """
        begin, end = self.starts[first], self.stops[behind - 1]
        sums = np.zeros(end - begin + 1, np.uint64)
        np.cumsum(POWERS[: end - begin] * (self._codes[begin:end] + np.uint32(1)), out=sums[1:])
        starts, stops = self.starts[first:behind] - begin, self.stops[first:behind] - begin
        polynomials: NDArray[np.uint64] = (sums[stops] - sums[starts]) * INVERSES[starts]
        return polynomials

    def with_letters(self) -> int:
        """At least so many words have a letter: the first or second of their characters."""
        first = self._codes[self.starts]
        second = self._codes[np.minimum(self.starts + 1, self.stops - 1)]
        letters = _look_up(IS_LETTER, first) | _look_up(IS_LETTER, second)
        return int(np.count_nonzero(letters))


def _look_up(table: NDArray[np.bool_], codes: Codes) -> NDArray[np.bool_]:
    return table[np.minimum(codes, np.uint32(len(table) - 1))]
