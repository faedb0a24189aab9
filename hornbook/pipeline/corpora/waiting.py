"""Documents that wait on disk, each with its measure, for a step that judges when it has seen them all."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from hornbook.corpus.step import Measured
from hornbook.pipeline.corpora.lines import document_of, line_of

BLOCK_BYTES = 2**22
"""Bytes of documents that are given back together (4 MiB)."""


class Waiting:
    """A file of documents and their measures: written first, then read, both from where a run was.

    Memory: `BLOCK_BYTES` of documents, or one that is larger.
    """

    def __init__(self, path: Path, source: str) -> None:
        """Enter it, and `begin`, before documents come; `source` is what documents are called after."""
        self._path, self._source = path, source
        self._file: IO[bytes]
        self._read = 0

    def __enter__(self) -> Self:
        """Open the file, which may be there from an interrupted run; `begin` says what of it counts."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()
        self._file = self._path.open("r+b")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self._file.close()

    def add(self, measured: Iterable[Measured]) -> None:
        """Write documents down."""
        for document, measure in measured:
            self._file.write(f"{measure!r}\t".encode() + line_of(document))

    def blocks(self) -> Iterator[list[Measured]]:
        """All documents that are not read yet, in blocks; a block counts as read when the next is asked
        for, or `state` is."""
        end = self._file.tell()
        while self._read < end:
            self._file.seek(self._read)
            lines = self._file.readlines(BLOCK_BYTES)
            self._read = self._file.tell()
            self._file.seek(end)
            yield [self._measured(line) for line in lines]

    @property
    def places(self) -> tuple[int, int]:
        """How far it is read, and how much there is, in bytes."""
        return self._read, self._file.tell()

    def _measured(self, line: bytes) -> Measured:
        measure, _, rest = line.partition(b"\t")
        return document_of(rest, self._source), float(measure)

    def state(self) -> dict[str, int]:
        """Where it stands, for `begin`; all that was written until now is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return {"size": self._file.tell(), "read": self._read}

    def begin(self, state: Mapping[str, Any] | None = None) -> None:
        """Begin, or go on from where `state` was taken; what was written behind it is thrown away."""
        self._read = 0 if state is None else int(state["read"])
        self._file.seek(0 if state is None else int(state["size"]))
        self._file.truncate()
