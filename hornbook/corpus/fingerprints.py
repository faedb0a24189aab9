"""What texts are compared by, worked out where they are read: by every process for its own documents.

Whoever compares documents then has no text to normalize and no signature to compute; see
`deduplication`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO

import numpy as np
import numpy.typing as npt

from hornbook.corpus.deduplication import DeduplicationSettings, hash_text, hashes_to_array
from hornbook.corpus.document import Document, Fingerprint
from hornbook.corpus.signatures import Signatures, choose_bands, compute_signatures


@dataclass(frozen=True)
class Fingerprints:
    """Of several texts."""

    hashes: npt.NDArray[np.uint8]
    """Of the normalized texts, (texts, 16)."""
    signatures: Signatures
    """Empty where no step asks for them."""

    def of(self, place: int) -> Fingerprint:
        """One text's."""
        signatures = self.signatures
        return Fingerprint(
            self.hashes[place].tobytes(), signatures.bands[place], signatures.ngrams_of(place)
        )


def wanted(settings: DeduplicationSettings) -> bool:
    """Whether any step looks at them."""
    return settings.exact or settings.near


def compute(texts: Sequence[str], settings: DeduplicationSettings) -> Fingerprints:
    """The fingerprints that the settings' steps look at."""
    hashes = hashes_to_array(list(map(hash_text, texts)))
    if settings.near:
        bands = choose_bands(settings.threshold, settings.num_perm)
        signatures = compute_signatures(texts, settings.ngram, settings.num_perm, bands)
    else:
        signatures = Signatures(
            np.zeros(0, np.uint32),
            np.zeros(len(texts) + 1, np.int64),
            np.zeros((len(texts), 0), np.uint64),
        )
    return Fingerprints(hashes, signatures)


def write(prints: Fingerprints, file: IO[bytes]) -> None:
    """Add the fingerprints of some documents to a file."""
    signatures = prints.signatures
    for array in (prints.hashes, signatures.bands, signatures.ngrams, signatures.starts):
        np.save(file, array, allow_pickle=False)


def read(file: IO[bytes], documents: Iterator[Document]) -> Iterator[Document]:
    """The documents with the fingerprints that were written for them, in the same order."""
    while (document := next(documents, None)) is not None:
        hashes, bands, ngrams, starts = (np.load(file, allow_pickle=False) for _ in range(4))
        prints = Fingerprints(hashes, Signatures(ngrams, starts, bands))
        for place in range(len(hashes)):
            if place:
                document = next(documents)
            yield replace(document, fingerprint=prints.of(place))
