"""Stage 0 of a run: the documents, split, in one directory."""

import contextlib
import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hornbook import __version__, artifact
from hornbook.console import meter, track
from hornbook.corpus.document import Document
from hornbook.corpus.formats import TornError
from hornbook.corpus.quarantine import Quarantine
from hornbook.corpus.readers import SAMPLE_WORLD
from hornbook.corpus.split import SPLITS
from hornbook.corpus.tables import write_instructions, write_labelled
from hornbook.corpus.world.generate import (
    generate_texts,
    instruction_examples,
    labelled_examples,
)
from hornbook.errors import HornbookError
from hornbook.pipeline.corpora import parts
from hornbook.pipeline.corpora.cleaning import cleaning_settings, further_files, make_cleaning
from hornbook.pipeline.corpora.ending import Ending
from hornbook.pipeline.corpora.lines import blocks, document_of, texts_of
from hornbook.pipeline.corpora.milestones import Milestones
from hornbook.pipeline.corpora.on_ray import by_ray
from hornbook.pipeline.corpora.private import note_previous
from hornbook.pipeline.corpora.sources import Source, find_source, hashes, whereabouts
from hornbook.pipeline.corpora.split_files import SplitFiles
from hornbook.pipeline.corpora.waiting import Waiting
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import SOURCES, Workspace

KIND = "corpus"
LABELLED = "labelled.jsonl"
INSTRUCTIONS = "instructions.json"
QUARANTINE = "quarantine.jsonl"
"""Lines, rows and documents that could not be read: file, line, reason."""
BLOCK = 2**20
"""Bytes of a file that are read together, where texts alone are wanted."""
WAITING, WHOLE = "waiting.jsonl", "whole.json"
"""Among the parts: documents that wait to be judged, and the names of files that are not to be cut."""


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
        """The documents' texts, of which some megabyte's are in memory."""
        for block in blocks(self.path(split), 0, BLOCK):
            yield from texts_of(block)

    def documents(self) -> Iterator[Document]:
        """The documents of all splits, one at a time."""
        for split in SPLITS:
            with self.path(split).open("rb") as lines:
                yield from map(document_of, lines)

    def path(self, split: str) -> Path:
        """The file of a split's documents, a line each: see `lines`."""
        return self.directory / f"{split}.jsonl"

    @property
    def bad(self) -> int:
        """How many lines, rows or documents were set aside unread."""
        return int(self.manifest.facts["bad"])

    @property
    def cleaning(self) -> dict[str, Any]:
        """What was read, and what each step has done to it: see `Cleaning.facts`."""
        facts: dict[str, Any] = self.manifest.facts["cleaning"]
        return facts

    def ids(self, split: str, numbers: Collection[int]) -> dict[int, str]:
        """The ids of a split's documents of these numbers, counted from 0."""
        with self.path(split).open("rb") as lines:
            return {n: document_of(line).id for n, line in enumerate(lines) if n in numbers}

    def example_file(self, name: str) -> Path | None:
        """The sample world's labelled or instruction set; None for a corpus of the user's."""
        path = self.directory / name
        return path if path.exists() else None


def make_corpora(recipe: Recipe, workspace: Workspace) -> dict[str, Corpus]:
    """Each corpus of the recipe by its name, which is "" where it is the only one."""
    duplicates = recipe.deduplication
    across = duplicates.across_sources and (duplicates.exact or duplicates.near)
    made: dict[str, Corpus] = {}
    for name, part in recipe.corpus.parts.items():
        own = recipe.model_copy(update={"corpus": part})
        made[name] = make_corpus(own, workspace.part(name), made if across else {})
    return made


def make_corpus(
    recipe: Recipe, workspace: Workspace, earlier: Mapping[str, Corpus] = MappingProxyType({})
) -> Corpus:
    """Read the user's documents or generate the sample world, clean them, and split them.

    The recipe has one `corpus.source`, not several. Duplicates of the documents of `earlier` corpora,
    by name, are duplicates here.
    """
    sample_world = recipe.corpus.source == SAMPLE_WORLD
    settings = {
        "corpus": recipe.corpus.model_dump(mode="json", exclude={"sources", "alpha"}),
        "world": recipe.world.model_dump(mode="json") if sample_world else None,
        "seed": recipe.runtime.seed,
        **cleaning_settings(recipe),
    }
    workspace.directory.mkdir(parents=True, exist_ok=True)
    source = find_source(recipe.corpus, workspace.directory)
    inputs = {**source.inputs, **hashes(further_files(recipe))}
    inputs |= {f"{SOURCES}/{name}/{KIND}": other.fingerprint for name, other in earlier.items()}

    def make(path: Path) -> None:
        key = {"settings": settings, "inputs": inputs, "hornbook": __version__}
        with artifact.resumed_directory(path, key, parts.DONE) as work:
            facts = _write_documents(work, recipe, source, workspace.directory, dict(earlier))
            if sample_world:
                write_labelled(work / LABELLED, labelled_examples(recipe.world))
                write_instructions(work / INSTRUCTIONS, instruction_examples(recipe.world))
            parts.discard(work)
            artifact.write_manifest(work, KIND, settings, inputs, facts)

    made = workspace.once(KIND, settings, inputs, make, open_corpus)
    note_previous(workspace, KIND, recipe.privacy)
    return made


def open_corpus(path: Path) -> Corpus:
    """A corpus that `make_corpus` wrote, every file of it checked.

    Raises:
        HornbookError: not a corpus, incomplete or changed; naming the file.
    """
    return Corpus(path, artifact.read_manifest(path, KIND))


def _write_documents(
    work: Path, recipe: Recipe, source: Source, directory: Path, earlier: Mapping[str, Corpus]
) -> dict[str, Any]:
    """Read, clean, split and write; returns the facts about it."""
    # Kept: what an interrupted run has written is that of this plan of reading, not of one before.
    noted = work / parts.FOLDER / WHOLE
    whole = set(json.loads(noted.read_text("utf-8"))) if noted.exists() else set()
    while True:
        try:
            return _write_once(work, recipe, source, directory, earlier, whole)
        except TornError as torn:  # rare: a table with a quotation mark that has no partner
            whole.add(torn.name)
            artifact.write_text(noted, json.dumps(sorted(whole)))


def _write_once(
    work: Path,
    recipe: Recipe,
    source: Source,
    directory: Path,
    earlier: Mapping[str, Corpus],
    whole: Collection[str],
) -> dict[str, Any]:
    """The same, where `whole` are the names of files that are not to be read in parts."""
    cleaning = make_cleaning(recipe)
    for name, corpus in earlier.items():
        cleaning.compare_with(name, partial(_documents_of, name, corpus))
    clean = cleaning.search.without if cleaning.search else None
    quarantine = Quarantine(work / QUARANTINE, recipe.corpus.max_bad_share, clean)
    try:
        with (
            SplitFiles(work, recipe) as files,
            Waiting(work / parts.FOLDER / WAITING, source.said) as waiting,
        ):
            ending = Ending(files, cleaning, quarantine, waiting)
            if source.has_files:
                several = _parts(work / parts.FOLDER, recipe, source, whole)
                _write_parts(several, ending, recipe)
            else:
                ending.begin()
                ending.take(cleaning.apply_alone(_stream(recipe, source, quarantine)))
                ending.judge()
            files.finish()
    except TornError:
        raise
    except HornbookError as error:
        few = quarantine.bad <= max(quarantine.allowed, 1)
        if few or not (work / QUARANTINE).exists():
            raise
        # The corpus will not be there, but the reasons should.
        kept = shutil.copyfile(work / QUARANTINE, directory / QUARANTINE)
        raise HornbookError(f"{str(error).removesuffix('.')}; all are listed in {kept}.") from None
    (directory / QUARANTINE).unlink(missing_ok=True)
    return {
        **files.facts(),
        "cleaning": cleaning.facts(),
        "bad": quarantine.bad,
        "sources": {**source.files, **whereabouts(further_files(recipe))},
    }


def _parts(folder: Path, recipe: Recipe, source: Source, whole: Collection[str]) -> parts.Parts:
    units = source.units(folder / parts.UNPACKED, parts.DONE, whole)
    return parts.Parts(
        units,
        recipe.corpus,
        recipe.quality,
        recipe.privacy,
        recipe.deduplication,
        recipe.decontamination,
        source.said,
        folder / parts.name_of(units),
    )


def _write_parts(several: parts.Parts, ending: Ending, recipe: Recipe) -> None:
    """Read files in parts, by several processes; compare and write the documents part by part."""
    engine = by_ray if recipe.run.engine == "ray" else parts.by_processes
    milestones = Milestones(several.folder, ending)
    start = milestones.go_on()
    numbers = parts.made_parts(several, engine, start)
    with contextlib.closing(numbers):  # and with it the processes
        for done, number in enumerate(numbers, start=start + 1):
            ending.take(parts.documents_of(several, number, ending.cleaning, ending.quarantine))
            milestones.passed(done)
    ending.quarantine.judge()
    ending.judge(lambda: milestones.passed(len(several.units)))


def _stream(recipe: Recipe, source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """The documents of what is no file, one after another."""
    if source.said == SAMPLE_WORLD:
        return _stories(recipe)
    return track(source.documents(quarantine), "read", None, "document")


def _documents_of(name: str, corpus: Corpus) -> Iterator[Document]:
    """What an earlier source of a mixture has kept, of all splits."""
    total = sum(map(corpus.count, SPLITS))
    yield from track(corpus.documents(), f"compare with {name}", total, "document")


def _stories(recipe: Recipe) -> Iterator[Document]:
    with meter("tell stories", recipe.world.stories, "story") as shown:
        for number, text in enumerate(generate_texts(recipe.world, shown.advance)):
            yield Document(text, f"story-{number}")
