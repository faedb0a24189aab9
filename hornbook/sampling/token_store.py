"""The token ids of a corpus on disk: written as a stream, read through a memory map.

One directory holds, for each split, `NAME.bin` (the ids of all its documents one after another,
little-endian uint16, or uint32 for a vocabulary above 65,536) and `NAME.documents.npy` (int64,
where each document starts, and the end of the last), and a manifest. A split is one file, however
large: a memory map takes only the pages that are read, and windows may lie anywhere in it.
"""

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbook import artifact
from hornbook.errors import HornbookError

KIND = "tokens"


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
                _ = manifest.files[f"{name}.bin"], manifest.files[f"{name}.documents.npy"]
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

    def split(self, name: str) -> npt.NDArray[np.unsignedinteger[Any]]:
        """The ids of a split, (tokens,), uint16 or uint32; on disk until touched.

        Raises:
            HornbookError: no such split.
        """
        path = self._path(name, ".bin")
        dtype = id_dtype(self.vocab_size)
        if path.stat().st_size == 0:
            return np.empty(0, dtype)  # an empty file cannot be mapped
        return np.memmap(path, dtype, mode="r")

    def boundaries(self, name: str) -> npt.NDArray[np.int64]:
        """Where each document of a split starts, and the end of the last: (documents + 1,).

        Raises:
            HornbookError: no such split.
        """
        starts: npt.NDArray[np.int64] = np.load(
            self._path(name, ".documents.npy"), mmap_mode="r", allow_pickle=False
        )
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

    def _path(self, name: str, suffix: str) -> Path:
        if name not in self._facts:
            known = ", ".join(self._facts) or "none"
            raise HornbookError(f"{self.directory} has no split {name!r}; its splits are: {known}.")
        return self.directory / f"{name}{suffix}"


Arrays = tuple[npt.NDArray[np.integer[Any]], npt.NDArray[np.int64]]
"""The ids of some documents, (tokens,), and where each starts and the last ends, (documents + 1,)."""


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
    arrays = {name: map(_arrays, documents) for name, documents in splits.items()}
    return write_arrays(
        directory, arrays, vocab_size, tokenizer_fingerprint, inputs, eos_id, byte_counts
    )


def write_arrays(
    directory: Path,
    splits: Mapping[str, Iterable[Arrays]],
    vocab_size: int,
    tokenizer_fingerprint: str,
    inputs: Mapping[str, str] | None = None,
    eos_id: int | None = None,
    byte_counts: Mapping[str, int] | None = None,
) -> TokenStore:
    """Write as `write_tokens`, from many documents at a time: the same store, and faster."""
    directory = Path(directory)
    counts: dict[str, dict[str, int]] = {}
    hashes: dict[str, str] = {}
    with artifact.new_directory(directory) as work:
        for name, batches in splits.items():
            file = work / f"{name}.bin"
            counts[name], hashes[file.name] = _write_split(file, batches, vocab_size, eos_id)
        for name, facts in counts.items():
            facts["bytes"] = (byte_counts or {}).get(name, 0)
        manifest = artifact.write_manifest(
            work,
            KIND,
            settings={"eos_id": eos_id},
            inputs={**(inputs or {}), "tokenizer": tokenizer_fingerprint},
            facts={"vocab_size": vocab_size, "splits": counts},
            known=hashes,
        )
    return TokenStore(directory, manifest)


def id_dtype(vocab_size: int) -> np.dtype[Any]:
    """The narrowest type that holds every id: little-endian uint16 or uint32."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


def _arrays(document: Sequence[int]) -> Arrays:
    return np.array(document, np.int64), np.array([0, len(document)], np.int64)


def _write_split(
    path: Path, batches: Iterable[Arrays], vocab_size: int, eos_id: int | None
) -> tuple[dict[str, int], str]:
    """Write a split's two files; returns its counts, and the SHA-256 of the ids' file."""
    dtype, digest = id_dtype(vocab_size), hashlib.sha256()
    starts = array("q", [0])  # 8 bytes a document: small beside its tokens
    with path.open("wb") as file:
        for ids, bounds in batches:
            _require_known(ids, bounds, vocab_size, len(starts), path.stem)
            ids, bounds = _with_end(ids, bounds, eos_id, vocab_size)
            data = ids.astype(dtype, copy=False).tobytes()
            file.write(data)
            digest.update(data)  # now, while it is in the cache, rather than read again
            starts.frombytes((bounds[1:] + starts[-1]).tobytes())
    np.save(path.with_suffix(".documents.npy"), np.frombuffer(starts, dtype=np.int64))
    return {"tokens": starts[-1], "documents": len(starts) - 1}, digest.hexdigest()


def _with_end(
    ids: npt.NDArray[np.integer[Any]],
    bounds: npt.NDArray[np.int64],
    eos_id: int | None,
    vocab_size: int,
) -> Arrays:
    """The documents with `eos_id` after each."""
    if eos_id is None:
        return ids, bounds
    longer = bounds + np.arange(len(bounds))
    whole = np.empty(longer[-1], id_dtype(vocab_size))
    ends = longer[1:] - 1
    of_text = np.ones(len(whole), dtype=bool)
    of_text[ends] = False
    whole[of_text] = ids
    whole[ends] = eos_id
    return whole, longer


def _require_known(
    ids: npt.NDArray[np.integer[Any]],
    bounds: npt.NDArray[np.int64],
    vocab_size: int,
    first: int,
    split: str,
) -> None:
    """Check all ids; `first` is the number of the first document among them."""
    if not len(ids) or (ids.min() >= 0 and ids.max() < vocab_size):
        return
    place = int(np.flatnonzero((ids < 0) | (ids >= vocab_size))[0])
    number = first + int(np.searchsorted(bounds, place, side="right")) - 1
    raise HornbookError(
        f"document {number} of the {split} split has token id {ids[place]}, outside the "
        f"vocabulary of {vocab_size}; encode it with the tokenizer of that vocabulary."
    )
