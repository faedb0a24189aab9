"""What a corpus is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Document:
    """One text that stands by itself: a story, an article, a chapter."""

    text: str
    """Its text, with "\\n" as the only line break."""
    id: str
    """A name that stays when other documents are added; the split of the corpus hangs on it."""
    source: str = ""
    """The corpus that it is from, where several are read."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What else its file says about it, as plain JSON values."""
