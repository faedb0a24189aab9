"""Near duplicates: documents that share most of their word n-grams with one that was kept."""

import importlib.util
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hornbook.corpus.band_index import BandIndex
from hornbook.corpus.document import Document
from hornbook.corpus.parallel import computed
from hornbook.corpus.signatures import Signatures, choose_bands, compute_signatures
from hornbook.corpus.step import OneTally
from hornbook.errors import HornbookError

MOST_COMPARED = 256
"""Candidates that a document is compared with at most: those with the most bands in common."""


class NearDuplicates(OneTally):
    """Removes documents whose Jaccard similarity to an earlier, kept one reaches a threshold.

    MinHash finds candidates; each is then compared in full, by 32-bit hashes of all its n-grams, so
    that what is removed is a duplicate but for a collision of hashes (for texts of 1,000 words, one
    n-gram in 4 million).

    Memory: for each document kept 12 bytes a band, up to four times that for moments while the
    index grows, and about 100 bytes for its id: with the default 25 bands at most 1.4 kB. A batch
    of up to 4 million characters is held for each process. The n-grams lie in a temporary file: 4
    bytes for each word kept.
    """

    def __init__(
        self, threshold: float, ngram: int, num_perm: int, workers: int | None = None
    ) -> None:
        """See `DeduplicationSettings`; raises a `HornbookError` where rensa is not installed."""
        if importlib.util.find_spec("rensa") is None:
            raise HornbookError(
                'deduplication.near needs rensa; install it with pip install "hornbook[corpus]".'
            )
        self._threshold = threshold
        bands = choose_bands(threshold, num_perm)
        self._compute = partial(compute_signatures, ngram=ngram, num_perm=num_perm, bands=bands)
        self._workers = workers
        self._index = BandIndex()
        self._ids: list[str] = []
        super().__init__("near")

    def apply(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents that are like no earlier one.

        Raises:
            HornbookError: the temporary file cannot be written.
        """
        with NgramStore() as store:
            work = "computes signatures of documents"
            for batch, signatures in computed(documents, self._compute, self._workers, work):
                kept = self._choose(batch, signatures, store)
                yield from (batch[place] for place in kept)

    def _choose(
        self, batch: Sequence[Document], signatures: Signatures, store: "NgramStore"
    ) -> list[int]:
        """Places in the batch of the documents that stay, which are remembered."""
        earlier = self._index.find(signatures.bands)
        within = _shared_within(signatures.bands)
        fresh: dict[int, list[int]] = {}
        kept: list[int] = []
        first = len(self._ids)
        for place, document in enumerate(batch):
            self._tally.seen += 1
            ngrams = signatures.ngrams_of(place)
            candidates = Counter(earlier[place])
            for band in within[place] if len(ngrams) else ():
                candidates.update(fresh.get(band, ()))
            match = self._match(ngrams, candidates, store) if len(ngrams) else None
            if match is not None:
                self._tally.remove(document, f"{match[1]:.0%} like {self._ids[match[0]]}")
                continue
            kept.append(place)
            if len(ngrams):
                for band in within[place]:
                    fresh.setdefault(band, []).append(len(self._ids))
            self._ids.append(document.id)
            store.append(ngrams)
        self._remember(signatures, kept, first)
        return kept

    def _match(
        self, ngrams: NDArray[np.uint32], candidates: Counter[int], store: "NgramStore"
    ) -> tuple[int, float] | None:
        """The first candidate, from the likeliest, that reaches the threshold."""
        ranked = sorted(candidates, key=lambda number: (-candidates[number], number))
        for number in ranked[:MOST_COMPARED]:
            size = store.size(number)
            shorter, longer = sorted((len(ngrams), size))
            if shorter < self._threshold * longer:
                continue  # even all of the shorter one in common would not do
            other = store.read(number)
            common = len(np.intersect1d(ngrams, other, assume_unique=True))
            similarity = common / (len(ngrams) + size - common)
            if similarity >= self._threshold:
                return number, similarity
        return None

    def _remember(self, signatures: Signatures, kept: Sequence[int], first: int) -> None:
        places = np.array(kept, dtype=np.int64)
        numbers = np.arange(first, first + len(kept), dtype=np.uint32)
        has_words = np.diff(signatures.starts)[places] > 0
        self._index.add(signatures.bands[places[has_words]], numbers[has_words])


class NgramStore:
    """N-grams of the documents kept, in a temporary file that is gone when the block is left."""

    def __enter__(self) -> "NgramStore":
        """Open the file, in the folder that TMPDIR names."""
        self._file = tempfile.TemporaryFile(buffering=0)
        self._ends = array("Q", [0])
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the file."""
        self._file.close()

    def append(self, ngrams: NDArray[np.uint32]) -> None:
        """Add the next document's."""
        try:
            self._file.seek(self._ends[-1] * 4)
            left = memoryview(ngrams.tobytes())
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise HornbookError(
                f"{tempfile.gettempdir()}: no place for the n-grams of near duplicates: "
                f"{error.strerror}; make room or set TMPDIR."
            ) from None
        self._ends.append(self._ends[-1] + len(ngrams))

    def size(self, number: int) -> int:
        """How many a document has."""
        return self._ends[number + 1] - self._ends[number]

    def read(self, number: int) -> NDArray[np.uint32]:
        """One document's, ascending."""
        self._file.seek(self._ends[number] * 4)
        return np.frombuffer(self._file.read(self.size(number) * 4), dtype=np.uint32)


def _shared_within(bands: NDArray[np.uint64]) -> list[list[int]]:
    """Of each text, the hashes of bands that others of the batch have, too."""
    _, inverse, counts = np.unique(bands, return_inverse=True, return_counts=True)
    shared = (counts > 1)[inverse].reshape(bands.shape)
    return [row[mask].tolist() for row, mask in zip(bands, shared, strict=True)]
