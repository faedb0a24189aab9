"""How well a tokenizer fits a text."""

from collections.abc import Iterable, Iterator
from itertools import islice

from hornbook.tokenizing.tokenizer import Tokenizer

BATCH = 256


def describe(tokenizer: Tokenizer, texts: Iterable[str]) -> dict[str, int | float]:
    """Facts for a report, summed over `texts`; a ratio without a denominator is 0.

    Returns:
        vocab_size; texts, bytes (UTF-8), words (runs without white space), tokens;
        bytes_per_token; tokens_per_word (fertility); unknown_share (of tokens).

    Raises:
        HornbookError: a text has a lone surrogate.
    """
    counted = dict.fromkeys(("texts", "bytes", "words", "tokens"), 0)
    unknown = 0
    for batch in _batches(texts):
        encoded = tokenizer.encode_batch(batch)
        counted["texts"] += len(batch)
        counted["bytes"] += sum(len(text.encode()) for text in batch)
        counted["words"] += sum(len(text.split()) for text in batch)
        counted["tokens"] += sum(len(ids) for ids in encoded)
        if tokenizer.unk_id is not None:
            unknown += sum(ids.count(tokenizer.unk_id) for ids in encoded)
    return {
        "vocab_size": tokenizer.vocab_size,
        **counted,
        "bytes_per_token": counted["bytes"] / max(counted["tokens"], 1),
        "tokens_per_word": counted["tokens"] / max(counted["words"], 1),
        "unknown_share": unknown / max(counted["tokens"], 1),
    }


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(texts)
    while batch := list(islice(iterator, BATCH)):
        yield batch
