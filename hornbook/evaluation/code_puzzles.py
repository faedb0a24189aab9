"""HumanEval: functions written from their description, and tried out (Chen et al. 2021).

A record has prompt (a function's head and description), test (with a function `check`), entry_point, and
perhaps task_id. What the model writes is run, in `sandbox`, so it is off unless asked for.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hornbook.console import track
from hornbook.corpus.files import string_field
from hornbook.corpus.tables import read_records
from hornbook.errors import HornbookError
from hornbook.evaluation.sandbox import CodeRun, run_code

STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""Where a function's body has ended, as the paper has it (§2.2)."""
AT_ONCE = 2
"""Programs that run at the same time."""


@dataclass(frozen=True)
class Puzzle:
    """A function to be written."""

    name: str
    prompt: str
    test: str
    entry_point: str

    def program(self, written: str) -> str:
        """What is run: the function, its test, and the call of the test."""
        return f"{self.prompt}{written}\n\n{self.test}\n\ncheck({self.entry_point})\n"


def read_puzzles(path: Path) -> list[Puzzle]:
    """The puzzles of a .json or .jsonl file.

    Raises:
        HornbookError: not readable, a field is missing, or an entry point is no name.
    """
    found = []
    for number, (where, record) in enumerate(read_records(Path(path))):
        fields = [string_field(record, name, where) for name in ("prompt", "test", "entry_point")]
        if not fields[2].isidentifier():
            raise HornbookError(
                f"{where}: 'entry_point' is {fields[2]!r}, which is no function's name."
            )
        name = string_field(record, "task_id", where, default=str(number))
        found.append(Puzzle(name, *fields))
    return found


def try_out(
    puzzles: Sequence[Puzzle],
    written: Sequence[str],
    run: Callable[[str], CodeRun] = run_code,
) -> list[CodeRun]:
    """What becomes of each puzzle with what was written for it."""
    programs = [p.program(text) for p, text in zip(puzzles, written, strict=True)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(track(pool.map(run, programs), "run", len(programs), "program"))
