"""Intervals and paired tests: against closed forms, simulations and other libraries."""

import numpy as np
import pytest
from scipy import stats

from hornbook.errors import HornbookError
from hornbook.evaluation.intervals import (
    compare_means,
    compare_ratios,
    mcnemar,
    mean_interval,
    ratio_interval,
    shown_p,
)


def test_a_share_has_wilsons_interval() -> None:
    found = mean_interval([1.0] * 7 + [0.0] * 3)
    wilson = stats.binomtest(7, 10).proportion_ci(method="wilson")
    assert (found.value, found.low, found.high) == (0.7, wilson.low, wilson.high)


def test_a_mean_has_about_students_interval() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400)
    found = mean_interval(values)
    student = stats.t.interval(0.95, 399, values.mean(), stats.sem(values))
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(student[0], abs=0.03)
    assert found.high == pytest.approx(student[1], abs=0.03)
    assert mean_interval(values) == found


def test_the_interval_covers_the_truth_nineteen_times_in_twenty() -> None:
    generator = np.random.default_rng(1)
    inside = 0
    for _ in range(60):
        found = mean_interval(generator.exponential(2.0, 60))
        inside += found.low <= 2.0 <= found.high
    assert inside >= 52


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5, 0.5]])
def test_of_equal_values_the_interval_is_the_value(values: list[float]) -> None:
    found = mean_interval(values)
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    with pytest.raises(HornbookError, match="no values"):
        mean_interval([])


def test_a_ratio_is_of_sums() -> None:
    found = ratio_interval(np.array([1.0, 9.0, 2.0]), np.array([1.0, 3.0, 2.0]))
    assert found.value == 2.0
    assert 1.0 <= found.low <= 2.0 <= found.high <= 3.0


def test_mcnemar_by_hand() -> None:
    first = np.array([True] * 9 + [False] * 1 + [True] * 20)
    second = np.array([False] * 9 + [True] * 1 + [True] * 20)
    # 9 against 1 out of 10 fair tosses: 2 * (10 + 1) / 2**10
    assert mcnemar(first, second) == pytest.approx(2 * 11 / 1024)
    assert mcnemar(first, first) == 1.0
    found = compare_means(first.astype(float), second.astype(float))
    assert (found.test, found.p) == ("McNemar, exact", pytest.approx(2 * 11 / 1024))
    assert found.difference.value == pytest.approx(8 / 30)
    assert found.difference.low > 0


def test_a_small_permutation_test_is_exact() -> None:
    # All 5 differences are positive: 2 of the 32 ways to choose their signs are so extreme.
    found = compare_means([0.5, 0.7, 0.4, 0.9, 0.6], [0.1, 0.2, 0.3, 0.4, 0.5])
    assert found.p == pytest.approx(2 / 32)
    assert found.test == "paired permutations"
    same = compare_means([0.5, 0.7], [0.5, 0.7])
    assert (same.p, same.difference.value) == (1.0, 0.0)
    with pytest.raises(HornbookError, match="2 and 1 values cannot be paired"):
        compare_means([0.5, 0.7], [0.5])


def test_ratios_compared() -> None:
    generator = np.random.default_rng(2)
    sizes = generator.integers(50, 100, 40).astype(float)
    first = sizes * generator.normal(1.0, 0.1, 40)
    found = compare_ratios(first, first + sizes * 0.05, sizes)
    assert found.difference.value == pytest.approx(-0.05)
    assert found.difference.high < 0
    assert found.p < 0.001
    assert compare_ratios(first, first, sizes).p == 1.0


def test_no_probability_is_shown_as_none() -> None:
    assert (shown_p(0.125), shown_p(2**-24)) == ("0.1250", "< 0.0001")
