"""Where a run's text comes from, and the hashes that hold it to it."""

import dataclasses
import os
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from hornbook import artifact
from hornbook.console import meter
from hornbook.corpus.columns import HUB, hub_files, hub_inputs, parts_of
from hornbook.corpus.document import Document
from hornbook.corpus.quarantine import Quarantine
from hornbook.corpus.readers import (
    SAMPLE_WORLD,
    CorpusSettings,
    corpus_files,
    is_stdin,
    read_corpus,
    stdin_path,
)
from hornbook.corpus.units import Unit, plan
from hornbook.errors import HornbookError
from hornbook.pipeline.corpora.unpacking import unpack


@dataclass(frozen=True)
class Source:
    """The text that a corpus is made from, found and hashed, not yet read."""

    settings: CorpusSettings
    """Which files to read: those of standard input are on disk by now."""
    inputs: dict[str, str]
    """SHA-256 of each file by its name in the corpus, or a dataset's commit."""
    files: dict[str, dict[str, Any]]
    """Of each file, where it is (`path`) and its size (`bytes`)."""
    said: str
    """The source, as the recipe calls it."""

    def documents(self, quarantine: Quarantine) -> Iterator[Document]:
        """Its documents, as `read_corpus` gives them."""
        revision = self.inputs.get(self.said)
        for document in read_corpus(self.settings, quarantine, revision):
            # The file that standard input was kept in is not what its documents are from.
            yield dataclasses.replace(document, source=self.said)

    @property
    def has_files(self) -> bool:
        """Whether its files are known one by one."""
        return self.said != SAMPLE_WORLD and not self.said.startswith(HUB)

    def units(self, folder: Path, done: str, whole: Collection[str] = ()) -> list[Unit]:
        """Its files as units to be read by themselves.

        Args:
            folder: where large compressed files are unpacked.
            done: how the name of a file ends that stands for something complete.
            whole: names of files that are not to be cut.
        """
        files = corpus_files(self.settings.source)
        unpacked = unpack(files, folder, done)
        limit = self.settings.max_document_bytes
        return plan(files, limit=limit, whole=whole, unpacked=unpacked)


def find_source(settings: CorpusSettings, directory: Path) -> Source:
    """Find and hash what the settings name; standard input is written into the run's directory.

    Raises:
        HornbookError: there is nothing of that name.
    """
    said = settings.source
    if said == SAMPLE_WORLD:
        return Source(settings, {}, {}, said)
    if said.startswith(HUB):
        name = parts_of(said)[0]
        return Source(settings, hub_inputs(said), whereabouts(hub_files(name)), said)
    if is_stdin(said):
        path = _write_stdin(directory / stdin_path(said))
        settings = settings.model_copy(update={"source": str(path)})
    found = corpus_files(settings.source)
    files = {name: path for path, name in found}
    return Source(settings, hashes(files), whereabouts(files), said)


def hashes(files: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of each file, by its name: as many at a time as there are cores."""
    ends = list(accumulate((path.stat().st_size / 1e6 for path in files.values()), initial=0.0))
    found: dict[str, str] = {}
    with (
        ThreadPoolExecutor(os.cpu_count(), "hash") as pool,
        meter("hash", round(ends[-1]), "MB") as shown,
    ):
        digests = pool.map(artifact.hash_file, files.values())
        try:
            for number, (name, digest) in enumerate(zip(files, digests, strict=True)):
                found[name] = digest
                shown.advance(round(ends[number + 1]) - round(ends[number]))
        finally:  # after an error or a signal, not all that are left
            pool.shutdown(cancel_futures=True)
    return found


def whereabouts(files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Where each file is and how large, so that it can be looked at again."""
    return {
        name: {"path": str(path.absolute()), "bytes": path.stat().st_size}
        for name, path in files.items()
    }


def _write_stdin(path: Path) -> Path:
    """Keep standard input, in bounded memory; an empty one stands for what was kept before."""
    if sys.stdin.isatty():
        raise HornbookError('corpus.source is "-": send text through a pipe, or name a file.')
    start = sys.stdin.buffer.read(1)
    if start or not path.exists():
        with artifact.new_file(path) as file:
            file.write(start)
            shutil.copyfileobj(sys.stdin.buffer, file)
    return path
