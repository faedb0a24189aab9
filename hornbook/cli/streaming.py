"""Text in from standard input, text out as the model writes it."""

import sys
from collections.abc import Iterator

from hornbook.errors import HornbookError


def print_stream(prompt: str, pieces: Iterator[str]) -> None:
    """Show a prompt and what continues it, piece by piece, as it comes."""
    sys.stdout.write(prompt)
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")


def read_prompt() -> str:
    """All of standard input, without the line break at its end.

    Raises:
        HornbookError: it is not UTF-8.
    """
    try:
        return sys.stdin.buffer.read().decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise HornbookError(
            f"standard input is not UTF-8 text (at byte {error.start}); convert it first."
        ) from None


def read_lines() -> list[str]:
    """The lines of standard input that are not blank.

    Raises:
        HornbookError: it is not UTF-8, or there are none.
    """
    lines = [line for line in read_prompt().splitlines() if line.strip()]
    if not lines:
        raise HornbookError("standard input has no text; give one text a line.")
    return lines
