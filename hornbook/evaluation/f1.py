"""F1 of classes with its uncertainty: what is counted in each text, and the figure of all counts.

F1 is no mean of the texts' own figures, so whole texts are drawn again (`intervals.statistic_interval`).
Where a class is neither there nor given, its F1 is 0, as scikit-learn's `zero_division=0` has it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hornbook.evaluation.intervals import (
    Comparison,
    Interval,
    Values,
    compare_statistics,
    statistic_interval,
)

MACRO = "macro F1"


def f1_counts(given: npt.NDArray[np.bool_], true: npt.NDArray[np.bool_]) -> Values:
    """Of each text and class whether it is rightly given, given, and true; (texts, 3 * classes).

    Args:
        given: which texts are taken for which class, (texts, classes); several where many are allowed.
        true: which are of it, (texts, classes).
    """
    return np.concatenate([given & true, given, true], axis=1).astype(np.float64)


def f1_by_class(counts: Values) -> Values:
    """F1 of each class, (classes,), from the counts of some texts."""
    right, given, true = np.split(counts.sum(axis=0), 3)
    found: Values = 2 * right / np.maximum(given + true, 1)
    return found


def macro_f1(counts: Values) -> float:
    """The mean of the classes' F1."""
    return float(f1_by_class(counts).mean())


def f1_intervals(counts: Values, labels: Sequence[str]) -> Mapping[str, Interval]:
    """`MACRO`, and F1 of each class under its label's name as in "F1 spam"."""
    found = {MACRO: statistic_interval(counts, macro_f1)}
    for number, label in enumerate(labels):
        own = counts.reshape(len(counts), 3, -1)[:, :, number]  # (texts, 3)
        found[f"F1 {label}"] = statistic_interval(own, macro_f1)
    return found


def compare_macro_f1(first: Values, second: Values) -> Comparison:
    """Two classifiers' macro F1 on the same texts, from the counts of each."""
    return compare_statistics(first, second, macro_f1)
