"""A verb that runs stages, stopped by Ctrl-C or SIGTERM: one sentence says what is kept."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

from hornbook.cli.arguments import recipe_from
from hornbook.errors import Terminated

if TYPE_CHECKING:
    from hornbook.pipeline.recipe import Recipe

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
"""Exit codes after Ctrl-C and after SIGTERM, as shells have them."""
SAME_S = 1.0
"""Seconds in which a second SIGTERM is the first one again: some send it to a process and to its group."""


class Stopped(SystemExit):
    """A signal has ended a verb, and a sentence tells what is left."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(code)
        self.exit_code, self.sentence = code, sentence


@contextlib.contextmanager
def running(arguments: list[str] | None) -> Iterator["Recipe"]:
    """The recipe that a verb's arguments describe, for a block that runs its stages.

    A signal ends the block in order. While a training has steps, it answers signals itself (see
    `hold_interrupt`): it saves first.

    Raises:
        HornbookError: see `recipe_from`.
        Stopped: Ctrl-C was pressed or SIGTERM came.
        Terminated: SIGTERM came while training, which has saved a checkpoint.
    """
    kept = "Nothing was begun."
    try:
        with _terminable():
            recipe = recipe_from(arguments)
            kept = f"What is finished is kept in {recipe.directory}."
            yield recipe
    except KeyboardInterrupt:
        raise Stopped(INTERRUPTED, f"Interrupted. {kept}") from None
    except Terminated as end:
        if not end.code:
            raise
        raise Stopped(TERMINATED, f"Terminated. {kept}") from None


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM raise `Terminated`, so that all that is under way is left as after an error."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    came: list[float] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        if came and time.monotonic() - came[0] < SAME_S:
            return
        came.append(time.monotonic())
        raise Terminated(TERMINATED)

    signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
