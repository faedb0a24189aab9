"""Which documents are trained on, and which are kept to measure on."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from hornbook.corpus.document import Document
from hornbook.errors import HornbookError

SPLITS = ("train", "validation", "test")

FEW_DOCUMENTS = 20
"""Fewer than this are split within the text instead of by document."""
MOST_HELD = 10_000
"""Documents held in memory at most, to see whether there are many."""


def split_documents(
    documents: Iterable[Document], seed: int, validation_share: float, test_share: float
) -> Iterator[tuple[str, Document]]:
    """Pass the documents through, each with the split that it belongs to.

    From `FEW_DOCUMENTS` on, a document's split hangs on a hash of the seed and its id alone, so
    that adding documents never moves another. Only where chance would leave a split empty that
    was asked for, the document nearest to it by hash goes there.

    Fewer documents are cut as one text, by characters: its beginning is for training, then comes
    validation, then test. With `validation_share=0.1, test_share=0` this is nanoGPT's cut of
    tinyshakespeare at `int(0.9 * len(text))`. A document on a cut becomes
    two; a piece of nothing but blanks is left out.

    Raises:
        HornbookError: the shares do not fit, or there is no document.
    """
    splitter = Splitter(seed, validation_share, test_share)
    for document in documents:
        yield from splitter.add(document)
    yield from splitter.finish()


class Splitter:
    """The same, for documents that come one at a time: see `split_documents`."""

    def __init__(
        self, seed: int, validation_share: float, test_share: float, flowing: bool = False
    ) -> None:
        """Raises a `HornbookError` where the shares do not fit.

        Args:
            flowing: the first documents have been split before, and were many.
        """
        require_shares(validation_share, test_share)
        self._shares = validation_share, test_share
        self._seed = seed
        self._first: list[Document] | None = None if flowing else []

    @property
    def holds_back(self) -> bool:
        """Whether documents are held back, until it is known how many there are."""
        return bool(self._first)

    def add(self, document: Document) -> Iterator[tuple[str, Document]]:
        """Take in a document; those come out of which it is known where they belong."""
        if self._first is None:
            yield split_of(document.id, self._seed, *self._shares), document
            return
        self._first.append(document)
        if len(self._first) == _enough(*self._shares):
            first, self._first = self._first, None
            yield from _cut_order(first, self._seed, *self._shares)

    def finish(self) -> Iterator[tuple[str, Document]]:
        """Those that are held back.

        Raises:
            HornbookError: there was no document.
        """
        if self._first is None:
            return
        if not self._first:
            raise HornbookError("the corpus has no documents; give it text.")
        if len(self._first) < FEW_DOCUMENTS:
            yield from _cut_text(self._first, *self._shares)
        else:
            yield from _cut_order(self._first, self._seed, *self._shares)


def split_of(document_id: str, seed: int, validation_share: float, test_share: float) -> str:
    """The split of one document among many: a pure function of its id and the seed."""
    at = _hash(document_id, seed)
    if at < test_share:
        return "test"
    return "validation" if at < test_share + validation_share else "train"


def require_shares(validation_share: float, test_share: float) -> None:
    """Check that both shares are from 0 to below 1 and leave something to train on.

    Raises:
        HornbookError: naming the share that does not fit.
    """
    for name, share in (("validation_share", validation_share), ("test_share", test_share)):
        if not 0 <= share < 1:
            raise HornbookError(f"{name} is {share}; expected a share from 0 to below 1.")
    if validation_share + test_share >= 1:
        raise HornbookError(
            f"validation_share {validation_share} and test_share {test_share} leave nothing to "
            "train on; lower them."
        )


def _enough(validation_share: float, test_share: float) -> int:
    """So many documents that chance leaves no split empty: 20 expected in the smallest."""
    smallest = min((share for share in (validation_share, test_share) if share), default=1.0)
    return min(max(FEW_DOCUMENTS, round(20 / smallest)), MOST_HELD)


def _hash(document_id: str, seed: int) -> float:
    """A number from 0 to below 1 that looks random."""
    # A file name that is not UTF-8 comes with lone surrogates in it.
    name = f"{seed}\n{document_id}".encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(name).digest()
    return int.from_bytes(digest[:6], "big") / 2**48  # 48 bits, so that the quotient is exact


def _cut_order(
    documents: list[Document], seed: int, validation_share: float, test_share: float
) -> Iterator[tuple[str, Document]]:
    """By hash as `split_of`, except that no split that was asked for comes out empty."""
    hashes = sorted(_hash(document.id, seed) for document in documents)
    test = sum(at < test_share for at in hashes)
    test = max(test, int(test_share > 0))
    validation = sum(at < test_share + validation_share for at in hashes)
    validation = max(validation, test + int(validation_share > 0))
    split_at = {at: _by_rank(rank, test, validation) for rank, at in enumerate(hashes)}
    for document in documents:
        yield split_at[_hash(document.id, seed)], document


def _by_rank(rank: int, test: int, validation: int) -> str:
    if rank < test:
        return "test"
    return "validation" if rank < validation else "train"


def _cut_text(
    documents: list[Document], validation_share: float, test_share: float
) -> Iterator[tuple[str, Document]]:
    length = sum(len(document.text) for document in documents)
    # Rounded, since 1 - 0.1 must be the 0.9 that a reader of nanoGPT expects.
    train_end = int(length * round(1 - validation_share - test_share, 12))
    validation_end = int(length * round(1 - test_share, 12))
    ranges = ((0, train_end), (train_end, validation_end), (validation_end, length))
    for split, (start, end) in zip(SPLITS, ranges, strict=True):
        offset = 0
        for document in documents:
            piece = _piece(document, start - offset, end - offset)
            if piece.text.strip():
                yield split, piece
            offset += len(document.text)


def _piece(document: Document, start: int, end: int) -> Document:
    """The characters from `start` to `end`, which may lie outside the document."""
    start, end = max(start, 0), max(end, 0)
    if start == 0 and end >= len(document.text):
        return document
    end = min(end, len(document.text))
    return replace(document, text=document.text[start:end], id=f"{document.id}[{start}:{end}]")
