"""A document as filters look at it, and what they say of it.

Words are what stands between blanks, lines what stands between line breaks, without blanks at
their ends; empty lines are none. Paragraphs stand between empty lines.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from hornbook.corpus.quality.repeats import Repeats

PARAGRAPH_BREAK = re.compile(r"\n\s*\n")


class View:
    """A text with its words, lines and paragraphs, each found when it is first asked for."""

    def __init__(self, text: str) -> None:
        """`text` has "\\n" as its only line break."""
        self.text = text

    @cached_property
    def words(self) -> list[str]:
        """What stands between blanks, punctuation included."""
        return self.text.split()

    @cached_property
    def lines(self) -> list[str]:
        """Those that are not empty."""
        return [stripped for line in self.text.split("\n") if (stripped := line.strip())]

    @cached_property
    def paragraphs(self) -> list[str]:
        """Those that are not empty."""
        pieces = PARAGRAPH_BREAK.split(self.text)
        return [stripped for piece in pieces if (stripped := piece.strip())]

    @cached_property
    def repeats(self) -> Repeats:
        """The n-grams of words that come again."""
        return Repeats(self.words)

    @cached_property
    def lower(self) -> str:
        """The text without capitals."""
        return self.text.lower()


@dataclass(frozen=True)
class Removed:
    """The document is left out."""

    why: str


@dataclass(frozen=True)
class Changed:
    """The document goes on with another text."""

    text: str
    why: str


Judge = Callable[[View], Removed | Changed | None]
"""A filter: None where it finds nothing. It can be pickled, so that other processes can run it."""


def share(part: float, whole: float) -> float:
    """`part / whole`; 0 where there is nothing."""
    return part / whole if whole else 0.0


def over(what: str, part: float, whole: float, most: float) -> Removed | None:
    """Remove a document of which a larger share than `most` is `what`."""
    found = share(part, whole)
    return Removed(f"{what}: {found:.4g}, above {most:.4g}") if found > most else None


def without_lines(text: str, lines: Sequence[str], bad: Callable[[str], bool]) -> Changed | None:
    """The text without its `bad` lines, the reason being the first of them.

    Args:
        lines: those of the text that are not empty, as `View.lines` has them. They alone are
            looked at, each once; empty lines stay where they are.
    """
    wrong = {line for line in set(lines) if bad(line)}
    if not wrong:
        return None
    kept = [line for line in text.split("\n") if line.strip() not in wrong]
    count = len(text.split("\n")) - len(kept)
    first = next(line for line in lines if line in wrong)
    shown = first if len(first) <= 60 else f"{first[:60]}…"
    return Changed("\n".join(kept), f"{count} line{'s' * (count > 1)} left out, such as {shown!r}")
