"""Documents in: text files, JSONL and tables, one document at a time."""

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from hornbook.config import Settings
from hornbook.corpus.document import Document
from hornbook.corpus.files import json_lines, numbered_lines, require_text, string_field
from hornbook.corpus.tables import read_column
from hornbook.errors import HornbookError

SAMPLE_WORLD = "sample-world"
"""The source that is made instead of read: see `hornbook.corpus.world`."""
SUFFIXES = (".txt", ".md", ".jsonl", ".csv", ".tsv")
"""What a corpus file may be called."""
SEPARATOR = "<|endoftext|>"
"""A line of just this, in a text file, stands between two documents."""


class CorpusSettings(Settings):
    """Which text to learn from."""

    source: str = SAMPLE_WORLD
    """"sample-world", or a .txt, .md, .jsonl, .csv or .tsv file, a folder of them, or a pattern like
    "a/*.txt"."""
    text_field: str = "text"
    """Field of each JSONL line, or column of a table, that holds the text."""
    validation_share: float = Field(default=0.02, ge=0, lt=1)
    """Share of the corpus kept to measure on while training (0 to 1)."""
    test_share: float = Field(default=0.01, ge=0, lt=1)
    """Share of the corpus kept to measure on once, at the end (0 to 1)."""

    @model_validator(mode="after")
    def _leave_something(self) -> Self:
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share leave nothing to train on")
        return self


def read_documents(source: str, text_field: str = "text") -> Iterator[Document]:
    """Documents of a file, a folder (with the folders in it) or a pattern, in order of path.

    A text file is one document, or several with a line of `<|endoftext|>` between them; a JSONL
    file has one a line, a table one a row. Memory holds one document at a time. An id is the file's path inside
    the folder and the number of the document or line, or the `id` field of a JSONL line.

    Raises:
        HornbookError: no such file, nothing to read in it, binary or non-UTF-8 text, or a JSONL
            line that is no object with such a text.
    """
    for path, name in corpus_files(source):
        yield from _read_file(path, name, text_field)


def corpus_files(source: str) -> list[tuple[Path, str]]:
    """The files that `source` stands for, each with its name in document ids, sorted by it.

    Raises:
        HornbookError: there are none, or one is of an unknown kind.
    """
    path = Path(source)
    if path.is_dir():
        return _folder_files(path)
    if not path.exists() and glob.has_magic(source):
        return _pattern_files(source)
    return [(_require_suffix(path), path.name)]


def _folder_files(folder: Path) -> list[tuple[Path, str]]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    files = [path for path in found if path.is_file() and not _hidden(path.relative_to(folder))]
    if not files:
        raise HornbookError(f"{folder} has no readable files; expected {', '.join(SUFFIXES)}.")
    return _named(files, folder)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _pattern_files(pattern: str) -> list[tuple[Path, str]]:
    files = [Path(name) for name in glob.glob(pattern, recursive=True) if Path(name).is_file()]
    if not files:
        raise HornbookError(f"no file matches {pattern}; check the pattern.")
    parts = Path(pattern).parts
    fixed = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    return _named([_require_suffix(path) for path in files], Path(*parts[:fixed]))


def _named(files: Iterable[Path], base: Path) -> list[tuple[Path, str]]:
    return sorted(((path, path.relative_to(base).as_posix()) for path in files), key=lambda f: f[1])


def _require_suffix(path: Path) -> Path:
    if not path.exists():
        raise HornbookError(f"{path}: no such file; check the path.")
    if path.suffix.lower() not in SUFFIXES:
        raise HornbookError(f"{path}: unknown kind of file; a corpus is {', '.join(SUFFIXES)}.")
    return path


def _read_file(path: Path, name: str, text_field: str) -> Iterator[Document]:
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        yield from _read_jsonl(path, name, text_field)
    elif suffix in (".csv", ".tsv"):
        for line, text in read_column(path, text_field):
            yield Document(text, f"{name}#{line}")
    else:
        yield from _read_plain(path, name)


def _read_jsonl(path: Path, name: str, text_field: str) -> Iterator[Document]:
    for number, record in json_lines(path):
        where = f"{path}, line {number}"
        text = require_text(string_field(record, text_field, where), where, text_field)
        own_id = record.get("id")
        yield Document(text, f"{name}#{number if own_id is None else own_id}")


def _read_plain(path: Path, name: str) -> Iterator[Document]:
    number = 0
    for text in _between_separators(path):
        if text.strip():
            number += 1
            yield Document(text, f"{name}#{number}")
    if not number:
        raise HornbookError(f"{path} has no text beside {SEPARATOR} lines; put some into it.")


def _between_separators(path: Path) -> Iterator[str]:
    lines: list[str] = []
    for _, line in numbered_lines(path):
        if line.rstrip() == SEPARATOR:
            yield "".join(lines).removesuffix("\n")  # this one came with the separator
            lines = []
        else:
            lines.append(line)
    yield "".join(lines)
