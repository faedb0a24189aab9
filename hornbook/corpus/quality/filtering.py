"""The step that runs filters one after the other on each document, with an account of each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from hornbook.corpus.document import Document
from hornbook.corpus.parallel import computed
from hornbook.corpus.quality.view import Changed, Judge, View
from hornbook.corpus.step import EXCERPT, Tally


@dataclass(frozen=True)
class Event:
    """What one filter has done to one document."""

    judge: int
    """The filter's place."""
    excerpt: str
    """The beginning of the text that it was given."""
    why: str


@dataclass(frozen=True)
class Verdict:
    """What has become of one document."""

    removed: bool
    """By the filter of the last event."""
    text: str | None
    """The new text of a document that stays; None where it is as it was."""
    events: tuple[Event, ...]


class Filters:
    """Runs filters in several processes; a document that one removes is not shown to the next.

    Memory: a batch of up to 4 million characters for each process, and one more; up to 30 bytes for
    each character of the longest document.
    """

    def __init__(self, judges: Mapping[str, Judge], workers: int | None = None) -> None:
        """`judges` are the filters by name, in the order in which they are run.

        The outcome does not hang on the number of `workers` (as many as there are cores when None).
        """
        self._judge = partial(judge_all, judges=tuple(judges.values()))
        self._workers = workers
        self._tallies = [Tally(name) for name in judges]

    @property
    def tallies(self) -> list[Tally]:
        """One for each filter, in their order."""
        return self._tallies

    def apply(self, documents: Iterator[Document]) -> Iterator[Document]:
        """The documents that no filter removes, with the texts that the filters leave.

        Raises:
            HornbookError: a process has died.
        """
        work = "filters documents"
        for batch, verdicts in computed(documents, self._judge, self._workers, work):
            for document, verdict in zip(batch, verdicts, strict=True):
                self._count(document, verdict)
                if not verdict.removed:
                    text = verdict.text
                    yield document if text is None else replace(document, text=text)

    def _count(self, document: Document, verdict: Verdict) -> None:
        last = verdict.events[-1].judge + 1 if verdict.removed else len(self._tallies)
        for tally in self._tallies[:last]:
            tally.seen += 1
        for number, event in enumerate(verdict.events, start=1):
            shown = replace(document, text=event.excerpt)
            tally = self._tallies[event.judge]
            removed = verdict.removed and number == len(verdict.events)
            (tally.remove if removed else tally.change)(shown, event.why)


def judge_all(texts: Sequence[str], judges: Sequence[Judge]) -> list[Verdict]:
    """The verdict on each text."""
    return [judge_one(text, judges) for text in texts]


def judge_one(text: str, judges: Sequence[Judge]) -> Verdict:
    """Show a text to one filter after the other, until one removes it."""
    view, events = View(text), []
    for number, judge in enumerate(judges):
        found = judge(view)
        if found is None:
            continue
        events.append(Event(number, view.text[:EXCERPT], found.why))
        if not isinstance(found, Changed):
            return Verdict(True, None, tuple(events))
        view = View(found.text, found.lines)
    return Verdict(False, view.text if events else None, tuple(events))
