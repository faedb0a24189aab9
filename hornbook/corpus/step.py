"""What the steps that clean a corpus have in common: documents stream through, and each is accounted for.

    for step in steps:
        documents = step.apply(documents)

A step holds one document at a time, or states in its docstring what more it keeps.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from hornbook.corpus.document import Document

EXAMPLES = 5
"""Documents of each kind that a tally shows."""
EXCERPT = 200
"""Characters of each that are shown."""


@dataclass
class Tally:
    """What one step has done to the documents that came by."""

    name: str
    """The step, or the filter within it, as settings call it."""
    seen: int = 0
    removed: int = 0
    changed: int = 0
    examples: list[tuple[str, str, str]] = field(default_factory=list)
    """Of the first few removed or changed: id, excerpt, why."""

    def remove(self, document: Document, why: str) -> None:
        """Count a document that is left out."""
        self.removed += 1
        self._show(document, why)

    def change(self, document: Document, why: str) -> None:
        """Count a document that goes on changed; given as it was before."""
        self.changed += 1
        self._show(document, why)

    def add(self, later: "Tally") -> None:
        """Count in what was done to documents behind these."""
        self.seen += later.seen
        self.removed += later.removed
        self.changed += later.changed
        self.examples += later.examples[: EXAMPLES - len(self.examples)]

    def _show(self, document: Document, why: str) -> None:
        if len(self.examples) < EXAMPLES:
            self.examples.append((document.id, document.text[:EXCERPT], why))


class OneTally:
    """What a step with a single account has of one."""

    def __init__(self, name: str) -> None:
        """`name` is the tally's."""
        self._tally = Tally(name)

    @property
    def tallies(self) -> list[Tally]:
        """One, of this step's name."""
        return [self._tally]

    def _counted(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents, each counted as seen."""
        for document in documents:
            self._tally.seen += 1
            yield document


class Step(Protocol):
    """One step of cleaning; made anew for each pass over a corpus."""

    @property
    def tallies(self) -> list[Tally]:
        """What it has done so far, filter by filter."""
        ...

    def apply(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents that stay, in the order in which they came."""
        ...
