"""A document as a line of JSON, and back."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import orjson

from hornbook.corpus.document import Document


def line_of(document: Document) -> bytes:
    """The document's id, text and metadata, with a line break.

    Metadata may hold what a table's columns hold: what is no JSON value is written as text.
    """
    record: dict[str, Any] = {"id": document.id, "text": document.text}
    if not document.metadata:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    # orjson knows no NaN and no large integers.
    record["metadata"] = document.metadata
    text = json.dumps(record, ensure_ascii=False, default=str, separators=(",", ":"))
    return text.encode() + b"\n"


def document_of(line: bytes, source: str = "") -> Document:
    """The document that `line_of` wrote."""
    try:
        record = orjson.loads(line)
        whole = len(record) == 2
    except orjson.JSONDecodeError:
        whole = False
    if not whole:  # with metadata: numbers as they were
        record = json.loads(line)
    return Document(record["text"], record["id"], source, record.get("metadata", {}))


def text_of(line: bytes) -> str:
    """The text of the document in a line."""
    try:
        return str(orjson.loads(line)["text"])
    except orjson.JSONDecodeError:
        return str(json.loads(line)["text"])


class _Line(msgspec.Struct, gc=False):
    """Of a document its text alone. A block's dictionaries would set off Python's garbage collector,
    which takes longer over everything else in memory than the parsing does."""

    text: str


_LINES = msgspec.json.Decoder(_Line)


def texts_of(lines: bytes) -> list[str]:
    """The texts of the documents in some whole lines, read together: as `text_of`, but quicker."""
    try:
        return [line.text for line in _LINES.decode_lines(lines)]
    except msgspec.DecodeError:
        return [text_of(line) for line in lines.removesuffix(b"\n").split(b"\n")]


def blocks(path: Path, start: int, size: int) -> Iterator[bytes]:
    """A file's lines from number `start`, so many together that they have `size` bytes."""
    with path.open("rb") as file:
        for _ in islice(file, start):
            pass
        while lines := file.read(size):
            yield lines + file.readline()
