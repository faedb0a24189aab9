"""Small tables for the terminal."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rich.table import Table
from rich.text import Text

from hornbook.console import console
from hornbook.tokenizing.tokenizer import Tokenizer

PALETTE = ("cyan", "magenta", "yellow", "green", "blue")


def print_probabilities(
    texts: Sequence[str],
    given: Sequence[str | list[str]],
    labels: Sequence[str],
    probabilities: npt.NDArray[np.float64],
) -> None:
    """Each text's class or classes, the probability of each class, and the text."""
    table = Table("class", *labels, "text")
    for text, best, row in zip(texts, given, probabilities, strict=True):
        named = best if isinstance(best, str) else ", ".join(best) or "none"
        table.add_row(Text(named, "bold"), *(f"{share:.3f}" for share in row), Text(text))
    console.print(table)


def print_tokens(tokenizer: Tokenizer, text: str) -> None:
    """A text's tokens, neighbours in different colours, and their ids."""
    ids = tokenizer.encode(text)
    pieces = Text()
    for number, token in enumerate(ids):
        pieces.append(tokenizer.token_text(token), style=PALETTE[number % len(PALETTE)])
        pieces.append(" " if console.is_terminal else "|")
    console.print(pieces)
    console.print(" ".join(map(str, ids)), style="dim")
    console.print(f"{len(ids):,} tokens for {len(text.encode()):,} bytes")
