"""What a corpus is made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """One text that stands by itself: a story, an article, a chapter."""

    text: str
    """Its text, with "\\n" as the only line break."""
    id: str
    """A name that stays when other documents are added; the split of the corpus hangs on it."""
