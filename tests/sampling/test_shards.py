"""Stores in several files: read as one row, and written on from where they were interrupted."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hornbook import artifact
from hornbook.errors import HornbookError
from hornbook.sampling.loader import Loader
from hornbook.sampling.packing import PackedDocuments
from hornbook.sampling.shards import Shards
from hornbook.sampling.token_store import TokenStore
from hornbook.sampling.token_writer import Encoded, write_store
from hornbook.sampling.windows import Windows

CHANCE = np.random.default_rng(1)
DOCUMENTS = [CHANCE.integers(1, 99, size=int(size)) for size in CHANCE.integers(0, 40, size=60)]


def batches(size: int, start: int = 0) -> Iterator[Encoded]:
    for first in range(start, len(DOCUMENTS), size):
        some = [np.append(ids, 0) for ids in DOCUMENTS[first : min(first + size, len(DOCUMENTS))]]
        starts = np.cumsum([0, *map(len, some)])
        yield Encoded(np.concatenate(some), starts, np.array([3 * len(ids) - 3 for ids in some]))


def written(directory: Path, size: int = 7, shard_bytes: int = 200) -> TokenStore:
    splits = {"train": lambda start: batches(size, start), "test": lambda start: iter(())}
    return TokenStore(directory, write_store(directory, splits, 100, "t", {}, 0, shard_bytes))


def test_shards_are_of_bounded_size_and_do_not_depend_on_batches(tmp_path: Path) -> None:
    store = written(tmp_path / "a")
    sizes = [path.stat().st_size for path in store.directory.glob("train*.bin")]
    assert len(sizes) > 10
    assert max(sizes) <= 200
    whole = written(tmp_path / "one", shard_bytes=2**20)
    assert isinstance(store.split("train"), Shards)
    assert isinstance(whole.split("train"), np.memmap)
    assert store.split("train")[:].tolist() == whole.split("train").tolist()
    assert np.array_equal(store.boundaries("train"), whole.boundaries("train"))
    assert (
        store.byte_counts == whole.byte_counts == {"train": 3 * sum(map(len, DOCUMENTS)), "test": 0}
    )
    for size in (1, 60):
        assert written(tmp_path / f"b{size}", size).fingerprint == store.fingerprint
    assert TokenStore.open(store.directory).token_counts == whole.token_counts
    for name, digest in store.manifest.files.items():  # those noted while writing, too
        assert artifact.hash_file(store.directory / name) == digest


def test_a_document_larger_than_a_shard_is_one(tmp_path: Path) -> None:
    store = written(tmp_path / "a", shard_bytes=2)
    files = len(list(store.directory.glob("train*.bin")))
    assert files == len(DOCUMENTS)  # each has its end at least
    assert len(store.split("train")) == sum(map(len, DOCUMENTS)) + len(DOCUMENTS)


def test_windows_and_packed_rows_read_across_files(tmp_path: Path) -> None:
    many, one = written(tmp_path / "a"), written(tmp_path / "b", shard_bytes=2**20)
    for store_of in (
        lambda store: Windows(store.split("train"), 9, 4, drop_last=False),
        lambda store: PackedDocuments(store.split("train"), store.boundaries("train"), 16, 0),
    ):
        pairs = [Loader(store_of(store), 5, seed=1) for store in (many, one)]
        for ours, theirs in zip(pairs[0].epoch(), pairs[1].epoch(), strict=True):
            assert ours.inputs.equal(theirs.inputs)
            assert ours.targets.equal(theirs.targets)


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_shards_are_indexed_as_one_array(data: st.DataObject) -> None:
    parts = [np.arange(n * 100, n * 100 + size) for n, size in enumerate((3, 1, 0, 7))]
    shards, whole = Shards(parts), np.concatenate(parts)
    assert len(shards) == len(whole)
    bound = st.none() | st.integers(-12, 12)
    place = slice(data.draw(bound), data.draw(bound))
    assert shards[place].tolist() == whole[place].tolist()
    places = np.array(data.draw(st.lists(st.integers(0, 10), min_size=4, max_size=4))).reshape(2, 2)
    assert shards[places].tolist() == whole[places].tolist()


@pytest.mark.parametrize("places", [np.array([11]), np.array([-1]), slice(None, None, 2)])
def test_places_outside_are_refused(places: slice | np.ndarray) -> None:
    with pytest.raises(IndexError):
        Shards([np.arange(3), np.arange(8)])[places]


@pytest.mark.parametrize("stop_at", [10, 35, 59])
def test_an_interrupted_store_goes_on_behind_its_last_shard(tmp_path: Path, stop_at: int) -> None:
    whole = written(tmp_path / "whole")
    asked: list[int] = []

    def interrupted(start: int) -> Iterator[Encoded]:
        asked.append(start)
        for number, batch in enumerate(batches(1, start), start=start):
            if number == stop_at and len(asked) < 3:
                raise KeyboardInterrupt
            yield batch

    splits = {"train": interrupted, "test": lambda start: iter(())}
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            write_store(tmp_path / "a", splits, 100, "t", {}, 0, 200)
    again = TokenStore(tmp_path / "a", write_store(tmp_path / "a", splits, 100, "t", {}, 0, 200))
    assert asked[0] == 0 < asked[1] == asked[2] <= stop_at
    assert again.fingerprint == whole.fingerprint
    assert again.byte_counts == whole.byte_counts
    assert {path.name for path in tmp_path.iterdir()} == {"a", "whole"}


def test_what_was_interrupted_for_another_tokenizer_is_thrown_away(tmp_path: Path) -> None:
    def interrupted(start: int) -> Iterator[Encoded]:
        yield from batches(1, start)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path / "a", {"train": interrupted}, 100, "other", {}, 0, 200)
    assert list(tmp_path.glob(".a.partial/*.done.json"))
    asked: list[int] = []

    def noted(start: int) -> Iterator[Encoded]:
        asked.append(start)
        return batches(1, start)

    write_store(tmp_path / "a", {"train": noted}, 100, "t", {}, 0, 200)
    assert asked == [0]


def test_a_store_of_before_shards_is_read(tmp_path: Path) -> None:
    store = written(tmp_path / "a", shard_bytes=2**20)
    facts = store.manifest.facts
    splits = {
        name: {k: v for k, v in each.items() if k != "shards"}
        for name, each in facts["splits"].items()
    }
    artifact.write_manifest(
        store.directory, "tokens", {}, {"tokenizer": "t"}, facts | {"splits": splits}
    )
    older = TokenStore.open(store.directory)
    assert older.split("train").tolist() == store.split("train").tolist()


def test_a_lost_shard_is_noticed(tmp_path: Path) -> None:
    store = written(tmp_path / "a")
    (store.directory / "train-3.bin").unlink()
    with pytest.raises(HornbookError, match=r"train-3\.bin is missing"):
        TokenStore.open(store.directory)
