"""The checkpoints of one run: the newest whole one, the best one, and how many are kept."""

import re
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hornbook.artifact import MANIFEST, put_back, read_manifest, remove_directory
from hornbook.checkpoints.store import KIND, Content, HasState, gather_content, write_content
from hornbook.errors import HornbookError
from hornbook.model.transformer import Transformer

STEP_NAME = re.compile(r"step-(\d{6,})")
SCORE = "validation_loss"


class DamagedCheckpoint(UserWarning):
    """A checkpoint was passed over because a file of it is damaged."""


class CheckpointFolder:
    """Checkpoints side by side, named by their step: `step-000300`."""

    def __init__(self, path: Path, keep: int = 2) -> None:
        """`keep` is the number of newest checkpoints that stay, beside the best."""
        self.path, self.keep = path, keep

    def save(
        self,
        step: int,
        model: Transformer,
        *,
        tokenizer_fingerprint: str,
        optimizer: HasState,
        state: Mapping[str, Any],
        facts: Mapping[str, Any] | None = None,
        inputs: Mapping[str, str] | None = None,
        validation_loss: float | None = None,
    ) -> Path:
        """Write the checkpoint of a step, then delete those no longer kept.

        Args:
            validation_loss: the score by which the best is chosen, the lowest being best.

        Raises:
            HornbookError: it could not be written; the earlier ones are untouched.
        """
        content = gather_content(
            model,
            tokenizer_fingerprint=tokenizer_fingerprint,
            optimizer=optimizer,
            state={"step": step, **state},
            facts=facts,
            inputs=inputs,
        )
        return self.write(step, content, validation_loss)

    def write(self, step: int, content: Content, validation_loss: float | None = None) -> Path:
        """The same with what `gather_content` gave."""
        directory = self.make_room(step)
        write_content(directory, scored(content, validation_loss))
        self.prune(step)
        return directory

    def place(self, step: int) -> Path:
        """Where the checkpoint of a step stands, or would."""
        return self.path / f"step-{step:06d}"

    def make_room(self, step: int) -> Path:
        """Where to write the checkpoint of a step: a damaged one is out of the way."""
        directory = self.place(step)
        if directory.exists() and not (directory / MANIFEST).exists():
            remove_directory(directory)  # nobody could resume from it
        return directory

    def forget_after(self, step: int) -> None:
        """Delete the checkpoints of later steps: training has gone back to this one."""
        for later, directory in self.steps().items():
            if later > step:
                remove_directory(directory)

    def steps(self) -> dict[int, Path]:
        """All checkpoints by step, oldest first, whole or damaged."""
        found = self.path.iterdir() if self.path.is_dir() else ()
        matches = [(STEP_NAME.fullmatch(entry.name), entry) for entry in found]
        return dict(sorted((int(match[1]), entry) for match, entry in matches if match))

    def latest(self) -> Path | None:
        """The newest checkpoint that is whole, or None; a damaged one is passed over, warning."""
        self._recover()
        for directory in reversed(self.steps().values()):
            if _is_whole(directory):
                return directory
        return None

    def best(self) -> Path | None:
        """The whole checkpoint with the lowest validation loss; the earlier of equal ones."""
        return next((directory for directory in self._by_score() if _is_whole(directory)), None)

    def _by_score(self) -> list[Path]:
        """The checkpoints that have a score, best first."""
        scores = {directory: _score(directory) for directory in self.steps().values()}
        known = {directory: score for directory, score in scores.items() if score is not None}
        return sorted(known, key=lambda directory: known[directory])

    def prune(self, newest: int) -> None:
        """Delete what is no longer kept now that step `newest` is written.

        Those of later steps are damaged, else training would have gone on from them.
        """
        steps = {step: path for step, path in self.steps().items() if step <= newest}
        kept = {*list(steps.values())[-self.keep :], *self._by_score()[:1]}
        for directory in self.steps().values():
            if directory not in kept:
                remove_directory(directory)
        for pattern in (".step-*.tmp", ".step-*.old"):  # by a run that was killed in a save
            for left_over in self.path.glob(pattern):
                shutil.rmtree(left_over, ignore_errors=True)

    def _recover(self) -> None:
        """Finish what a run killed while it replaced a checkpoint has left half done."""
        for aside in self.path.glob(".step-*.old"):
            put_back(self.path / aside.name.removeprefix(".").removesuffix(".old"))


def scored(content: Content, validation_loss: float | None) -> Content:
    """A checkpoint's content with the score by which the best one is chosen."""
    if validation_loss is None:
        return content
    return replace(content, facts={**content.facts, SCORE: validation_loss})


def _is_whole(directory: Path) -> bool:
    try:
        read_manifest(directory, KIND)
    except HornbookError as error:
        warnings.warn(f"{error} It is passed over.", DamagedCheckpoint, stacklevel=3)
        return False
    return True


def _score(directory: Path) -> float | None:
    try:
        score = read_manifest(directory, KIND, verify=False).facts.get(SCORE)
    except HornbookError:
        return None
    return score if isinstance(score, float) else None
