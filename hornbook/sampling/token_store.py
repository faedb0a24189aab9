"""The token ids of a corpus on disk: written as a stream, read through a memory map.

One directory holds, for each split, `NAME.bin` (the ids of all its documents one after another,
little-endian uint16, or uint32 for a vocabulary above 65,536) and `NAME.documents.npy` (int64,
where each document starts, and the end of the last), and a manifest.
"""

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
    directory = Path(directory)
    counts: dict[str, dict[str, int]] = {}
    with artifact.new_directory(directory) as work:
        for name, documents in splits.items():
            counts[name] = _write_split(work, name, documents, vocab_size, eos_id)
        for name, facts in counts.items():
            facts["bytes"] = (byte_counts or {}).get(name, 0)
        manifest = artifact.write_manifest(
            work,
            KIND,
            settings={"eos_id": eos_id},
            inputs={**(inputs or {}), "tokenizer": tokenizer_fingerprint},
            facts={"vocab_size": vocab_size, "splits": counts},
        )
    return TokenStore(directory, manifest)


def id_dtype(vocab_size: int) -> np.dtype[Any]:
    """The narrowest type that holds every id: little-endian uint16 or uint32."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


def _write_split(
    directory: Path,
    name: str,
    documents: Iterable[Sequence[int]],
    vocab_size: int,
    eos_id: int | None,
) -> dict[str, int]:
    end = () if eos_id is None else (eos_id,)
    starts = array("q", [0])  # 8 bytes a document: small beside its tokens
    with (directory / f"{name}.bin").open("wb") as file:
        for number, document in enumerate(documents, start=1):
            ids = np.array([*document, *end], dtype=np.int64)
            _require_known(ids, vocab_size, f"document {number} of the {name} split")
            file.write(ids.astype(id_dtype(vocab_size)).tobytes())
            starts.append(starts[-1] + len(ids))
    np.save(directory / f"{name}.documents.npy", np.array(starts, dtype=np.int64))
    return {"tokens": starts[-1], "documents": len(starts) - 1}


def _require_known(ids: npt.NDArray[np.int64], vocab_size: int, where: str) -> None:
    outside = ids[(ids < 0) | (ids >= vocab_size)]
    if len(outside):
        raise HornbookError(
            f"{where} has token id {outside[0]}, outside the vocabulary of {vocab_size}; "
            "encode it with the tokenizer of that vocabulary."
        )
