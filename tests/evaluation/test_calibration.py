"""Temperature, calibration error, thresholds and curves against worked examples and scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.stats import bootstrap
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from hornbook.evaluation.calibration import (
    Bin,
    at_threshold,
    calibrate,
    choose_threshold,
    choose_thresholds,
    decisions,
    fit_temperature,
    fit_temperatures,
    nll,
    reliability,
    scaled,
    scaled_yes,
)
from hornbook.evaluation.curves import areas, curves


def expected_error(found: tuple[Bin, ...]) -> float:
    """Mean distance of confidence and success, each bin weighted by its texts."""
    total = sum(one.count for one in found)
    return sum(abs(one.confidence - one.right) * one.count for one in found) / max(total, 1)


def drawn(n: int = 4000, sharper: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from a softmax, and the probabilities of one whose logits are `sharper` times
    as large."""
    generator = np.random.default_rng(1)
    logits = torch.tensor(generator.normal(size=(n, 3)))
    honest = logits.softmax(dim=1).numpy()
    labels = np.array([generator.choice(3, p=row) for row in honest])
    return (sharper * logits).softmax(dim=1).numpy(), labels


def test_the_temperature_undoes_what_was_done_to_the_logits() -> None:
    sharp, labels = drawn()
    temperature = fit_temperature(sharp, labels)
    assert temperature == pytest.approx(3.0, rel=0.1)
    found = calibrate(sharp, labels, temperature)
    assert found.error.value < 0.03 < 0.15 < found.error_before.low
    assert found.nll.value == pytest.approx(nll(scaled(sharp, temperature), labels))
    assert found.nll.high < found.nll_before.low
    assert found.error.value == pytest.approx(expected_error(found.bins))
    assert fit_temperature(sharp[:0], labels[:0]) == 1.0


def test_scaling_divides_logits() -> None:
    logits = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, 1.0]], dtype=torch.float64)
    found = scaled(logits.softmax(dim=1).numpy(), 2.5)
    np.testing.assert_allclose(found, (logits / 2.5).softmax(dim=1).numpy())


def test_nll_is_scikit_learns_log_loss() -> None:
    sharp, labels = drawn(200)
    assert nll(sharp, labels) == pytest.approx(log_loss(labels, sharp))


def test_reliability_and_error_of_a_worked_example() -> None:
    given = np.array([[0.95, 0.05], [0.91, 0.09], [0.4, 0.6], [0.35, 0.65]])
    bins = reliability(given, [0, 1, 1, 1])
    assert [(one.count, one.right) for one in bins] == [(2, 1.0), (2, 0.5)]
    assert [one.confidence for one in bins] == [pytest.approx(0.625), pytest.approx(0.93)]
    assert expected_error(bins) == pytest.approx((0.375 * 2 + 0.43 * 2) / 4)


def test_the_threshold_with_the_best_f1() -> None:
    scores = np.array([0.1, 0.2, 0.35, 0.4, 0.9])
    true = np.array([False, False, True, False, True])
    threshold = choose_threshold(scores, true)
    assert 0.2 < threshold <= 0.35  # 2 of 3 right and none missed: F1 0.8
    reached = at_threshold("spam", scores, true, threshold)
    assert (reached.precision.value, reached.recall.value) == (2 / 3, 1.0)
    assert reached.f1.value == pytest.approx(0.8)
    assert reached.f1.low < 0.8 < reached.f1.high
    assert choose_threshold(scores, np.zeros(5, dtype=bool)) == 0.5


def test_curves_are_scikit_learns_and_leave_out_what_cannot_be_drawn() -> None:
    sharp, labels = drawn(1000)
    true = labels[:, None] == np.arange(3)
    found = curves(["a", "b", "c"], true, sharp)
    for number, one in enumerate(found):
        of_one = true[:, number], sharp[:, number]
        assert one.auc.value == pytest.approx(roc_auc_score(*of_one))
        assert one.average_precision.value == pytest.approx(average_precision_score(*of_one))
        assert len(one.recall) <= 200
        assert (one.recall[-1], one.recall[0]) == (0.0, 1.0)
    true[:, 1] = False
    assert [one.label for one in curves(["a", "b", "c"], true, sharp)] == ["a", "c"]


def test_areas_of_texts_drawn_again_are_scikit_learns_of_those_texts() -> None:
    generator = np.random.default_rng(4)
    true = generator.random(60) < 0.4
    scores = (true + generator.normal(size=60)).round(1)  # with ties
    chosen = generator.integers(0, 60, size=(3, 60))
    counts = np.stack([np.bincount(row, minlength=60) for row in chosen]).astype(float)
    expected = [
        (roc_auc_score(true[row], scores[row]), average_precision_score(true[row], scores[row]))
        for row in chosen
    ]
    np.testing.assert_allclose(areas(true, scores, counts), expected)
    (found,) = curves(["it"], true[:, None], scores[:, None])
    theirs = bootstrap(
        (true, scores),
        lambda a, b: roc_auc_score(a, b) if 0 < a.sum() < len(a) else 0.5,
        paired=True,
        vectorized=False,
        n_resamples=500,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert (found.auc.low, found.auc.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_each_label_has_its_own_temperature_and_threshold() -> None:
    generator = np.random.default_rng(2)
    logits = generator.normal(size=(6000, 2))
    true = generator.random((6000, 2)) < 1 / (1 + np.exp(-logits))
    sharpened = 1 / (1 + np.exp(-logits * [3.0, 0.5]))
    temperatures = fit_temperatures(sharpened, true)
    assert temperatures == pytest.approx([3.0, 0.5], rel=0.1)
    honest = scaled_yes(sharpened, temperatures)
    np.testing.assert_allclose(honest, 1 / (1 + np.exp(-logits)), atol=0.02)
    found = decisions(["x", "y"], sharpened, true, temperatures, [0.4, 0.5])
    assert [one.threshold for one in found] == [0.4, 0.5]
    assert all(one.error.value < 0.03 < one.error_before.low for one in found)
    thresholds = choose_thresholds(honest, true)
    assert thresholds[0] == choose_threshold(honest[:, 0], true[:, 0])


def test_of_a_label_with_few_texts_nothing_is_found() -> None:
    given = np.full((20, 3), 0.3)
    true = np.zeros((20, 3), dtype=bool)
    true[:4, 1] = True
    true[:17, 2] = True
    assert fit_temperatures(given, true) == [1.0, 1.0, 1.0]
    assert choose_thresholds(given, true) == [0.5, 0.5, 0.5]
