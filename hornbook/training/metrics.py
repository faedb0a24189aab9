"""The run's curve: one JSON object a line, added to as the run goes on."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hornbook.artifact import write_text
from hornbook.errors import HornbookError


class MetricsLog:
    """A file of records, each with the step that it belongs to."""

    def __init__(self, path: Path, resume_step: int = 0) -> None:
        """Open the log of a run that goes on after `resume_step`.

        Records of later steps were written by a run that was cut off; they are dropped, so that
        the curve is that of a run never interrupted. 0 starts afresh.
        """
        self.path = path
        kept = [r for r in read_metrics(path) if r["step"] <= resume_step] if resume_step else []
        write_text(path, "".join(_line(record) for record in kept))

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Add one record; `kind` tells records apart: "train", "evaluation", "sample".

        A value that is not a finite number is written as null.
        """
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line({"kind": kind, "step": step, **values}))

    def sync(self) -> None:
        """Return when all records would outlast a power failure."""
        with self.path.open("a", encoding="utf-8") as file:
            os.fsync(file.fileno())


def read_metrics(path: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """The records of a log in order, all or those of one kind; none if there is no such file.

    A last line without its end was cut off with the run that wrote it, and is left out.

    Raises:
        HornbookError: another line is not a record.
    """
    if not path.exists():
        return []
    *lines, _cut_off = path.read_text(encoding="utf-8", errors="replace").split("\n")
    records = [_parse(path, number, line) for number, line in enumerate(lines, start=1)]
    return [record for record in records if kind is None or record["kind"] == kind]


def _line(record: Mapping[str, Any]) -> str:
    # NaN and infinity are not JSON, though json.dumps would write them.
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in record.items()
    }
    return json.dumps(finite, allow_nan=False, ensure_ascii=False) + "\n"


def _parse(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict) or not {"kind", "step"} <= record.keys():
        raise HornbookError(
            f"{path}, line {number}: not a record of a run; expected kind and step."
        )
    return record
