"""Gopher's rules about what a document of prose looks like.

Rae et al., *Scaling Language Models: Methods, Analysis & Insights from Training Gopher* (2021),
appendix A1.1, "Quality Filtering". They are made for English, and for writing with blanks between
words. A document just at a threshold stays.
"""

from functools import partial

from pydantic import Field

from hornbook.config import Settings
from hornbook.corpus.quality.view import Judge, Removed, View, over, share

ELLIPSES = ("...", "…")
BULLETS = frozenset("•‣◦▪●-*–")
PUNCTUATION = ".,;:!?\"'()[]{}“”‘’«»…-–—*_"


class GopherSettings(Settings):
    """Thresholds of the filters "gopher-words" to "gopher-stop-words"."""

    min_words: int = Field(default=50, ge=0)
    """Words that a document has at least."""
    max_words: int = Field(default=100_000, ge=1)
    """Words that it has at most."""
    min_word_length: float = Field(default=3, ge=0)
    """Characters of a word, on average, at least."""
    max_word_length: float = Field(default=10, gt=0)
    """Characters of a word, on average, at most."""
    max_hashes: float = Field(default=0.1, ge=0)
    """Signs "#" for each word, at most."""
    max_ellipses: float = Field(default=0.1, ge=0)
    """Ellipses ("..." and "…") for each word, at most."""
    max_bullets: float = Field(default=0.9, ge=0, le=1)
    """Share of lines that begin with a bullet, at most."""
    max_ellipsis_lines: float = Field(default=0.3, ge=0, le=1)
    """Share of lines that end with an ellipsis, at most."""
    min_letters: float = Field(default=0.8, ge=0, le=1)
    """Share of words with a letter in them, at least."""
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")
    """Words that any prose of the language has; given without capitals."""
    min_stop_words: int = Field(default=2, ge=0)
    """How many different ones of them a document has at least."""


def gopher_judges(settings: GopherSettings) -> dict[str, Judge]:
    """The filters by name, cheapest first."""
    lengths = settings.min_word_length, settings.max_word_length
    wanted = settings.stop_words, settings.min_stop_words
    return {
        "gopher-words": partial(count_words, least=settings.min_words, most=settings.max_words),
        "gopher-word-length": partial(word_length, least=lengths[0], most=lengths[1]),
        "gopher-hashes": partial(hashes, most=settings.max_hashes),
        "gopher-ellipses": partial(ellipses, most=settings.max_ellipses),
        "gopher-bullets": partial(bullets, most=settings.max_bullets),
        "gopher-ellipsis-lines": partial(ellipsis_lines, most=settings.max_ellipsis_lines),
        "gopher-letters": partial(letters, least=settings.min_letters),
        "gopher-stop-words": partial(stop_words, wanted=wanted[0], least=wanted[1]),
    }


def count_words(view: View, least: int, most: int) -> Removed | None:
    """Neither a scrap nor a dump."""
    count = len(view.words)
    if count < least:
        return Removed(f"{count:,} words, fewer than {least:,}")
    return Removed(f"{count:,} words, more than {most:,}") if count > most else None


def word_length(view: View, least: float, most: float) -> Removed | None:
    """Words of a length that language has; a document without words stays."""
    if not len(view.words):
        return None
    mean = view.words.characters / len(view.words)
    if mean < least:
        return Removed(f"words of {mean:.4g} characters on average, below {least:.4g}")
    if mean > most:
        return Removed(f"words of {mean:.4g} characters on average, above {most:.4g}")
    return None


def hashes(view: View, most: float) -> Removed | None:
    """No list of tags."""
    return over('signs "#" a word', view.text.count("#"), len(view.words), most)


def ellipses(view: View, most: float) -> Removed | None:
    """No list of beginnings."""
    count = sum(map(view.text.count, ELLIPSES))
    return over("ellipses a word", count, len(view.words), most)


def bullets(view: View, most: float) -> Removed | None:
    """No menu."""
    count = sum([line[0] in BULLETS for line in view.lines])
    return over("share of lines that begin with a bullet", count, len(view.lines), most)


def ellipsis_lines(view: View, most: float) -> Removed | None:
    """No page of teasers."""
    if not any(sign in view.text for sign in ELLIPSES):
        return None
    count = sum([line.endswith(ELLIPSES) for line in view.lines])
    return over("share of lines that end with an ellipsis", count, len(view.lines), most)


def letters(view: View, least: float) -> Removed | None:
    """No table of numbers; a document without words stays."""
    if view.words.with_letters() >= least * len(view.words):
        return None
    words = view.text.split()
    count = sum(word[0].isalpha() or any(map(str.isalpha, word)) for word in words)
    found = share(count, len(words))
    if found >= least:
        return None
    return Removed(f"share of words with a letter: {found:.4g}, below {least:.4g}")


def stop_words(view: View, wanted: tuple[str, ...], least: int) -> Removed | None:
    """Sentences, which cannot do without these words."""
    found = 0
    for word in wanted:  # they come soon, in prose
        if found >= least:
            return None
        found += f" {word} " in view.text
    if found >= least or len(set(wanted).intersection(view.text.split())) >= least:
        return None
    bare = {word.strip(PUNCTUATION) for word in view.lower.split()}
    found = len(bare.intersection(wanted))
    if found >= least:
        return None
    return Removed(f"{found} of the words {', '.join(wanted)}; {least} are wanted")
