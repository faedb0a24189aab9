"""Precision, recall and F1 of each class and the mean of F1, with their bootstrap intervals.

What is resampled is the texts. A text matters by its true and its given classes alone, so texts with the
same of both are one kind, and resampling takes as long for a million texts as for a hundred.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbook.evaluation.intervals import Interval
from hornbook.evaluation.resampling import Floats, resampled

Truth = npt.NDArray[np.bool_]
"""Which texts are of which class, (texts, classes)."""


@dataclass(frozen=True)
class ClassScore:
    """One class's figures; 0 where nothing was predicted or nothing was there to find."""

    label: str
    precision: Interval
    recall: Interval
    f1: Interval
    support: int
    """How many texts truly are of this class."""


@dataclass(frozen=True)
class ClassScores:
    """The figures of all classes."""

    classes: tuple[ClassScore, ...]
    macro_f1: Interval
    """Mean of the classes' F1, each counting the same however rare; of those with texts alone."""

    @property
    def absent(self) -> list[str]:
        """Classes without a text to measure on, which are left out of the mean."""
        return [score.label for score in self.classes if not score.support]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "classes": [asdict(score) for score in self.classes],
            "macro_f1": self.macro_f1.as_dict(),
            "absent": self.absent,
        }


def class_scores(classes: Sequence[str], true: Truth, given: Truth) -> ClassScores:
    """Measure what a classifier has given.

    Args:
        classes: the classes' names, in the order of the columns.
        true: which texts are of which class, bool (texts, classes).
        given: which it has been given.
    """
    kinds, counts = np.unique(np.concatenate([true, given], axis=1), axis=0, return_counts=True)
    of_true, of_given = np.split(kinds.astype(np.float64), 2, axis=1)  # (kinds, classes)
    there = true.any(axis=0)

    def figures(drawn: Floats) -> Floats:
        """Precision, recall and F1 of each class, then the mean of F1: (draws, 3 * classes + 1)."""
        hits, n_given, n_true = drawn @ (of_true * of_given), drawn @ of_given, drawn @ of_true
        with np.errstate(invalid="ignore"):
            parts = [hits / n_given, hits / n_true, 2 * hits / (n_given + n_true)]
        f1 = parts[-1][:, there]
        known = np.isfinite(f1).sum(axis=1, keepdims=True)
        mean = np.nansum(f1, axis=1, keepdims=True) / np.maximum(known, 1)
        return np.concatenate([*parts, mean], axis=1)

    found, n = resampled(figures, counts), len(classes)
    support = true.sum(axis=0).tolist()
    columns = zip(classes, found[:n], found[n : 2 * n], found[2 * n : -1], support, strict=True)
    return ClassScores(tuple(ClassScore(*column) for column in columns), found[-1])
