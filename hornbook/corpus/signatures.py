"""MinHash: short signatures of texts, of which two agree in as many places as the texts are alike.

Broder, *On the resemblance and containment of documents* (1997). Each number of a signature is the
same for two sets with a probability equal to their Jaccard similarity. Cut into bands of a few
numbers each, texts that agree in the whole of any band are candidates (Leskovec, Rajaraman, Ullman,
*Mining of Massive Datasets*, § 3.4): of pairs with similarity s, `1 - (1 - s**rows) ** bands`.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hornbook.corpus.ngrams import distinct, mix, ngram_hashes, words_of
from hornbook.errors import HornbookError

RECALL = 0.999
"""Share of the pairs just at the threshold that must become candidates."""
SEED = 1
BITS_32 = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True)
class Bands:
    """How a signature is cut."""

    count: int
    rows: int
    """Numbers in each."""

    def recall(self, similarity: float) -> float:
        """Share of the pairs with this Jaccard similarity that become candidates."""
        return float(1 - (1 - similarity**self.rows) ** self.count)


def choose_bands(threshold: float, num_perm: int) -> Bands:
    """The longest bands, which bring the fewest candidates, that still find pairs at the threshold.

    Raises:
        HornbookError: the signature is too short for any.
    """
    for rows in range(num_perm, 0, -1):
        bands = Bands(num_perm // rows, rows)
        if bands.recall(threshold) >= RECALL:
            return bands
    raise HornbookError(
        f"deduplication.num_perm: {num_perm} numbers are too few to find duplicates from a "
        f"similarity of {threshold}; raise num_perm or the threshold."
    )


@dataclass(frozen=True)
class Signatures:
    """What near duplicates are found by, of several texts."""

    ngrams: NDArray[np.uint32]
    """Hashes of each text's different n-grams, ascending, text after text."""
    starts: NDArray[np.int64]
    """Where each text's begin, and where the last ones end: (texts + 1,)."""
    bands: NDArray[np.uint64]
    """A hash of each band: (texts, bands)."""

    def ngrams_of(self, text: int) -> NDArray[np.uint32]:
        """Hashes of one text's different n-grams, ascending; none where it has no word."""
        return self.ngrams[self.starts[text] : self.starts[text + 1]]


def compute_signatures(texts: Sequence[str], ngram: int, num_perm: int, bands: Bands) -> Signatures:
    """Signatures of texts; the same wherever and in whatever company they are computed.

    A text of fewer words than `ngram` counts as one n-gram.
    """
    from rensa import RMinHash

    # Padded, so that a text of few words has one n-gram, too; without a word it has none.
    words = [_padded(words_of(text), ngram) for text in texts]
    hashes = RMinHash.hash_token_sets(words)
    flat = np.fromiter(itertools.chain.from_iterable(hashes), dtype=np.uint64)
    lengths = np.array([len(each) for each in words], dtype=np.int64)
    grams, owner = ngram_hashes(flat, lengths, ngram)
    counts = np.bincount(owner, minlength=len(texts))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(grams, offsets, num_perm, SEED)
    digests = np.array(matrix.to_rows(), dtype=np.uint64).reshape(len(texts), num_perm)
    unique = distinct((owner.astype(np.uint64) << np.uint64(32)) | (grams & BITS_32))
    owners = (unique >> np.uint64(32)).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(texts)))])
    return Signatures((unique & BITS_32).astype(np.uint32), starts, _hash_bands(digests, bands))


def _padded(words: list[str], least: int) -> list[str]:
    return words + [""] * (least - len(words)) if 0 < len(words) < least else words


def _hash_bands(digests: NDArray[np.uint64], bands: Bands) -> NDArray[np.uint64]:
    """One number for each band's numbers and its place: (texts, num_perm) -> (texts, bands)."""
    used = digests[:, : bands.count * bands.rows].reshape(-1, bands.count, bands.rows)
    hashed = np.broadcast_to(np.arange(bands.count, dtype=np.uint64), used.shape[:2])
    for row in range(bands.rows):
        hashed = mix(hashed ^ used[:, :, row])
    return hashed
