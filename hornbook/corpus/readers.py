"""Documents in: files of many kinds, folders and patterns of them, a stream, a dataset by name."""

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Self

from pydantic import Field, model_validator

from hornbook.config import Settings
from hornbook.corpus.columns import HUB, read_hub, read_parquet
from hornbook.corpus.compression import COMPRESSED, open_bytes
from hornbook.corpus.document import Document
from hornbook.corpus.files import MAX_DOCUMENT_BYTES
from hornbook.corpus.formats import (
    Format,
    Reading,
    read_csv,
    read_html,
    read_jsonl,
    read_tsv,
)
from hornbook.corpus.plain import read_plain
from hornbook.corpus.quarantine import Quarantine
from hornbook.errors import HornbookError

SAMPLE_WORLD = "sample-world"
"""The source that is made instead of read: see `hornbook.corpus.world`."""
STDIN = "-"
"""The source that comes through a pipe, as the text file that it would be."""
FORMATS: dict[str, Format] = {
    ".txt": read_plain,
    ".md": read_plain,
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".html": read_html,
    ".parquet": read_parquet,
}
"""What a corpus file may be called, and with .gz or .zst behind it; and who reads it."""
SUFFIXES = tuple(FORMATS)


class SourceSettings(Settings):
    """One of several corpora that are mixed."""

    name: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?$")
    """What it is called, in reports and as a folder: letters, digits, "_", "." and "-"."""
    source: str = SAMPLE_WORLD
    """As `corpus.source`."""
    weight: float | None = Field(default=None, gt=0)
    """How much of it is drawn, in proportion to the other weights; as much as it has when no source
    has a weight."""
    text_field: str | None = None
    """Field or column with the text; `corpus.text_field` when not given."""
    metadata_fields: tuple[str, ...] | None = None
    """Fields or columns to keep; `corpus.metadata_fields` when not given."""
    licence: str | None = None
    """Under which licence; `corpus.licence` when not given."""


class CorpusSettings(Settings):
    """Which text to learn from."""

    source: str = SAMPLE_WORLD
    """"sample-world"; or a file, a folder of them, or a pattern like "a/*.txt", of .txt, .md,
    .html, .jsonl, .csv, .tsv and .parquet, each also as .gz or .zst; or "-" for text from standard
    input ("-.jsonl", "-.csv.gz" … for other kinds); or "hf:NAME[:CONFIG][:SPLIT]" for a Hugging Face
    dataset."""
    sources: tuple[SourceSettings, ...] = ()
    """Several corpora instead of one `source`, each cleaned, split and tokenized by itself, and mixed
    in pre-training: [[corpus.sources]] with `name`, `source`, `weight`, and where they differ from
    the settings here `text_field`, `metadata_fields` and `licence`."""
    alpha: float = Field(default=1.0, ge=0, le=1)
    """How sources are drawn: in proportion to weight ** alpha (0 to 1). 1 keeps to the weights, 0
    draws equally from all; between them small sources are drawn more than their share."""
    text_field: str = "text"
    """Field of each JSONL line, or column of a table, that holds the text."""
    metadata_fields: tuple[str, ...] = ()
    """Other fields or columns to keep with each document, such as "url"."""
    licence: str = ""
    """Under which licence the text may be used; stands in the data card."""
    max_document_bytes: int = Field(default=MAX_DOCUMENT_BYTES, ge=1, le=2**30)
    """Bytes of the largest document; larger ones are set aside unread, so that memory is bounded."""
    max_bad_share: float = Field(default=0.01, ge=0, lt=1)
    """Share of lines, rows or documents that may be unreadable and are set aside (0 to 1): up to
    three may in any corpus of thirty or more, and 0 allows none."""
    validation_share: float = Field(default=0.02, ge=0, lt=1)
    """Share of the corpus kept to measure on while training (0 to 1)."""
    test_share: float = Field(default=0.01, ge=0, lt=1)
    """Share of the corpus kept to measure on once, at the end (0 to 1)."""

    @model_validator(mode="after")
    def _leave_something(self) -> Self:
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share leave nothing to train on")
        return self

    @model_validator(mode="after")
    def _one_or_several(self) -> Self:
        names = [source.name for source in self.sources]
        if self.sources and self.source != SAMPLE_WORLD:
            raise ValueError("give source or sources, not both")
        if "" in names:
            raise ValueError("every one of sources needs a name")
        if len({name.casefold() for name in names}) < len(names):
            raise ValueError("two of sources have the same name")
        if len({source.weight is None for source in self.sources}) > 1:
            raise ValueError("give every one of sources a weight, or none")
        return self

    @property
    def parts(self) -> dict[str, Self]:
        """The corpora one by one, by name, each as if it were the only one; one has the name ""."""
        if not self.sources:
            return {"": self}
        return {source.name: self._alone(source) for source in self.sources}

    @property
    def weights(self) -> dict[str, float] | None:
        """By name, where they are given."""
        weights = {source.name: source.weight for source in self.sources}
        return {n: w for n, w in weights.items() if w is not None} or None

    @property
    def has_sample_world(self) -> bool:
        """Whether the sample world is among the corpora."""
        return any(part.source == SAMPLE_WORLD for part in self.parts.values())

    def _alone(self, source: SourceSettings) -> Self:
        own = source.model_dump(exclude_none=True, exclude={"name", "weight"})
        return self.model_copy(update={**own, "sources": (), "alpha": 1.0})


def read_corpus(
    settings: CorpusSettings, quarantine: Quarantine, revision: str | None = None
) -> Iterator[Document]:
    """The documents that the settings name; bad ones go to the quarantine.

    Memory holds one document, of `max_document_bytes` before it is decoded, and one buffer.

    Args:
        settings: where they are, and how to read them.
        quarantine: counts all records, and judges the share of bad ones at the end.
        revision: the commit of a dataset on the Hugging Face hub.

    Raises:
        HornbookError: no such file, one that cannot be read, or too many bad records.
    """
    reading = Reading(
        settings.source,
        quarantine,
        settings.text_field,
        settings.metadata_fields,
        settings.max_document_bytes,
    )
    if settings.source.startswith(HUB):
        yield from read_hub(reading, revision)
    elif is_stdin(settings.source):
        path = stdin_path(settings.source)
        yield from _read_stream(sys.stdin.buffer, path, path.name, reading)
    else:
        for path, name in corpus_files(settings.source):
            with open_bytes(path) as stream:
                yield from _read_stream(stream, path, name, reading)
    quarantine.judge()


def read_documents(source: str, text_field: str = "text") -> Iterator[Document]:
    """Documents of a file, a folder (with the folders in it) or a pattern, in order of path.

    A text file is one document, or several with a line of `<|endoftext|>` between them; an HTML
    page is one; a JSONL file has one a line, a table one a row. Memory holds one document at a
    time. An id is the file's path inside the folder and the number of the document, line or row,
    or the `id` field of a JSONL line or parquet row.

    Raises:
        HornbookError: no such file, nothing to read in it, binary or non-UTF-8 text, or a line or
            row without such a text. `read_corpus` sets some of these aside instead.
    """
    yield from read_corpus(CorpusSettings(source=source, text_field=text_field), Quarantine())


def _read_stream(stream: IO[bytes], path: Path, name: str, reading: Reading) -> Iterator[Document]:
    yield from FORMATS[kind_of(path)](stream, path, name, reading)


def kind_of(path: Path) -> str:
    """The suffix that says what is in a file, whether or not it is compressed."""
    inner = path.with_suffix("") if path.suffix.lower() in COMPRESSED else path
    return inner.suffix.lower()


def is_stdin(source: str) -> bool:
    """Whether the source is standard input: "-", or "-.jsonl" and the like."""
    return source == STDIN or (source.startswith("-.") and kind_of(stdin_path(source)) in FORMATS)


def stdin_path(source: str) -> Path:
    """What standard input would be called as a file."""
    return Path("stdin" + (source.removeprefix(STDIN) or ".txt"))


def corpus_files(source: str) -> list[tuple[Path, str]]:
    """The files that `source` stands for, each with its name in document ids, sorted by it.

    Links to files are followed, links to folders are not, so that no circle of them is walked.

    Raises:
        HornbookError: there are none, or one is of an unknown kind.
    """
    path = Path(source)
    if path.is_dir():
        return _folder_files(path)
    if not path.exists() and glob.has_magic(source):
        return _pattern_files(source)
    return [(_require_suffix(path), _name(Path(path.name)))]


def _folder_files(folder: Path) -> list[tuple[Path, str]]:
    files = [
        Path(inner) / name
        for inner, _, names in os.walk(folder)  # follows no link
        for name in names
        if kind_of(Path(name)) in FORMATS
    ]
    files = [path for path in files if path.is_file() and not _hidden(path.relative_to(folder))]
    if not files:
        raise HornbookError(f"{folder} has no readable files; expected {', '.join(SUFFIXES)}.")
    return _named(files, folder)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _pattern_files(pattern: str) -> list[tuple[Path, str]]:
    parts = Path(pattern).parts
    fixed = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    base, rest = Path(*parts[:fixed]), list(parts[fixed:])
    if rest[-1] == "**":
        rest.append("*")  # files too, as in a shell
    # Unlike glob.glob, Path.glob does not follow links to folders.
    found = [path for path in base.glob("/".join(rest)) if path.is_file()]
    files = [path for path in found if not _hidden(path.relative_to(base))]
    if not files:
        raise HornbookError(f"no file matches {pattern}; check the pattern.")
    return _named([_require_suffix(path) for path in set(files)], base)


def _named(files: Iterable[Path], base: Path) -> list[tuple[Path, str]]:
    return sorted(((path, _name(path.relative_to(base))) for path in files), key=lambda f: f[1])


def _name(path: Path) -> str:
    """The path as text; bytes in it that are not UTF-8 are spelt out."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _require_suffix(path: Path) -> Path:
    if not path.exists():
        raise HornbookError(f"{path}: no such file; check the path.")
    if kind_of(path) not in FORMATS:
        raise HornbookError(
            f"{path}: unknown kind of file; a corpus is {', '.join(SUFFIXES)}, each also as .gz or "
            ".zst."
        )
    return path
