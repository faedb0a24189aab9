"""Receiver operating characteristic and precision against recall, one class against the rest."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbook.evaluation.intervals import Interval
from hornbook.evaluation.resampling import Floats, resampled

POINTS = 200
"""Most points kept of a curve."""


@dataclass(frozen=True)
class ClassCurves:
    """How one class is told from the rest, at every threshold."""

    label: str
    auc: Interval
    """Area under the ROC curve: how often a text of the class has a higher probability of it than a
    text that is not."""
    average_precision: Interval
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
    from sklearn.metrics import precision_recall_curve, roc_curve

    drawable = [n for n in range(len(classes)) if true[:, n].any() and not true[:, n].all()]
    if not drawable:
        return ()
    pairs = [(true[:, n], probabilities[:, n]) for n in drawable]
    under = resampled(
        lambda counts: np.concatenate([areas(*pair, counts) for pair in pairs], axis=1),
        np.ones(len(true), dtype=np.int64),
    )
    found = []
    for place, (number, (of_it, scores)) in enumerate(zip(drawable, pairs, strict=True)):
        false_rate, true_rate, _ = roc_curve(of_it, scores)
        precision, recall, _ = precision_recall_curve(of_it, scores)
        found.append(
            ClassCurves(
                classes[number],
                under[2 * place],
                under[2 * place + 1],
                _thinned(false_rate),
                _thinned(true_rate),
                _thinned(precision),
                _thinned(recall),
            )
        )
    return tuple(found)


def areas(of_it: npt.NDArray[np.bool_], scores: Floats, counts: Floats) -> Floats:
    """Area under the ROC curve and average precision, (draws, 2), of texts drawn so often.

    Args:
        of_it: which texts are of the class, (texts,).
        scores: its probability, (texts,).
        counts: how often each text counts, (draws, texts).
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # of texts with the same probability
    drawn, wanted = counts[:, order], of_it[order]
    hits = np.cumsum(drawn * wanted, axis=1)[:, last]  # (draws, thresholds)
    others = np.cumsum(drawn * ~wanted, axis=1)[:, last]
    new_hits, new_others = (np.diff(part, axis=1, prepend=0) for part in (hits, others))
    with np.errstate(invalid="ignore", divide="ignore"):
        under = (new_others * (hits - new_hits / 2)).sum(axis=1)
        auc = under / (hits[:, -1] * others[:, -1])
        precision = np.nan_to_num(hits / (hits + others))
        average = (new_hits * precision).sum(axis=1) / hits[:, -1]
    return np.stack([auc, average], axis=1)


def _thinned(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """At most `POINTS` of a curve, both ends among them."""
    places = np.unique(np.linspace(0, len(values) - 1, POINTS).round().astype(int))
    return tuple(round(float(value), 6) for value in values[places])
