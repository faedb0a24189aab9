"""A corpus in pieces that are read by themselves: several small files, or some lines of a large one."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hornbook.corpus.compression import open_bytes
from hornbook.corpus.document import Document
from hornbook.corpus.files import Lines
from hornbook.corpus.formats import Reading, read_json_lines
from hornbook.corpus.readers import FORMATS, kind_of

UNIT_BYTES = 2**24
"""Bytes on disk that are read together (16 MiB): enough for a process to be worth asking."""
COUNTED = 2**20
"""Bytes searched for line breaks at a time."""


@dataclass(frozen=True)
class Piece:
    """A file, or some of its lines."""

    path: Path
    name: str
    """Within the corpus."""
    size: int
    """Bytes on disk."""
    start: int = 0
    """Where in the file it starts, at the beginning of a line."""
    first_line: int | None = None
    """The number of that line, from 1; None where the piece is a whole file."""


Unit = tuple[Piece, ...]
"""Pieces that are read one after another, by one process."""


def plan(files: Iterable[tuple[Path, str]], unit_bytes: int = UNIT_BYTES) -> list[Unit]:
    """The files, each with its name, as units of about `unit_bytes`, in order.

    Large JSONL files are cut between lines. Others are read as a whole, however large.
    """
    units: list[Unit] = []
    together: list[Piece] = []
    for path, name in files:
        for piece in _pieces(path, name, unit_bytes):
            if together and sum(each.size for each in together) + piece.size > unit_bytes:
                units.append(tuple(together))
                together = []
            together.append(piece)
    return [*units, tuple(together)] if together else units


def _pieces(path: Path, name: str, unit_bytes: int) -> Iterator[Piece]:
    size = path.stat().st_size
    if path.suffix.lower() != ".jsonl" or size <= unit_bytes:
        yield Piece(path, name, size)
        return
    start, line = 0, 1
    with path.open("rb", buffering=COUNTED) as file:
        while start < size:
            breaks, end, least = 0, start, min(start + unit_bytes, size)
            while block := file.read(min(COUNTED, least - end)):
                breaks, end = breaks + block.count(b"\n"), end + len(block)
            while rest := file.readline(COUNTED):  # to the end of the line
                end += len(rest)
                if rest.endswith(b"\n"):
                    breaks += 1
                    break
            yield Piece(path, name, end - start, start, line)
            start, line = end, line + breaks


def read_unit(pieces: Sequence[Piece], reading: Reading) -> Iterator[Document]:
    """The documents of a unit; bad records go to the reading's quarantine.

    Raises:
        UnreadableFileError: a file is cut off, damaged, or cannot be read.
    """
    for piece in pieces:
        with open_bytes(piece.path) as stream:
            if piece.first_line is None:
                yield from FORMATS[kind_of(piece.path)](stream, piece.path, piece.name, reading)
                continue
            stream.seek(piece.start)
            lines = Lines(stream, piece.path, reading.max_document_bytes)
            lines.go_on(piece.first_line, piece.start, piece.size)
            yield from read_json_lines(lines, piece.path, piece.name, reading)
