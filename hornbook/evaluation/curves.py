"""Receiver operating characteristic and precision against recall, one class against the rest."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

POINTS = 200
"""Most points kept of a curve."""


@dataclass(frozen=True)
class ClassCurves:
    """How one class is told from the rest, at every threshold."""

    label: str
    auc: float
    """Area under the ROC curve: how often a text of the class has a higher probability of it than a
    text that is not."""
    average_precision: float
    """Mean precision over the recalls reached."""
    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def curves(
    classes: Sequence[str], true: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.float64]
) -> tuple[ClassCurves, ...]:
    """The curves of each class that some texts are of, and some are not.

    Args:
        classes: names, by column.
        true: which texts are of which class, (texts, classes).
        probabilities: (texts, classes).
    """
    from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

    found = []
    for number, label in enumerate(classes):
        of_it, scores = true[:, number], probabilities[:, number]
        if of_it.all() or not of_it.any():
            continue
        false_rate, true_rate, _ = roc_curve(of_it, scores)
        precision, recall, _ = precision_recall_curve(of_it, scores)
        found.append(
            ClassCurves(
                label,
                float(auc(false_rate, true_rate)),
                float(average_precision_score(of_it, scores)),
                _thinned(false_rate),
                _thinned(true_rate),
                _thinned(precision),
                _thinned(recall),
            )
        )
    return tuple(found)


def _thinned(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """At most `POINTS` of a curve, both ends among them."""
    places = np.unique(np.linspace(0, len(values) - 1, POINTS).round().astype(int))
    return tuple(round(float(value), 6) for value in values[places])
