"""Precision, recall and F1 of each class and the mean of F1, with their bootstrap intervals.

What is resampled is the texts. A text matters by its true and its given classes alone, so texts with the
same of both are one cell, and resampling texts is drawing the cells' counts from a multinomial
distribution: as quick for a million texts as for a hundred.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbook.evaluation.intervals import CONFIDENCE, RESAMPLES, SEED, Interval

Truth = npt.NDArray[np.bool_]
"""Which texts are of which class, (texts, classes)."""


@dataclass(frozen=True)
class ClassScore:
    """One class's figures; 0 where nothing was predicted or nothing was there to find."""

    label: str
    precision: float
    recall: float
    f1: float
    f1_low: float
    """From here to `f1_high` F1 lies with 95 % confidence (percentiles of the bootstrap)."""
    f1_high: float
    support: int
    """How many texts truly are of this class."""

    @property
    def f1_shown(self) -> str:
        """As in `0.512 (0.480 to 0.551)`."""
        return Interval(self.f1, self.f1_low, self.f1_high, self.support).shown()


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
            "macro_f1": self.macro_f1.value,
            "macro_f1_interval": self.macro_f1.as_dict(),
            "absent": self.absent,
        }


def class_scores(classes: Sequence[str], true: Truth, given: Truth) -> ClassScores:
    """Measure what a classifier has given.

    Args:
        classes: the classes' names, in the order of the columns.
        true: which texts are of which class, bool (texts, classes).
        given: which it has been given.
    """
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(true, given, zero_division=0.0, average=None)
    precision, recall, f1, support = (np.asarray(column) for column in columns)
    drawn = _resampled_f1(true, given)  # (resamples, classes)
    low, high = _percentiles(drawn, f1)
    there = support > 0
    macro = float(f1[there].mean()) if there.any() else 0.0
    means = np.nanmean(np.where(there, drawn, np.nan), axis=1) if there.any() else drawn[:, 0]
    macro_low, macro_high = _percentiles(means[:, None], np.array([macro]))
    figures = np.stack([precision, recall, f1, low, high], axis=1).tolist()  # (classes, 5)
    scores = tuple(
        ClassScore(label, row[0], row[1], row[2], row[3], row[4], int(count))
        for label, row, count in zip(classes, figures, support, strict=True)
    )
    return ClassScores(
        scores, Interval(macro, float(macro_low[0]), float(macro_high[0]), len(true))
    )


def _resampled_f1(true: Truth, given: Truth) -> npt.NDArray[np.float64]:
    """F1 of each class on texts drawn anew, (resamples, classes); NaN where there is none of it."""
    joint = np.concatenate([true, given], axis=1)
    cells, counts = np.unique(joint, axis=0, return_counts=True)
    generator = np.random.default_rng(SEED)
    drawn = generator.multinomial(len(true), counts / len(true), size=RESAMPLES)
    of_true, of_given = np.split(cells.astype(np.float64), 2, axis=1)  # (cells, classes)
    hits = drawn @ (of_true * of_given)  # (resamples, classes)
    both = drawn @ (of_true + of_given)
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * hits / both)


def _percentiles(
    drawn: npt.NDArray[np.float64], otherwise: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The middle 95 % of each column; where a column is all NaN, `otherwise`."""
    outside = 100 * (1 - CONFIDENCE) / 2
    empty = np.isnan(drawn).all(axis=0)
    filled = np.where(empty, otherwise, drawn)
    low, high = np.nanpercentile(filled, [outside, 100 - outside], axis=0)
    return low, high
