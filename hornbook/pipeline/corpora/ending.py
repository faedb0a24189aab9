"""The end of a corpus' way: documents compared, judged, and written into the files of their splits."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hornbook.console import meter
from hornbook.corpus.document import Document
from hornbook.corpus.quarantine import Quarantine
from hornbook.pipeline.corpora.cleaning import Cleaning
from hornbook.pipeline.corpora.split_files import SplitFiles
from hornbook.pipeline.corpora.waiting import Waiting


@dataclass(frozen=True)
class Ending:
    """Takes documents in their order, in one call or in several; begins where a run was."""

    files: SplitFiles
    cleaning: Cleaning
    quarantine: Quarantine
    waiting: Waiting
    """Where documents are until they can be judged, if they are."""

    def take(self, documents: Iterator[Document]) -> None:
        """Compare documents that were looked at alone, and write those that stay."""
        if self.cleaning.judging is None:
            self.files.add(self.cleaning.apply_comparing(documents))
        else:
            self.waiting.add(self.cleaning.measure(documents))

    def judge(self, passed: Callable[[], None] = lambda: None) -> None:
        """Judge and write the documents that wait, when all are taken; `passed` is called in between."""
        if self.cleaning.judging is None:
            return
        read, size = (round(place / 1e6) for place in self.waiting.places)
        with meter("judge", size, "MB", read) as shown:
            for block in self.waiting.blocks():
                self.files.add(self.cleaning.judge(iter(block)))
                passed()
                before, read = read, round(self.waiting.places[0] / 1e6)
                shown.advance(read - before)

    def state(self) -> dict[str, Any]:
        """Where all of it stands, for `begin`, as plain JSON values."""
        return {
            "files": self.files.state(),
            "cleaning": self.cleaning.state(),
            "quarantine": self.quarantine.state(),
            "waiting": self.waiting.state(),
        }

    def begin(self, state: Mapping[str, Any] | None = None) -> None:
        """Begin, or go on from where `state` was taken; what was written behind it is thrown away."""
        self.files.begin(state and state["files"])
        self.quarantine.begin(state and state["quarantine"])
        self.waiting.begin(state and state["waiting"])
        if state is not None:
            self.cleaning.go_on(state["cleaning"])
