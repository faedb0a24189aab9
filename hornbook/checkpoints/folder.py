"""The checkpoints of one run: the newest whole one, the best one, and how many are kept."""

import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hornbook.artifact import read_manifest
from hornbook.checkpoints.store import KIND, HasState, save_checkpoint
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
        directory = self.path / f"step-{step:06d}"
        scored = {} if validation_loss is None else {SCORE: validation_loss}
        save_checkpoint(
            directory,
            model,
            tokenizer_fingerprint=tokenizer_fingerprint,
            optimizer=optimizer,
            state={"step": step, **state},
            facts={**(facts or {}), **scored},
            inputs=inputs,
        )
        self._prune()
        return directory

    def steps(self) -> dict[int, Path]:
        """All checkpoints by step, oldest first, whole or damaged."""
        found = self.path.iterdir() if self.path.is_dir() else ()
        matches = [(STEP_NAME.fullmatch(entry.name), entry) for entry in found]
        return dict(sorted((int(match[1]), entry) for match, entry in matches if match))

    def latest(self) -> Path | None:
        """The newest checkpoint that is whole, or None; a damaged one is passed over, warning."""
        for directory in reversed(self.steps().values()):
            try:
                read_manifest(directory, KIND)
            except HornbookError as error:
                warnings.warn(f"{error} It is passed over.", DamagedCheckpoint, stacklevel=2)
            else:
                return directory
        return None

    def best(self) -> Path | None:
        """The checkpoint with the lowest validation loss; the earlier of equal ones."""
        scores = {directory: _score(directory) for directory in self.steps().values()}
        known = {directory: score for directory, score in scores.items() if score is not None}
        return min(known, key=lambda directory: known[directory], default=None)

    def _prune(self) -> None:
        kept = {*list(self.steps().values())[-self.keep :], self.best()}
        for directory in self.steps().values():
            if directory not in kept:
                shutil.rmtree(directory)
        for left_over in self.path.glob(".step-*.tmp"):  # by a run that was killed in a save
            shutil.rmtree(left_over, ignore_errors=True)


def _score(directory: Path) -> float | None:
    try:
        score = read_manifest(directory, KIND, verify=False).facts.get(SCORE)
    except HornbookError:
        return None
    return score if isinstance(score, float) else None
