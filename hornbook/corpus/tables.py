"""Labelled and instruction examples: CSV, TSV, JSON and JSONL tables, read, written and split."""

import csv
import hashlib
import io
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from hornbook import artifact
from hornbook.console import counted
from hornbook.corpus.columns import parquet_records
from hornbook.corpus.files import (
    json_lines,
    numbered_lines,
    parse_json,
    read_text,
    require_object,
    require_text,
    string_field,
)
from hornbook.corpus.split import require_shares
from hornbook.errors import HornbookError

T = TypeVar("T")


@dataclass(frozen=True)
class Labelled:
    """A text and the class that it belongs to."""

    text: str
    label: str
    """Several labels in one string, with a separator between them, where a text can have many."""
    split: str = ""
    """Which set the text is for, where the table says so."""


@dataclass(frozen=True)
class Instruction:
    """A request, what it is about, and a good answer (the fields of Stanford Alpaca's data)."""

    instruction: str
    input: str
    """What the instruction is to be applied to; often empty."""
    output: str
    category: str = ""
    """Which kind of request it is, to report scores by; may be empty."""


def read_labelled(
    path: Path,
    text_column: str = "text",
    label_column: str = "label",
    split_column: str | None = None,
    separator: str | None = None,
) -> list[Labelled]:
    """Labelled texts of a .csv, .tsv, .jsonl or .parquet file, in its order.

    A CSV field may be quoted (RFC 4180). In TSV a quotation mark is a character like any other,
    for that is how such files are written by hand and by the UCI collections. In JSONL and parquet
    a label may also be a whole number.

    Args:
        path: the file.
        text_column: column, or key in JSONL, of the text.
        label_column: of the class.
        split_column: of the set that each text is for, if there is one.
        separator: given where a text can have several labels, or none: what stands between them; in
            JSONL and parquet a label may then also be a list.

    Raises:
        HornbookError: not readable, a column is missing or named twice, a row is too short or too
            long, a text or label is empty or of the wrong type, or there are fewer than two classes.
    """
    path = Path(path)
    kind = _suffix(path, ".csv", ".tsv", ".jsonl", ".parquet")
    columns = [text_column, label_column, *([split_column] if split_column else [])]
    if kind in (".csv", ".tsv"):
        records = _chosen_of_table(path, columns)
    elif kind == ".jsonl":
        records = ((f"{path}, line {line}", record) for line, record in json_lines(path))
    else:
        records = parquet_records(path, columns)
    examples = [_labelled(record, where, columns, separator) for where, record in records]
    if separator is None or not examples:
        require_classes(examples, str(path))
    return examples


def _labelled(
    record: dict[str, Any], where: str, columns: Sequence[str], separator: str | None
) -> Labelled:
    text_column, label_column, *split_column = columns
    text = require_text(string_field(record, text_column, where), where, text_column)
    label = record.get(label_column)
    if separator is not None and isinstance(label, list):
        label = separator.join(str(one) for one in label)
    if type(label) is int:
        label = str(label)
    if label_column in record:
        record = {**record, label_column: label}
    label = string_field(record, label_column, where)
    if separator is None:
        require_text(label, where, label_column)
    split = string_field(record, split_column[0], where) if split_column else ""
    return Labelled(text, label.strip(), split)


def require_classes(examples: Iterable[Labelled], source: str) -> list[str]:
    """The classes of the examples in alphabetical order: at least two.

    Raises:
        HornbookError: only one class, or no example at all; `source` is named.
    """
    classes = sorted({example.label for example in examples})
    if not classes:
        raise HornbookError(f"{source} has no examples; add rows below the header.")
    if len(classes) == 1:
        raise HornbookError(
            f"{source}: every example has the label {classes[0]!r}; a classifier needs two or more."
        )
    return classes


def _chosen_of_table(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = _rows(path)
    header_line, header = next(rows)
    if len(set(header)) < len(header):
        twice = Counter(header).most_common(1)[0][0]
        raise HornbookError(f"{path}, line {header_line}: two columns are named {twice!r}.")
    places = {name: _column(header, name, path) for name in columns}
    for line, row in rows:
        where = f"{path}, line {line}"
        if len(row) != len(header):
            raise HornbookError(
                f"{where}: {len(row)} fields where the header names {len(header)} columns."
            )
        yield where, {name: row[place] for name, place in places.items()}


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line on which each ends; blank lines are passed over."""
    lines = (line for _, line in numbered_lines(path))
    if path.suffix.lower() == ".tsv":
        reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines, strict=True)
    try:
        yield from ((reader.line_num, row) for row in reader if row)
    except csv.Error as error:
        raise HornbookError(f"{path}, line {reader.line_num}: not valid: {error}.") from None


def _column(header: list[str], name: str, path: Path) -> int:
    if name not in header:
        raise HornbookError(f"{path} has no column {name!r}; its columns are: {', '.join(header)}.")
    return header.index(name)


def read_instructions(path: Path) -> list[Instruction]:
    """Instructions of a .json file (a list of objects, Alpaca's form) or a .jsonl file.

    `instruction` and `output` are required; `input` and `category` may be left out.

    Raises:
        HornbookError: not readable, not such a list, or a field is missing, empty or no string.
    """
    path = Path(path)
    _suffix(path, ".json", ".jsonl")
    return [instruction_of(record, where) for where, record in read_records(path)]


def read_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a .json file (a list of them), a .jsonl file, or the rows of a .csv or .tsv file
    by column, each with where it stands, as in "data.jsonl, line 3".

    Raises:
        HornbookError: not readable, of another kind, or not such a list or table.
    """
    for where, record in records_or_faults(path):
        if isinstance(record, HornbookError):
            raise record
        yield where, record


def records_or_faults(path: Path) -> Iterator[tuple[str, dict[str, Any] | HornbookError]]:
    """As `read_records`, with the fault in place of each record that is none, and on to the end.

    Raises:
        HornbookError: the file as a whole is not readable, of another kind, or no list or table.
    """
    kind = _suffix(path, ".json", ".jsonl", ".csv", ".tsv")
    if kind == ".jsonl":
        for line, text in numbered_lines(path):
            if stripped := text.strip():
                where = f"{path}, line {line}"
                try:
                    yield where, require_object(parse_json(stripped, path, line), where)
                except HornbookError as fault:
                    yield where, fault
    elif kind == ".json":
        entries = parse_json(read_text(path), path)
        if not isinstance(entries, list) or not entries:
            raise HornbookError(f"{path}: expected a list of entries, an object for each example.")
        for number, entry in enumerate(entries, start=1):
            where = f"{path}, entry {number}"
            try:
                yield where, require_object(entry, where)
            except HornbookError as fault:
                yield where, fault
    else:
        yield from _records_of_table(path)


def _records_of_table(path: Path) -> Iterator[tuple[str, dict[str, Any] | HornbookError]]:
    rows = _rows(path)
    _, header = next(rows)
    for line, row in rows:
        where = f"{path}, line {line}"
        if len(row) == len(header):
            yield where, dict(zip(header, row, strict=True))
        else:
            yield (
                where,
                HornbookError(
                    f"{where}: {len(row)} fields where the header names {len(header)} columns."
                ),
            )


def instruction_of(record: dict[str, Any], where: str) -> Instruction:
    """The instruction that an object of Alpaca's fields is.

    Raises:
        HornbookError: a field is missing, empty or no string; `where` is named.
    """
    return Instruction(
        require_text(string_field(record, "instruction", where), where, "instruction"),
        string_field(record, "input", where, default=""),
        require_text(string_field(record, "output", where), where, "output"),
        string_field(record, "category", where, default=""),
    )


def write_labelled(path: Path, examples: Sequence[Labelled]) -> None:
    """Write a .csv, .tsv or .jsonl file that `read_labelled` reads back as it was.

    Raises:
        HornbookError: a .tsv file is asked for, and a text holds a tab or a line break.
    """
    path = Path(path)
    kind = _suffix(path, ".csv", ".tsv", ".jsonl")
    if kind == ".jsonl":
        _write_objects(path, examples)
        return
    buffer = io.StringIO()
    if kind == ".tsv":
        _refuse_breaks(path, examples)
        writer = csv.writer(
            buffer, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n"
        )
    else:
        writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["label", "text"])
    writer.writerows([example.label, example.text] for example in examples)
    artifact.write_text(path, buffer.getvalue())


def _refuse_breaks(path: Path, examples: Sequence[Labelled]) -> None:
    for number, example in enumerate(examples, start=1):
        if any(mark in example.text + example.label for mark in "\t\n\r"):
            raise HornbookError(
                f"{path}: example {number} has a tab or a line break, which a .tsv file cannot "
                "hold; write a .csv or .jsonl file."
            )


def write_instructions(path: Path, examples: Sequence[Instruction]) -> None:
    """Write a .json or .jsonl file that `read_instructions` reads back as it was."""
    path = Path(path)
    if _suffix(path, ".json", ".jsonl") == ".jsonl":
        _write_objects(path, examples)
    else:
        entries = [asdict(example) for example in examples]
        artifact.write_text(path, json.dumps(entries, indent=1, ensure_ascii=False) + "\n")


def _write_objects(path: Path, examples: Iterable[Labelled | Instruction]) -> None:
    trees = (asdict(example) for example in examples)
    filled = ({k: v for k, v in tree.items() if k != "split" or v} for tree in trees)
    lines = (json.dumps(tree, ensure_ascii=False) + "\n" for tree in filled)
    artifact.write_text(path, "".join(lines))


def split_examples(
    items: Sequence[T],
    seed: int,
    validation_share: float,
    test_share: float,
    content: Callable[[T], object] = lambda item: item,
) -> tuple[list[T], list[T], list[T]]:
    """Training, validation and test examples, each in an order that looks random.

    Items are ordered by a hash of the seed and their content and cut at the shares. So equal
    items stand side by side and fall on the same side of a cut (what is tested was not
    trained on), and an item that is added moves at most a few others, at the cuts.

    Args:
        content: what of an item is hashed.

    Raises:
        HornbookError: the shares do not fit, or there are too few items for all three.
    """
    require_shares(validation_share, test_share)
    ordered = sorted(items, key=lambda item: _order(content(item), seed))
    test_end = _cut(ordered, 0, test_share)
    validation_end = _cut(ordered, test_end, validation_share)
    if validation_end >= len(ordered):
        raise HornbookError(
            f"{counted(len(ordered), 'example')} cannot be split into training, validation and test "
            "sets; add examples or lower validation_share and test_share."
        )
    return ordered[validation_end:], ordered[test_end:validation_end], ordered[:test_end]


def _order(item: object, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{item!r}".encode()).digest()


def _cut(ordered: Sequence[T], start: int, share: float) -> int:
    """Where a set of this share ends that starts at `start`: at least one item, equal ones kept."""
    if share == 0:
        return start
    end = min(start + max(round(len(ordered) * share), 1), len(ordered))
    while 0 < end < len(ordered) and ordered[end] == ordered[end - 1]:
        end += 1
    return end


def balance(items: Sequence[Labelled], seed: int) -> list[Labelled]:
    """As many examples of every class as the rarest has, drawn at random, in their old order."""
    by_label: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        by_label.setdefault(item.label, []).append(index)
    size = min((len(indices) for indices in by_label.values()), default=0)
    generator = random.Random(seed)
    kept = [
        index for label in sorted(by_label) for index in generator.sample(by_label[label], size)
    ]
    return [items[index] for index in sorted(kept)]


def _suffix(path: Path, *known: str) -> str:
    suffix = path.suffix.lower()
    if suffix not in known and not path.is_dir():
        raise HornbookError(f"{path}: unknown kind of file; expected {', '.join(known)}.")
    return suffix
