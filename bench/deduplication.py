"""Near duplicates in a million short documents: time, memory, and which duplicates are found.

    python bench/deduplication.py [--documents 1000000] [--peer 5000] [--workers N]

The documents, of 50 words on average, are made on the spot: words by Zipf's law, and one in five is
an earlier one with some of its words changed. The same is then done with datasketch (MinHashLSH with
equal bands, candidates not verified) on `--peer` documents in one process, and both are scaled to a
million. Making the documents is not counted; it may hide work that other processes do meanwhile.
Last, for pairs of known Jaccard similarity, the share that is removed is told, and recall and precision.
"""

import argparse
import bisect
import itertools
import random
import resource
import sys
import time
from collections.abc import Iterator

from hornbook.console import console
from hornbook.corpus.document import Document
from hornbook.corpus.near import NearDuplicates
from hornbook.corpus.signatures import choose_bands

NGRAM, NUM_PERM, THRESHOLD = 5, 128, 0.8
VOCABULARY, ZIPF = 50_000, 0.8
PAIRS = 6_000
RECENT = 1_000
"""Originals of which copies are made."""


def make_documents(count: int, seed: int = 1) -> Iterator[Document]:
    rng = random.Random(seed)
    words = [f"w{number}" for number in range(VOCABULARY)]
    weights = list(itertools.accumulate((rank + 1) ** -ZIPF for rank in range(VOCABULARY)))
    recent: list[list[str]] = []
    for number in range(count):
        if recent and rng.random() < 0.2:
            text = list(rng.choice(recent))
            for _ in range(rng.randrange(4)):
                text[rng.randrange(len(text))] = rng.choice(words)
        else:
            text = rng.choices(words, cum_weights=weights, k=rng.randrange(20, 81))
            if len(recent) < RECENT:
                recent.append(text)
            else:
                recent[rng.randrange(RECENT)] = text
        yield Document(" ".join(text), f"d{number}")


class Timed:
    """Passes documents on and adds up how long each took to come."""

    def __init__(self, documents: Iterator[Document]) -> None:
        self._documents = documents
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Document]:
        return self

    def __next__(self) -> Document:
        started = time.perf_counter()
        try:
            return next(self._documents)
        finally:
            self.seconds += time.perf_counter() - started


def measure(count: int, workers: int | None) -> float:
    """Seconds for each document, without those for making it."""
    step = NearDuplicates(THRESHOLD, NGRAM, NUM_PERM, workers)
    documents = Timed(make_documents(count))
    started = time.perf_counter()
    kept = sum(1 for _ in step.apply(documents))
    taken = time.perf_counter() - started
    own, others = (
        resource.getrusage(who).ru_maxrss / 2**20
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    console.print(
        f"{count:,} documents, {kept:,} kept: {taken:.1f} s, {documents.seconds:.1f} s of them for "
        f"making the documents; peak memory {own:.2f} GiB, {others:.2f} GiB in the largest worker"
    )
    return (taken - documents.seconds) / count


def measure_datasketch(count: int) -> float:
    """Seconds for each document."""
    from datasketch import MinHash, MinHashLSH

    bands = choose_bands(THRESHOLD, NUM_PERM)
    index = MinHashLSH(params=(bands.count, bands.rows), num_perm=bands.count * bands.rows)
    documents = list(make_documents(count))
    started = time.perf_counter()
    for document in documents:
        words = document.text.casefold().split()
        grams = {" ".join(words[at : at + NGRAM]).encode() for at in range(len(words) - NGRAM + 1)}
        signature = MinHash(num_perm=bands.count * bands.rows)
        signature.update_batch(grams)
        if not index.query(signature):
            index.insert(document.id, signature)
    return (time.perf_counter() - started) / count


def grams_of(text: list[str]) -> set[tuple[str, ...]]:
    return {tuple(text[at : at + NGRAM]) for at in range(len(text) - NGRAM + 1)}


def show_curve() -> None:
    """Of pairs with each similarity: the share that is removed, at four thresholds."""
    rng = random.Random(2)
    words = [f"w{number}" for number in range(VOCABULARY)]
    documents: list[Document] = []
    similarities: list[float] = []
    for number in range(PAIRS):
        text = rng.choices(words, k=200)
        other = list(text)
        for place in rng.sample(range(200), number % 20):
            other[place] = rng.choice(words)
        one, two = grams_of(text), grams_of(other)
        similarities.append(len(one & two) / len(one | two))
        documents += (
            Document(" ".join(text), f"{number}a"),
            Document(" ".join(other), f"{number}b"),
        )
    edges = [0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0]
    for threshold in (0.6, 0.7, 0.8, 0.9):
        step = NearDuplicates(threshold, NGRAM, NUM_PERM)
        kept = {document.id for document in step.apply(iter(documents))}
        pairs: list[list[bool]] = [[] for _ in edges]
        right = wrong = missed = 0
        for number, similarity in enumerate(similarities):
            removed = f"{number}b" not in kept
            right += removed and similarity >= threshold
            wrong += removed and similarity < threshold
            missed += not removed and similarity >= threshold
            if similarity >= edges[0]:
                pairs[bisect.bisect_right(edges, similarity) - 1].append(removed)
        console.print(
            f"threshold {threshold}: recall {right / (right + missed):.4f}, "
            f"precision {right / (right + wrong):.4f}; removed of pairs from "
            + ", ".join(
                f"{low}: {sum(found) / len(found):.1%}"
                for low, found in zip(edges, pairs, strict=True)
                if found
            )
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--peer", type=int, default=5_000)
    parser.add_argument("--workers", type=int)
    given = parser.parse_args()
    own = measure(given.documents, given.workers)
    peer = measure_datasketch(given.peer)
    console.print(
        f"a million documents: Hornbook {own * 1e6:.0f} s, datasketch {peer * 1e6:.0f} s "
        f"(scaled from {given.peer:,}): {peer / own:.1f} times as long"
    )
    show_curve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
