"""Words and n-grams of words, in the form in which texts are compared."""

import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

ALONE = "\\u3040-\\u30ff\\u3400-\\u9fff\\uf900-\\ufaff"
"""Characters of Chinese and Japanese, which put no blanks between words: each is one."""
WORD = re.compile(rf"[{ALONE}]|[^\W{ALONE}]+")
FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that no bit of a product is lost: 2**64 by the golden ratio."""


def normalize(text: str) -> str:
    """The text with compatible characters made equal (Unicode NFKC) and without capitals."""
    return unicodedata.normalize("NFKC", text).casefold()


def words_of(text: str) -> list[str]:
    """The runs of letters and digits of a text, normalized."""
    return WORD.findall(normalize(text))


def ngram_hashes(
    words: NDArray[np.uint64], lengths: NDArray[np.int64], ngram: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """A 64-bit hash of each n-gram within each text, and the text that it is from.

    Args:
        words: hashes of the words, text after text.
        lengths: words in each text: (texts,).
    """
    places = max(len(words) - ngram + 1, 0)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    hashed = np.zeros(places, dtype=np.uint64)
    spread = mix(words)
    for offset in range(ngram):
        hashed = hashed * FACTOR + spread[offset : offset + places]
    # Those that begin in one text and end in another are none.
    within = owner[:places] == owner[ngram - 1 :][:places]
    return mix(hashed[within]), owner[:places][within]


def distinct(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The different numbers, ascending, each once.

    As `np.unique`, which for integers fills a hash table (numpy 2.3 and later) and takes ten times as long.
    """
    ordered = np.sort(numbers)
    first = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The numbers scattered over all 64 bits, different ones to different places (SplitMix64)."""
    mixed = numbers + FACTOR
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
