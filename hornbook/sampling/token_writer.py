"""Writing a token store: as a stream, in shards of bounded size, from where it was interrupted."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hornbook import artifact
from hornbook.errors import HornbookError

KIND = "tokens"
SHARD_BYTES = 2**28
"""Largest file of ids (256 MiB), unless told otherwise; only a longer document makes a larger one."""
DONE, LENGTHS = ".done.json", ".lengths.npy"
"""Behind the name of a full file of ids, while the store is being written: that it is complete, and
the lengths of its documents, (documents,) int64."""


class Encoded(NamedTuple):
    """Some documents, encoded."""

    ids: npt.NDArray[np.integer[Any]]
    """Of all of them in a row, (tokens,); behind each is the store's `eos_id`, if it has one."""
    starts: npt.NDArray[np.int64]
    """Where each starts, and the end of the last: (documents + 1,)."""
    bytes: npt.NDArray[np.int64]
    """Of UTF-8 in each one's text, (documents,)."""


Split = Callable[[int], Iterable[Encoded]]
"""A split's documents, encoded, without its first so many."""


@dataclass
class Shard:
    """What is known of a complete file of ids."""

    file: str
    sha256: str
    tokens: int
    documents: int
    bytes: int
    """Of the text's UTF-8."""


def id_dtype(vocab_size: int) -> np.dtype[Any]:
    """The narrowest type that holds every id: little-endian uint16 or uint32."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


def shard_name(split: str, number: int) -> str:
    """What a split's file of ids is called; a store with one a split is as it always was."""
    return f"{split}.bin" if number == 0 else f"{split}-{number}.bin"


def write_store(
    directory: Path,
    splits: Mapping[str, Split],
    vocab_size: int,
    tokenizer_fingerprint: str,
    inputs: Mapping[str, str],
    eos_id: int | None,
    shard_bytes: int = SHARD_BYTES,
    byte_counts: Mapping[str, int] | None = None,
) -> artifact.Manifest:
    """Write a token store, going on behind the last full shard of an interrupted one.

    The files are the same however the documents are batched, and however often it was interrupted.
    Each is hashed while it is written. Memory holds one batch, and 8 bytes a document.

    Args:
        directory: takes this name only when all is written.
        splits: by name, how to get at the documents.
        vocab_size: ids must be below it.
        tokenizer_fingerprint: of the tokenizer that made the ids.
        inputs: fingerprints of what else the ids were made from, by role.
        eos_id: what the documents end with, unless None.
        shard_bytes: of the largest file of ids; a single longer document makes a larger one.
        byte_counts: UTF-8 bytes of each split's text, in place of those that the batches tell;
            looked at when all splits are written.

    Raises:
        HornbookError: a document has an id outside the vocabulary.
    """
    made_from = {**inputs, "tokenizer": tokenizer_fingerprint}
    key = {"inputs": made_from, "form": [list(splits), vocab_size, eos_id, shard_bytes]}
    facts: dict[str, dict[str, int]] = {}
    known: dict[str, str] = {}
    with artifact.resumed_directory(directory, key, DONE) as work:
        for name, split in splits.items():
            shards = _Writer(work, name, vocab_size, shard_bytes).write(split)
            known |= {shard.file: shard.sha256 for shard in shards}
            facts[name] = {
                "tokens": sum(shard.tokens for shard in shards),
                "documents": sum(shard.documents for shard in shards),
                "bytes": sum(shard.bytes for shard in shards),
                "shards": len(shards),
            }
        for name, count in (byte_counts or {}).items():
            facts[name]["bytes"] = count
        for passing in (*work.glob(f"*{LENGTHS}"), *work.glob(f"*{DONE}")):
            passing.unlink()
        return artifact.write_manifest(
            work,
            KIND,
            settings={"eos_id": eos_id},
            inputs=made_from,
            facts={"vocab_size": vocab_size, "splits": facts},
            known=known,
        )


class _Writer:
    """Writes one split."""

    def __init__(self, work: Path, split: str, vocab_size: int, shard_bytes: int) -> None:
        self._work, self._split, self._vocab_size = work, split, vocab_size
        self._dtype = id_dtype(vocab_size)
        self._room = max(shard_bytes // self._dtype.itemsize, 1)
        self._shards: list[Shard] = []
        self._lengths = [np.zeros(1, np.int64)]
        """Of all documents so far, behind a 0."""

    def write(self, split: Split) -> list[Shard]:
        """All shards, those written before included; and the file of the documents' starts."""
        while (done := self._path(DONE)).exists():
            self._lengths.append(np.load(self._path(LENGTHS)))
            self._shards.append(Shard(**json.loads(done.read_text("utf-8"))))
        documents = sum(shard.documents for shard in self._shards)
        pieces = self._pieces(split(documents), documents)
        piece = next(pieces, None)
        while piece is not None or not self._shards:
            piece = self._write_shard(piece, pieces)
        starts = np.concatenate(self._lengths).cumsum()
        np.save(self._work / f"{self._split}.documents.npy", starts)
        return self._shards

    def _path(self, suffix: str = "") -> Path:
        """Of the next shard's files."""
        return self._work / f"{shard_name(self._split, len(self._shards))}{suffix}"

    def _pieces(self, batches: Iterable[Encoded], done: int) -> Iterator[Encoded]:
        """The batches, each checked."""
        for batch in batches:
            _require_known(batch, self._vocab_size, done + 1, self._split)
            done += len(batch.bytes)
            yield batch

    def _write_shard(self, piece: Encoded | None, pieces: Iterator[Encoded]) -> Encoded | None:
        """Write one file; returns what did not fit into it."""
        digest, tokens, size = hashlib.sha256(), 0, 0
        lengths = [np.zeros(0, np.int64)]
        path = self._path()
        with path.open("wb") as stream:
            while piece is not None:
                fitting, piece = _cut(piece, self._room - tokens, at_least=int(tokens == 0))
                data = np.ascontiguousarray(fitting.ids, self._dtype).data
                stream.write(data)
                digest.update(data)  # now, while it is in the cache, rather than read again
                tokens += len(fitting.ids)
                size += int(fitting.bytes.sum())
                lengths.append(np.diff(fitting.starts))
                if piece is not None:
                    break
                piece = next(pieces, None)
            if piece is not None:
                _flush(stream)
        self._lengths.append(np.concatenate(lengths))
        shard = Shard(path.name, digest.hexdigest(), tokens, sum(map(len, lengths)), size)
        if piece is not None:  # the last one is soon followed by the end, where all is flushed
            self._mark_done(shard)
        self._shards.append(shard)
        return piece

    def _mark_done(self, shard: Shard) -> None:
        with self._path(LENGTHS).open("wb") as stream:
            np.save(stream, self._lengths[-1])
            _flush(stream)
        artifact.write_text(self._path(DONE), json.dumps(asdict(shard)))


def _flush(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _cut(piece: Encoded, room: int, at_least: int) -> tuple[Encoded, Encoded | None]:
    """The documents that fit into so many tokens, `at_least` of them, and the others if there are."""
    ids, starts, sizes = piece
    count = int(np.searchsorted(starts, room, side="right")) - 1
    count = max(count, at_least)
    if count >= len(sizes):
        return piece, None
    end = starts[count]
    return (
        Encoded(ids[:end], starts[: count + 1], sizes[:count]),
        Encoded(ids[end:], starts[count:] - end, sizes[count:]),
    )


def _require_known(batch: Encoded, vocab_size: int, first: int, split: str) -> None:
    """Check all ids; `first` is the number of the first document among them."""
    ids = batch.ids
    signed = np.issubdtype(ids.dtype, np.signedinteger)
    if not len(ids) or (ids.max() < vocab_size and not (signed and ids.min() < 0)):
        return
    place = int(np.flatnonzero((ids < 0) | (ids >= vocab_size))[0])
    number = first + int(np.searchsorted(batch.starts, place, side="right")) - 1
    raise HornbookError(
        f"document {number} of the {split} split has token id {ids[place]}, outside the "
        f"vocabulary of {vocab_size}; encode it with the tokenizer of that vocabulary."
    )
