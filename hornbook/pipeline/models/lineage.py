"""From what a model in a run's directory was made: its stages, each with its data, as they noted it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbook.artifact import MANIFEST, parse_manifest
from hornbook.pipeline.models.bundle import MODEL
from hornbook.pipeline.workspace import KEY, RESULTS

HELD_OUT = "held out: "
"""Before the names of a stage's own files to measure on, in its key."""


@dataclass(frozen=True)
class Stage:
    """One training of a run, or the copy of the model that it started from."""

    folder: Path
    key: dict[str, Any]
    """Settings and inputs that it was made from."""
    results: dict[str, Any]

    @property
    def name(self) -> str:
        """As the run's directory calls it: pretrain, instruct-full, ..."""
        return self.folder.name

    @property
    def inputs(self) -> dict[str, str]:
        """Hashes of what it was made from, by role."""
        return dict(self.key.get("inputs", {}))

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 of the files of examples that it learnt from or was measured on, by file name."""
        if "examples" not in self.inputs:
            return {}
        given = self.key.get("settings", {}).get("settings", {}).get("path")
        first = "the sample world's own" if given is None else bare_name(given)
        held_out = {
            f"{bare_name(role.removeprefix(HELD_OUT))} (held out)": digest
            for role, digest in self.inputs.items()
            if role.startswith(HELD_OUT)
        }
        return {first: self.inputs["examples"], **held_out}

    @property
    def is_own_data(self) -> bool:
        """Whether it learnt from what Hornbook makes itself."""
        settings = self.key.get("settings", {}).get("settings", {})
        return "examples" not in self.inputs or settings.get("path") is None


def stages_of(folder: Path) -> list[Stage]:
    """The stages that made the model in a run's folder, the first one first; none where it is none."""
    key = read_json(folder / KEY)
    if not key:
        return []
    stage = Stage(folder, key, read_json(folder / RESULTS))
    before = _folder_with(folder.parent, stage.inputs.get("base"))
    earlier = [] if before is None or before == folder else stages_of(before)
    return [*earlier, stage]


def _folder_with(run: Path, fingerprint: str | None) -> Path | None:
    """The stage whose model has this fingerprint."""
    for manifest in sorted(run.glob(f"*/{MODEL}/{MANIFEST}")):
        try:
            found = parse_manifest(manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError):
            continue
        if fingerprint is not None and found.fingerprint == fingerprint:
            return manifest.parent.parent
    return None


def corpora_of(run: Path) -> Iterator[tuple[str, Path]]:
    """Names and folders of a run's corpora and token stores: one without a name, or a mixture's."""
    if (run / "corpus").is_dir():
        yield "", run
    for part in sorted(run.glob("sources/*/corpus")):
        yield part.parent.name, part.parent


def bare_name(text: str) -> str:
    """A path without the folders that are nobody else's business; other text as it is."""
    return re.split(r"[/\\]", text.rstrip("/"))[-1] if _is_path(text) else text


def _is_path(text: str) -> bool:
    return text.startswith(("/", "~", "..")) or re.match(r"[A-Za-z]:[/\\]", text) is not None


def without_folders(value: Any) -> Any:
    """Settings or results, of whose absolute paths only the last names are left."""
    if isinstance(value, str):
        return bare_name(value)
    if isinstance(value, dict):
        return {name: without_folders(part) for name, part in value.items()}
    if isinstance(value, list):
        return [without_folders(part) for part in value]
    return value


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def facts_of(folder: Path) -> dict[str, Any]:
    """What an artifact of the run says of itself; nothing where there is none."""
    return dict(read_json(folder / MANIFEST).get("facts", {}))
