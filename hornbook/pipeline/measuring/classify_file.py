"""`hornbook classify` of a whole file: many texts in, a line of JSON out for each."""

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import torch

from hornbook.config import validate
from hornbook.corpus.columns import parquet_records
from hornbook.corpus.files import numbered_lines, string_field
from hornbook.corpus.tables import read_records
from hornbook.errors import HornbookError
from hornbook.finetuning.keeping import freeze
from hornbook.pipeline.models.bundle import Bundle
from hornbook.runtime import RuntimeSettings, choose_runtime

KINDS = (".txt", ".jsonl", ".csv", ".tsv", ".parquet")
"""Files of texts: one a line, or one a record."""
AT_ONCE = 4_096
"""Texts held in memory."""
LEAST_EACH = 64
"""Texts from which on a thread of its own is worth it."""


def is_file_of_texts(word: str) -> bool:
    """Whether a word on the command line names such a file, and is no text itself.

    Raises:
        HornbookError: it can only be meant for a path, of which there is no file of texts.
    """
    path = Path(word)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError):  # too long for a file's name, or with a character that none has
        return False
    known = path.suffix.lower() in KINDS
    wrong = None
    if is_folder or (is_file and not known):
        wrong = f" is a {'folder' if is_folder else 'file of another kind'}; give a file of texts"
    elif not is_file and known and not any(letter.isspace() for letter in word):
        wrong = ": no such file; check the path"
    if wrong is not None and word.strip():
        raise HornbookError(
            f"{word}{wrong} ({', '.join(KINDS)}), or have the very words classified from standard "
            f"input: echo '{word}' | hornbook classify MODEL -"
        )
    return is_file and known


def classified(
    bundle: Bundle, path: Path, text_column: str = "text", threshold: float | None = None
) -> Iterator[str]:
    """A line of JSON for each text of a file: its record, its class and the probabilities.

    A record keeps its fields and gains `predicted` (a list where texts can be of several classes)
    and `probabilities`. Memory holds some thousand records.

    Raises:
        HornbookError: the model is no classifier, the file cannot be read, or a record has no text.
    """
    labels = bundle.labels
    records = _records(path, text_column)
    while part := list(itertools.islice(records, AT_ONCE)):
        texts = [_text_of(record, text_column, where) for where, record in part]
        for (_, record), row in zip(part, classified_side_by_side(bundle, texts), strict=True):
            shares = dict(zip(labels, (round(float(p), 6) for p in row), strict=True))
            found = {"predicted": decide(bundle, row, threshold), "probabilities": shares}
            yield _line({**record, **found})


def classified_side_by_side(bundle: Bundle, texts: list[str]) -> npt.NDArray[np.float64]:
    """As `Bundle.classify`, on a CPU with a thread for each core that reads texts of its own.

    The products of a small model are too thin for two threads to share one: one each is quicker.
    """
    workers = min(torch.get_num_threads(), len(texts) // LEAST_EACH)
    if workers < 2 or bundle.runtime.device.type != "cpu":
        return bundle.classify(texts)
    by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    shares = [by_length[first::workers] for first in range(workers)]
    threads = torch.get_num_threads()
    found = np.zeros((len(texts), len(bundle.labels)))
    try:
        with ThreadPoolExecutor(workers, initializer=lambda: torch.set_num_threads(1)) as pool:
            given = pool.map(lambda share: bundle.classify([texts[i] for i in share]), shares)
            for share, rows in zip(shares, given, strict=True):
                found[share] = rows
    finally:
        torch.set_num_threads(threads)
    return found


def made_quick(bundle: Bundle, precision: str = "auto") -> Bundle:
    """The classifier for thousands of texts, its layers in the precision that is quickest here.

    The model is changed in place, and can only be used from then on. Beside float32's, probabilities
    of bfloat16 differ by some thousandths: a label changes where two were as good as equal.

    Args:
        precision: "float32", "bfloat16", or "auto", which measures a product in each and takes the
            fastest.

    Raises:
        HornbookError: another precision.
    """
    asked = {"device": bundle.runtime.device.type, "precision": precision}
    chosen = choose_runtime(validate(RuntimeSettings, asked, "classify"))
    freeze(bundle.model, chosen.dtype)
    return replace(bundle, runtime=chosen)


def decide(bundle: Bundle, row: "np.ndarray[Any, Any]", threshold: float | None = None) -> Any:
    """The class that probabilities (labels,) speak for; the classes, where there can be several.

    `threshold` is the probability from which on a class counts, where there can be several (each
    class's own, found on the validation set, when not given), and of two classes the one from which
    on the second by name is given.
    """
    labels = bundle.labels
    if bundle.many:
        least = bundle.thresholds if threshold is None else [threshold] * len(labels)
        return [label for label, p, t in zip(labels, row, least, strict=True) if p >= t]
    if threshold is not None and len(labels) == 2:
        return labels[int(row[1] >= threshold)]
    return labels[int(row.argmax())]


def _line(record: dict[str, Any]) -> str:
    try:
        return orjson.dumps(record, default=str, option=orjson.OPT_APPEND_NEWLINE).decode()
    except orjson.JSONEncodeError:  # a whole number of more than 64 bits, or half a surrogate pair
        return json.dumps(record, default=str) + "\n"


def _text_of(record: dict[str, Any], text_column: str, where: str) -> str:
    if text_column not in record:
        fields = ", ".join(record) or "none"
        raise HornbookError(
            f"{where}: no field {text_column!r}; its fields are: {fields}. Name the text's with "
            "--text-column."
        )
    return string_field(record, text_column, where)


def _records(path: Path, text_column: str) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = path.suffix.lower()
    if kind == ".txt":
        for number, line in numbered_lines(path):
            if text := line.rstrip("\r\n"):
                yield f"{path}, line {number}", {text_column: text}
    elif kind == ".parquet":
        yield from parquet_records(path, [text_column])
    else:
        yield from read_records(path)
