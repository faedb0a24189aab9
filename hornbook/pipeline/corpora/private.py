"""Personal data that the privacy settings do not reach: in older results, and in examples to learn from."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from hornbook.artifact import MANIFEST
from hornbook.console import console
from hornbook.corpus.privacy.redaction import PrivacySettings, count_private, taken_out
from hornbook.pipeline.workspace import PREVIOUS, Workspace


def note_previous(workspace: Workspace, stage: str, settings: PrivacySettings) -> None:
    """Say that an older corpus, set aside, still has what is taken out now."""
    aside = workspace.directory / PREVIOUS
    try:
        before = json.loads((aside / stage / MANIFEST).read_text("utf-8"))["settings"]["privacy"]
    except (OSError, ValueError, KeyError):
        return
    kinds = [kind for kind in taken_out(settings) if before.get(kind) == "keep"]
    if kinds:
        _note(
            f"{aside} has a corpus from before {_listed(kinds)} were taken out, perhaps with models "
            "that have read it; delete it when it is no longer wanted."
        )


def note_examples(texts: Iterable[str], settings: PrivacySettings, path: Path) -> None:
    """Say how much of what is taken out of the corpus stands in a file of examples to learn from."""
    counts, having = count_private(texts, settings)
    if counts:
        found = _listed([f"{kind} ({count:,})" for kind, count in counts.most_common()])
        _note(
            f"{path}: {found} in {having:,} of its texts, which stay there: privacy changes the corpus, "
            "not examples. The model will have read them."
        )


def _note(sentence: str) -> None:
    console.print(f"  note: {sentence}", style="yellow", markup=False)


def _listed(words: Sequence[str]) -> str:
    plain = [word.replace("_", " ") for word in words]
    return " and ".join([", ".join(plain[:-1]), plain[-1]] if plain[1:] else plain)
