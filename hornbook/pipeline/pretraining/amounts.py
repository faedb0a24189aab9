"""How much text there is to train on: counted where the tokens are made, else estimated."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hornbook.corpus.columns import HUB
from hornbook.corpus.quarantine import Quarantine
from hornbook.corpus.readers import (
    SAMPLE_WORLD,
    CorpusSettings,
    corpus_files,
    is_stdin,
    read_corpus,
)
from hornbook.corpus.split import SPLITS
from hornbook.errors import HornbookError
from hornbook.pipeline.context import Context, place
from hornbook.pipeline.corpora.datasets import held_out_loaders, train_dataset
from hornbook.pipeline.pretraining.starting import starting_config
from hornbook.pipeline.recipe import Recipe
from hornbook.sampling.packing import count_rows
from hornbook.sampling.token_writer import id_dtype
from hornbook.sampling.windows import length_for
from hornbook.tokenizing.tokenizer import Tokenizer
from hornbook.training.parallel import ALONE

SMALL = 50_000_000
"""Bytes of a corpus whose tokens are made at once when they are missing: a minute or less."""
FIRST_CHARACTERS = 2_000_000
"""Of a larger corpus, so much is tokenized to see how many bytes make a token."""


@dataclass(frozen=True)
class Amounts:
    """A corpus in numbers."""

    vocab_size: int
    tokens: dict[str, int]
    """Token ids of each split, ends of documents included."""
    corpus_bytes: int
    """On disk, as the run keeps it."""
    token_bytes: int
    """Of the token store, on disk."""
    samples: dict[str, int]
    """Windows, or rows of packed documents, of each split."""
    source: str
    """How these are known, in words to print."""


def small_enough(recipe: Recipe) -> bool:
    """Whether the tokens are there already, or making them takes a minute or less.

    Raises:
        HornbookError: a corpus is not there, or its size cannot be known.
    """
    sizes = []
    for name, corpus in recipe.corpus.parts.items():
        source = corpus.source
        if source == SAMPLE_WORLD or (recipe.directory / place(name, "tokens")).is_dir():
            continue
        if is_stdin(source) or source.startswith(HUB):
            raise HornbookError(
                f"the size of {source} is not known before it is read; run `hornbook prepare` first."
            )
        sizes.append(_size(corpus))
    return sum(sizes) <= SMALL


def count_amounts(context: Context) -> Amounts:
    """The numbers of tokens and samples that are made.

    Raises:
        HornbookError: the text is too short for one sample.
    """
    config = starting_config(context.recipe.model, context.tokenizer.vocab_size)
    parts, directory = context.parts, context.workspace.directory
    held_out = {
        split: held_out_loaders(context, config, split, ALONE, limit=False).values()
        for split in ("validation", "test")
    }
    return Amounts(
        vocab_size=context.tokenizer.vocab_size,
        tokens={split: context.token_counts(split) for split in SPLITS},
        corpus_bytes=sum(_folder_bytes(directory / place(p.name, "corpus")) for p in parts),
        token_bytes=sum(_folder_bytes(directory / place(p.name, "tokens")) for p in parts),
        samples={
            "train": len(train_dataset(context, config)),
            **{split: sum(len(one.dataset) for one in held_out[split]) for split in held_out},
        },
        source="counted in the run's token store",
    )


def guess_amounts(recipe: Recipe) -> Amounts:
    """The numbers of a large corpus, from its size and the first part of its text.

    A tokenizer is trained on that part, or the recipe's is loaded; nothing is written. All bytes of
    a table or JSONL file are taken for text, so that there the number of tokens is an upper bound.
    Of packed documents the rows are counted for that part, and as many taken for the rest.

    Raises:
        HornbookError: a corpus or the tokenizer cannot be read.
    """
    texts = {name: _first_texts(corpus) for name, corpus in recipe.corpus.parts.items()}
    settings = recipe.tokenizer
    if settings.load is not None:
        tokenizer = Tokenizer.open(Path(settings.load))
    else:
        known = [text for some in texts.values() for text in some]
        tokenizer = Tokenizer.train(known, settings, len(known))
    guesses = [
        _guess(recipe, _size(corpus), texts[name], tokenizer)
        for name, corpus in recipe.corpus.parts.items()
    ]
    size = sum(guess.size for guess in guesses)
    tokens = sum(guess.tokens for guess in guesses)
    samples = sum(guess.samples for guess in guesses)
    seen = sum(len(text.encode()) for some in texts.values() for text in some)
    validation, test = recipe.corpus.validation_share, recipe.corpus.test_share
    shares = {"train": 1 - validation - test, "validation": validation, "test": test}
    return Amounts(
        vocab_size=tokenizer.vocab_size,
        tokens={split: round(tokens * shares[split]) for split in SPLITS},
        corpus_bytes=size,
        token_bytes=tokens * id_dtype(tokenizer.vocab_size).itemsize,
        samples={split: math.ceil(samples * shares[split]) for split in SPLITS},
        source=f"estimated from {size / 1e6:,.0f} MB of text and the tokens of its first "
        f"{seen / 1e6:.1f} MB",
    )


@dataclass(frozen=True)
class _Guess:
    """One corpus in numbers."""

    size: int
    """Bytes."""
    tokens: int
    samples: float


def _guess(recipe: Recipe, size: int, texts: list[str], tokenizer: Tokenizer) -> _Guess:
    lengths = np.array([len(ids) + 1 for ids in tokenizer.encode_batch(texts)])
    seen_bytes = sum(len(text.encode()) for text in texts)
    tokens = round(size * int(lengths.sum()) / seen_bytes)
    config = starting_config(recipe.model, tokenizer.vocab_size)
    length = length_for(recipe.sampling, config.context_length)
    if recipe.sampling.packing == "documents":
        rows = count_rows(lengths, length, recipe.runtime.seed)
        return _Guess(size, tokens, rows * tokens / int(lengths.sum()))
    return _Guess(size, tokens, tokens / (recipe.sampling.stride or length))


def _first_texts(corpus: CorpusSettings) -> list[str]:
    texts: list[str] = []
    missing = FIRST_CHARACTERS
    quarantine = Quarantine(max_bad_share=corpus.max_bad_share)
    for document in read_corpus(corpus, quarantine):
        texts.append(document.text[:missing])
        missing -= len(document.text)
        if missing <= 0:
            break
    return texts


def _size(corpus: CorpusSettings) -> int:
    return sum(path.stat().st_size for path, _ in corpus_files(corpus.source))


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
