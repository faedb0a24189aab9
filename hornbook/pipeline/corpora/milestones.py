"""How far a corpus is made: noted from time to time, so that an interrupted run goes on from there.

The parts that are read lie on disk by themselves (see `parts`). Behind them, documents are compared and
written into the files of their splits. What has been written and counted stands in one small file; what
the comparing steps have learnt, in one more file each time. A run that goes on cuts the splits' files
back to where they were, learns all of it again, and takes the next part. So does what is written of
documents that wait to be judged together, and how many of them were.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbook import artifact
from hornbook.corpus.step import Remembering
from hornbook.pipeline.corpora.ending import Ending

FILE, MEMORY = "milestone.json", "memory-{:06}.npz"
EVERY_S = 2.0
"""Seconds of work after which it is noted: what an interruption may cost."""


class Milestones:
    """Notes how far a corpus is; made before any document is taken."""

    def __init__(self, folder: Path, ending: Ending) -> None:
        """`folder` is that of the parts; the `ending` is brought back to where it was."""
        self._folder, self._ending, self._cleaning = folder, ending, ending.cleaning
        self._steps = [step for step in self._cleaning.steps if isinstance(step, Remembering)]
        self._memories = 0
        self._last = time.monotonic()

    def go_on(self) -> int:
        """Bring all back to where an earlier run was; returns how many parts are dealt with."""
        done = 0
        noted = self._noted()
        self._ending.begin(noted)
        if noted is not None:
            for self._memories in range(1, noted["memories"] + 1):
                self._learn(self._folder / MEMORY.format(self._memories))
            done = noted["parts"]
        for step in self._steps:
            step.take_notes()
        self._last = time.monotonic()
        return done

    def _noted(self) -> dict[str, Any] | None:
        try:
            noted: dict[str, Any] = json.loads((self._folder / FILE).read_text("utf-8"))
        except FileNotFoundError:
            return None
        return noted

    def passed(self, parts: int) -> None:
        """So many parts are dealt with; noted if the last time is long ago, and it can be."""
        if self._ending.files.holds_back or time.monotonic() - self._last < EVERY_S:
            return
        if self._steps:
            self._memories += 1
            self._remember(self._folder / MEMORY.format(self._memories))
        noted = {
            "parts": parts,
            "memories": self._memories,
            **self._ending.state(),
        }
        artifact.write_text(self._folder / FILE, json.dumps(noted))
        self._last = time.monotonic()

    def _remember(self, path: Path) -> None:
        arrays: dict[str, npt.NDArray[Any]] = {}
        for number, step in enumerate(self._steps):
            arrays |= {f"{number} {name}": array for name, array in step.notes().items()}
        with artifact.new_file(path) as file:
            np.savez(file, allow_pickle=False, **arrays)

    def _learn(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as arrays:
            for number, step in enumerate(self._steps):
                prefix = f"{number} "
                own = [name for name in arrays.files if name.startswith(prefix)]
                step.learn({name.removeprefix(prefix): arrays[name] for name in own})
