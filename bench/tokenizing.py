"""Tokenizing against tiktoken, tokenizers and rustbpe, all on one text, in one run.

    python bench/tokenizing.py --data FOLDER [--text FILE] [--megabytes 20]
        [--only encoders disk kinds trainers]

FOLDER has GPT-2's vocab.bpe and encoder.json. Without --text, stories of the sample world are told.
Printed are medians: MB/s (a million bytes of UTF-8) of encoding with GPT-2's vocabulary, each
library with all its threads, from strings to the ids in its own form; the rate from a JSONL file to
the finished token store, as a share of the encoder's; and seconds to train a BPE of 32,768 tokens.
The ids of all are compared; so is the time from a file of each kind to the store, with the corpus stage
between. Needs the extra `test`.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rustbpe
import tiktoken
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tokenizers import Tokenizer as Library

from hornbook.artifact import Manifest
from hornbook.corpus.world.generate import generate_texts
from hornbook.corpus.world.settings import WorldSettings
from hornbook.pipeline.corpora.corpus import Corpus, make_corpus
from hornbook.pipeline.corpora.tokens import make_tokens
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import Workspace
from hornbook.sampling.token_store import TokenStore
from hornbook.tokenizing.encoder import WORTH_IT, awkward_texts
from hornbook.tokenizing.foreign import find_gpt2_files, gpt2_tree
from hornbook.tokenizing.tokenizer import Tokenizer, TokenizerSettings
from hornbook.tokenizing.trainers import GPT2_PATTERN

REPEATS = 3
VOCAB = 32_768
FUZZED = 2_000
"""Awkward texts whose ids are compared besides the documents'."""
LONG = 16_000
"""Characters of a long document."""
SLOW_MB = 6
"""Megabytes for the encoders' race: enough for all, and the slowest is done in seconds."""


def read_texts(path: Path | None, megabytes: float) -> list[str]:
    """Documents: of a file, parted by blank lines, or stories; so many megabytes of them."""
    stories = WorldSettings(stories=int(megabytes * 1400))
    texts = generate_texts(stories) if path is None else path.read_text("utf-8").split("\n\n")
    chosen: list[str] = []
    room = megabytes * 1e6
    for text in texts:
        chosen.append(text)
        room -= len(text.encode())
        if room <= 0:
            break
    return chosen


def joined(texts: Sequence[str]) -> list[str]:
    """The same text in documents of at least `LONG` characters."""
    whole: list[list[str]] = [[]]
    for text in texts:
        if sum(map(len, whole[-1])) >= LONG:
            whole.append([])
        whole[-1].append(text)
    return ["\n\n".join(parts) for parts in whole]


def size_mb(texts: Sequence[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def seconds_of(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def race(make: Callable[[], dict[str, Callable[[], Any]]]) -> dict[str, float]:
    """Median seconds of each, taken in turns; made anew each time, untimed.

    For fastokens and tokenizers remember words, and a corpus is not encoded twice.
    """
    seconds: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        for name, work in make().items():
            seconds.setdefault(name, []).append(seconds_of(work))
    return {name: statistics.median(values) for name, values in seconds.items()}


def gpt2_tiktoken(vocab_bpe: Path, encoder_json: Path) -> tiktoken.Encoding:
    ranks = data_gym_to_mergeable_bpe_ranks(
        vocab_bpe_file=str(vocab_bpe), encoder_json_file=str(encoder_json)
    )
    return tiktoken.Encoding(
        "gpt2", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256}
    )


def race_encoders(texts: list[str], ours: Tokenizer, files: tuple[Path, Path]) -> None:
    library, theirs = Library.from_str(json.dumps(gpt2_tree(*files))), gpt2_tiktoken(*files)
    some = [*awkward_texts(FUZZED, seed=1), *texts[: FUZZED * 2]]
    packed = ours.encode_packed(some)
    expected = theirs.encode_ordinary_batch(some)
    encoded = library.encode_batch_fast(some, add_special_tokens=False)
    same = [e.ids for e in encoded] == expected
    same &= packed.ids.tolist() == [number for ids in expected for number in ids]
    same &= np.diff(packed.starts).tolist() == [len(ids) for ids in expected]
    chosen = read_first(texts, SLOW_MB)

    def rivals() -> dict[str, Callable[[], Any]]:
        fresh, library = fresh_gpt2(files), Library.from_str(json.dumps(gpt2_tree(*files)))
        return {
            "hornbook": lambda: fresh.encode_packed(chosen),
            "tiktoken": lambda: theirs.encode_ordinary_batch(chosen),
            "tokenizers": lambda: library.encode_batch_fast(chosen, add_special_tokens=False),
        }

    reason = ours.slow_reason or "by fastokens"
    print(f"encoding {size_mb(chosen):.1f} MB, hornbook {reason}; ids identical: {same}")
    for name, seconds in race(rivals).items():
        print(f"  {name:<12} {size_mb(chosen) / seconds:7.1f} MB/s")


def fresh_gpt2(files: tuple[Path, Path]) -> Tokenizer:
    """A tokenizer that is ready for much text, and has seen no word of it."""
    tokenizer = Tokenizer.from_gpt2(*files)
    tokenizer.encode_packed([" " * WORTH_IT])
    _ = tokenizer.fingerprint  # worked out once
    return tokenizer


def read_first(texts: list[str], megabytes: float) -> list[str]:
    share = min(1.0, megabytes / size_mb(texts))
    return texts[: int(len(texts) * share)]


def race_to_disk(texts: list[str], files: tuple[Path, Path]) -> None:
    """From corpus/train.jsonl to the token store, as a run makes it, against the encoder alone."""
    size = size_mb(texts)
    with tempfile.TemporaryDirectory() as temporary:
        corpus = corpus_of(texts, Path(temporary))
        stores: list[TokenStore] = []

        def to_disk(tokenizer: Tokenizer) -> None:
            workspace = Workspace(Path(temporary) / f"run{len(stores)}")
            workspace.directory.mkdir()
            stores.append(make_tokens(Recipe(), workspace, corpus, tokenizer))

        def alone(tokenizer: Tokenizer) -> None:
            for start in range(0, len(texts), 1024):
                tokenizer.encode_packed(texts[start : start + 1024])

        def rivals() -> dict[str, Callable[[], Any]]:
            one, other = fresh_gpt2(files), fresh_gpt2(files)
            return {"encoder": lambda: alone(one), "to disk": lambda: to_disk(other)}

        taken = race(rivals)
        tokens = stores[0].token_counts["train"]
    share = taken["encoder"] / taken["to disk"]
    each = size * 1e6 / len(texts)
    print(f"from a JSONL file of {size:.1f} MB ({each:,.0f} bytes a document) to {tokens:,} tokens")
    print(f"  encoder      {size / taken['encoder']:7.1f} MB/s")
    print(f"  file to disk {size / taken['to disk']:7.1f} MB/s: {share:.0%} of it")


def race_kinds(texts: list[str], files: tuple[Path, Path]) -> None:
    """From a user's file to the token store: read, split, written as a corpus, encoded."""
    import pyarrow
    import pyarrow.parquet
    import zstandard

    size = size_mb(texts)
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "a.txt").write_text("\n<|endoftext|>\n".join(texts), encoding="utf-8")
        (folder / "a.jsonl").write_bytes(lines)
        (folder / "a.jsonl.zst").write_bytes(zstandard.compress(lines))
        pyarrow.parquet.write_table(pyarrow.table({"text": texts}), folder / "a.parquet")
        print(f"from a file of {size:.1f} MB of text to a store, with the corpus stage between")
        for name in ("a.txt", "a.jsonl", "a.jsonl.zst", "a.parquet"):
            taken = []
            for repeat in range(REPEATS):
                recipe = Recipe.model_validate({"corpus": {"source": str(folder / name)}})
                workspace = Workspace(folder / f"{name}-{repeat}")
                workspace.directory.mkdir()
                tokenizer = fresh_gpt2(files)
                started = time.perf_counter()
                make_tokens(recipe, workspace, make_corpus(recipe, workspace), tokenizer)
                taken.append(time.perf_counter() - started)
            print(f"  {name:<12} {size / statistics.median(taken):7.1f} MB/s")


def corpus_of(texts: list[str], folder: Path) -> Corpus:
    counts = {"train": len(texts), "validation": 0, "test": 0}
    characters = counts | {"train": sum(map(len, texts))}
    for split in counts:
        lines: Iterator[str] = (
            json.dumps({"id": str(number), "text": text}, ensure_ascii=False) + "\n"
            for number, text in enumerate(texts if split == "train" else ())
        )
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    facts = {"documents": counts, "characters": characters}
    return Corpus(folder, Manifest("corpus", {}, {}, {}, facts))


def race_trainers(texts: list[str]) -> None:
    settings = TokenizerSettings(vocab_size=VOCAB, max_characters=None)
    made: list[Tokenizer] = []

    def theirs() -> None:
        rustbpe.Tokenizer().train_from_iterator(iter(texts), VOCAB, pattern=GPT2_PATTERN)

    rivals: dict[str, Callable[[], Any]] = {
        "hornbook": lambda: made.append(Tokenizer.train(texts, settings)),
        "tokenizers": lambda: train_library(texts),
        "rustbpe": theirs,
    }
    taken = race(lambda: rivals)
    print(
        f"training a BPE on {size_mb(texts):.1f} MB; hornbook's has {made[0].vocab_size:,} tokens"
    )
    for name, seconds in taken.items():
        print(f"  {name:<12} {seconds:7.2f} s")


def train_library(texts: list[str]) -> None:
    from tokenizers import models, pre_tokenizers, trainers

    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, initial_alphabet=alphabet, show_progress=False)
    library.train_from_iterator(texts, trainer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of GPT-2's two files")
    parser.add_argument("--text", type=Path, help="a text to use, documents parted by blank lines")
    parser.add_argument("--megabytes", type=float, default=20.0, help="how much of it")
    races = ("encoders", "disk", "kinds", "trainers")
    parser.add_argument("--only", nargs="*", choices=races, default=races, help="which races")
    arguments = parser.parse_args()
    files = find_gpt2_files(arguments.data)
    if files is None:
        parser.error(f"{arguments.data} lacks vocab.bpe and encoder.json")
    texts = read_texts(arguments.text, arguments.megabytes)
    if "encoders" in arguments.only:
        race_encoders(texts, Tokenizer.from_gpt2(*files), files)
    if "disk" in arguments.only:
        for documents in (texts, joined(texts)):
            race_to_disk(documents, files)
    if "kinds" in arguments.only:
        race_kinds(texts, files)
    if "trainers" in arguments.only:
        race_trainers(texts)


if __name__ == "__main__":
    main()
