"""Bad lines, rows and documents: set aside with their reason, and too many of them stop the run."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError

A_FEW = 3
"""So many may be bad where the share would allow fewer, if they are at most a tenth."""
JUDGED_FROM = 10_000
"""Records after which too many bad ones stop the reading at once; before, its end is waited for."""


class Quarantine:
    """Counts good and bad records, and writes the bad ones' places and reasons into a JSONL file.

    Made plainly, the first bad record is an error. Memory holds counts and one sentence.
    """

    def __init__(
        self,
        path: Path | None = None,
        max_bad_share: float = 0.0,
        clean: Callable[[str], str] | None = None,
    ) -> None:
        """`path` is made when the first record comes; without it, records are only counted.

        `clean` takes out of a reason, and of a file's name, what must not be kept.
        """
        self._clean = clean
        self.path = path
        self.max_bad_share = max_bad_share
        self.good = 0
        self.bad = 0
        self._first: HornbookError | None = None

    @property
    def allowed(self) -> int:
        """How many of the records so far may be bad."""
        total = self.good + self.bad
        if not self.max_bad_share:
            return 0
        return max(int(self.max_bad_share * total), min(A_FEW, total // 10))

    def keep(self) -> None:
        """Count a good record."""
        self.good += 1

    def refuse(self, file: str, line: int | None, error: HornbookError, lines: int = 1) -> None:
        """Set a bad record aside.

        Args:
            file: the file's name within the corpus.
            line: the line, row or document within it, from 1; None where it is the whole file.
            error: the sentence about it.
            lines: how many lines are lost with it; each counts as a record.

        Raises:
            HornbookError: `error` where nothing bad is allowed; else when there are too many.
        """
        if self._clean is not None and (plain := self._clean(str(error))) != str(error):
            error = HornbookError(plain)
        self._first = self._first or error
        self.bad += lines
        if not self.max_bad_share:
            raise error
        if self.path is not None:
            name = file if self._clean is None else self._clean(file)
            record = {"file": name, "line": line, "reason": str(error)}
            with self.path.open("a", encoding="utf-8") as lines_file:
                # ASCII, for the name of a file may be no valid text.
                lines_file.write(json.dumps(record) + "\n")
        if self.good + self.bad >= JUDGED_FROM:
            self.judge()

    def judge(self) -> None:
        """Check the share of bad records; called when all is read.

        Raises:
            HornbookError: there are too many; the first one's sentence is in it.
        """
        if self._first is None or self.bad <= self.allowed:
            return
        if self.bad == 1 and not self.good:
            raise self._first
        first = str(self._first).removesuffix(".")
        total = self.good + self.bad
        raise HornbookError(
            f"{first} ({self.bad:,} bad of {total:,} lines, rows or documents read; "
            f"corpus.max_bad_share={self.max_bad_share:g} allows {self.allowed:,})."
        )

    def state(self) -> dict[str, Any]:
        """What is counted so far, for `begin`, as plain JSON values."""
        written = self.path is not None and self.path.exists()
        size = self.path.stat().st_size if self.path is not None and written else 0
        first = None if self._first is None else str(self._first)
        return {"good": self.good, "bad": self.bad, "first": first, "size": size}

    def begin(self, state: Mapping[str, Any] | None = None) -> None:
        """Begin, or go on from where `state` was taken; what was noted behind it is thrown away."""
        if state is not None:
            self.good, self.bad = state["good"], state["bad"]
            self._first = None if state["first"] is None else HornbookError(state["first"])
        if self.path is None or not self.path.exists():
            return
        if state is None or not state["size"]:
            self.path.unlink()
        else:
            os.truncate(self.path, state["size"])
