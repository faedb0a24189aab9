"""Evaluation sets kept out of the training text: documents that share n-grams with them.

Brown et al., *Language Models are Few-Shot Learners* (2020), appendix C: 13 words in a row; an
evaluation text of fewer, down to 8, is looked for as a whole. Words are compared without capitals
and punctuation.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hornbook.config import Settings
from hornbook.corpus.document import Document
from hornbook.corpus.ngrams import distinct, ngram_hashes, words_of
from hornbook.corpus.readers import read_documents
from hornbook.corpus.step import OneTally, Step
from hornbook.errors import HornbookError

LEAST_WORDS = 8
"""Of an evaluation text; fewer may stand anywhere by chance."""
MARK = "contaminated_by"
"""What the evaluation text's id is called in a marked document's metadata."""


class DecontaminationSettings(Settings):
    """Which evaluation sets must not be in the training text. None, unless given."""

    evaluation_sets: tuple[str, ...] = ()
    """Files, folders or patterns of evaluation texts, read as a corpus is."""
    text_field: str = "text"
    """Field of each JSONL line, or column of a table, that holds an evaluation text."""
    ngram: int = Field(default=13, ge=LEAST_WORDS, le=50)
    """Words in a row that a document must share with an evaluation text. An evaluation text with
    fewer is looked for as a whole, if it has 8."""
    overlap: int = Field(default=1, ge=1)
    """Different n-grams of the evaluation sets that a document must have at least."""
    action: Literal["remove", "mark"] = "remove"
    """"remove" such documents, or "mark" them: `contaminated_by` in their metadata."""


def make_steps(settings: DecontaminationSettings) -> list[Step]:
    """The step, if there are evaluation sets; reads them.

    Raises:
        HornbookError: a set cannot be read, or none of its texts is long enough.
    """
    step = make_step(settings)
    return [] if step is None else [step]


def make_step(settings: DecontaminationSettings) -> "Decontamination | None":
    """The step; see `make_steps`."""
    if not settings.evaluation_sets:
        return None
    items: list[Document] = []
    for source in settings.evaluation_sets:
        long = [item for item in read_documents(source, settings.text_field) if _is_long(item)]
        if not long:
            raise HornbookError(
                f"{source} has no text of {LEAST_WORDS} words or more to look for; leave it out of "
                "decontamination.evaluation_sets."
            )
        items += (replace(item, source=source) for item in long)
    return Decontamination(items, settings.ngram, settings.overlap, settings.action)


def _is_long(item: Document) -> bool:
    return len(words_of(item.text)) >= LEAST_WORDS


@dataclass(frozen=True)
class _Ngrams:
    """N-grams of one length in the evaluation sets."""

    length: int
    hashes: NDArray[np.uint64]
    """Ascending, each once."""
    items: NDArray[np.int64]
    """The first evaluation text with each."""


class Decontamination(OneTally):
    """Removes or marks documents that share n-grams with evaluation texts.

    Memory: about 16 bytes for each word of the evaluation sets and 100 for each different one; one
    document.
    """

    def __init__(
        self,
        items: Iterable[Document],
        ngram: int,
        overlap: int = 1,
        action: Literal["remove", "mark"] = "remove",
    ) -> None:
        """`items` are the evaluation texts; those of fewer than 8 words are passed over."""
        self._overlap, self._action = overlap, action
        super().__init__("decontamination")
        self._vocabulary: dict[str, int] = {}
        self._names: list[str] = []
        by_length: dict[int, list[tuple[NDArray[np.uint64], int]]] = {}
        for item in items:
            words = words_of(item.text)
            if len(words) < LEAST_WORDS:
                continue
            length = min(ngram, len(words))
            numbers = [self._vocabulary.setdefault(w, len(self._vocabulary)) for w in words]
            hashes = _hash(np.array(numbers, dtype=np.int64), length)
            by_length.setdefault(length, []).append((hashes, len(self._names)))
            self._names.append(f"{item.id} of {item.source}" if item.source else item.id)
        self._ngrams = [_gather(length, found) for length, found in sorted(by_length.items())]

    def apply(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents without those that are contaminated, or with marks on them."""
        for document in self._counted(documents):
            known = document.fingerprint.shared if document.fingerprint else None
            count, item = self.shared(document.text) if known is None else known
            if count < self._overlap:
                yield document
                continue
            name = self._names[item]
            why = f"shares {count} n-gram{'s' * (count > 1)} with evaluation texts, such as {name}"
            if self._action == "remove":
                self._tally.remove(document, why)
            else:
                self._tally.change(document, f"marked: {why}")
                yield replace(document, metadata={**document.metadata, MARK: name})

    def shared(self, text: str) -> tuple[int, int]:
        """How many different n-grams a text shares, and the number of the evaluation text that has most of
        them, -1 where it shares none."""
        known = self._vocabulary
        words = np.array([known.get(word, -1) for word in words_of(text)], dtype=np.int64)
        hits: list[NDArray[np.int64]] = []
        for ngrams in self._ngrams:
            hashes = distinct(_hash(words, ngrams.length))
            at = np.searchsorted(ngrams.hashes, hashes)
            inside = at < len(ngrams.hashes)
            at, hashes = at[inside], hashes[inside]
            hits.append(ngrams.items[at[ngrams.hashes[at] == hashes]])
        items, counts = np.unique(
            np.concatenate([*hits, np.zeros(0, np.int64)]), return_counts=True
        )
        if not len(items):
            return 0, -1
        return int(counts.sum()), int(items[np.argmax(counts)])


def _hash(words: NDArray[np.int64], length: int) -> NDArray[np.uint64]:
    """Hashes of the n-grams of a text's words; one with an unknown word (-1) is in no evaluation set."""
    return ngram_hashes(words.astype(np.uint64), np.array([len(words)]), length)[0]


def _gather(length: int, found: Sequence[tuple[NDArray[np.uint64], int]]) -> _Ngrams:
    hashes = np.concatenate([each for each, _ in found])
    items = np.concatenate([np.full(len(each), item) for each, item in found])
    unique, first = np.unique(hashes, return_index=True)
    return _Ngrams(length, unique, items[first])
