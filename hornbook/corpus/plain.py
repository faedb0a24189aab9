"""Text files as documents: one each, or several with a line of `<|endoftext|>` between them.

A file is searched in blocks for the mark, not line by line: most text has few or none.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from hornbook.corpus.document import Document
from hornbook.corpus.files import PIECE, decode, is_empty, too_long
from hornbook.corpus.formats import Cut, Reading
from hornbook.errors import HornbookError

SEPARATOR = "<|endoftext|>"
"""A line of just this, in a text file, stands between two documents."""
MARK = SEPARATOR.encode()
BLOCK = 2**20
"""Bytes searched at a time."""


class Span(NamedTuple):
    """A document of a text file, before it is looked at."""

    start: int
    """The byte that it starts at."""
    end: int
    """The byte behind it, and behind the separator line that ends it."""
    raw: bytes
    """It, or where it is too long, one byte more than the longest may have."""


def read_plain(
    stream: IO[bytes], path: Path, name: str, reading: Reading, cut: Cut | None = None
) -> Iterator[Document]:
    """One document, or several with a line of `<|endoftext|>` between them.

    Documents are numbered, but for those with nothing in them.
    """
    limit = reading.max_document_bytes
    found, number = (cut.found, cut.first - 1) if cut else (0, 0)
    for span in divide(stream, limit, cut):
        number += 1
        try:
            if len(span.raw) > limit:
                raise too_long(f"{path}, document {number}", limit)
            text = decode(span.raw, path, span.start)
        except HornbookError as error:
            found += 1
            reading.quarantine.refuse(name, number, error)
            continue
        if text.strip():
            found += 1
            reading.quarantine.keep()
            yield Document(text, f"{name}#{found}", reading.source)
    if not found and cut is None:
        beside = HornbookError(f"{path} has no text beside {SEPARATOR} lines; put some into it.")
        reading.quarantine.refuse(name, None, beside if number > 1 else is_empty(path))


def cut_text(stream: IO[bytes], path: Path, unit_bytes: int, limit: int) -> Iterator[Cut]:
    """Between documents, whenever `unit_bytes` are together; none for a file without text.

    Args:
        limit: bytes of the longest document.
    """
    start, first, before = 0, 1, 0
    number = found = end = 0
    for span in divide(stream, limit):
        number, end = number + 1, span.end
        found += _counts(span, path, limit)
        if end - start >= unit_bytes:
            yield Cut(start, end, first, before)
            start, first, before = end, number + 1, found
    if end > start and found:
        yield Cut(start, end, first, before)


def _counts(span: Span, path: Path, limit: int) -> bool:
    """Whether a document has a number: it is bad, or has more in it than blanks."""
    start = span.raw.lstrip()[:1]
    if len(span.raw) > limit or b" " < start < b"\x7f":
        return True
    try:
        return bool(decode(span.raw, path, span.start).strip())
    except HornbookError:
        return True


def divide(stream: IO[bytes], limit: int, cut: Cut | None = None) -> Iterator[Span]:
    """The documents between separator lines, in the file or in `cut`; the last may be empty.

    Memory holds a block, and of a document at most `limit` + 1 bytes.
    """
    start = offset = cut.start if cut else 0
    if cut:
        stream.seek(cut.start)
    kept, data, at_line_start, at_end = bytearray(), b"", True, False
    while not at_end:
        most = BLOCK if cut is None else min(BLOCK, cut.stop - offset - len(data))
        block = stream.read(most) if most else b""
        data, at_end = data + block, not block
        behind = 0  # what is before it in `data` is dealt with
        for found, line_end in _separators(data, at_line_start, at_end):
            kept += data[behind:found][: limit + 1 - len(kept)]
            # The line break before the separator came with the separator.
            yield Span(start, offset + line_end, _without_break(kept))
            kept, behind, start = bytearray(), line_end, offset + line_end
        through = len(data) if at_end else _through(data, behind)
        kept += data[behind:through][: limit + 1 - len(kept)]
        at_line_start = data[through - 1 : through] == b"\n" if through else at_line_start
        data, offset = data[through:], offset + through
    yield Span(start, offset, bytes(kept))


def _without_break(kept: bytearray) -> bytes:
    return bytes(kept).removesuffix(b"\n").removesuffix(b"\r")


def _separators(data: bytes, at_line_start: bool, at_end: bool) -> Iterator[tuple[int, int]]:
    """Where separator lines start and end; `at_line_start` says whether a line starts with `data`."""
    at = -1
    while (at := data.find(MARK, at + 1)) >= 0:
        if not (data[at - 1 : at] == b"\n" if at else at_line_start):
            continue
        line_end = data.find(b"\n", at) + 1
        if not line_end and not at_end:
            return
        line_end = line_end or len(data)
        if data[at:line_end].rstrip() == MARK:
            yield at, line_end


def _through(data: bytes, behind: int) -> int:
    """How much of a block is surely text: all but a last line that may become a separator."""
    line = max(data.rfind(b"\n") + 1, behind)
    last = data[line : line + PIECE]
    may_be = MARK.startswith(last) or last.rstrip() == MARK
    return line if may_be and len(data) - line < PIECE else len(data)
