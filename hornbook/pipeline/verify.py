"""Whether what stands on disk is still what was made: every hash computed again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hornbook.artifact import MANIFEST, Manifest, damaged_files, hash_file, parse_manifest
from hornbook.checkpoints.loading.folders import is_folder
from hornbook.checkpoints.loading.hub import is_hub_model
from hornbook.console import console
from hornbook.errors import HornbookError
from hornbook.pipeline.workspace import PREVIOUS


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    name: str
    good: bool
    text: str


def is_foreign(path: Path) -> bool:
    """Whether a path is a model that others wrote, which has no hashes to compare."""
    return is_hub_model(path) or (is_folder(path) and not (path / MANIFEST).exists())


def verify(directory: Path) -> int:
    """Print a line for each artifact under a directory, and for each input of theirs that is there.

    Returns:
        How many are not as they were.

    Raises:
        HornbookError: there is no artifact.
    """
    if not directory.is_dir():
        what = "is a file" if directory.exists() else "no such directory"
        raise HornbookError(f"{directory}: {what}; give a run's directory, or an artifact's.")
    bad = seen = 0
    for finding in findings(directory):
        state = "[green]ok[/]" if finding.good else "[bold red]changed[/]"
        console.print(f"{state:<8}", end=" ")
        console.print(f"{finding.name}: {finding.text}", markup=False)
        bad += not finding.good
        seen += 1
    if not seen:
        raise HornbookError(f"{directory} has no {MANIFEST}; give the directory of a run.")
    return bad


def findings(directory: Path) -> Iterator[Finding]:
    """Artifact by artifact, its own files first and then its inputs."""
    paths = sorted(path.parent for path in directory.rglob(MANIFEST) if not _passing(path))
    manifests: dict[Path, Manifest] = {}
    for path in paths:
        name = path.relative_to(directory).as_posix()
        try:
            manifests[path] = parse_manifest((path / MANIFEST).read_text(encoding="utf-8"))
        except (ValueError, TypeError, RecursionError):
            yield Finding(name, False, f"{path / MANIFEST} is damaged")
    for path, manifest in manifests.items():
        name = path.relative_to(directory).as_posix()
        yield _own_files(path, name, manifest)
        if PREVIOUS not in path.relative_to(directory).parts:
            yield from _source_files(name, manifest)
            yield from _made_from(path, name, manifest, manifests)


def _passing(manifest: Path) -> bool:
    """Whether it is in a directory that is being written, or was when its process died."""
    return any(part.startswith(".") and part.endswith(".tmp") for part in manifest.parts)


def _own_files(path: Path, name: str, manifest: Manifest) -> Finding:
    wrong = [
        f"{file} is {'missing' if missing else 'not what was written'}"
        for file, missing in damaged_files(path, manifest)
    ]
    text = f"{manifest.kind}, {len(manifest.files)} files"
    return Finding(name, not wrong, "; ".join(wrong) or text)


def _source_files(name: str, manifest: Manifest) -> Iterator[Finding]:
    """The user's files that a corpus was read from, those that are still there, each once: one file
    can be text and labelled table at the same time."""
    sources = manifest.facts.get("sources", {}).items()
    read = {(Path(file["path"]), manifest.inputs.get(source)) for source, file in sources}
    for path, known in sorted(read, key=str):
        if not path.is_file():
            yield Finding(name, True, f"its input {path} is not there to be compared")
        elif hash_file(path) == known:
            yield Finding(name, True, f"its input {path} is as it was")
        else:
            yield Finding(name, False, f"its input {path} has changed since it was read")


def _made_from(
    path: Path, name: str, manifest: Manifest, manifests: dict[Path, Manifest]
) -> Iterator[Finding]:
    """The artifacts beside it, or beside a directory above it, that it says it was made from."""
    for role, fingerprint in manifest.inputs.items():
        beside = next((p / role for p in path.parents if p / role in manifests), None)
        if beside is None or manifests[beside].kind != Path(role).name:
            continue
        other = manifests[beside]  # a tokenizer is known by what it does, not by its files
        good = other.facts.get("fingerprint", other.fingerprint) == fingerprint
        text = "is what it was made from" if good else "is not the one that it was made from"
        yield Finding(name, good, f"the {role} {text}")
