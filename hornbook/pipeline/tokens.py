"""Stages 1 and 2 of a run: the tokenizer, and the corpus as token ids."""

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hornbook.console import Meter, console, meter
from hornbook.corpus.split import SPLITS
from hornbook.pipeline.context import place
from hornbook.pipeline.corpus import Corpus
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import Workspace
from hornbook.sampling.token_store import Arrays, TokenStore, write_arrays
from hornbook.tokenizing.encoder import Packed
from hornbook.tokenizing.tokenizer import Tokenizer

CHARACTERS_AT_ONCE = 2**20
"""Characters encoded in one call. Memory holds four such batches and their ids: less than 100 MiB
beside the interpreter and the tokenizer, or a multiple of the longest document, which is encoded
whole. (With fastokens; the tokenizers library keeps about 200 bytes a token until a call is done.)"""
ENCODING = 2
"""Batches being encoded at a time."""
WORTH_A_WORD = 10_000_000
"""Characters from which a slower way of encoding is worth telling."""


def make_tokenizer(
    recipe: Recipe,
    workspace: Workspace,
    corpora: Mapping[str, Corpus],
    own: Tokenizer | None = None,
) -> Tokenizer:
    """Train a tokenizer on the training documents of all corpora, or load the one that the recipe
    names, or `own`: that of the model which the run starts from."""
    settings = recipe.tokenizer
    loaded = Tokenizer.open(Path(settings.load)) if settings.load is not None else own
    inputs = {place(name, "corpus"): corpus.fingerprint for name, corpus in corpora.items()}
    if loaded is not None:
        inputs = {"loaded": loaded.fingerprint}

    def make(path: Path) -> None:
        (loaded or _train(recipe, corpora.values())).save(path)

    return workspace.once(
        "tokenizer", settings.model_dump(mode="json"), inputs, make, Tokenizer.load
    )


def _train(recipe: Recipe, corpora: Collection[Corpus]) -> Tokenizer:
    limit = recipe.tokenizer.max_characters
    total = sum(corpus.characters("train") for corpus in corpora)
    if limit is None or total <= limit:
        count = sum(corpus.count("train") for corpus in corpora)
        return Tokenizer.train(_Beginnings(corpora), recipe.tokenizer, count)
    return Tokenizer.train(_Beginnings(corpora, limit / total), recipe.tokenizer, None)


@dataclass(frozen=True)
class _Beginnings:
    """The texts to train a tokenizer on; they can be gone through again."""

    corpora: Collection[Corpus]
    share: float = 1.0
    """Of each corpus' characters, from its beginning."""

    def __iter__(self) -> Iterator[str]:
        for corpus in self.corpora:
            texts, characters = corpus.texts("train"), corpus.characters("train")
            yield from texts if self.share == 1 else _first(texts, round(self.share * characters))


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
            write_arrays(
                path,
                splits,
                tokenizer.vocab_size,
                tokenizer.fingerprint,
                {"corpus": corpus.fingerprint},
                tokenizer.eos_id,
                byte_counts,
            )
        characters = sum(corpus.characters(split) for split in SPLITS)
        if tokenizer.slow_reason and characters >= WORTH_A_WORD:
            console.print(f"[dim]encoded by tokenizers: {tokenizer.slow_reason}[/]")

    store = workspace.once("tokens", {}, inputs, make, TokenStore.open)
    store.require_tokenizer(tokenizer.fingerprint)
    return store


def _encode(
    texts: Iterator[str],
    tokenizer: Tokenizer,
    split: str,
    byte_counts: dict[str, int],
    shown: Meter,
) -> Iterator[Arrays]:
    """Token ids of many documents at a time, in order; counts their UTF-8 bytes.

    While one batch is read and another written, others are encoded: each by the library's own
    threads, and two at a time, so that a batch with one long document keeps no core waiting.
    """
    with ThreadPoolExecutor(ENCODING, "encode") as pool:
        waiting: deque[Future[tuple[Packed, int]]] = deque()
        try:
            for batch in _batches(texts):
                waiting.append(pool.submit(_encode_batch, tokenizer, batch))
                if len(waiting) > ENCODING:
                    yield _taken(waiting.popleft(), split, byte_counts, shown)
            while waiting:
                yield _taken(waiting.popleft(), split, byte_counts, shown)
        finally:
            pool.shutdown(cancel_futures=True)


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    """Documents together until they have enough characters; one that is longer stands alone."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        if batch and characters + len(text) > CHARACTERS_AT_ONCE:
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield batch


def _encode_batch(tokenizer: Tokenizer, texts: list[str]) -> tuple[Packed, int]:
    """The ids, and how many bytes the texts have as UTF-8."""
    size = sum(len(text) if text.isascii() else len(text.encode()) for text in texts)
    return tokenizer.encode_packed(texts), size


def _taken(
    done: Future[tuple[Packed, int]], split: str, byte_counts: dict[str, int], shown: Meter
) -> Arrays:
    packed, size = done.result()
    byte_counts[split] += size
    shown.advance(len(packed.starts) - 1)
    return packed.ids, packed.starts
