"""F1 from counts is scikit-learn's, and two classifiers are compared by texts."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from hornbook.evaluation.f1 import compare_macro_f1, f1_by_class, f1_counts, macro_f1


def classified(right: float, seed: int, texts: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Classes given and true, bool (texts, 4), the last class neither."""
    rng = np.random.default_rng(seed)
    true = np.arange(texts) % 3
    given = np.where(rng.random(texts) < right, true, rng.integers(0, 3, texts))
    return np.eye(4, dtype=bool)[given], np.eye(4, dtype=bool)[true]


@pytest.mark.parametrize("several", [False, True])
def test_f1_is_scikit_learns(several: bool) -> None:
    given, true = classified(0.7, seed=1)
    if several:
        given, true = given | np.roll(given, 1, axis=0), true | np.roll(true, 1, axis=0)
    counts = f1_counts(given, true)
    wanted = f1_score(true, given, average=None, zero_division=0)
    assert f1_by_class(counts) == pytest.approx(wanted)
    assert macro_f1(counts) == pytest.approx(wanted[:3].mean())  # there is no text of the fourth
    assert macro_f1(counts[:0]) == 0


def test_two_classifiers_on_the_same_texts() -> None:
    true = classified(1, seed=1)[1]
    good, bad = (f1_counts(classified(right, 2)[0], true) for right in (0.95, 0.4))
    found = compare_macro_f1(good, bad)
    assert found.difference.value == pytest.approx(macro_f1(good) - macro_f1(bad))
    assert found.difference.low > 0
    assert found.p < 0.001
    assert compare_macro_f1(good, good).p == 1
