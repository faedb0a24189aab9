"""F1 by class with its interval: against scikit-learn, SciPy's bootstrap and hand-worked cases."""

import json

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import f1_score, precision_score, recall_score

from hornbook.evaluation.class_scores import class_scores
from hornbook.evaluation.intervals import Interval


def drawn(n: int = 300, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """What texts are, and what they are taken for: right in two thirds of all."""
    generator = np.random.default_rng(3)
    true = generator.random((n, classes)) < [0.5, 0.2, 0.1]
    return true, true ^ (generator.random((n, classes)) < 0.15)


def test_figures_are_scikit_learns_and_intervals_scipys() -> None:
    true, given = drawn()
    found = class_scores(["a", "b", "c"], true, given)
    expected = f1_score(true, given, average=None)
    for name, theirs in (("precision", precision_score), ("recall", recall_score)):
        ours = [getattr(score, name).value for score in found.classes]
        assert ours == pytest.approx(theirs(true, given, average=None).tolist())
    assert [score.f1.value for score in found.classes] == pytest.approx(expected.tolist())
    assert found.macro_f1.value == pytest.approx(expected.mean())
    assert [score.support for score in found.classes] == true.sum(axis=0).tolist()
    for number, score in enumerate(found.classes):
        theirs = bootstrap(
            (true[:, number] & given[:, number], true[:, number], given[:, number]),
            lambda hits, is_, was, axis: 2 * hits.sum(axis) / (is_.sum(axis) + was.sum(axis)),
            paired=True,
            vectorized=True,
            n_resamples=2000,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
        assert (score.f1.low, score.f1.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)
    assert found.macro_f1.low < found.macro_f1.value < found.macro_f1.high
    widths = [one.f1.high - one.f1.low for one in found.classes]
    assert found.macro_f1.high - found.macro_f1.low < max(widths)


def test_a_class_without_a_text_is_named_and_not_counted_as_0() -> None:
    true = np.eye(3, dtype=bool)[[0, 0, 1, 1]]
    given = np.eye(3, dtype=bool)[[0, 0, 1, 0]]
    found = class_scores(["a", "b", "c"], true, given)
    assert found.absent == ["c"]
    assert found.macro_f1.value == pytest.approx((0.8 + 2 / 3) / 2)
    assert found.classes[2].f1 == Interval(0, 0, 0, 4)
    json.dumps(found.as_dict(), allow_nan=False)


def test_nothing_to_resample_is_an_interval_without_width() -> None:
    true = np.eye(2, dtype=bool)[[0, 0, 0]]
    found = class_scores(["a", "b"], true, true)
    assert (found.macro_f1.low, found.macro_f1.high) == (1.0, 1.0)
    nothing = class_scores(["a", "b"], ~np.ones((2, 2), dtype=bool), np.zeros((2, 2), dtype=bool))
    assert nothing.macro_f1.value == 0.0
    assert nothing.absent == ["a", "b"]
