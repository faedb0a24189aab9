"""A corpus read and cleaned in parts, by several processes, each part kept until all are there.

A part is what becomes of a unit (see `corpus.units`) where each document is looked at alone. It is a
file of documents and one that says what was counted, written whole or not at all. So an interrupted
run finds them again, and what comes out hangs neither on the number of processes nor on who they are.
"""

import contextlib
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import astuple, dataclass, replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import IO, Any

from hornbook import artifact
from hornbook.console import meter
from hornbook.corpus import fingerprints
from hornbook.corpus.decontamination import (
    Decontamination,
    DecontaminationSettings,
    make_step,
)
from hornbook.corpus.deduplication import DeduplicationSettings
from hornbook.corpus.document import Document
from hornbook.corpus.formats import Reading, TornError
from hornbook.corpus.parallel import BATCH_CHARACTERS, BATCH_DOCUMENTS, batched, processes
from hornbook.corpus.privacy.redaction import PrivacySettings
from hornbook.corpus.quality.settings import QualitySettings
from hornbook.corpus.quarantine import Quarantine
from hornbook.corpus.readers import CorpusSettings, corpus_files
from hornbook.corpus.units import Unit, read_unit
from hornbook.errors import HornbookError
from hornbook.pipeline.corpora.cleaning import Cleaning, alone_steps
from hornbook.pipeline.corpora.lines import document_of, line_of

FOLDER, UNPACKED = "parts", "unpacked"
DONE = ".done.json"
"""How the name of the file ends that stands for a part that is complete."""
DOCUMENTS, REFUSED, FINGERPRINTS = ".jsonl", ".refused.jsonl", ".fingerprints"


@dataclass(frozen=True)
class Parts:
    """What is to be read, and where the parts are kept. Goes to other processes."""

    units: Sequence[Unit] | Mapping[int, Unit]
    """By number; all of them, but where `only` has made it."""
    corpus: CorpusSettings
    quality: QualitySettings
    privacy: PrivacySettings
    deduplication: DeduplicationSettings
    decontamination: DecontaminationSettings
    said: str
    """The source, as documents call it."""
    folder: Path

    def path(self, number: int, suffix: str) -> Path:
        """Of one of a part's files."""
        return self.folder / f"{number:06}{suffix}"

    def only(self, number: int) -> "Parts":
        """The same with one part, to be sent: there may be many thousands."""
        return replace(self, units={number: self.units[number]})

    @property
    def compared(self) -> bool:
        """Whether steps behind the reading look at fingerprints."""
        exact, near = self.deduplication.exact, self.deduplication.near
        return exact or near or bool(self.decontamination.evaluation_sets)

    def missing(self) -> list[int]:
        """The parts that are not there yet."""
        return [n for n in range(len(self.units)) if not self.path(n, DONE).exists()]


def name_of(units: Sequence[Unit]) -> str:
    """What the folder of their parts is called: parts of other units are others."""
    pieces = [[[piece.name, piece.cut and astuple(piece.cut)] for piece in unit] for unit in units]
    return artifact.hash_json(pieces)[:16]


Engine = Callable[[Parts], Iterator[int]]
"""Makes the parts that are missing; yields their numbers, each when it is there, in order."""


def make_part(parts: Parts, number: int) -> None:
    """Read a unit and clean its documents one by one; in whichever process.

    Memory holds one document, or as many as have 4 million characters where they are to be compared.

    Raises:
        HornbookError: a file is cut off, damaged, or cannot be read.
    """
    settings = parts.corpus
    cleaning = Cleaning(alone_steps(parts.quality, parts.privacy, workers=1))
    torn = ""
    with contextlib.ExitStack() as files:
        refused, file = (
            files.enter_context(artifact.new_file(parts.path(number, suffix)))
            for suffix in (REFUSED, DOCUMENTS)
        )
        notes = _Notes(refused.write, settings.max_bad_share)
        reading = Reading(
            parts.said,
            notes,
            settings.text_field,
            settings.metadata_fields,
            settings.max_document_bytes,
        )
        documents = cleaning.apply_alone(read_unit(parts.units[number], reading))
        try:
            if parts.compared:
                prints = files.enter_context(artifact.new_file(parts.path(number, FINGERPRINTS)))
                documents = _fingerprinted(documents, parts, prints)
            for document in documents:
                file.write(line_of(document))
        except TornError as error:
            torn = error.name
        except _StopError:
            pass
    facts = {"good": notes.good, "account": cleaning.account(), "torn": torn}
    artifact.write_text(parts.path(number, DONE), json.dumps(facts))


def _fingerprinted(
    documents: Iterator[Document], parts: Parts, file: IO[bytes]
) -> Iterator[Document]:
    """The documents; what they are compared by goes into the file."""
    evaluation = _evaluation(parts.decontamination)
    for batch in batched(documents, BATCH_DOCUMENTS, BATCH_CHARACTERS):
        texts = [document.text for document in batch]
        fingerprints.write(fingerprints.compute(texts, parts.deduplication, evaluation), file)
        yield from batch


def _evaluation(settings: DecontaminationSettings) -> Decontamination | None:
    """The evaluation sets, read once in each process as long as their files stay as they are."""
    paths = [path for source in settings.evaluation_sets for path, _ in corpus_files(source)]
    stats = [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return _evaluation_of(settings, tuple(stats))


@lru_cache(maxsize=1)
def _evaluation_of(
    settings: DecontaminationSettings, stats: tuple[tuple[int, int], ...]
) -> Decontamination | None:
    return make_step(settings)


class _Notes(Quarantine):
    """Writes down what is refused, for the main process to judge."""

    def __init__(self, write: Callable[[bytes], object], max_bad_share: float) -> None:
        super().__init__(None, max_bad_share)
        self._write = write

    def refuse(self, file: str, line: int | None, error: HornbookError, lines: int = 1) -> None:
        """Note the record, and how many good ones came before it in this part."""
        note = [self.good, file, line, str(error), lines]
        self._write(json.dumps(note).encode() + b"\n")
        if not self.max_bad_share:
            raise _StopError


class _StopError(HornbookError):
    """Nothing bad is allowed: the rest of the part is of no use."""


def made_parts(parts: Parts, engine: Engine, start: int = 0) -> Generator[int, None, None]:
    """Make the parts that are not there; yields the numbers of all from `start`, in order.

    Raises:
        HornbookError: a file cannot be read, a process has died.
        TornError: a file must not be cut.
    """
    parts.folder.mkdir(parents=True, exist_ok=True)
    units = (parts.units[number] for number in range(len(parts.units)))
    sizes = (sum(piece.size for piece in unit) / 1e6 for unit in units)
    ends = list(accumulate(sizes, initial=0.0))
    missing = set(parts.missing())
    coming = engine(parts)
    with meter("read", round(ends[-1]), "MB", round(ends[start])) as shown:
        for number in range(start, len(parts.units)):
            if number in missing:
                next(coming)
            if torn := _facts(parts, number)["torn"]:
                raise TornError(torn)
            yield number
            size = round(ends[number + 1]) - round(ends[number])
            (shown.advance if number in missing else shown.skip)(size)


def _facts(parts: Parts, number: int) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(parts.path(number, DONE).read_text("utf-8"))
    return facts


def documents_of(
    parts: Parts, number: int, cleaning: Cleaning, quarantine: Quarantine
) -> Iterator[Document]:
    """The documents of a part in order, as they were read and cleaned one by one.

    Counts what the part counted into `cleaning`, and judges the bad records in their order.

    Raises:
        HornbookError: too many records are bad.
    """
    facts = _facts(parts, number)
    _judge(parts.path(number, REFUSED), int(facts["good"]), quarantine)
    cleaning.add(facts["account"])
    with contextlib.ExitStack() as files:
        lines = files.enter_context(parts.path(number, DOCUMENTS).open("rb"))
        documents: Iterator[Document] = (document_of(line, parts.said) for line in lines)
        if parts.compared:
            prints = files.enter_context(parts.path(number, FINGERPRINTS).open("rb"))
            documents = fingerprints.read(prints, documents)
        yield from documents


def _judge(refused: Path, good: int, quarantine: Quarantine) -> None:
    """Count a part's records, the bad ones in their places among the good."""
    counted = 0
    with refused.open("rb") as notes:
        for note in notes:
            before, file, line, reason, lines = json.loads(note)
            quarantine.good += before - counted
            counted = before
            quarantine.refuse(file, line, HornbookError(reason), lines)
    quarantine.good += good - counted


def by_processes(parts: Parts, workers: int | None = None) -> Iterator[int]:
    """The engine of one machine: as many processes as there are cores, or `workers`.

    Until they have started, which takes as long as to read some megabytes, this one makes parts itself.

    Raises:
        HornbookError: a part cannot be read, or a process has died.
    """
    missing = deque(parts.missing())
    if len(missing) < 2:
        yield from _made_here(parts, missing, lambda: True)
        return
    workers = workers or os.cpu_count() or 1
    waiting: deque[tuple[int, Future[None]]] = deque()
    try:
        with processes(workers) as pool:
            started = [pool.submit(_ready) for _ in range(workers)]
            yield from _made_here(parts, missing, lambda: not any(s.done() for s in started))
            for number in missing:
                waiting.append((number, pool.submit(make_part, parts.only(number), number)))
                if len(waiting) > 2 * workers:
                    yield _made(*waiting.popleft())
            while waiting:
                yield _made(*waiting.popleft())
    finally:
        artifact.discard_unfinished(parts.folder)  # those that processes were at when they ended


def _made_here(parts: Parts, missing: deque[int], go_on: Callable[[], bool]) -> Iterator[int]:
    """Make parts in this process, as long as there are any and `go_on` says so."""
    while missing and go_on():
        number = missing.popleft()
        make_part(parts, number)
        yield number


def _ready() -> None:
    """What a process does first."""


def _made(number: int, future: Future[None]) -> int:
    try:
        future.result()
    except BrokenProcessPool:
        raise HornbookError(
            "a process that reads the corpus has died; see whether memory is short, and whether the "
            'script that started it keeps its work under `if __name__ == "__main__":`.'
        ) from None
    return number


def discard(folder: Path) -> None:
    """Delete the parts, when the corpus is made."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
