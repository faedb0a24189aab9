"""The files of a corpus' splits, written document by document."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from hornbook.corpus.document import Document
from hornbook.corpus.split import SPLITS, Splitter
from hornbook.pipeline.corpora.lines import line_of
from hornbook.pipeline.recipe import Recipe


class SplitFiles:
    """Writes each document into the file of its split, and counts them."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        """Enter it, and `begin`, before documents come."""
        shares = recipe.corpus.validation_share, recipe.corpus.test_share
        self._settings = (recipe.runtime.seed, *shares)
        self._splitter = Splitter(*self._settings)
        self._paths = {split: folder / f"{split}.jsonl" for split in SPLITS}
        self._files: dict[str, IO[bytes]] = {}
        self.documents = dict.fromkeys(SPLITS, 0)
        """Written, by split."""
        self.characters = dict.fromkeys(SPLITS, 0)
        """Of their texts."""

    def __enter__(self) -> Self:
        """Open the files, which may be there from an interrupted run; `begin` says what of them counts."""
        for path in self._paths.values():
            path.touch()
        self._files = {split: path.open("r+b") for split, path in self._paths.items()}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close them."""
        for file in self._files.values():
            file.close()

    @property
    def holds_back(self) -> bool:
        """Whether some of the documents that came are not written yet."""
        return self._splitter.holds_back

    def add(self, documents: Iterable[Document]) -> None:
        """Write documents, as far as it is known where they belong."""
        for document in documents:
            for split, piece in self._splitter.add(document):
                self._write(split, piece)

    def finish(self) -> None:
        """Write what was held back; raises a `HornbookError` if there was no document."""
        for split, piece in self._splitter.finish():
            self._write(split, piece)

    def _write(self, split: str, document: Document) -> None:
        self._files[split].write(line_of(document))
        self.documents[split] += 1
        self.characters[split] += len(document.text)

    def facts(self) -> dict[str, dict[str, int]]:
        """What is written, as plain JSON values."""
        return {"documents": self.documents, "characters": self.characters}

    def state(self) -> dict[str, Any]:
        """Where it stands, for `begin`; all that was written until now is on the disk."""
        sizes = {}
        for split, file in self._files.items():
            file.flush()
            os.fsync(file.fileno())
            sizes[split] = file.tell()
        return {**self.facts(), "sizes": sizes}

    def begin(self, state: Mapping[str, Any] | None = None) -> None:
        """Begin, or go on from where `state` was taken; what was written behind it is thrown away."""
        if state is not None:
            self.documents, self.characters = dict(state["documents"]), dict(state["characters"])
            self._splitter = Splitter(*self._settings, flowing=any(self.documents.values()))
        for split, file in self._files.items():
            file.seek(0 if state is None else state["sizes"][split])
            file.truncate()
