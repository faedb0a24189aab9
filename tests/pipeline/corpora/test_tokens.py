"""From the corpus to the token store: all documents, in order, in bounded memory."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hornbook import artifact
from hornbook.artifact import Manifest
from hornbook.pipeline.corpora import tokens
from hornbook.pipeline.corpora.corpus import Corpus
from hornbook.pipeline.corpora.tokens import make_tokens
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import Workspace
from hornbook.sampling.token_store import TokenStore, write_tokens
from hornbook.tokenizing.encoder import awkward_texts
from hornbook.tokenizing.tokenizer import Tokenizer, TokenizerSettings

TEXTS = {"train": awkward_texts(700, seed=5), "validation": ["é" * 9000, "one", "two"], "test": []}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["the owl and the fox sing"] * 3, TokenizerSettings(vocab_size=280))


def corpus_of(folder: Path) -> Corpus:
    folder.mkdir()
    for split, texts in TEXTS.items():
        lines = [json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(texts)]
        (folder / f"{split}.jsonl").write_text("".join(lines))
    counts = {split: len(texts) for split, texts in TEXTS.items()}
    characters = {split: sum(map(len, texts)) for split, texts in TEXTS.items()}
    facts = {"documents": counts, "characters": characters}
    return Corpus(folder, Manifest("corpus", {}, {}, {"x": "y"}, facts))


def stored(folder: Path, corpus: Corpus, tokenizer: Tokenizer) -> TokenStore:
    folder.mkdir()
    return make_tokens(Recipe(), Workspace(folder), corpus, tokenizer)


@pytest.mark.parametrize(("characters", "at_a_time"), [(2**20, 2), (50, 1), (50, 3), (1, 2)])
def test_the_store_does_not_depend_on_batches_and_workers(
    tmp_path: Path,
    tokenizer: Tokenizer,
    monkeypatch: pytest.MonkeyPatch,
    characters: int,
    at_a_time: int,
) -> None:
    monkeypatch.setattr(tokens, "BYTES_AT_ONCE", characters)
    monkeypatch.setattr(tokens, "ENCODING", at_a_time)
    store = stored(tmp_path / "run", corpus_of(tmp_path / "corpus"), tokenizer)
    ids = {split: [tokenizer.encode(text) for text in texts] for split, texts in TEXTS.items()}
    plain = write_tokens(
        tmp_path / "plain", ids, tokenizer.vocab_size, "t", eos_id=tokenizer.eos_id
    )
    assert store.fingerprint == plain.fingerprint
    assert np.array_equal(store.boundaries("train"), plain.boundaries("train"))
    sizes = {split: sum(len(text.encode()) for text in texts) for split, texts in TEXTS.items()}
    assert store.byte_counts == sizes
    for name, digest in store.manifest.files.items():  # those noted while writing, too
        assert artifact.hash_file(store.directory / name) == digest


def test_an_error_ends_the_encoding_and_leaves_nothing(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Tokenizer, texts: list[str], end: bool) -> None:
        raise OSError("no")

    corpus = corpus_of(tmp_path / "corpus")
    monkeypatch.setattr(Tokenizer, "encode_packed", fail)
    with pytest.raises(OSError, match="no"):
        stored(tmp_path / "run", corpus, tokenizer)
    assert not list((tmp_path / "run").iterdir())


SCRIPT = """
import json, resource, sys
from pathlib import Path
from hornbook.artifact import Manifest
from hornbook.pipeline.corpora.corpus import Corpus
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.corpora.tokens import make_tokens
from hornbook.pipeline.workspace import Workspace
from hornbook.tokenizing.tokenizer import Tokenizer, TokenizerSettings

folder = Path(sys.argv[1])
tokenizer = Tokenizer.train(["the owl and the fox sing"] * 3, TokenizerSettings(vocab_size=280))


def store(name, documents):
    line = json.dumps({"id": "1", "text": "the owl and a fox sing of 1,000 things " * 100}) + "\\n"
    (folder / name).mkdir()
    with (folder / name / "train.jsonl").open("w") as file:
        for _ in range(documents):
            file.write(line)
    for split in ("validation", "test"):
        (folder / name / f"{split}.jsonl").touch()
    counts = {"train": documents, "validation": 0, "test": 0}
    corpus = Corpus(folder / name, Manifest("c", {}, {}, {"x": name}, {"documents": counts, "characters": counts}))
    make_tokens(Recipe(), Workspace(folder / name), corpus, tokenizer)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


before = store("small", 100)
print(store("large", 40_000) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_memory_is_bounded_on_a_corpus_larger_than_the_bound(tmp_path: Path) -> None:
    """156 MB of text, 100 MB on disk as ids; 100 MiB may be used."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 100, done.stdout
