"""Gopher's rules about text that comes again within a document.

Rae et al. (2021), appendix A1.1, "Repetition Removal", and table A1, whose limits are the defaults;
a document just at a limit stays. The paper leaves open what is measured in detail; here:

- Of lines (or paragraphs, n-grams) that are alike, all but the first are duplicates.
- Shares of characters leave blanks out of words and n-grams, and those at the ends out of lines.
- The most frequent n-gram is the longest one among equally frequent ones; one that comes once does
  not count.
- Characters in overlapping duplicate n-grams count once.
"""

from collections.abc import Iterable, Sequence
from functools import partial

from pydantic import Field

from hornbook.config import Settings
from hornbook.corpus.quality.view import Judge, Removed, View, over

TOP = (2, 3, 4)
"""Words in the n-grams of which the most frequent one is looked at."""
DUPLICATE = (5, 6, 7, 8, 9, 10)
"""Words in the n-grams of which all duplicates are looked at."""


class RepetitionSettings(Settings):
    """Limits of the filters "gopher-duplicate-lines" to "gopher-duplicate-ngrams"."""

    max_lines: float = Field(default=0.30, ge=0, le=1)
    """Share of lines that came before, at most."""
    max_line_characters: float = Field(default=0.20, ge=0, le=1)
    """Share of characters that are in such lines, at most."""
    max_paragraphs: float = Field(default=0.30, ge=0, le=1)
    """Share of paragraphs that came before, at most."""
    max_paragraph_characters: float = Field(default=0.20, ge=0, le=1)
    """Share of characters that are in such paragraphs, at most."""
    max_top_ngrams: tuple[float, float, float] = (0.20, 0.18, 0.16)
    """Shares of characters that are in the most frequent n-gram of 2, 3 and 4 words, at most."""
    max_duplicate_ngrams: tuple[float, float, float, float, float, float] = (
        0.15,
        0.14,
        0.13,
        0.12,
        0.11,
        0.10,
    )
    """Shares of characters that are in n-grams of 5, 6, 7, 8, 9 and 10 words that came before, at
    most."""


def repetition_judges(settings: RepetitionSettings) -> dict[str, Judge]:
    """The filters by name, cheapest first."""
    return {
        "gopher-duplicate-lines": partial(
            duplicate_lines,
            most=settings.max_lines,
            most_characters=settings.max_line_characters,
        ),
        "gopher-duplicate-paragraphs": partial(
            duplicate_paragraphs,
            most=settings.max_paragraphs,
            most_characters=settings.max_paragraph_characters,
        ),
        "gopher-top-ngrams": partial(
            top_ngrams, most=dict(zip(TOP, settings.max_top_ngrams, strict=True))
        ),
        "gopher-duplicate-ngrams": partial(
            duplicate_ngrams, most=dict(zip(DUPLICATE, settings.max_duplicate_ngrams, strict=True))
        ),
    }


def duplicate_lines(view: View, most: float, most_characters: float) -> Removed | None:
    """No line over and over."""
    if view.lines_differ:
        return None
    return _duplicates("lines", view.lines, most, most_characters)


def duplicate_paragraphs(view: View, most: float, most_characters: float) -> Removed | None:
    """No paragraph over and over."""
    if view.lines_differ:
        return None
    return _duplicates("paragraphs", view.paragraphs, most, most_characters)


def _duplicates(
    name: str, pieces: Sequence[str], most: float, most_characters: float
) -> Removed | None:
    count, characters = count_duplicates(pieces)
    whole = sum(map(len, pieces))
    return over(f"share of {name} that came before", count, len(pieces), most) or over(
        f"share of characters in {name} that came before", characters, whole, most_characters
    )


def count_duplicates(pieces: Iterable[str]) -> tuple[int, int]:
    """How many pieces came before, and how many characters they have."""
    seen: set[str] = set()
    count = characters = 0
    for piece in pieces:
        if piece in seen:
            count += 1
            characters += len(piece)
        seen.add(piece)
    return count, characters


def top_ngrams(view: View, most: dict[int, float]) -> Removed | None:
    """No phrase all the time. `most` are limits by the n-grams' words."""
    if all(view.repeats.top_bound(length) <= limit for length, limit in most.items()):
        return None
    for length, found in view.repeats.top_shares(max(most), above=min(most.values())):
        if length in most and found > most[length]:
            return _too_many(f"the most frequent {length}-gram", found, most[length])
    return None


def duplicate_ngrams(view: View, most: dict[int, float]) -> Removed | None:
    """Nothing longer all the time, either. `most` are limits by the n-grams' words."""
    if view.repeats.duplicate_bound(min(most)) <= min(most.values()):
        return None
    shares = view.repeats.duplicate_shares(min(most), max(most), above=min(most.values()))
    for length, found in shares:
        if length in most and found > most[length]:
            return _too_many(f"{length}-grams that came before", found, most[length])
    return None


def _too_many(where: str, found: float, most: float) -> Removed:
    return Removed(f"share of characters in {where}: {found:.4g}, above {most:.4g}")
