"""Stages 1 and 2 on a user's text: four algorithms side by side, and windows over the model's ids."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbook.errors import HornbookError
from hornbook.sampling.windows import Windows
from hornbook.tokenizing.settings import Algorithm, TokenizerSettings
from hornbook.tokenizing.tokenizer import Tokenizer

ALGORITHMS: tuple[Algorithm, ...] = ("word", "bpe", "wordpiece", "unigram")
NAMES = {"word": "words", "bpe": "byte-level BPE", "wordpiece": "WordPiece", "unigram": "Unigram"}
MOST_WINDOWS = 200
LONGEST_DOCUMENT = 400
"""Characters of what the four are trained on at a time: a run without a gap takes the square of its length."""


def side_by_side(text: str, own: Tokenizer, vocab_size: int) -> list[dict[str, Any]]:
    """The text's tokens by the model's tokenizer, and by one of each algorithm trained on it.

    Args:
        vocab_size: most tokens of each tokenizer that is trained; more than the model's own would
            learn this text by heart.

    Returns:
        Of each: name, vocab_size, and tokens (id and readable text), or error, a sentence.
    """
    columns = [{"name": "the model's own", **_cut(text, own)}]
    for algorithm in ALGORITHMS:
        settings = TokenizerSettings(algorithm=algorithm, vocab_size=vocab_size)
        try:
            # Line by line, as documents: a tokenizer of one text only would be of one piece.
            lines = [line for line in text.splitlines() if line.strip()] or [text]
            documents = [
                line[start : start + LONGEST_DOCUMENT]
                for line in lines
                for start in range(0, max(len(line), 1), LONGEST_DOCUMENT)
            ]
            found = _cut(text, Tokenizer.train(documents, settings))
        except HornbookError as error:
            found = {"vocab_size": 0, "tokens": [], "error": str(error)}
        columns.append({"name": NAMES[algorithm], **found})
    return columns


def _cut(text: str, tokenizer: Tokenizer) -> dict[str, Any]:
    tokens = named(tokenizer, tokenizer.encode(text))
    return {"vocab_size": tokenizer.vocab_size, "tokens": tokens}


def named(tokenizer: Tokenizer, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Each id with its readable text, and whether it is a control token."""
    control = set(tokenizer.control_tokens.values())
    return [
        {"id": int(token), "text": tokenizer.token_text(int(token)), "special": token in control}
        for token in ids
    ]


def sliding(text: str, tokenizer: Tokenizer, max_length: int, stride: int) -> dict[str, Any]:
    """The model's tokens of a text, and the windows that `Windows` lays over them.

    Returns:
        tokens; windows, each the span of its inputs, start and stop; left_out, how many tokens are
        in no window.

    Raises:
        HornbookError: the text is shorter than a window.
    """
    ids = tokenizer.encode(text)
    windows = Windows(np.array(ids, dtype=np.int64), max_length, stride)
    spans = [windows.spans(index)[0] for index in range(len(windows))]
    inputs = [(start, stop - 1) for start, stop in spans]  # the last token is a target only
    seen = {place for start, stop in spans for place in range(start, stop)}
    return {
        "tokens": named(tokenizer, ids),
        "windows": inputs[:MOST_WINDOWS],
        "count": len(windows),
        "left_out": len(ids) - len(seen),
    }
