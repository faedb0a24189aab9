"""Files as text and as JSON: one form of line break, and a clear sentence about anything wrong."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Self

import orjson

from hornbook.corpus.compression import open_bytes
from hornbook.errors import HornbookError

MAX_DOCUMENT_BYTES = 2**27
"""Largest document held in memory (128 MiB), unless told otherwise."""
PIECE = 2**16
"""Bytes read at a time where a line is passed over."""

JSON_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


class Lines:
    """Lines of UTF-8 text, in the memory of one; CRLF becomes "\\n" and a byte-order mark is dropped.

    A bad line raises, and the next call goes on behind it.
    """

    def __init__(self, stream: IO[bytes], path: Path, max_bytes: int = MAX_DOCUMENT_BYTES) -> None:
        """`stream` is of the file at `path`; a line of more than `max_bytes` is not read."""
        self.number = 0
        """Of the line that came last, from 1."""
        self.blank = True
        """Whether no line so far, good or bad, has more in it than blanks."""
        self.ended = False
        """Whether there are no more lines."""
        self._stream, self._path, self._max_bytes = stream, path, max_bytes
        self._offset = self._start = 0
        self._stop: int | None = None

    def go_on(self, line: int, offset: int, size: int) -> None:
        """The stream stands at `offset`, where line `line` starts; read `size` bytes from there."""
        self.number, self._offset, self._stop = line - 1, offset, offset + size

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        """The next line.

        Raises:
            HornbookError: it is too long, binary or not UTF-8.
            StopIteration: there is none.
        """
        return self.decode(self.raw())

    def raw(self) -> bytes:
        """The next line as it stands in the file, for `decode`; raises as `__next__` does."""
        at_end = self._stop is not None and self._offset >= self._stop
        raw = b"" if at_end else self._stream.readline(self._max_bytes + 1)
        if not raw:
            self.ended = True
            raise StopIteration
        self.number += 1
        self._start = self._offset
        self._offset += len(raw)
        if len(raw) > self._max_bytes:
            self._skip(raw)
            raise too_long(f"{self._path}, line {self.number}", self._max_bytes)
        return raw

    def decode(self, raw: bytes) -> str:
        """The text of the line that came last; raises a `HornbookError` if it is none."""
        self.blank = self.blank and not raw.strip()
        line = decode(raw, self._path, self._start)
        self.blank = self.blank and not line.strip()
        return line

    def _skip(self, raw: bytes) -> None:
        """Read on to the end of an overlong line, keeping none of it."""
        self.blank = False
        while raw and not raw.endswith(b"\n"):
            raw = self._stream.readline(PIECE)
            self._offset += len(raw)


def too_long(where: str, max_bytes: int) -> HornbookError:
    """The sentence about a document that is larger than is held in memory."""
    return HornbookError(
        f"{where}: more than {max_bytes:,} bytes in one document; divide it, or raise "
        "corpus.max_document_bytes."
    )


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a UTF-8 file with their numbers from 1, in the memory of one line.

    CRLF becomes "\\n" and a byte-order mark is dropped.

    Raises:
        HornbookError: no such file, a directory, not readable, binary, not UTF-8, or blank.
    """
    with open_bytes(path) as stream:
        lines = Lines(stream, path)
        for line in lines:
            yield lines.number, line
    if lines.blank:
        raise is_empty(path)


def is_empty(path: Path) -> HornbookError:
    """The sentence about a file with nothing in it."""
    return HornbookError(f"{path} is empty; put text into it or leave it out.")


def read_text(path: Path) -> str:
    """The whole of a UTF-8 file; raises as `numbered_lines` does."""
    return "".join(line for _, line in numbered_lines(path))


def normalize_breaks(text: str) -> str:
    """The text with "\\n" in place of every CRLF."""
    return text.replace("\r\n", "\n")


def parse_json(text: str, path: Path, first_line: int = 1) -> Any:
    """The JSON value that `text` holds; `path` and `first_line` are where it stands.

    Stricter than `json.loads`: a key given twice and NaN are refused.

    Raises:
        HornbookError: naming file and line.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise HornbookError(
            f"{path}, line {line}: not valid JSON: {error.msg}, column {error.colno}."
        ) from None
    except RecursionError:
        raise HornbookError(f"{path}, line {first_line}: JSON nested too deeply.") from None
    except ValueError as error:
        raise HornbookError(f"{path}, line {first_line}: not valid JSON: {error}.") from None


def quick_object(line: bytes) -> dict[str, Any] | None:
    """The JSON object in a line of UTF-8, if it is as plain as most; None for `parse_json` to look at.

    orjson is several times faster than `json`, but takes a key given twice, and turns large numbers
    into others. So all values must be strings, booleans or null, and the quotation marks in the line
    those around them and their keys.
    """
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if type(record) is not dict or b"\\\\" in line:
        return None
    strings = len(record)
    for value in record.values():
        if type(value) is str:
            strings += 1
        elif value is not None and type(value) is not bool:
            return None
    marks = line.count(b'"') - line.count(b'\\"')
    return record if marks == 2 * strings else None


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of a JSONL file with their line numbers; blank lines are passed over.

    Raises:
        HornbookError: a line is not a JSON object, or as `numbered_lines`.
    """
    for number, line in numbered_lines(path):
        if stripped := line.strip():
            yield (
                number,
                require_object(parse_json(stripped, path, number), f"{path}, line {number}"),
            )


def require_object(value: Any, where: str) -> dict[str, Any]:
    """`value`, when it is a JSON object; else a `HornbookError` that says where."""
    if isinstance(value, dict):
        return value
    raise HornbookError(f"{where}: expected an object, found {JSON_NAMES[type(value)]}.")


def string_field(
    record: Mapping[str, Any], name: str, where: str, default: str | None = None
) -> str:
    """A string field of a JSON object, with normalized line breaks.

    Raises:
        HornbookError: missing (without `default`), not a string, or half a surrogate pair in it.
    """
    value = record.get(name, default)
    if value is None and name not in record:
        fields = ", ".join(record) or "none"
        raise HornbookError(f"{where}: no field {name!r}; its fields are: {fields}.")
    if not isinstance(value, str):
        found = JSON_NAMES[type(value)]
        raise HornbookError(f"{where}: {name!r} must be a string, found {found}.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        found = f"\\u{ord(value[error.start]):04x}"
        raise HornbookError(
            f"{where}: {name!r} has half a surrogate pair ({found}), which is no character."
        ) from None
    return normalize_breaks(value)


def require_text(text: str, where: str, name: str) -> str:
    """`text`, when there is more in it than blanks; else a `HornbookError` that says where."""
    if text.strip():
        return text
    raise HornbookError(f"{where}: {name!r} is empty; fill it in or leave the entry out.")


def decode(raw: bytes, path: Path, offset: int) -> str:
    """Bytes that stand at `offset` in a file as text, without a byte-order mark, with "\\n" alone.

    Raises:
        HornbookError: binary, or not UTF-8; naming the offset.
    """
    if offset == 0 and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise HornbookError(f"{path} is UTF-16 text; save it as UTF-8.")
    if (at := raw.find(b"\0")) >= 0:
        raise HornbookError(f"{path} is not text: it has a NUL byte at offset {offset + at}.")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise HornbookError(
            f"{path} is not UTF-8 text: byte 0x{raw[error.start]:02x} "
            f"at offset {offset + error.start}; save it as UTF-8."
        ) from None
    return normalize_breaks(text if offset else text.removeprefix("\ufeff"))


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} is given twice")
    return record


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
