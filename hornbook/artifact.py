"""Directories that describe themselves, written whole or not at all.

A tokenizer, a token store, a checkpoint and an adapter are each a directory with a
`manifest.json`: its kind and format version, the settings that made it, the fingerprints of what
it was made from, and the SHA-256 of every file. Reading one checks them.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from hornbook.errors import HornbookError

MANIFEST = "manifest.json"
FORMAT_VERSION = 1
FLUSHED_AT_ONCE = 8


@dataclass(frozen=True)
class Manifest:
    """What an artifact says about itself."""

    kind: str
    """What it is: "corpus", "tokenizer", "tokens", "checkpoint", "adapter"."""
    settings: dict[str, Any]
    """The settings that made it, as plain JSON values."""
    inputs: dict[str, str]
    """Fingerprints of the artifacts or files it was made from, by role."""
    files: dict[str, str]
    """SHA-256 of every file in the directory, by relative POSIX path."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Anything else worth knowing: counts, scores, reasons."""
    format_version: int = FORMAT_VERSION

    @property
    def fingerprint(self) -> str:
        """One hash that stands for the artifact's content (kind and files, not settings)."""
        return hash_json({"kind": self.kind, "files": self.files})


def hash_json(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in constant memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A temporary sibling of `path` that takes its name when the block ends without an error.

    An artifact that stood at `path` before is replaced only then; after an error it stands
    untouched.

    Raises:
        HornbookError: something else stands there, such as a file or a directory of the user's.
    """
    _refuse_foreign(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield work
        work.chmod(0o755)
        _flush_all(work)
        _replace(work, path)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def discard_partial(path: Path) -> None:
    """Throw away what `resumed_directory` has kept for `path`."""
    work, made_from = _partial(path)
    shutil.rmtree(work, ignore_errors=True)
    made_from.unlink(missing_ok=True)


def _partial(path: Path) -> tuple[Path, Path]:
    """Where a directory lies while it is made, and the file that says of what."""
    return path.with_name(f".{path.name}.partial"), path.with_name(f".{path.name}.partial.json")


@contextlib.contextmanager
def resumed_directory(path: Path, key: Mapping[str, Any], done: str) -> Iterator[Path]:
    """Like `new_directory`, for long work: what an interrupted one has completed is there again.

    Args:
        path: the name that the directory takes when the block ends without an error.
        key: plain JSON values; what was done for another key is thrown away.
        done: how the names of files end that stand for something complete. After an error the
            directory stays if there is one. What is half done goes, unless a living process is at it.

    Raises:
        HornbookError: something else stands at `path`, such as a file or a directory of the user's.
    """
    _refuse_foreign(path)
    work, made_from = _partial(path)
    text = json.dumps(key, sort_keys=True)
    if not work.is_dir() or not made_from.is_file() or made_from.read_text("utf-8") != text:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        write_text(made_from, text)
    discard_unfinished(work)
    try:
        yield work
        _flush_all(work)
        _replace(work, path)
        made_from.unlink()
    except BaseException:
        if not any(work.rglob(f"*{done}")):
            discard_partial(path)
        raise


def _refuse_foreign(path: Path) -> None:
    if path.is_file():
        raise HornbookError(f"{path} is a file; give the path of a new directory.")
    if path.is_dir() and any(path.iterdir()) and not (path / MANIFEST).exists():
        raise HornbookError(
            f"{path} holds something that Hornbook did not make, and is not overwritten; give the "
            "path of a new directory."
        )


def _replace(work: Path, path: Path) -> None:
    if not path.exists():
        work.rename(path)
    else:
        # A full directory cannot be renamed over; step aside first, so that a crash between the
        # two renames leaves the old content where `put_back` finds it.
        aside = _aside(path)
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        work.rename(path)
        shutil.rmtree(aside)
    flush(path.parent)


def put_back(path: Path) -> None:
    """Undo the first half of a replacement that a crash cut in two, if one did."""
    aside = _aside(path)
    if aside.exists() and not path.exists():
        aside.rename(path)
        flush(path.parent)


def remove_directory(path: Path) -> None:
    """Delete a directory so that a crash leaves all of it or nothing under its name."""
    doomed = path.with_name(f".{path.name}.removed.tmp")
    shutil.rmtree(doomed, ignore_errors=True)
    path.rename(doomed)
    shutil.rmtree(doomed)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def flush(path: Path) -> None:
    """See to it that a file, or a directory's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_all(directory: Path) -> None:
    """The same for all files in a directory, and for it, since it holds their names.

    At once: a file system then writes its journal a few times instead of once for each.
    """
    with ThreadPoolExecutor(FLUSHED_AT_ONCE) as pool:
        for _ in pool.map(flush, [*directory.rglob("*"), directory]):
            pass


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file under a temporary name, flushed and renamed to `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    with _lock(Path(name)):
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).rename(path)
        except BaseException as error:
            Path(name).unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno and error.filename is None:
                error.filename = str(path)  # a failed write does not say where
            raise


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Hold a file for this process, until the block ends or the process does; whether none other has it.

    Where locks are not known (Windows), a file that is open cannot be deleted anyway.
    """
    try:
        import fcntl
    except ImportError:
        yield True
        return
    descriptor = os.open(path, os.O_RDWR)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def discard_unfinished(folder: Path) -> None:
    """Delete the files in a folder, and in those within it, that `new_file` has begun for a process that is
    no more; those that a living process is writing stay."""
    for path in folder.rglob(".*.tmp"):
        # One may be finished, and have another name, in the meantime.
        with contextlib.suppress(OSError), _lock(path) as free:
            if free:
                path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    with new_file(path) as file:
        file.write(data)


def write_manifest(
    directory: Path,
    kind: str,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
    known: Mapping[str, str] | None = None,
) -> Manifest:
    """Hash every file in `directory` and write its manifest; call it last.

    `known` has the SHA-256 of files that were hashed when they were written.
    """
    names = sorted(f.relative_to(directory).as_posix() for f in directory.rglob("*") if f.is_file())
    files = {
        name: (known or {}).get(name) or hash_file(directory / name)
        for name in names
        if name != MANIFEST
    }
    manifest = Manifest(kind, dict(settings), dict(inputs or {}), files, dict(facts or {}))
    write_text(directory / MANIFEST, json.dumps(asdict(manifest), indent=2, sort_keys=True) + "\n")
    return manifest


def read_manifest(directory: Path, kind: str, verify: bool = True) -> Manifest:
    """The manifest of an artifact of this `kind`; with `verify`, every file's hash is checked.

    Raises:
        HornbookError: not an artifact, of another kind or a newer format, or a damaged file.
    """
    path = directory / MANIFEST
    try:
        manifest = parse_manifest(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HornbookError(
            f"{directory} is not a Hornbook {kind}: it has no {MANIFEST}."
        ) from None
    except NotADirectoryError:
        raise HornbookError(f"{directory} is a file; a Hornbook {kind} is a directory.") from None
    except (ValueError, TypeError, RecursionError):
        raise HornbookError(f"{path} is damaged: it is not a Hornbook manifest.") from None
    if manifest.kind != kind:
        raise HornbookError(f"{directory} is a Hornbook {manifest.kind}, not a {kind}.")
    if manifest.format_version > FORMAT_VERSION:
        raise HornbookError(f"{directory} was written by a newer Hornbook; upgrade to read it.")
    if verify:
        _verify(directory, manifest)
    return manifest


def parse_manifest(text: str) -> Manifest:
    """A manifest from its JSON; ValueError or TypeError if it is none."""
    manifest = Manifest(**json.loads(text))
    if not isinstance(manifest.format_version, int) or not isinstance(manifest.kind, str):
        raise TypeError
    for mapping in (manifest.settings, manifest.inputs, manifest.files, manifest.facts):
        if not isinstance(mapping, dict):
            raise TypeError
    return manifest


def damaged_files(directory: Path, manifest: Manifest) -> Iterator[tuple[Path, bool]]:
    """The files that are not what the manifest says, and of each whether it is missing."""
    for name, expected in manifest.files.items():
        file = directory / name
        missing = not file.is_file()
        if missing or hash_file(file) != expected:
            yield file, missing


def _verify(directory: Path, manifest: Manifest) -> None:
    for file, missing in damaged_files(directory, manifest):
        if missing:
            raise HornbookError(f"{file} is missing; {directory} is incomplete, make it again.")
        raise HornbookError(f"{file} is damaged: its SHA-256 is not the manifest's.")
