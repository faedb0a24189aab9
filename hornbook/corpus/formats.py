"""Kinds of corpus file as documents: HTML, JSONL, CSV and TSV.

Every reader holds one document at a time, of at most `max_document_bytes` before it is decoded (as
Python text up to four times that), and hands what is bad to the quarantine.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hornbook.corpus.compression import UnreadableFileError
from hornbook.corpus.document import Document
from hornbook.corpus.files import (
    MAX_DOCUMENT_BYTES,
    Lines,
    decode,
    is_empty,
    parse_json,
    quick_object,
    require_object,
    require_text,
    string_field,
    too_long,
)
from hornbook.corpus.quarantine import Quarantine
from hornbook.errors import HornbookError

NOT_TEXT = "script, style, noscript, template, svg, nav, header, footer, aside, form, iframe"
"""HTML elements that hold no text, or not the page's own."""
BLOCKS = "p, div, br, hr, li, tr, h1, h2, h3, h4, h5, h6, blockquote, section, article, table"
"""HTML elements that stand on lines of their own."""
BREAK = "\x1e"
"""Stands for a line break that is meant; those in a page's source are blanks like others."""


@dataclass(frozen=True)
class Reading:
    """How files are read, whatever their kind."""

    source: str
    """What the documents say they are from."""
    quarantine: Quarantine
    text_field: str = "text"
    metadata_fields: tuple[str, ...] = ()
    max_document_bytes: int = MAX_DOCUMENT_BYTES

    def document(self, record: Mapping[str, Any], where: str, name: str, place: object) -> Document:
        """The document that a JSON object or a row holds.

        Raises:
            HornbookError: no text in it, or too much.
        """
        text = require_text(string_field(record, self.text_field, where), where, self.text_field)
        if len(text) > self.max_document_bytes:
            raise too_long(where, self.max_document_bytes)
        own_id = record.get("id")
        metadata = {key: record[key] for key in self.metadata_fields if key in record}
        identity = f"{name}#{place if own_id is None else own_id}"
        return Document(text, identity, self.source, metadata)


@dataclass(frozen=True)
class Cut:
    """A part of a file that can be read by itself."""

    start: int
    """Where it starts: a byte, or a row group of a parquet file."""
    stop: int
    """Where it ends, counted in the same way."""
    first: int
    """The number of the first line, row or document in it, from 1."""
    found: int = 0
    """Documents of a text file before it that have a number."""
    last: bool = True
    """Whether the file ends with it."""


class TornError(HornbookError):
    """A table was cut in two within a row: its quotation marks are not in pairs."""

    def __init__(self, name: str) -> None:
        """`name` is the file's within the corpus."""
        super().__init__(f"{name} cannot be read in parts: its quotation marks are not in pairs.")
        self.name = name


Format = Callable[[IO[bytes], Path, str, Reading], Iterator[Document]]
"""Reads a stream of the file at a path, known by a name within the corpus."""
PartFormat = Callable[[IO[bytes], Path, str, Reading, Cut], Iterator[Document]]
"""Reads a part of it."""


def read_html(stream: IO[bytes], path: Path, name: str, reading: Reading) -> Iterator[Document]:
    """One document a page: its visible text, without navigation, headers, footers and forms."""
    try:
        raw = stream.read(reading.max_document_bytes + 1)
        if len(raw) > reading.max_document_bytes:
            raise too_long(str(path), reading.max_document_bytes)
        text = html_text(decode(raw, path, 0))
        if not text:
            raise HornbookError(f"{path} has no text in its page; leave it out.")
    except UnreadableFileError:
        raise
    except HornbookError as error:
        reading.quarantine.refuse(name, None, error)
        return
    reading.quarantine.keep()
    yield Document(text, f"{name}#1", reading.source)


def html_text(page: str) -> str:
    """The visible text of an HTML page, a line for each block of it.

    Raises:
        UnreadableFileError: selectolax is not installed.
    """
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError:
        raise UnreadableFileError(
            'to read .html files, install selectolax: pip install "hornbook[corpus]".'
        ) from None
    tree = LexborHTMLParser(page)
    if tree.body is None:
        return ""
    for node in tree.body.css(NOT_TEXT):
        node.decompose()
    for node in tree.body.css("pre"):
        node.replace_with(BREAK + node.text().replace("\n", BREAK) + BREAK)
    for node in tree.body.css(BLOCKS):
        node.insert_before(BREAK)
        node.insert_after(BREAK)
    lines = (" ".join(line.split()) for line in tree.body.text().split(BREAK))
    return "\n".join(line for line in lines if line)


def read_jsonl(
    stream: IO[bytes], path: Path, name: str, reading: Reading, cut: Cut | None = None
) -> Iterator[Document]:
    """One document a line; blank lines are passed over."""
    lines = lines_of(stream, path, reading, cut)
    yield from _read_json_lines(lines, path, name, reading)
    if lines.blank and cut is None:
        reading.quarantine.refuse(name, None, is_empty(path))


def lines_of(stream: IO[bytes], path: Path, reading: Reading, cut: Cut | None) -> Lines:
    """The lines of a file, or of a part of it."""
    lines = Lines(stream, path, reading.max_document_bytes)
    if cut is not None:
        stream.seek(cut.start)
        lines.go_on(cut.first, cut.start, cut.stop - cut.start)
    return lines


def _read_json_lines(lines: Lines, path: Path, name: str, reading: Reading) -> Iterator[Document]:
    """The documents of these lines of a JSONL file."""
    while True:
        try:
            raw = lines.raw()
            record = quick_object(raw)
            lines.blank = lines.blank and record is None
            if record is None:
                stripped = lines.decode(raw).strip()
                if not stripped:
                    continue
                record = parse_json(stripped, path, lines.number)
            where = f"{path}, line {lines.number}"
            document = reading.document(require_object(record, where), where, name, lines.number)
        except StopIteration:
            break
        except UnreadableFileError:
            raise
        except HornbookError as error:
            reading.quarantine.refuse(name, lines.number, error)
            continue
        reading.quarantine.keep()
        yield document


CSV: dict[str, Any] = {"strict": True}
"""Commas, and quotation marks as RFC 4180 has them."""
TSV: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}


def read_csv(
    stream: IO[bytes], path: Path, name: str, reading: Reading, cut: Cut | None = None
) -> Iterator[Document]:
    """One document a row of a comma-separated table, quoted as RFC 4180 has it.

    Raises:
        TornError: a part ends within a row; the file has to be read as a whole.
    """
    return _read_table(stream, path, name, reading, CSV, cut)


def read_tsv(
    stream: IO[bytes], path: Path, name: str, reading: Reading, cut: Cut | None = None
) -> Iterator[Document]:
    """One document a row of a tab-separated table, where a quotation mark is like any other."""
    return _read_table(stream, path, name, reading, TSV, cut)


def _read_table(
    stream: IO[bytes],
    path: Path,
    name: str,
    reading: Reading,
    dialect: dict[str, Any],
    cut: Cut | None,
) -> Iterator[Document]:
    """Rows under a header; each is called by the line that it ends on."""
    header = _header_above(stream, path, reading, dialect, cut) if cut else []
    lines = lines_of(stream, path, reading, cut)
    rows = csv.reader(lines, **dialect)
    while True:
        before = lines.number
        try:
            row = _next_row(rows, reading.max_document_bytes, f"{path}, line {before + 1}")
            if not row:
                continue
            if not header:
                header = row
                require_columns(header, path, reading)
                continue
            where = f"{path}, line {lines.number}"
            record = dict(zip(header, row, strict=False))
            if reading.text_field not in record:
                raise HornbookError(f"{where}: no field for the column {reading.text_field!r}.")
            record.pop("id", None)  # rows are called by their lines
            document = reading.document(record, where, name, lines.number)
        except StopIteration:
            break
        except UnreadableFileError:
            raise
        except HornbookError as error:
            if lines.ended and cut is not None and not cut.last:
                raise TornError(name) from None
            # A quotation mark that is never closed takes all the lines behind it.
            reading.quarantine.refuse(name, before + 1, error, max(lines.number - before, 1))
            continue
        reading.quarantine.keep()
        yield document
    if lines.blank and cut is None:
        reading.quarantine.refuse(name, None, is_empty(path))


def _header_above(
    stream: IO[bytes], path: Path, reading: Reading, dialect: dict[str, Any], cut: Cut
) -> list[str]:
    """The header of a table of which a part is read; what is bad above it, the first part tells."""
    lines = Lines(stream, path, reading.max_document_bytes)
    rows = csv.reader(lines, **dialect)
    while lines.number + 1 < cut.first:
        try:
            if row := _next_row(rows, reading.max_document_bytes, str(path)):
                return row if lines.number < cut.first else []
        except UnreadableFileError:
            raise
        except HornbookError:
            continue
    return []


def _next_row(rows: Iterator[list[str]], max_characters: int, where: str) -> list[str]:
    """The next row, none of its fields longer than `max_characters`."""
    before = csv.field_size_limit(max_characters)  # the module's, so it is put back at once
    try:
        return next(rows)
    except csv.Error as error:
        raise HornbookError(f"{where}: not valid: {error}.") from None
    finally:
        csv.field_size_limit(before)


def require_columns(header: list[str], path: Path, reading: Reading) -> None:
    """Refuse a table without the columns that are asked for."""
    for column in (reading.text_field, *reading.metadata_fields):
        if column not in header:
            raise UnreadableFileError(
                f"{path} has no column {column!r}; its columns are: {', '.join(header)}."
            )
