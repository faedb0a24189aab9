"""Stage 0 of a run: the documents, split, in one directory."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from hornbook import artifact
from hornbook.console import meter, track
from hornbook.corpus.document import Document
from hornbook.corpus.readers import SAMPLE_WORLD, corpus_files, read_documents
from hornbook.corpus.split import SPLITS, split_documents
from hornbook.corpus.tables import write_instructions, write_labelled
from hornbook.corpus.world.generate import (
    generate_texts,
    instruction_examples,
    labelled_examples,
)
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import Workspace

KIND = "corpus"
LABELLED = "labelled.jsonl"
INSTRUCTIONS = "instructions.json"


@dataclass(frozen=True)
class Corpus:
    """Documents on disk: one JSONL file a split; the sample world's example sets beside them."""

    directory: Path
    manifest: artifact.Manifest

    @property
    def fingerprint(self) -> str:
        """One hash for all of it."""
        return self.manifest.fingerprint

    def count(self, split: str) -> int:
        """How many documents a split has."""
        return int(self.manifest.facts["documents"][split])

    def characters(self, split: str) -> int:
        """How many characters of text a split has."""
        return int(self.manifest.facts["characters"][split])

    def texts(self, split: str) -> Iterator[str]:
        """The documents' texts, one at a time."""
        if self.count(split):
            for document in read_documents(str(self.directory / f"{split}.jsonl")):
                yield document.text

    def ids(self, split: str, numbers: Collection[int]) -> dict[int, str]:
        """The ids of a split's documents of these numbers, counted from 0."""
        with (self.directory / f"{split}.jsonl").open(encoding="utf-8") as lines:
            return {n: json.loads(line)["id"] for n, line in enumerate(lines) if n in numbers}

    def example_file(self, name: str) -> Path | None:
        """The sample world's labelled or instruction set; None for a corpus of the user's."""
        path = self.directory / name
        return path if path.exists() else None


def make_corpus(recipe: Recipe, workspace: Workspace) -> Corpus:
    """Read the user's documents or generate the sample world, and split them."""
    sample_world = recipe.corpus.source == SAMPLE_WORLD
    settings = {
        "corpus": recipe.corpus.model_dump(mode="json"),
        "world": recipe.world.model_dump(mode="json") if sample_world else None,
        "seed": recipe.runtime.seed,
    }
    inputs = {} if sample_world else hash_files(recipe)

    def make(path: Path) -> None:
        with artifact.new_directory(path) as work:
            facts = _write_splits(work, recipe)
            if sample_world:
                write_labelled(work / LABELLED, labelled_examples(recipe.world))
                write_instructions(work / INSTRUCTIONS, instruction_examples(recipe.world))
            artifact.write_manifest(work, KIND, settings, inputs, facts)

    return workspace.once(
        "corpus",
        settings,
        inputs,
        make,
        lambda path: Corpus(path, artifact.read_manifest(path, KIND)),
    )


def hash_files(recipe: Recipe) -> dict[str, str]:
    """SHA-256 of each file that the corpus is read from, by its name."""
    return {name: artifact.hash_file(path) for path, name in corpus_files(recipe.corpus.source)}


def _documents(recipe: Recipe) -> Iterator[Document]:
    if recipe.corpus.source != SAMPLE_WORLD:
        documents = read_documents(recipe.corpus.source, recipe.corpus.text_field)
        yield from track(documents, "read", None, "document")
        return
    with meter("tell stories", recipe.world.stories, "story") as shown:
        for number, text in enumerate(generate_texts(recipe.world, shown.advance)):
            yield Document(text, f"story-{number}")


def _write_splits(work: Path, recipe: Recipe) -> dict[str, dict[str, int]]:
    """Write each document to its split's file as it comes; returns counts by split."""
    shares = recipe.corpus.validation_share, recipe.corpus.test_share
    documents = dict.fromkeys(SPLITS, 0)
    characters = dict.fromkeys(SPLITS, 0)
    files = {split: (work / f"{split}.jsonl").open("w", encoding="utf-8") for split in SPLITS}
    try:
        for split, document in split_documents(_documents(recipe), recipe.runtime.seed, *shares):
            record = {"id": document.id, "text": document.text}
            files[split].write(json.dumps(record, ensure_ascii=False) + "\n")
            documents[split] += 1
            characters[split] += len(document.text)
    finally:
        for file in files.values():
            file.close()
    return {"documents": documents, "characters": characters}
