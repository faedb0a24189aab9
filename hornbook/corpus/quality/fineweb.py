"""FineWeb's rules about lines.

Penedo et al., *The FineWeb Datasets: Decanting the Web for the Finest Text Data at Scale* (2024),
section 3.6. The paper says "≤ 0.12", "≥ 0.1" and "≥ 0.67": a document just at a threshold is removed.
(The authors' program, datatrove, takes 0.01 for lines that come again.)
"""

from functools import partial

from pydantic import Field

from hornbook.config import Settings
from hornbook.corpus.quality.repetition import count_duplicates
from hornbook.corpus.quality.view import Judge, Removed, View, share

TERMINAL = frozenset(".!?…\"'”’»。！？｡」』।॥؟۔։።")
"""Signs that a sentence ends with, or a quotation at its end, in many scripts."""


class FineWebSettings(Settings):
    """Thresholds of the filters "fineweb-punctuation" to "fineweb-short-lines"."""

    min_punctuation: float = Field(default=0.12, ge=0, le=1)
    """Share of lines that end as a sentence does: removed at or below it."""
    max_duplicate_characters: float = Field(default=0.1, ge=0, le=1)
    """Share of characters in lines that came before: removed at or above it."""
    max_short_lines: float = Field(default=0.67, ge=0, le=1)
    """Share of lines that are short: removed at or above it."""
    short_line: int = Field(default=30, ge=0)
    """Characters below which a line is short."""


def fineweb_judges(settings: FineWebSettings) -> dict[str, Judge]:
    """The filters by name, cheapest first."""
    return {
        "fineweb-punctuation": partial(punctuation, least=settings.min_punctuation),
        "fineweb-short-lines": partial(
            short_lines, most=settings.max_short_lines, short=settings.short_line
        ),
        "fineweb-duplicate-lines": partial(duplicate_lines, most=settings.max_duplicate_characters),
    }


def punctuation(view: View, least: float) -> Removed | None:
    """Not only headings and menus; a document without lines stays."""
    if not view.lines:
        return None
    found = sum([line[-1] in TERMINAL for line in view.lines]) / len(view.lines)
    if found > least:
        return None
    return Removed(
        f"share of lines that end as a sentence does: {found:.4g}, not above {least:.4g}"
    )


def short_lines(view: View, most: float, short: int) -> Removed | None:
    """No list."""
    found = share(sum([len(line) < short for line in view.lines]), len(view.lines))
    return _at_least(f"share of lines below {short} characters", found, most)


def duplicate_lines(view: View, most: float) -> Removed | None:
    """No line over and over."""
    lines = view.lines
    if most > 0 and view.lines_differ:
        return None
    found = share(count_duplicates(lines)[1], sum(map(len, lines)))
    return _at_least("share of characters in lines that came before", found, most)


def _at_least(what: str, found: float, most: float) -> Removed | None:
    return Removed(f"{what}: {found:.4g}, not below {most:.4g}") if found >= most else None
