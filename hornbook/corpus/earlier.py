"""Duplicates across the sources of a mixture: what a step is told of the sources before this one."""

from abc import abstractmethod
from collections.abc import Iterator

from hornbook.corpus.document import Document
from hornbook.corpus.step import OneTally, Tally


class ComparedWithEarlier(OneTally):
    """A step that removes what came before, in its own source or in an earlier one of a mixture.

    It has an account of its own source, and one for each earlier source.
    """

    def __init__(self, name: str) -> None:
        """`name` is the tallies'."""
        super().__init__(name)
        self._pairs: dict[str, Tally] = {}

    @property
    def tallies(self) -> list[Tally]:
        """That of its own source first; then one for each earlier source, in order."""
        for tally in self._pairs.values():
            tally.seen = self._tally.seen
        return [self._tally, *self._pairs.values()]

    def compare_with(self, source: str, documents: Iterator[Document]) -> None:
        """Remove what is like one of these documents of an earlier source, too.

        Called before all else: those of this source come behind them.
        """
        self._pairs[source] = Tally(f"{self._tally.name} as in {source}")
        self._learn_earlier(source, documents)

    @abstractmethod
    def _learn_earlier(self, source: str, documents: Iterator[Document]) -> None:
        """Remember the documents of an earlier source."""

    def _remove(self, document: Document, why: str, source: str) -> None:
        """Count a document as removed for one of an earlier source, or of its own, ""."""
        if source:
            self._pairs[source].remove(document, f"{why} of {source}")
        else:
            self._tally.remove(document, why)
