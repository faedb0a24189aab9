"""Stages 1 and 2 of a run: the tokenizer, and the corpus as token ids."""

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hornbook.console import Meter, console, meter
from hornbook.corpus.split import SPLITS
from hornbook.pipeline.context import place
from hornbook.pipeline.corpora.corpus import Corpus
from hornbook.pipeline.corpora.lines import blocks, texts_of
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import Workspace
from hornbook.sampling.token_store import TokenStore
from hornbook.sampling.token_writer import Encoded, write_store
from hornbook.tokenizing.tokenizer import Tokenizer

BYTES_AT_ONCE = 2**20
"""Bytes of a split's file encoded in one call. Memory holds five such batches and their ids: less
than 100 MiB beside the interpreter and the tokenizer, or a multiple of the longest document, which is
encoded whole. (With fastokens; the tokenizers library keeps about 200 bytes a token until a call is
done.)"""
ENCODING = 3
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
    settings = {"shard_bytes": recipe.sampling.shard_bytes}

    def make(path: Path) -> TokenStore:
        total = sum(corpus.count(split) for split in SPLITS)
        with meter("encode", total, "document") as shown:
            manifest = write_store(
                path,
                {split: partial(_encode, corpus, tokenizer, shown, split) for split in SPLITS},
                tokenizer.vocab_size,
                tokenizer.fingerprint,
                {"corpus": corpus.fingerprint},
                tokenizer.eos_id,
                recipe.sampling.shard_bytes,
            )
        characters = sum(corpus.characters(split) for split in SPLITS)
        if tokenizer.slow_reason and characters >= WORTH_A_WORD:
            console.print(f"[dim]encoded by tokenizers: {tokenizer.slow_reason}[/]")
        return TokenStore(path, manifest)

    store = workspace.once("tokens", settings, inputs, make, TokenStore.open)
    store.require_tokenizer(tokenizer.fingerprint)
    return store


def _encode(
    corpus: Corpus, tokenizer: Tokenizer, shown: Meter, split: str, start: int
) -> Iterator[Encoded]:
    """A split's documents from number `start`, many at a time and in order.

    While one batch is read and another written, others are encoded: each by the library's own
    threads, and three at a time, so that no core waits for one long document, or for JSON being parsed.
    """
    shown.skip(start)
    with ThreadPoolExecutor(ENCODING, "encode") as pool:
        waiting: deque[Future[Encoded]] = deque()
        try:
            for batch in blocks(corpus.path(split), start, BYTES_AT_ONCE):
                waiting.append(pool.submit(_encode_batch, tokenizer, batch))
                if len(waiting) > ENCODING:
                    yield _taken(waiting.popleft(), shown)
            while waiting:
                yield _taken(waiting.popleft(), shown)
        finally:
            pool.shutdown(cancel_futures=True)


def _encode_batch(tokenizer: Tokenizer, lines: bytes) -> Encoded:
    texts = texts_of(lines)
    packed = tokenizer.encode_packed(texts, end=True)
    return Encoded(packed.ids, packed.starts, _sizes(texts))


def _sizes(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Bytes of UTF-8 in each text, (texts,)."""
    lengths: Iterator[int] = map(len, texts)
    if not all(map(str.isascii, texts)):
        lengths = (len(text) if text.isascii() else len(text.encode()) for text in texts)
    return np.fromiter(lengths, np.int64, len(texts))


def _taken(done: Future[Encoded], shown: Meter) -> Encoded:
    encoded = done.result()
    shown.advance(len(encoded.bytes))
    return encoded
