"""A synthetic corpus of any size, and what preparing it takes: python bench/big_corpus.py --gigabytes 2

Documents of 100 to 2,000 words are made of 60,000 invented words, as often as words are (Zipf), in
sentences and paragraphs. A tenth of them come again: half exactly, half with a few words changed. They
are written as JSONL, in files of 256 MB, into a folder that is deleted afterwards. Then
`hornbook prepare` is run on it with deduplication and tokens, in a process of its own, and its time
and the peak memory of it and of its largest helper (ru_maxrss) are printed.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

WORDS, FILE_BYTES = 60_000, 256_000_000
RECIPE = """
[corpus]
source = "{source}"

[deduplication]
exact = true
near = {near}

[tokenizer]
vocab_size = 32768

[run]
directory = "{run}"
"""


def vocabulary(generator: np.random.Generator) -> list[str]:
    """Invented words of one to four syllables."""
    syllables = [c + v + e for c in "bdfgklmnprstvw" for v in "aeiou" for e in ("", "n", "r", "s")]
    lengths = generator.integers(1, 5, WORDS)
    return ["".join(generator.choice(syllables, size)) for size in lengths]


def documents(count_bytes: float, seed: int = 1) -> Iterator[str]:
    """Texts until they have so many bytes together."""
    generator = np.random.default_rng(seed)
    words = np.array(vocabulary(generator), dtype=object)
    odds = 1 / np.arange(2, WORDS + 2)
    edges = np.cumsum(odds / odds.sum())
    recent: list[list[str]] = []
    while count_bytes > 0:
        places = np.searchsorted(edges, generator.random(200_000))
        drawn = words[np.minimum(places, WORDS - 1)]
        start = 0
        while start < len(drawn):
            size = int(generator.integers(100, 2_000))
            text = drawn[start : start + size].tolist()
            start += size
            chance = generator.random()
            if recent and chance < 0.1:
                text = list(recent[int(generator.integers(len(recent)))])
                for _ in range(0 if chance < 0.05 else 3):
                    text[int(generator.integers(len(text)))] = "changed"
            else:
                recent = [*recent[-50:], text]
            written = " ".join(_sentences(text))
            count_bytes -= len(written)
            yield written


def _sentences(words: list[str]) -> Iterator[str]:
    for start in range(0, len(words), 12):
        end = ".\n\n" if start % 120 == 108 else "."
        yield " ".join(words[start : start + 12]).capitalize() + end


def write(folder: Path, gigabytes: float) -> int:
    """The corpus as files; returns how many documents it has."""
    count, file, room = 0, None, 0
    for count, text in enumerate(documents(gigabytes * 1e9), start=1):
        line = json.dumps({"id": f"d{count}", "text": text}) + "\n"
        if file is None or room < len(line):
            if file is not None:
                file.close()
            name = folder / f"{len(list(folder.iterdir())):03}.jsonl"
            file, room = name.open("w"), FILE_BYTES
        file.write(line)
        room -= len(line)
    if file is not None:
        file.close()
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument(
        "--folder", type=Path, help="where to work; a temporary folder if not given"
    )
    parser.add_argument("--near", action="store_true", help="near duplicates, too")
    arguments = parser.parse_args()
    if arguments.folder is not None:
        arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        source, run = Path(temporary) / "source", Path(temporary) / "run"
        source.mkdir()
        started = time.perf_counter()
        count = write(source, arguments.gigabytes)
        size = sum(path.stat().st_size for path in source.iterdir()) / 1e6
        print(f"{count:,} documents, {size:,.0f} MB, made in {time.perf_counter() - started:.0f} s")
        recipe = Path(temporary) / "big.toml"
        near = str(arguments.near).lower()
        recipe.write_text(RECIPE.format(source=source, run=run, near=near))
        started = time.perf_counter()
        command = [sys.executable, "-m", "hornbook", "prepare", str(recipe)]
        code = subprocess.run(command).returncode
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(
            f"code {code}: {seconds:.0f} s, {size / seconds:.1f} MB/s, largest process {peak:,.0f} MiB"
        )


if __name__ == "__main__":
    main()
