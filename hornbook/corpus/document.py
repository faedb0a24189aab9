"""What a corpus is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Fingerprint:
    """What a text is compared by: see `fingerprints`."""

    hash: bytes
    """Of the normalized text, 16 bytes."""
    bands: "NDArray[np.uint64]"
    """Of its MinHash signature, (bands,); none where nobody asks for it."""
    ngrams: "NDArray[np.uint32]"
    """Hashes of its different n-grams, ascending."""
    shared: tuple[int, int] | None = None
    """How many n-grams it shares with evaluation texts, and which of those: see `decontamination`."""


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
    fingerprint: Fingerprint | None = field(default=None, compare=False, repr=False)
    """Worked out where it was read; None where it was not, or the text has changed since."""
