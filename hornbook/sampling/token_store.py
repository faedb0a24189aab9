"""The token ids of a corpus on disk: written as a stream, read through memory maps.

One directory holds, for each split, the ids of all its documents one after another, little-endian
uint16, or uint32 for a vocabulary above 65,536: in `NAME.bin`, and where that would become too large
in `NAME-1.bin`, `NAME-2.bin` … besides, each with whole documents. `NAME.documents.npy` (int64) says
where each document starts, and the end of the last. Windows may lie anywhere, across files too: a
memory map takes only the pages that are read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hornbook import artifact
from hornbook.errors import HornbookError
from hornbook.sampling.shards import Shards, Tokens
from hornbook.sampling.token_writer import KIND, Encoded, id_dtype, shard_name, write_store


class TokenStore:
    """Token ids of a corpus, split by split; made by `write_tokens`, opened by `TokenStore.open`."""

    def __init__(self, directory: Path, manifest: artifact.Manifest) -> None:
        self.directory = directory
        self.manifest = manifest
        try:
            self.vocab_size: int = manifest.facts["vocab_size"]
            self.tokenizer_fingerprint: str = manifest.inputs["tokenizer"]
            self._facts: dict[str, dict[str, int]] = manifest.facts["splits"]
            self.byte_counts = {name: facts["bytes"] for name, facts in self._facts.items()}
            self.token_counts = {name: facts["tokens"] for name, facts in self._facts.items()}
            for name in self._facts:  # so that their hashes were checked
                _ = manifest.files[f"{name}.documents.npy"]
                _ = [manifest.files[file] for file in self._files(name)]
        except (KeyError, TypeError, AttributeError):
            raise HornbookError(
                f"{directory / artifact.MANIFEST} does not describe a token store; "
                "write the tokens again."
            ) from None

    @classmethod
    def open(cls, directory: Path) -> "TokenStore":
        """Open a directory that `write_tokens` wrote, checking the SHA-256 of every file.

        Raises:
            HornbookError: not a token store, incomplete or damaged.
        """
        directory = Path(directory)
        return cls(directory, artifact.read_manifest(directory, KIND))

    @property
    def fingerprint(self) -> str:
        """One hash that stands for all token ids and document boundaries."""
        return self.manifest.fingerprint

    @property
    def names(self) -> list[str]:
        """The splits there are."""
        return list(self._facts)

    def split(self, name: str) -> Tokens:
        """The ids of a split, (tokens,), uint16 or uint32; on disk until touched.

        Raises:
            HornbookError: no such split.
        """
        self._require(name)
        dtype = id_dtype(self.vocab_size)
        if not self.token_counts[name]:
            return np.empty(0, dtype)  # an empty file cannot be mapped
        parts = [np.memmap(self.directory / file, dtype, mode="r") for file in self._files(name)]
        return parts[0] if len(parts) == 1 else Shards(parts)

    def _files(self, name: str) -> list[str]:
        """The files of a split's ids; older stores have one a split, and do not say so."""
        return [shard_name(name, number) for number in range(self._facts[name].get("shards", 1))]

    def boundaries(self, name: str) -> npt.NDArray[np.int64]:
        """Where each document of a split starts, and the end of the last: (documents + 1,).

        Raises:
            HornbookError: no such split.
        """
        self._require(name)
        path = self.directory / f"{name}.documents.npy"
        starts: npt.NDArray[np.int64] = np.load(path, mmap_mode="r", allow_pickle=False)
        return starts

    def require_tokenizer(self, fingerprint: str) -> None:
        """Check that the ids were made by the tokenizer of this fingerprint.

        Raises:
            HornbookError: they were made by another one.
        """
        if fingerprint != self.tokenizer_fingerprint:
            raise HornbookError(
                f"{self.directory} was made with tokenizer {self.tokenizer_fingerprint[:12]}, not "
                f"with {fingerprint[:12]}; use that tokenizer or make the tokens again."
            )

    def _require(self, name: str) -> None:
        if name not in self._facts:
            known = ", ".join(self._facts) or "none"
            raise HornbookError(f"{self.directory} has no split {name!r}; its splits are: {known}.")


def write_tokens(
    directory: Path,
    splits: Mapping[str, Iterable[Sequence[int]]],
    vocab_size: int,
    tokenizer_fingerprint: str,
    inputs: Mapping[str, str] | None = None,
    eos_id: int | None = None,
    byte_counts: Mapping[str, int] | None = None,
) -> TokenStore:
    """Write the ids of each split's documents, one document in memory at a time.

    For much text, and to go on where a run was interrupted, see `token_writer.write_store`.

    Args:
        directory: takes this name only when all is written.
        splits: by name, the ids of each document.
        vocab_size: ids must be below it.
        tokenizer_fingerprint: of the tokenizer that made the ids.
        inputs: fingerprints of what else the ids were made from, by role.
        eos_id: put after every document, unless None.
        byte_counts: UTF-8 bytes of each split's text, for bits per byte. Looked at after the
            splits are used up, so that it can be filled while they stream.

    Raises:
        HornbookError: a document has an id outside the vocabulary.
    """
    directory = Path(directory)
    artifact.discard_partial(directory)  # it may have been of other documents
    end = [] if eos_id is None else [eos_id]
    given = {name: partial(_one_by_one, documents, end) for name, documents in splits.items()}
    try:
        manifest = write_store(
            *(directory, given, vocab_size, tokenizer_fingerprint, inputs or {}, eos_id),
            byte_counts=byte_counts or {},
        )
    finally:
        artifact.discard_partial(directory)
    return TokenStore(directory, manifest)


def _one_by_one(
    documents: Iterable[Sequence[int]], end: Sequence[int], _start: int
) -> Iterator[Encoded]:
    for document in documents:
        ids = np.array([*document, *end], np.int64)
        yield Encoded(ids, np.array([0, len(ids)]), np.zeros(1, np.int64))
