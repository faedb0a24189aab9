"""What the user sees while work is going on: bars on a terminal, plain lines on a pipe."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

T = TypeVar("T")

console = Console(highlight=False, soft_wrap=True)
"""Standard output; knows whether it is a terminal."""

PLAIN_LINE_EVERY_S = 10.0
"""On a pipe, one line of progress at most this often."""


class Meter:
    """Counts work done towards a total and shows it with its rate and the time left."""

    def __init__(self, label: str, total: int | None, unit: str, done: int = 0) -> None:
        self._label, self._total, self._unit = label, total, unit
        self._done = self._at_start = done
        self._started = self._shown = time.monotonic()
        self._bar: tuple[Progress, TaskID] | None = None

    def advance(self, count: int = 1, figures: str = "") -> None:
        """Add `count` units; `figures` (loss, rate …) stand beside the bar."""
        self._done += count
        rate = (self._done - self._at_start) / max(time.monotonic() - self._started, 1e-9)
        text = f"{rate:,.0f} {self._unit}/s" if rate >= 10 else f"{rate:.1f} {self._unit}/s"
        text = f"{figures} · {text}" if figures else text
        if self._bar is not None:
            self._bar[0].update(self._bar[1], completed=self._done, figures=text)
        elif time.monotonic() - self._shown >= PLAIN_LINE_EVERY_S:
            self._shown = time.monotonic()
            console.print(f"  {self._label}: {self._count()} {text}{self._time_left(rate)}")

    def skip(self, count: int) -> None:
        """Add `count` units that were done before; they are not part of the rate."""
        self._done += count
        self._at_start += count

    def _count(self) -> str:
        return f"{self._done:,}/{self._total:,}" if self._total else f"{self._done:,}"

    def _time_left(self, rate: float) -> str:
        if not self._total:
            return ""
        return f" · {max(self._total - self._done, 0) / max(rate, 1e-9):.0f} s left"

    @contextlib.contextmanager
    def _on_terminal(self) -> Iterator[None]:
        # On a narrow terminal the figures are cut, and what matters more stays whole.
        columns = (
            TextColumn("  {task.description}", table_column=Column(no_wrap=True, min_width=14)),
            BarColumn(bar_width=12, table_column=Column(min_width=12)),
            MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=9)),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
            TextColumn("left", table_column=Column(no_wrap=True, min_width=4)),
            TextColumn(
                "{task.fields[figures]}",
                table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
            ),
        )
        with Progress(*columns, console=console, transient=True, expand=True) as bar:
            task = bar.add_task(self._label, total=self._total, completed=self._done, figures="")
            self._bar = (bar, task)
            yield


@contextlib.contextmanager
def meter(label: str, total: int | None, unit: str, done: int = 0) -> Iterator[Meter]:
    """Show progress for a block of work: `with meter("pretrain", 300, "step") as m: m.advance()`.

    `done` units were done before, by a run that was interrupted.
    """
    shown = Meter(label, total, unit, done)
    with shown._on_terminal() if console.is_terminal else contextlib.nullcontext():
        yield shown


def visible(text: str) -> str:
    """Text of a model or a data set for the terminal: its control characters can be seen and are not
    obeyed; line breaks and tabs stay.

    >>> visible("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    return "".join(
        char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text
    )


def counted(count: int, noun: str) -> str:
    """A number and what it counts, a noun whose plural has an s.

    >>> counted(1, "pair"), counted(2_000, "pair")
    ('1 pair', '2,000 pairs')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def track(items: Iterable[T], label: str, total: int | None, unit: str) -> Iterator[T]:
    """Pass `items` through while showing how many have gone by."""
    with meter(label, total, unit) as shown:
        for item in items:
            yield item
            shown.advance()
