"""A corpus in pieces that are read by themselves: several small files, or a part of a large one."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from hornbook.corpus.columns import cut_groups, read_parquet
from hornbook.corpus.compression import open_bytes
from hornbook.corpus.document import Document
from hornbook.corpus.files import MAX_DOCUMENT_BYTES
from hornbook.corpus.formats import (
    Cut,
    PartFormat,
    Reading,
    read_csv,
    read_jsonl,
    read_tsv,
)
from hornbook.corpus.plain import cut_text, read_plain
from hornbook.corpus.readers import FORMATS, kind_of

UNIT_BYTES = 2**22
"""Bytes on disk that are read together (4 MiB): some seconds of work where filters are many, so that
an interruption costs no more; and enough for a process to be worth asking."""
COUNTED = 2**20
"""Bytes searched for line breaks at a time."""
READERS: dict[str, PartFormat] = {
    ".txt": read_plain,
    ".md": read_plain,
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".parquet": read_parquet,
}
"""Of the files that can be cut, unless they are compressed."""


@dataclass(frozen=True)
class Piece:
    """A file, or a part of it."""

    path: Path
    name: str
    """Within the corpus."""
    size: int
    """Bytes on disk."""
    cut: Cut | None = None
    """Which part; None where the piece is the whole file."""
    unpacked: Path | None = None
    """Where its content lies, if it is compressed and was unpacked."""


Unit = tuple[Piece, ...]
"""Pieces that are read one after another, by one process."""


def plan(
    files: Iterable[tuple[Path, str]],
    unit_bytes: int | None = None,
    limit: int = MAX_DOCUMENT_BYTES,
    whole: Collection[str] = (),
    unpacked: Mapping[str, Path] = MappingProxyType({}),
) -> list[Unit]:
    """The files, each with its name, as units of about `unit_bytes` (`UNIT_BYTES`), in order.

    Large files are cut: text between documents, lines and rows between two of them, parquet between
    row groups. Pages and compressed files are read as a whole, however large.

    Args:
        limit: bytes of the longest document.
        whole: names of files that are not to be cut.
        unpacked: where the content of compressed files lies, by their names.
    """
    unit_bytes = unit_bytes or UNIT_BYTES
    units: list[Unit] = []
    together: list[Piece] = []
    for path, name in files:
        file = Piece(path, name, 0, unpacked=unpacked.get(name))
        for piece in _pieces(file, unit_bytes, limit, name in whole):
            if together and sum(each.size for each in together) + piece.size > unit_bytes:
                units.append(tuple(together))
                together = []
            together.append(piece)
    return [*units, tuple(together)] if together else units


def _pieces(file: Piece, unit_bytes: int, limit: int, whole: bool) -> Iterator[Piece]:
    data = file.unpacked or file.path
    size = data.stat().st_size
    cutter = _cutter(data.suffix.lower(), limit)
    cuts = [] if whole or size <= unit_bytes or cutter is None else list(cutter(data, unit_bytes))
    if len(cuts) < 2:
        yield replace(file, size=size)
        return
    length = cuts[-1].stop  # in bytes, or row groups
    for cut in cuts:
        share = size * cut.stop // length - size * cut.start // length
        yield replace(file, size=share, cut=cut)


def _cutter(suffix: str, limit: int) -> Callable[[Path, int], Iterator[Cut]] | None:
    """What finds the parts of such a file, of about so many bytes."""
    if suffix in (".txt", ".md"):
        return partial(_cut_text, limit=limit)
    if suffix in (".jsonl", ".tsv"):
        return partial(_cut_lines, quoted=False)
    if suffix == ".csv":
        return partial(_cut_lines, quoted=True)
    return cut_groups if suffix == ".parquet" else None


def _cut_text(path: Path, unit_bytes: int, limit: int) -> Iterator[Cut]:
    with path.open("rb") as file:
        yield from cut_text(file, path, unit_bytes, limit)


def _cut_lines(path: Path, unit_bytes: int, quoted: bool) -> Iterator[Cut]:
    """Between lines.

    Args:
        quoted: only where quotation marks are in pairs: within a pair, a line break is text.
    """
    start, line, size = 0, 1, path.stat().st_size
    with path.open("rb", buffering=COUNTED) as file:
        while start < size:
            breaks, marks, end, least = 0, 0, start, min(start + unit_bytes, size)
            while block := file.read(min(COUNTED, least - end)):
                breaks, end = breaks + block.count(b"\n"), end + len(block)
                marks += block.count(b'"') if quoted else 0
            while rest := file.readline(COUNTED):  # to the end of the line, or row
                end += len(rest)
                marks += rest.count(b'"') if quoted else 0
                if rest.endswith(b"\n"):
                    breaks += 1
                    if marks % 2 == 0:
                        break
            yield Cut(start, end, line, last=end >= size)
            start, line = end, line + breaks


def read_unit(pieces: Sequence[Piece], reading: Reading) -> Iterator[Document]:
    """The documents of a unit; bad records go to the reading's quarantine.

    Raises:
        UnreadableFileError: a file is cut off, damaged, or cannot be read.
        TornError: a table was cut within a row.
    """
    for piece in pieces:
        kind = kind_of(piece.path)
        with open_bytes(piece.unpacked or piece.path) as stream:
            if piece.cut is None:
                yield from FORMATS[kind](stream, piece.path, piece.name, reading)
            else:
                yield from READERS[kind](stream, piece.path, piece.name, reading, piece.cut)
