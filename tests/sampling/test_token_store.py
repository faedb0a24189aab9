"""Token ids come back from disk as they went in, or not at all."""

import json
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hornbook.errors import HornbookError
from hornbook.sampling.token_store import TokenStore, write_tokens

DOCUMENTS = {"train": [[1, 2, 3], [4]], "validation": [[5, 6]], "test": []}


def store_in(directory: Path, eos_id: int | None = 0) -> TokenStore:
    return write_tokens(
        directory,
        DOCUMENTS,
        vocab_size=100,
        tokenizer_fingerprint="abc",
        inputs={"corpus": "def"},
        eos_id=eos_id,
        byte_counts={"train": 12, "validation": 7},
    )


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written, store = store_in(tmp_path / "tokens"), TokenStore.open(tmp_path / "tokens")
    assert store.split("train").tolist() == [1, 2, 3, 0, 4, 0]
    assert store.boundaries("train").tolist() == [0, 4, 6]
    assert store.boundaries("train").dtype == np.int64
    assert store.split("validation").tolist() == [5, 6, 0]
    assert store.split("test").tolist() == []
    assert store.boundaries("test").tolist() == [0]
    assert isinstance(store.split("train"), np.memmap)
    assert store.names == ["test", "train", "validation"]
    assert store.byte_counts == {"train": 12, "validation": 7, "test": 0}
    assert store.token_counts == {"train": 6, "validation": 3, "test": 0}
    assert (store.vocab_size, store.tokenizer_fingerprint) == (100, "abc")
    assert store.manifest.inputs == {"corpus": "def", "tokenizer": "abc"}
    assert store.fingerprint == written.fingerprint
    assert store_in(tmp_path / "other", eos_id=9).fingerprint != store.fingerprint


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(
    documents=st.lists(st.lists(st.integers(0, 65_535), max_size=6), max_size=6),
    vocab_size=st.sampled_from([65_536, 65_537]),
    eos_id=st.none() | st.just(65_535),
)
def test_any_documents_come_back_between_their_boundaries(
    tmp_path: Path, documents: list[list[int]], vocab_size: int, eos_id: int | None
) -> None:
    store = write_tokens(tmp_path / "tokens", {"train": documents}, vocab_size, "abc", {}, eos_id)
    tokens, starts = store.split("train"), store.boundaries("train")
    assert tokens.dtype == (np.uint16 if vocab_size == 65_536 else np.uint32)
    end = [] if eos_id is None else [eos_id]
    pieces = [tokens[a:b].tolist() for a, b in pairwise(starts)]
    assert pieces == [[*document, *end] for document in documents]


@pytest.mark.parametrize("bad", [100, -1, 2**40])
def test_an_id_outside_the_vocabulary_names_its_document(tmp_path: Path, bad: int) -> None:
    splits = {"train": [[1]], "test": [[1], [2, bad]]}
    with pytest.raises(HornbookError, match=rf"document 2 of the test split has token id {bad},"):
        write_tokens(tmp_path / "tokens", splits, 100, "abc")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_store(tmp_path: Path) -> None:
    old = store_in(tmp_path / "tokens")
    with pytest.raises(HornbookError):
        write_tokens(tmp_path / "tokens", {"train": [[1, 2], [500]]}, 100, "abc")
    assert TokenStore.open(tmp_path / "tokens").fingerprint == old.fingerprint


def test_a_flipped_byte_and_a_missing_file_are_found(tmp_path: Path) -> None:
    directory = tmp_path / "tokens"
    store_in(directory)
    data = bytearray((directory / "train.bin").read_bytes())
    data[3] ^= 1
    (directory / "train.bin").write_bytes(data)
    with pytest.raises(HornbookError, match=r"train\.bin is damaged"):
        TokenStore.open(directory)
    (directory / "train.bin").unlink()
    with pytest.raises(HornbookError, match=r"train\.bin is missing"):
        TokenStore.open(directory)


def test_a_manifest_of_something_else_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "tokens"
    store_in(directory)
    manifest = json.loads((directory / "manifest.json").read_text())
    for emptied in ("facts", "files"):
        (directory / "manifest.json").write_text(json.dumps(manifest | {emptied: {}}))
        with pytest.raises(HornbookError, match="does not describe a token store"):
            TokenStore.open(directory)
    with pytest.raises(HornbookError, match="is not a Hornbook tokens"):
        TokenStore.open(tmp_path)


def test_another_tokenizer_and_an_unknown_split_are_refused(tmp_path: Path) -> None:
    store = store_in(tmp_path / "tokens")
    store.require_tokenizer("abc")
    with pytest.raises(HornbookError, match="was made with tokenizer abc, not with xyz; use"):
        store.require_tokenizer("xyz")
    with pytest.raises(HornbookError, match="no split 'valid'; its splits are: train, val"):
        store.split("valid")


def test_documents_are_streamed_and_bytes_may_be_counted_meanwhile(tmp_path: Path) -> None:
    counted: dict[str, int] = {"train": 0}

    def documents() -> Iterator[list[int]]:
        for _ in range(300):
            counted["train"] += 7
            yield [5] * 10_000

    tracemalloc.start()
    try:
        store = write_tokens(
            tmp_path / "tokens", {"train": documents()}, 100, "abc", byte_counts=counted
        )
        assert tracemalloc.get_traced_memory()[1] < 2_000_000  # of 6 MB on disk
    finally:
        tracemalloc.stop()
    assert len(store.split("train")) == 3_000_000
    assert store.byte_counts == {"train": 2_100}
