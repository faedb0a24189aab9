"""Text in from standard input, text out as the model writes it."""

import sys
from collections.abc import Callable, Iterator, Sequence

import orjson

from hornbook.errors import HornbookError

SIDE_BY_SIDE = 64
"""Prompts of a file that are continued at a time."""


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


def read_prompts() -> list[str]:
    """The prompt of each line of standard input; blank lines are none.

    Raises:
        HornbookError: it is not UTF-8, there are none, or a line is neither text nor an object with a
            prompt.
    """
    lines = enumerate(read_prompt().split("\n"), start=1)
    prompts = [
        _prompt_of(line.removesuffix("\r"), number) for number, line in lines if line.strip()
    ]
    if not prompts:
        raise HornbookError("standard input has no prompt; give one a line.")
    return prompts


def write_completions(
    prompts: Sequence[str],
    complete_all: Callable[[Sequence[str]], Sequence[str]],
    at_a_time: int = SIDE_BY_SIDE,
) -> None:
    """Continue prompts, so many at a time; a line of JSON for each, in their order."""
    for first in range(0, len(prompts), at_a_time):
        some = prompts[first : first + at_a_time]
        for prompt, text in zip(some, complete_all(some), strict=True):
            line = orjson.dumps({"prompt": prompt, "completion": text})
            sys.stdout.write(line.decode() + "\n")
        sys.stdout.flush()


def _prompt_of(line: str, number: int) -> str:
    if not line.lstrip().startswith("{"):
        return line
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise HornbookError(f"standard input, line {number}: not valid JSON: {error}.") from None
    if not isinstance(found, dict) or not isinstance(found.get("prompt"), str):
        raise HornbookError(f'standard input, line {number}: expected {{"prompt": "some text"}}.')
    return str(found["prompt"])
