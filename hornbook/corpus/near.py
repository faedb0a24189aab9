"""Near duplicates: documents that share most of their word n-grams with one that was kept."""

import importlib.util
import itertools
import tempfile
import weakref
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.corpus.band_index import BandIndex
from hornbook.corpus.document import Document
from hornbook.corpus.earlier import ComparedWithEarlier
from hornbook.corpus.parallel import BATCH_CHARACTERS, BATCH_DOCUMENTS, batched, computed
from hornbook.corpus.signatures import Signatures, choose_bands, compute_signatures
from hornbook.corpus.step import strings_of_array, strings_to_array
from hornbook.errors import HornbookError

MOST_COMPARED = 256
"""Candidates that a document is compared with at most: those with the most bands in common."""


class NearDuplicates(ComparedWithEarlier):
    """Removes documents whose Jaccard similarity to an earlier, kept one reaches a threshold.

    MinHash finds candidates; each is then compared in full, by 32-bit hashes of all its n-grams, so
    that what is removed is a duplicate but for a collision of hashes (for texts of 1,000 words, one
    n-gram in 4 million).

    Memory: for each document kept 12 bytes a band, up to four times that for moments while the
    index grows, and about 100 bytes for its id: with the default 25 bands at most 1.4 kB. A batch
    of up to 4 million characters is held for each process. The n-grams lie in a temporary file: 4
    bytes for each word kept. Documents of an earlier source count as kept.
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
        self._bands = bands.count
        self._compute = partial(compute_signatures, ngram=ngram, num_perm=num_perm, bands=bands)
        self._workers = workers
        self._index = BandIndex()
        self._ids: list[str] = []
        self._store = NgramStore()
        self._notes: list[NDArray[np.uint64]] | None = None
        self._noted = 0
        self._sources: list[tuple[int, str]] = [(0, "")]
        """The number of the first document of each earlier source, and of this one, ""."""
        super().__init__("near")

    def apply(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents that are like no earlier one.

        Raises:
            HornbookError: the temporary file cannot be written.
        """
        for batch, signatures in self._signed(documents):
            kept = self._choose(batch, signatures)
            yield from (batch[place] for place in kept)

    def _signed(self, documents: Iterator[Document]) -> Iterator[tuple[list[Document], Signatures]]:
        """The documents in batches with their signatures, those that they have or computed ones."""
        first = next(documents, None)
        if first is None:
            return
        documents = itertools.chain([first], documents)
        if first.fingerprint is None:
            work = "computes signatures of documents"
            yield from computed(documents, self._compute, self._workers, work)
            return
        for batch in batched(documents, BATCH_DOCUMENTS, BATCH_CHARACTERS):
            yield batch, self._gathered(batch)

    def _gathered(self, batch: Sequence[Document]) -> Signatures:
        """The signatures that documents have; computed for those whose text has changed."""
        changed = [n for n, document in enumerate(batch) if document.fingerprint is None]
        fresh = self._compute([batch[place].text for place in changed])
        pairs = [
            (d.fingerprint.bands, d.fingerprint.ngrams) if d.fingerprint else None for d in batch
        ]
        for number, place in enumerate(changed):
            pairs[place] = fresh.bands[number], fresh.ngrams_of(number)
        bands, ngrams = zip(*(pair for pair in pairs if pair is not None), strict=True)
        starts = np.cumsum([0, *map(len, ngrams)])
        return Signatures(np.concatenate(ngrams), starts, np.stack(bands))

    def _learn_earlier(self, source: str, documents: Iterator[Document]) -> None:
        self._sources[-1] = len(self._ids), source
        for batch, signatures in self._signed(documents):
            first = len(self._ids)
            for place, document in enumerate(batch):
                self._ids.append(document.id)
                self._store.append(signatures.ngrams_of(place))
            self._index_from(signatures.bands, first)
        self._sources.append((len(self._ids), ""))

    def _source_of(self, number: int) -> str:
        """The earlier source that a document kept is of; "" for this one."""
        return self._sources[bisect_right(self._sources, number, key=itemgetter(0)) - 1][1]

    def _choose(self, batch: Sequence[Document], signatures: Signatures) -> list[int]:
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
            match = self._match(ngrams, candidates) if len(ngrams) else None
            if match is not None:
                number, similarity = match
                why = f"{similarity:.0%} like {self._ids[number]}"
                self._remove(document, why, self._source_of(number))
                continue
            kept.append(place)
            if len(ngrams):
                for band in within[place]:
                    fresh.setdefault(band, []).append(len(self._ids))
            self._ids.append(document.id)
            self._store.append(ngrams)
        self._remember(signatures, kept, first)
        return kept

    def _match(
        self, ngrams: NDArray[np.uint32], candidates: Counter[int]
    ) -> tuple[int, float] | None:
        """The first candidate, from the likeliest, that reaches the threshold."""
        ranked = sorted(candidates, key=lambda number: (-candidates[number], number))
        for number in ranked[:MOST_COMPARED]:
            size = self._store.size(number)
            shorter, longer = sorted((len(ngrams), size))
            if shorter < self._threshold * longer:
                continue  # even all of the shorter one in common would not do
            other = self._store.read(number)
            common = len(np.intersect1d(ngrams, other, assume_unique=True))
            similarity = common / (len(ngrams) + size - common)
            if similarity >= self._threshold:
                return number, similarity
        return None

    def _remember(self, signatures: Signatures, kept: Sequence[int], first: int) -> None:
        places = np.array(kept, dtype=np.int64)
        bands = signatures.bands[places]
        self._index_from(bands, first)
        if self._notes is not None:
            self._notes.append(bands)

    def _index_from(self, bands: NDArray[np.uint64], first: int) -> None:
        """Add documents from number `first`, but for those without words, to the index."""
        numbers = np.arange(first, first + len(bands), dtype=np.uint32)
        has_words = np.array([self._store.size(int(number)) > 0 for number in numbers], dtype=bool)
        self._index.add(bands[has_words], numbers[has_words])

    def take_notes(self) -> None:
        """See `Remembering`."""
        self._notes, self._noted = [], len(self._ids)

    def notes(self) -> dict[str, NDArray[Any]]:
        """Ids, bands and n-grams of documents, and how many of them were added together."""
        added, first = self._notes or [], self._noted
        self.take_notes()
        numbers = range(first, len(self._ids))
        ngrams = [np.zeros(0, np.uint32), *map(self._store.read, numbers)]
        return {
            "ids": strings_to_array(self._ids[first:]),
            "bands": np.concatenate([np.zeros((0, self._bands), np.uint64), *added]),
            "together": np.array([len(bands) for bands in added], np.int64),
            "ngrams": np.concatenate(ngrams),
            "sizes": np.array([self._store.size(number) for number in numbers], np.int64),
        }

    def learn(self, notes: Mapping[str, NDArray[Any]]) -> None:
        """See `Remembering`; the index comes out as it was, for it hangs on what came together."""
        ends = np.cumsum(notes["sizes"])
        for start, end in zip(ends - notes["sizes"], ends, strict=True):
            self._store.append(notes["ngrams"][start:end])
        at = 0
        for count in notes["together"].tolist():
            self._index_from(notes["bands"][at : at + count], len(self._ids) + at)
            at += count
        self._ids += strings_of_array(notes["ids"])


class NgramStore:
    """N-grams of the documents kept, in a temporary file that is gone when this is."""

    def __init__(self) -> None:
        """Open the file, in the folder that TMPDIR names."""
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed with this)
        weakref.finalize(self, self._file.close)
        self._ends = array("Q", [0])

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
