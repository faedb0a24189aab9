"""Stages 1 and 2 of a run: the tokenizer, and the corpus as token ids."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from hornbook.console import Meter, meter
from hornbook.corpus.split import SPLITS
from hornbook.pipeline.corpus import Corpus
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import Workspace
from hornbook.sampling.token_store import TokenStore, write_tokens
from hornbook.tokenizing.tokenizer import Tokenizer

DOCUMENTS_AT_ONCE = 4_096
"""Documents encoded in one call: enough to keep every core busy, few enough for memory."""


def make_tokenizer(recipe: Recipe, workspace: Workspace, corpus: Corpus) -> Tokenizer:
    """Train a tokenizer on the training documents, or load the one that the recipe names."""
    settings = recipe.tokenizer
    loaded = Tokenizer.open(Path(settings.load)) if settings.load is not None else None
    inputs = {"corpus": corpus.fingerprint} if loaded is None else {"loaded": loaded.fingerprint}

    def make(path: Path) -> None:
        (loaded or _train(recipe, corpus)).save(path)

    return workspace.once(
        "tokenizer", settings.model_dump(mode="json"), inputs, make, Tokenizer.load
    )


def _train(recipe: Recipe, corpus: Corpus) -> Tokenizer:
    limit = recipe.tokenizer.max_characters
    whole = limit is None or corpus.characters("train") <= limit
    texts = corpus.texts("train") if whole else _first(corpus.texts("train"), limit or 0)
    return Tokenizer.train(texts, recipe.tokenizer, corpus.count("train") if whole else None)


def _first(texts: Iterator[str], characters: int) -> Iterator[str]:
    """Texts until they have so many characters together; the last one is cut there."""
    for text in texts:
        yield text[:characters]
        characters -= len(text)
        if characters <= 0:
            return


def make_tokens(
    recipe: Recipe, workspace: Workspace, corpus: Corpus, tokenizer: Tokenizer
) -> TokenStore:
    """Encode every split into the token store."""
    inputs = {"corpus": corpus.fingerprint, "tokenizer": tokenizer.fingerprint}

    def make(path: Path) -> None:
        byte_counts = dict.fromkeys(SPLITS, 0)
        total = sum(corpus.count(split) for split in SPLITS)
        with meter("encode", total, "document") as shown:
            splits = {
                split: _encode(corpus.texts(split), tokenizer, split, byte_counts, shown)
                for split in SPLITS
            }
            write_tokens(
                path,
                splits,
                tokenizer.vocab_size,
                tokenizer.fingerprint,
                {"corpus": corpus.fingerprint},
                tokenizer.eos_id,
                byte_counts,
            )

    store = workspace.once("tokens", {}, inputs, make, TokenStore.open)
    store.require_tokenizer(tokenizer.fingerprint)
    return store


def _encode(
    texts: Iterator[str],
    tokenizer: Tokenizer,
    split: str,
    byte_counts: dict[str, int],
    shown: Meter,
) -> Iterator[list[int]]:
    """Token ids document by document, encoded many at a time; counts their UTF-8 bytes."""
    while batch := list(itertools.islice(texts, DOCUMENTS_AT_ONCE)):
        byte_counts[split] += sum(len(text.encode()) for text in batch)
        yield from tokenizer.encode_batch(batch)
        shown.advance(len(batch))
