"""A document as filters look at it, and what they say of it.

Words are what stands between blanks, lines what stands between line breaks, without blanks at
their ends; empty lines are none. Paragraphs stand between empty lines.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property

from hornbook.corpus.quality.characters import Codes, Words, codes_of
from hornbook.corpus.quality.repeats import Repeats

PARAGRAPH_BREAK = re.compile(r"\n\s*\n")
KELVIN = "\u212a".encode()
"""The only character beyond ASCII that is an ASCII letter when it is no capital: a "k"."""


class View:
    """A text with its words, lines and paragraphs, each found when it is first asked for."""

    def __init__(self, text: str, lines: list[str] | None = None) -> None:
        """`text` has "\\n" as its only line break; `lines` are its lines, where they are known."""
        self.text = text
        if lines is not None:
            self.lines = lines

    @cached_property
    def codes(self) -> Codes:
        """The characters as numbers."""
        return codes_of(self.text)

    @cached_property
    def words(self) -> Words:
        """What stands between blanks, punctuation included."""
        return Words(self.codes)

    @cached_property
    def lines(self) -> list[str]:
        """Those that are not empty."""
        return [stripped for line in self.text.split("\n") if (stripped := line.strip())]

    @cached_property
    def lines_differ(self) -> bool:
        """Whether no line comes again; then no paragraph does, either."""
        return len(set(self.lines)) == len(self.lines)

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

    @cached_property
    def encoded(self) -> bytes:
        """The text as UTF-8, in which ASCII is looked for more quickly."""
        return self.text.encode("utf-8", "surrogatepass")

    @cached_property
    def encoded_lower(self) -> bytes:
        """`encoded` without ASCII's capitals: an ASCII phrase is in it where it is in `lower`."""
        return self.encoded.lower().replace(KELVIN, b"k")


@dataclass(frozen=True)
class Removed:
    """The document is left out."""

    why: str


@dataclass(frozen=True)
class Changed:
    """The document goes on with another text."""

    text: str
    why: str
    lines: list[str] | None = field(default=None, compare=False, repr=False)
    """The new text's `View.lines`, where they are known."""


Judge = Callable[[View], Removed | Changed | None]
"""A filter: None where it finds nothing. It can be pickled, so that other processes can run it."""


def share(part: float, whole: float) -> float:
    """`part / whole`; 0 where there is nothing."""
    return part / whole if whole else 0.0


def over(what: str, part: float, whole: float, most: float) -> Removed | None:
    """Remove a document of which a larger share than `most` is `what`."""
    found = share(part, whole)
    return Removed(f"{what}: {found:.4g}, above {most:.4g}") if found > most else None


def without_lines(view: View, wrong: Collection[str]) -> Changed | None:
    """The text without these of its lines, the reason being the first of them; None if there are none.

    Empty lines stay where they are.
    """
    if not wrong:
        return None
    wrong = frozenset(wrong)
    before = view.text.split("\n")
    kept = [line for line in before if line.strip() not in wrong]
    count = len(before) - len(kept)
    first = next(line for line in view.lines if line in wrong)
    shown = first if len(first) <= 60 else f"{first[:60]}…"
    return Changed(
        "\n".join(kept),
        f"{count} line{'s' * (count > 1)} left out, such as {shown!r}",
        [line for line in view.lines if line not in wrong],
    )
