"""Where something stands in a text, and the words before it that tell what it is not."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

CONTEXT = 32
"""Characters before a number in which a word about it is looked for."""


class Span(NamedTuple):
    """A piece of a text: text[start:end]."""

    start: int
    end: int


NUMBERS = re.compile(r"[0-9](?:[^0-9\n]{0,6}+[0-9]){4,}+")
"""Five digits or more near each other: every phone, card, account and IPv4 address has them."""
MARGIN = 64
"""Characters around such digits in which a number may begin, end and be named."""

Finder = Callable[[str], Iterator[Span]]
"""Finds everything of one kind in a text, from left to right."""


def follows(text: str, start: int, words: re.Pattern[str]) -> bool:
    """Whether what stands before `start`, up to `CONTEXT` characters, matches `words`."""
    return words.search(text[max(0, start - CONTEXT) : start]) is not None


def character(text: str, place: int) -> str:
    """The character at a place, or "" before the beginning and after the end."""
    return text[place] if 0 <= place < len(text) else ""


def near_numbers(text: str) -> Iterator[Span]:
    """Stretches of a text with digits enough for a number of interest; the others need no look."""
    start = end = 0
    for match in NUMBERS.finditer(text):
        if match.start() - MARGIN > end and end:
            yield Span(start, end)
            start = end = 0
        start = start if end else max(0, match.start() - MARGIN)
        end = min(len(text), match.end() + MARGIN)
    if end:
        yield Span(start, end)


def search_stretches(finder: Finder, text: str, stretches: Iterable[Span]) -> Iterator[Span]:
    """What a finder finds in these stretches of a text."""
    for stretch in stretches:
        for span in finder(text[stretch.start : stretch.end]):
            yield Span(stretch.start + span.start, stretch.start + span.end)
