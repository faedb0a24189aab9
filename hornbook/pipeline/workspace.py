"""A run's directory: one folder a stage, each made once for given settings and inputs."""

import contextlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from hornbook import __version__, artifact
from hornbook.console import console
from hornbook.errors import HornbookError
from hornbook.evaluation.units import Measured, write_units

KEY = "key.json"
"""In each stage's folder: the settings and inputs that it was, or is being, made from."""
RESULTS = "results.json"
"""What a training stage found; there once it is complete."""
FORMAT = 2
"""Of results. A finished stage with another one's is measured anew, from its last checkpoint."""
SOURCES = "sources"
"""The folder of the corpora and token stores of a mixture, one folder for each."""
PREVIOUS = "previous"
"""The folder of results that other settings made."""
STEPPED_ASIDE = ".former"
"""The folder of results that make room for a training which has not done a step yet."""
RECIPE = "recipe.toml"
"""The settings of the last command, resolved."""
BEFORE_A_STEP = {KEY, "micro-batch.json", "metrics.jsonl"}
"""What a training's folder may hold before its first step; the last one empty."""

T = TypeVar("T")


@dataclass(frozen=True)
class Workspace:
    """Where a run keeps its stages."""

    directory: Path
    label: str = ""
    """What stands before a stage's name in what is printed."""

    def part(self, name: str) -> "Workspace":
        """Where the stages of one of several corpora are kept; this one for the name ""."""
        return Workspace(self.directory / SOURCES / name, f"{name} ") if name else self

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the directory for this process alone.

        Raises:
            HornbookError: another run is using it, or it is a file.
        """
        if self.directory.is_file():
            raise HornbookError(f"{self.directory} is a file; a run needs a directory.")
        self.directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.directory / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise HornbookError(
                f"{self.directory} is in use by another run; wait for it or give run.directory=…"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def once(
        self,
        stage: str,
        settings: Mapping[str, Any],
        inputs: Mapping[str, str],
        make: Callable[[Path], T | None],
        read: Callable[[Path], T],
    ) -> T:
        """What a stage has made: made now, unless it stands there from the same settings and inputs.

        Args:
            stage: the folder's name.
            settings: everything that decides the content, as plain JSON values.
            inputs: fingerprints of what it is made from, by role.
            make: writes an artifact at a path that does not exist yet, whole or not at all; it may
                return it, too, where reading it would take long.
            read: opens the artifact, checking it.
        """
        path, key = self.directory / stage, _key(settings, inputs)
        if _read_key(path) == key:
            try:
                result = read(path)
            except HornbookError as damage:
                console.print(f"{damage} It is made again.", markup=False)
            else:
                announce(self.label + stage, "unchanged")
                return result
        self._set_aside(path)
        self.directory.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        made = make(path)
        _write_key(path, key)
        announce(self.label + stage, f"{time.monotonic() - started:.1f} s")
        return read(path) if made is None else made

    def resumable(self, stage: str, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> Path:
        """The folder of a training stage: half done or complete if these made it, else empty.

        What stood there only steps aside, see `as_it_was`.
        """
        path, key = self.directory / stage, _key(settings, inputs)
        self._decide(stage)
        if _read_key(path) != key:
            if path.is_dir() and not _came_to_nothing(path):
                former = self.directory / STEPPED_ASIDE / stage
                former.parent.mkdir(exist_ok=True)
                path.rename(former)
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
            _write_key(path, key)
        return path

    @contextlib.contextmanager
    def as_it_was(self) -> Iterator[None]:
        """A training that ends inside the block before its first step leaves the run as it was.

        So it is with settings or data that are refused late: the former result is put back, and with
        it the recipe. Else it moves to previous/.
        """
        recipe = self.directory / RECIPE
        text = recipe.read_bytes() if recipe.is_file() else None
        trained = self._trained()
        try:
            yield
        finally:
            for stage in self._stepped_aside():
                self._decide(stage)
            refused = isinstance(sys.exc_info()[1], HornbookError)
            if refused and text is not None and trained and self._trained() == trained:
                artifact.write_text(recipe, text.decode())

    def _stepped_aside(self) -> list[str]:
        folder = self.directory / STEPPED_ASIDE
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def _decide(self, stage: str) -> None:
        """Put a result that stepped aside back if nothing has come in its place, else to previous/."""
        path, former = self.directory / stage, self.directory / STEPPED_ASIDE / stage
        if not former.is_dir():
            return
        if _came_to_nothing(path):
            shutil.rmtree(path, ignore_errors=True)
            former.rename(path)
        else:
            self._to_previous(former)
        if not any(former.parent.iterdir()):
            former.parent.rmdir()

    def _trained(self) -> dict[str, Any]:
        """The trainings that have done a step, by their keys."""
        folders = [path for path in self.directory.iterdir() if (path / KEY).is_file()]
        return {path.name: _read_key(path) for path in folders if not _came_to_nothing(path)}

    def _set_aside(self, path: Path) -> None:
        """Move an older result to previous/: other settings made it, and it may still be wanted.

        A stage that has come to nothing but its key, such as one of settings that were refused, is
        dropped: it must not take the place of what stands there.
        """
        if path.is_dir() and [entry.name for entry in path.iterdir()] == [KEY]:
            shutil.rmtree(path)
        if path.exists():
            self._to_previous(path)

    def _to_previous(self, path: Path) -> None:
        aside = self.directory / PREVIOUS / path.name
        shutil.rmtree(aside, ignore_errors=True)
        aside.parent.mkdir(exist_ok=True)
        path.rename(aside)


def _came_to_nothing(path: Path) -> bool:
    """Whether a training's folder is not there, or no step was done in it."""
    entries = list(path.iterdir()) if path.is_dir() else []
    wrote = any(entry.suffix == ".jsonl" and entry.stat().st_size for entry in entries)
    return not wrote and {entry.name for entry in entries} <= BEFORE_A_STEP


def finished(path: Path) -> dict[str, Any] | None:
    """The results of a training stage, if it is complete."""
    try:
        results: dict[str, Any] = json.loads((path / RESULTS).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return results if results.get("format") == FORMAT else None


def results_of(path: Path) -> dict[str, Any]:
    """The results of a training stage that is complete.

    Raises:
        HornbookError: it is not.
    """
    results = finished(path)
    if results is None:
        raise HornbookError(f"{path} has no {RESULTS}, which another process has just written.")
    return results


def finish(
    path: Path, results: Mapping[str, Any], measured: Measured | None = None
) -> dict[str, Any]:
    """Write a training stage's results, which marks it complete.

    Beside its scores stand the SHA-256 of what it was measured on and of all settings and inputs that
    decided what came out.

    Args:
        measured: what was found of each unit; None where nothing was held out.
    """
    hashes = {"settings_sha256": artifact.hash_json(_read_key(path))}
    if measured is not None:
        write_units(path, measured)
        hashes["prompts_sha256"] = measured.prompts
    whole = {"format": FORMAT, **results, **hashes}
    artifact.write_text(path / RESULTS, json.dumps(whole, indent=2) + "\n")
    return whole


def announce(stage: str, state: str, text: str = "") -> None:
    """One line about a stage."""
    console.print(f"[bold cyan]{stage:<15}[/] [dim]{state:>9}[/]  {text}".rstrip())


def _key(settings: Mapping[str, Any], inputs: Mapping[str, str]) -> dict[str, Any]:
    return {"settings": dict(settings), "inputs": dict(inputs), "hornbook": __version__}


def _read_key(path: Path) -> dict[str, Any] | None:
    try:
        key: dict[str, Any] = json.loads((path / KEY).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return key


def _write_key(path: Path, key: Mapping[str, Any]) -> None:
    artifact.write_text(path / KEY, json.dumps(key, indent=2, sort_keys=True) + "\n")
