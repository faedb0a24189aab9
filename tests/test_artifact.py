import json
import stat
from pathlib import Path

import pytest

from hornbook import artifact
from hornbook.artifact import (
    hash_file,
    hash_json,
    new_directory,
    put_back,
    read_manifest,
    remove_directory,
    write_manifest,
    write_text,
)
from hornbook.errors import HornbookError

KIND = "tokens"


def make(path: Path, text: str = "content") -> Path:
    with new_directory(path) as work:
        write_text(work / "part" / "data.txt", text)
        write_manifest(work, KIND, {"size": 3}, inputs={"corpus": "c"}, facts={"count": 2})
    return path


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_an_artifact_says_what_it_is(tmp_path: Path) -> None:
    manifest = read_manifest(make(tmp_path / "deep" / "made"), KIND)
    assert (manifest.kind, manifest.settings, manifest.inputs) == (
        KIND,
        {"size": 3},
        {"corpus": "c"},
    )
    assert manifest.facts == {"count": 2}
    # printf content | sha256sum
    assert manifest.files == {
        "part/data.txt": "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    }


def test_fingerprint_hangs_on_content_alone(tmp_path: Path) -> None:
    first, same = (read_manifest(make(tmp_path / name), KIND) for name in ("a", "b"))
    other = read_manifest(make(tmp_path / "c", "other"), KIND)
    assert first.fingerprint == same.fingerprint != other.fingerprint


def test_hash_of_json_ignores_the_order_of_keys() -> None:
    assert hash_json({"a": 1, "b": [2]}) == hash_json({"b": [2], "a": 1}) != hash_json({"a": 1})


def test_others_may_read_what_is_made(tmp_path: Path) -> None:
    made = make(tmp_path / "made")
    assert stat.S_IMODE(made.stat().st_mode) == 0o755
    assert stat.S_IMODE((made / "manifest.json").stat().st_mode) == 0o644


def test_an_error_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    made = make(tmp_path / "made")

    def interrupted() -> None:
        with new_directory(made) as work:
            write_text(work / "half", "")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == ["made"]
    read_manifest(made, KIND)


def test_a_new_one_replaces_the_old_whole(tmp_path: Path) -> None:
    make(tmp_path / "made")
    with new_directory(tmp_path / "made") as work:
        write_text(work / "other.txt", "")
        write_manifest(work, KIND, {})
    assert names(tmp_path) == ["made"]
    assert names(tmp_path / "made") == ["manifest.json", "other.txt"]


def test_what_is_not_ours_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "novel.txt").write_text("years of work")
    (tmp_path / "file").write_text("more work")
    with pytest.raises(HornbookError, match="theirs holds something that Hornbook did not make"):
        make(tmp_path / "theirs")
    with pytest.raises(HornbookError, match="is a file"):
        make(tmp_path / "file")
    assert (tmp_path / "theirs" / "novel.txt").read_text() == "years of work"
    assert (tmp_path / "file").read_text() == "more work"
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty")


def test_a_write_that_fails_leaves_the_old_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "text.txt"
    write_text(path, "old")

    def fail(descriptor: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(artifact.os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["text.txt"]


@pytest.mark.parametrize("change", ["flip", "cut", "delete"])
def test_any_damage_is_named(tmp_path: Path, change: str) -> None:
    made = make(tmp_path / "made")
    file = made / "part" / "data.txt"
    if change == "delete":
        file.unlink()
    else:
        file.write_text("contenu" if change == "flip" else "conten")
    with pytest.raises(HornbookError, match=r"part/data\.txt is (damaged|missing)"):
        read_manifest(made, KIND)
    read_manifest(made, KIND, verify=False)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "3", "{}", "\xff", '{"kind": "tokens"}', "[" * 100_000],
)
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    made = make(tmp_path / "made")
    (made / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(HornbookError, match=r"manifest\.json is damaged"):
        read_manifest(made, KIND)


@pytest.mark.parametrize(
    ("key", "value"), [("files", None), ("files", []), ("format_version", "1"), ("kind", {})]
)
def test_a_manifest_with_a_wrong_type_is_named(tmp_path: Path, key: str, value: object) -> None:
    made = make(tmp_path / "made")
    manifest = json.loads((made / "manifest.json").read_text())
    (made / "manifest.json").write_text(json.dumps({**manifest, key: value}))
    with pytest.raises(HornbookError, match=r"manifest\.json is damaged"):
        read_manifest(made, KIND)


def test_other_things_are_told_apart(tmp_path: Path) -> None:
    made = make(tmp_path / "made")
    with pytest.raises(HornbookError, match="is a Hornbook tokens, not a checkpoint"):
        read_manifest(made, "checkpoint")
    with pytest.raises(HornbookError, match="is not a Hornbook tokens: it has no manifest"):
        read_manifest(tmp_path / "nowhere", KIND)
    with pytest.raises(HornbookError, match="is a file"):
        read_manifest(made / "part" / "data.txt", KIND)
    manifest = json.loads((made / "manifest.json").read_text())
    (made / "manifest.json").write_text(json.dumps({**manifest, "format_version": 2}))
    with pytest.raises(HornbookError, match="newer Hornbook"):
        read_manifest(made, KIND)


def test_a_file_is_hashed_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert hash_file(tmp_path / "empty").startswith("e3b0c44298fc1c14")


def test_directories_are_flushed_too_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power failure could leave a directory that lacks its files' names."""
    flushed: list[str] = []
    monkeypatch.setattr(artifact, "flush", lambda path: flushed.append(path.name))
    make(tmp_path / "made")
    assert {"data.txt", "part", "manifest.json"} <= set(flushed)
    assert flushed[-2].startswith(".made")  # the new directory, then the one that holds its name
    assert flushed[-1] == tmp_path.name


def test_a_replacement_cut_in_two_is_undone(tmp_path: Path) -> None:
    made = make(tmp_path / "made")
    made.rename(tmp_path / ".made.old")
    put_back(made)
    read_manifest(made, KIND)
    put_back(made)
    assert names(tmp_path) == ["made"]


def test_a_directory_is_removed_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(tmp_path / "made")
    remove = artifact.shutil.rmtree

    def die_at_the_first_file(path: Path, ignore_errors: bool = False) -> None:
        if path.exists():
            next(iter(path.rglob("*.txt"))).unlink()
            raise KeyboardInterrupt

    monkeypatch.setattr(artifact.shutil, "rmtree", die_at_the_first_file)
    with pytest.raises(KeyboardInterrupt):
        remove_directory(made)
    assert not made.exists()
    monkeypatch.setattr(artifact.shutil, "rmtree", remove)
    remove_directory(make(tmp_path / "made"))
    assert names(tmp_path) == []


def test_what_a_dead_process_was_writing_goes_and_what_a_living_one_writes_stays(
    tmp_path: Path,
) -> None:
    (tmp_path / "parts").mkdir()
    left = tmp_path / "parts" / ".1.jsonl.abc123.tmp"
    left.write_text("half")
    with artifact.new_file(tmp_path / "parts" / "2.jsonl") as file:
        file.write(b"whole")
        artifact.discard_unfinished(tmp_path)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["2.jsonl"]
    assert (tmp_path / "parts" / "2.jsonl").read_text() == "whole"


def test_long_work_that_goes_on_begins_without_what_was_half_done(tmp_path: Path) -> None:
    def interrupted() -> None:
        with artifact.resumed_directory(tmp_path / "long", {"a": 1}, ".done") as work:
            (work / "1.done").touch()
            (work / ".2.done.abc123.tmp").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.rglob("*.tmp"))
    with artifact.resumed_directory(tmp_path / "long", {"a": 1}, ".done") as work:
        assert [path.name for path in work.iterdir()] == ["1.done"]
