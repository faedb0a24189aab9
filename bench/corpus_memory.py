"""What each step of preparing a corpus takes in memory: python bench/corpus_memory.py --megabytes 150

A corpus of so many megabytes, and one of a quarter of it, are made as big_corpus makes them. Each step
goes through both in a process of its own; printed are the mebibytes by which its peak (VmHWM) grows
beyond what it has when all libraries are loaded (Linux only). What grows with the corpus grows fourfold; what is
bounded does not. Of steps that keep something for each document, the bytes a document are printed, too.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import big_corpus

from hornbook.corpus.decontamination import Decontamination
from hornbook.corpus.deduplication import ExactDuplicates, RepeatedParagraphs
from hornbook.corpus.document import Document
from hornbook.corpus.near import NearDuplicates
from hornbook.corpus.quality.settings import QualitySettings, make_steps
from hornbook.corpus.readers import read_documents
from hornbook.corpus.split import split_documents
from hornbook.pipeline.corpora.corpus import make_corpus
from hornbook.pipeline.corpora.tokens import make_tokens
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import Workspace
from hornbook.sampling.loader import Loader
from hornbook.sampling.windows import Windows
from hornbook.tokenizing.tokenizer import Tokenizer, TokenizerSettings

QUALITY = QualitySettings(
    unicode="normalize", filters=("gopher-quality", "gopher-repetition", "c4", "fineweb")
)


def used() -> float:
    """MiB at the peak so far; of this process alone, where ru_maxrss begins with its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def write(folder: Path, megabytes: float) -> None:
    """The same documents as files of several kinds."""
    import pyarrow
    import pyarrow.parquet

    folder.mkdir()
    with (
        (folder / "a.jsonl").open("w") as lines,
        (folder / "a.txt").open("w") as text,
        gzip.open(folder / "b.jsonl.gz", "wt", compresslevel=1) as packed,
    ):
        batch: list[str] = []
        schema = pyarrow.schema([("text", pyarrow.string())])
        with pyarrow.parquet.ParquetWriter(folder / "a.parquet", schema) as table:
            for document in big_corpus.documents(megabytes * 1e6):
                line = json.dumps({"text": document}) + "\n"
                lines.write(line)
                packed.write(line)
                text.write(document + "\n<|endoftext|>\n")
                batch.append(document)
                if len(batch) == 200:
                    table.write_table(pyarrow.table({"text": batch}, schema))
                    batch = []


def through(documents: Iterator[Document]) -> int:
    """Use documents up; how many there were."""
    return sum(1 for _ in documents)


def steps(folder: Path) -> dict[str, Callable[[], int]]:
    """Each step by its name; returns how many documents it was given."""
    recipe = Recipe.model_validate({"corpus": {"source": str(folder / "a.jsonl")}})
    workspace = Workspace(folder / "run")

    def documents() -> Iterator[Document]:
        return read_documents(str(folder / "a.jsonl"))

    def clean() -> int:
        stream = documents()
        for step in make_steps(QUALITY, workers=1):
            stream = step.apply(stream)
        return through(stream)

    def encode() -> int:
        corpus = make_corpus(recipe, workspace)
        tokenizer = Tokenizer.train(["a b c"], TokenizerSettings(vocab_size=300))
        store = make_tokens(recipe, workspace, corpus, tokenizer)
        loader = Loader(Windows(store.split("train"), 256), 32, seed=1)
        return sum(1 for _, _ in zip(range(2_000), loader.batches(), strict=False))

    readers = {
        f"read {name}": lambda name=name: through(read_documents(str(folder / name)))
        for name in ("a.jsonl", "a.txt", "b.jsonl.gz", "a.parquet")
    }
    item = Document("one two three four five six seven eight nine ten eleven twelve thirteen", "e")
    return readers | {
        "characters and filters": clean,
        "exact duplicates": lambda: through(ExactDuplicates().apply(documents())),
        "paragraphs": lambda: through(RepeatedParagraphs(10).apply(documents())),
        "near duplicates": lambda: through(NearDuplicates(0.8, 5, 128, 1).apply(documents())),
        "decontamination": lambda: through(Decontamination([item], 13).apply(documents())),
        "split": lambda: sum(1 for _ in split_documents(documents(), 1, 0.02, 0.01)),
        "corpus stage, tokens, loader": encode,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=150.0)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, folder = arguments.one
        before = used()
        count = steps(Path(folder))[name]()
        print(json.dumps([used() - before, count]))
        return
    with tempfile.TemporaryDirectory() as temporary:
        sizes = arguments.megabytes / 4, arguments.megabytes
        folders = [Path(temporary) / f"{size:.0f}" for size in sizes]
        for folder, size in zip(folders, sizes, strict=True):
            write(folder, size)
        print(f"{'step':<30} {sizes[0]:.0f} MB  {sizes[1]:.0f} MB  (MiB beyond the libraries)")
        for name in steps(folders[0]):
            grown = []
            for folder in folders:
                command = [sys.executable, __file__, "--one", name, str(folder)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                grown.append(json.loads(done.stdout.splitlines()[-1]))
            (small, few), (large, many) = grown
            each = max(large - small, 0) * 2**20 / max(many - few, 1)
            print(f"{name:<30} {small:6.1f} {large:6.1f}   {each:,.0f} bytes a document more")


if __name__ == "__main__":
    main()
