"""What texts are compared by, worked out where they are read: by every process for its own documents.

Whoever compares documents then has no text to normalize, no signature to compute and no n-gram to look
up; see `deduplication` and `decontamination`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO

import numpy as np
import numpy.typing as npt

from hornbook.corpus.decontamination import Decontamination
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
    shared: npt.NDArray[np.int64]
    """Of each what `Decontamination.shared` gives, (texts, 2); none where no step asks for it."""

    def of(self, place: int) -> Fingerprint:
        """One text's."""
        signatures, shared = self.signatures, None
        if len(self.shared):
            shared = int(self.shared[place, 0]), int(self.shared[place, 1])
        return Fingerprint(
            self.hashes[place].tobytes(),
            signatures.bands[place],
            signatures.ngrams_of(place),
            shared,
        )


def compute(
    texts: Sequence[str],
    settings: DeduplicationSettings,
    decontamination: Decontamination | None = None,
) -> Fingerprints:
    """The fingerprints that the settings' steps, and this one, look at."""
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
    shared = [] if decontamination is None else list(map(decontamination.shared, texts))
    return Fingerprints(hashes, signatures, np.array(shared, np.int64).reshape(-1, 2))


def write(prints: Fingerprints, file: IO[bytes]) -> None:
    """Add the fingerprints of some documents to a file."""
    signatures = prints.signatures
    arrays = (prints.hashes, signatures.bands, signatures.ngrams, signatures.starts, prints.shared)
    for array in arrays:
        np.save(file, array, allow_pickle=False)


def read(file: IO[bytes], documents: Iterator[Document]) -> Iterator[Document]:
    """The documents with the fingerprints that were written for them, in the same order."""
    while (document := next(documents, None)) is not None:
        hashes, bands, ngrams, starts, shared = (
            np.load(file, allow_pickle=False) for _ in range(5)
        )
        prints = Fingerprints(hashes, Signatures(ngrams, starts, bands), shared)
        for place in range(len(hashes)):
            if place:
                document = next(documents)
            yield replace(document, fingerprint=prints.of(place))
