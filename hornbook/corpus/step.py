"""What the steps that clean a corpus have in common: documents stream through, and each is accounted for.

    for step in steps:
        documents = step.apply(documents)

A step holds one document at a time, or states in its docstring what more it keeps.
"""

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

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


class Accounted(Protocol):
    """What gives an account of what it has done."""

    @property
    def tallies(self) -> list[Tally]:
        """What it has done so far, filter by filter."""
        ...


class Step(Accounted, Protocol):
    """One step of cleaning; made anew for each pass over a corpus."""

    def apply(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents that stay, in the order in which they came.

        May be called again with documents that come behind these.
        """
        ...


Measured = tuple[Document, float]
"""A document and a number that was found for it."""


class SeesAll(OneTally):
    """A step that can judge the first document only when it has measured the last.

    In the meantime, documents wait elsewhere with what was measured.
    """

    @abstractmethod
    def measure(self, documents: Iterator[Document]) -> Iterator[Measured]:
        """Each document with its measure; may be called again with documents that come behind these."""

    @abstractmethod
    def judge(self, measured: Iterator[Measured]) -> Iterator[Document]:
        """Those of the documents that stay; called when all have been measured, in one call or in
        several, in their order."""


@runtime_checkable
class Remembering(Protocol):
    """A step that compares documents with earlier ones, whose memory can be written down.

    What it has learnt comes out as arrays from time to time; given back in the same order, they make a
    step that goes on as the first would have.
    """

    def take_notes(self) -> None:
        """From now on, keep for `notes` what is learnt."""
        ...

    def notes(self) -> dict[str, NDArray[Any]]:
        """What was learnt since this was last asked."""
        ...

    def learn(self, notes: Mapping[str, NDArray[Any]]) -> None:
        """Learn what `notes` gave."""
        ...


def strings_to_array(strings: Sequence[str]) -> NDArray[np.uint8]:
    """Strings as one array of bytes."""
    return np.frombuffer(json.dumps(strings).encode(), np.uint8)


def strings_of_array(array: NDArray[np.uint8]) -> list[str]:
    """The strings again."""
    strings: list[str] = json.loads(array.tobytes())
    return strings
