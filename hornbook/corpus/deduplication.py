"""Each text once: exact duplicates, paragraphs that come again, and near duplicates.

Of several documents that are alike, the first is kept. All three look back only, in one pass.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hornbook.config import Settings
from hornbook.corpus.document import Document
from hornbook.corpus.earlier import ComparedWithEarlier
from hornbook.corpus.ngrams import normalize
from hornbook.corpus.step import OneTally, Step, strings_of_array, strings_to_array

PARAGRAPH_BREAK = re.compile(r"(\n[^\S\n]*(?:\n[^\S\n]*)+)")
"""Blank lines."""
HASH_BYTES = 16
"""Of what stands for a text."""


class DeduplicationSettings(Settings):
    """Which repetitions are taken out of the corpus. Nothing is, unless asked for."""

    exact: bool = False
    """Remove documents whose text came before, but for capitals and blanks."""
    paragraphs: bool = False
    """Take out of each document the paragraphs that an earlier document had."""
    paragraph_words: int = Field(default=10, ge=1)
    """Words that a paragraph has at least to be taken out."""
    near: bool = False
    """Remove documents that share most of their word n-grams with an earlier one; needs
    pip install "hornbook[corpus]"."""
    threshold: float = Field(default=0.8, ge=0.3, le=1)
    """Jaccard similarity (shared n-grams / all n-grams of the two) from which documents are near
    duplicates (0.3 to 1)."""
    ngram: int = Field(default=5, ge=1, le=50)
    """Words in an n-gram."""
    num_perm: int = Field(default=128, ge=16, le=1024)
    """Numbers in a document's MinHash signature: more leave fewer pairs to compare
    in full, and take more time and memory."""
    across_sources: bool = True
    """Of a mixture's sources: compare the documents of each with those of the sources before it, too,
    and remove what an earlier source has ("exact" and "near"). The order of corpus.sources says which
    of them keeps a document."""


def make_steps(settings: DeduplicationSettings, workers: int | None = None) -> list[Step]:
    """The steps that the settings ask for, cheapest first.

    Args:
        workers: processes that compute signatures; as many as there are cores when None. The
            outcome does not hang on it.

    Raises:
        HornbookError: near duplicates are asked for, and rensa is not installed.
    """
    steps: list[Step] = []
    if settings.exact:
        steps.append(ExactDuplicates())
    if settings.paragraphs:
        steps.append(RepeatedParagraphs(settings.paragraph_words))
    if settings.near:
        from hornbook.corpus.near import NearDuplicates  # numpy, and an extra

        steps.append(NearDuplicates(settings.threshold, settings.ngram, settings.num_perm, workers))
    return steps


class ExactDuplicates(ComparedWithEarlier):
    """Removes documents whose normalized text an earlier one had.

    Memory: a hash of 16 bytes and an id for each document kept, about 200 bytes together; as much
    for each document of an earlier source.
    """

    def __init__(self) -> None:
        self._first: dict[bytes, str] = {}
        self._earlier: dict[str, dict[bytes, str]] = {}
        self._notes: list[bytes] | None = None
        super().__init__("exact")

    def apply(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents whose text is new."""
        for document in self._counted(documents):
            name = hash_of(document)
            source = self._source_with(name)
            if source is not None:
                first = self._earlier[source] if source else self._first
                self._remove(document, f"the same text as {first[name]}", source)
                continue
            self._first[name] = document.id
            if self._notes is not None:
                self._notes.append(name)
            yield document

    def _source_with(self, name: bytes) -> str | None:
        """The source that has a text already: an earlier one, or this one, ""."""
        for source, first in self._earlier.items():
            if name in first:
                return source
        return "" if name in self._first else None

    def _learn_earlier(self, source: str, documents: Iterator[Document]) -> None:
        self._earlier[source] = {hash_of(document): document.id for document in documents}

    def take_notes(self) -> None:
        """See `Remembering`."""
        self._notes = []

    def notes(self) -> dict[str, NDArray[Any]]:
        """The hashes, (documents, 16), and the ids."""
        names, self._notes = self._notes or [], []
        ids = strings_to_array([self._first[name] for name in names])
        return {"hashes": hashes_to_array(names), "ids": ids}

    def learn(self, notes: Mapping[str, NDArray[Any]]) -> None:
        """See `Remembering`."""
        hashes, ids = hashes_of_array(notes["hashes"]), strings_of_array(notes["ids"])
        self._first.update(zip(hashes, ids, strict=True))


class RepeatedParagraphs(OneTally):
    """Takes out paragraphs that an earlier document had; a document with nothing left is removed.

    Paragraphs stand between blank lines; in a text without blank lines every line is one. Within
    a document a paragraph may come again, as a refrain does. Short ones stay.

    Memory: about 110 bytes for each paragraph kept.
    """

    def __init__(self, least_words: int) -> None:
        self._least_words = least_words
        self._seen: set[bytes] = set()
        self._notes: list[bytes] | None = None
        super().__init__("paragraphs")

    def apply(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents with what is left of them."""
        for document in self._counted(documents):
            text, taken = self._take_out(document.text)
            if not taken:
                yield document
            elif text.strip():
                self._tally.change(document, f"{taken} paragraph{'s' * (taken > 1)} came before")
                yield replace(document, text=text, fingerprint=None)
            else:
                self._tally.remove(document, "all its paragraphs came before")

    def _take_out(self, text: str) -> tuple[str, int]:
        """What is left of a text, and how many paragraphs are gone; remembers those it has."""
        # A capturing split: paragraphs at even places, the breaks after them at odd ones.
        pieces = PARAGRAPH_BREAK.split(text)
        if len(pieces) == 1:
            pieces = re.split(r"(\n)", text)
        own: set[bytes] = set()
        left: list[str] = []
        for paragraph, following in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
            if len(paragraph.split(None, self._least_words)) >= self._least_words:
                name = hash_text(paragraph)
                if name in self._seen:
                    continue
                own.add(name)
            left += paragraph, following
        taken = (len(pieces) + 1 - len(left)) // 2
        if self._notes is not None:
            self._notes += own
        self._seen |= own
        # The break before a last paragraph that is gone would end the text.
        whole_end = not taken or pieces[-1] == (left[-2] if left else None)
        return "".join(left if whole_end else left[:-1]), taken

    def take_notes(self) -> None:
        """See `Remembering`."""
        self._notes = []

    def notes(self) -> dict[str, NDArray[Any]]:
        """The hashes of paragraphs, (paragraphs, 16)."""
        names, self._notes = self._notes or [], []
        return {"hashes": hashes_to_array(names)}

    def learn(self, notes: Mapping[str, NDArray[Any]]) -> None:
        """See `Remembering`."""
        self._seen.update(hashes_of_array(notes["hashes"]))


def hashes_to_array(hashes: Sequence[bytes]) -> NDArray[np.uint8]:
    """Hashes of `hash_text`, (hashes, 16)."""
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, HASH_BYTES)


def hashes_of_array(array: NDArray[np.uint8]) -> list[bytes]:
    """The hashes again."""
    data = array.tobytes()
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def hash_of(document: Document) -> bytes:
    """`hash_text` of a document's text, or as it is known already."""
    known = document.fingerprint
    return known.hash if known is not None else hash_text(document.text)


def hash_text(text: str) -> bytes:
    """16 bytes that stand for a text, whatever its capitals and blanks."""
    plain = " ".join(normalize(text).split())
    return hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()
