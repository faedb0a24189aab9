"""The F1 of two classifiers compared: what is counted in each text, and the figure of all counts.

F1 is no mean of the texts' own figures, so whole texts are drawn again (`intervals.compare_statistics`).
Where a class is neither there nor given, its F1 is 0, as scikit-learn's `zero_division=0` has it, and
does not count. A single classifier's intervals are `class_scores`'.
"""

import numpy as np
import numpy.typing as npt

from hornbook.evaluation.intervals import Comparison, Values, compare_statistics

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
    """The mean of the F1 of the classes that there is a text of; 0 where there is none."""
    there = np.split(counts.sum(axis=0), 3)[2] > 0
    return float(f1_by_class(counts)[there].mean()) if there.any() else 0.0


def compare_macro_f1(first: Values, second: Values) -> Comparison:
    """Two classifiers' macro F1 on the same texts, from the counts of each."""
    return compare_statistics(first, second, macro_f1)
