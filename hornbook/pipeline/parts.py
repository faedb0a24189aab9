"""A corpus read and cleaned in parts, by several processes, each part kept until all are there.

A part is what becomes of a unit (see `corpus.units`) where each document is looked at alone. It is a
file of documents and one that says what was counted, written whole or not at all. So an interrupted
run finds them again, and what comes out hangs neither on the number of processes nor on who they are.
"""

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from hornbook import artifact
from hornbook.console import meter
from hornbook.corpus.document import Document
from hornbook.corpus.formats import Reading
from hornbook.corpus.privacy.redaction import PrivacySettings
from hornbook.corpus.quality.settings import QualitySettings
from hornbook.corpus.quarantine import Quarantine
from hornbook.corpus.readers import CorpusSettings
from hornbook.corpus.units import Unit, read_unit
from hornbook.errors import HornbookError
from hornbook.pipeline.cleaning import Cleaning, alone_steps
from hornbook.pipeline.lines import document_of, line_of

FOLDER = "parts"
DONE = ".done.json"
"""How the name of the file ends that stands for a part that is complete."""
DOCUMENTS, REFUSED = ".jsonl", ".refused.jsonl"
LOOK_EVERY_S = 1.0
"""Seconds after which a process looks whether the one that started it is still there."""


@dataclass(frozen=True)
class Parts:
    """What is to be read, and where the parts are kept. Goes to other processes."""

    units: Sequence[Unit]
    corpus: CorpusSettings
    quality: QualitySettings
    privacy: PrivacySettings
    said: str
    """The source, as documents call it."""
    folder: Path

    def path(self, number: int, suffix: str) -> Path:
        """Of one of a part's files."""
        return self.folder / f"{number:06}{suffix}"

    def missing(self) -> list[int]:
        """The parts that are not there yet."""
        return [n for n in range(len(self.units)) if not self.path(n, DONE).exists()]


Engine = Callable[[Parts], Iterator[int]]
"""Makes the parts that are missing; yields their numbers, each when it is there, in order."""


def make_part(parts: Parts, number: int) -> None:
    """Read a unit and clean its documents one by one; in whichever process.

    Memory holds one document.

    Raises:
        HornbookError: a file is cut off, damaged, or cannot be read.
    """
    settings = parts.corpus
    cleaning = Cleaning(alone_steps(parts.quality, parts.privacy, workers=1), [])
    temporary = parts.path(number, f".{os.getpid()}.tmp")
    with artifact.new_file(parts.path(number, REFUSED)) as refused:
        notes = _Notes(refused.write, settings.max_bad_share)
        reading = Reading(
            parts.said,
            notes,
            settings.text_field,
            settings.metadata_fields,
            settings.max_document_bytes,
        )
        with temporary.open("wb") as file, contextlib.suppress(_StopError):
            for document in cleaning.apply_alone(read_unit(parts.units[number], reading)):
                file.write(line_of(document))
    artifact.flush(temporary)
    temporary.replace(parts.path(number, DOCUMENTS))
    facts = {"good": notes.good, "account": cleaning.account()}
    artifact.write_text(parts.path(number, DONE), json.dumps(facts))


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


def read_parts(
    parts: Parts, cleaning: Cleaning, quarantine: Quarantine, engine: Engine
) -> Iterator[Document]:
    """The documents of all parts in order, as they were read and cleaned one by one.

    Counts what the parts counted into `cleaning`, and judges the bad records in their order.

    Raises:
        HornbookError: a file cannot be read, too many records are bad, a process has died.
    """
    parts.folder.mkdir(exist_ok=True)
    sizes = [sum(piece.size for piece in unit) / 1e6 for unit in parts.units]
    missing = set(parts.missing())
    coming = engine(parts)
    with meter("read", round(sum(sizes)), "MB") as shown:
        for number in range(len(parts.units)):
            if number in missing:
                next(coming)
            facts = json.loads(parts.path(number, DONE).read_text("utf-8"))
            _judge(parts.path(number, REFUSED), int(facts["good"]), quarantine)
            cleaning.add(facts["account"])
            with parts.path(number, DOCUMENTS).open("rb") as lines:
                for line in lines:
                    yield document_of(line, parts.said)
            before, after = round(sum(sizes[:number])), round(sum(sizes[: number + 1]))
            (shown.advance if number in missing else shown.skip)(after - before)
    quarantine.judge()


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

    Raises:
        HornbookError: a part cannot be read, or a process has died.
    """
    workers = workers or os.cpu_count() or 1
    # Started afresh: a fork of a process with threads, as torch has, may hang.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    waiting: deque[tuple[int, Future[None]]] = deque()
    with ProcessPoolExecutor(workers, context, _begin, (os.getpid(),)) as pool:
        try:
            for number in parts.missing():
                waiting.append((number, pool.submit(make_part, parts, number)))
                if len(waiting) > 2 * workers:
                    yield _made(*waiting.popleft())
            while waiting:
                yield _made(*waiting.popleft())
        except BaseException:
            # What they are at is not waited for; it is made again.
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def _made(number: int, future: Future[None]) -> int:
    try:
        future.result()
    except BrokenProcessPool:
        raise HornbookError(
            "a process that reads the corpus has died; see whether memory is short, and whether the "
            'script that started it keeps its work under `if __name__ == "__main__":`.'
        ) from None
    return number


def _begin(parent: int) -> None:
    """In each process: Ctrl-C is for the one that started it, and without that one it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def discard(folder: Path) -> None:
    """Delete the parts, when the corpus is made."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
