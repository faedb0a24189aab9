"""How much text there is to train on: counted where the tokens are made, else estimated."""

from dataclasses import dataclass
from pathlib import Path

from hornbook.corpus.columns import HUB
from hornbook.corpus.quarantine import Quarantine
from hornbook.corpus.readers import SAMPLE_WORLD, corpus_files, is_stdin, read_corpus
from hornbook.corpus.split import SPLITS
from hornbook.errors import HornbookError
from hornbook.pipeline.context import Context
from hornbook.pipeline.recipe import Recipe
from hornbook.sampling.token_store import id_dtype
from hornbook.tokenizing.tokenizer import Tokenizer

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
    source: str
    """How these are known, in words to print."""


def small_enough(recipe: Recipe) -> bool:
    """Whether the tokens are there already, or making them takes a minute or less.

    Raises:
        HornbookError: the corpus is not there, or its size cannot be known.
    """
    source = recipe.corpus.source
    if source == SAMPLE_WORLD or (recipe.directory / "tokens").is_dir():
        return True
    if is_stdin(source) or source.startswith(HUB):
        raise HornbookError(
            f"the size of {source} is not known before it is read; run `hornbook prepare` first."
        )
    return _size(recipe) <= SMALL


def count_amounts(context: Context) -> Amounts:
    """The numbers of tokens that are made."""
    store, directory = context.store, context.workspace.directory
    return Amounts(
        vocab_size=context.tokenizer.vocab_size,
        tokens={split: store.token_counts[split] for split in SPLITS},
        corpus_bytes=_folder_bytes(directory / "corpus"),
        token_bytes=_folder_bytes(directory / "tokens"),
        source="counted in the run's token store",
    )


def guess_amounts(recipe: Recipe) -> Amounts:
    """The numbers of a large corpus, from its size and the first part of its text.

    A tokenizer is trained on that part, or the recipe's is loaded; nothing is written. All bytes of
    a table or JSONL file are taken for text, so that there the number of tokens is an upper bound.

    Raises:
        HornbookError: the corpus or the tokenizer cannot be read.
    """
    texts = _first_texts(recipe)
    settings = recipe.tokenizer
    if settings.load is not None:
        tokenizer = Tokenizer.open(Path(settings.load))
    else:
        tokenizer = Tokenizer.train(texts, settings, len(texts))
    seen_bytes = sum(len(text.encode()) for text in texts)
    seen_tokens = sum(len(ids) + 1 for ids in tokenizer.encode_batch(texts))
    size = _size(recipe)
    tokens = round(size * seen_tokens / seen_bytes)
    validation, test = recipe.corpus.validation_share, recipe.corpus.test_share
    shares = {"train": 1 - validation - test, "validation": validation, "test": test}
    return Amounts(
        vocab_size=tokenizer.vocab_size,
        tokens={split: round(tokens * shares[split]) for split in SPLITS},
        corpus_bytes=size,
        token_bytes=tokens * id_dtype(tokenizer.vocab_size).itemsize,
        source=f"estimated from {size / 1e6:,.0f} MB of text and the tokens of its first "
        f"{seen_bytes / 1e6:.1f} MB",
    )


def _first_texts(recipe: Recipe) -> list[str]:
    texts: list[str] = []
    missing = FIRST_CHARACTERS
    quarantine = Quarantine(max_bad_share=recipe.corpus.max_bad_share)
    for document in read_corpus(recipe.corpus, quarantine):
        texts.append(document.text[:missing])
        missing -= len(document.text)
        if missing <= 0:
            break
    return texts


def _size(recipe: Recipe) -> int:
    return sum(path.stat().st_size for path, _ in corpus_files(recipe.corpus.source))


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
