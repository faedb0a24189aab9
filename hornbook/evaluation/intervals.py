"""How sure a mean is, and whether two models differ: bootstrap and paired tests, all of SciPy's.

What is resampled is the unit that was measured: a question, a document, a window of a text.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbook.errors import HornbookError
from hornbook.evaluation.proportion import Proportion

CONFIDENCE = 0.95
RESAMPLES = 2_000
SEED = 1
"""Of the resampling: the same data give the same interval."""

PERMUTATIONS = 9_999
MOST_CORRECTED = 20_000
"""Units up to which the bootstrap's bias is corrected, which takes each of them out in turn; of more the
plain percentiles are as good."""

Values = npt.NDArray[np.float64]
Statistic = Callable[[Values], float]
"""A figure of all units together, from their rows of numbers, (units, numbers)."""


@dataclass(frozen=True)
class Interval:
    """A figure and between what it lies, with 95 % confidence: the one shape that every score has."""

    value: float
    low: float
    high: float
    count: int
    """Units that it was measured on."""

    def times(self, factor: float) -> "Interval":
        """The same in another unit; `factor` is above 0."""
        return Interval(self.value * factor, self.low * factor, self.high * factor, self.count)

    def exp(self) -> "Interval":
        """e to its power, as a perplexity is of a loss; infinite where no float is so large."""
        value, low, high = (
            math.exp(x) if x < 700 else math.inf for x in (self.value, self.low, self.high)
        )
        return Interval(value, low, high, self.count)

    def shown(self, digits: int = 3) -> str:
        """As in `0.512 (0.480 to 0.551)`."""
        return f"{self.value:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"

    def as_share(self) -> str:
        """As in `51.2 % (48.0 to 55.1)`."""
        value, low, high = (100 * x for x in (self.value, self.low, self.high))
        return f"{value:.1f} % ({low:.1f} to {high:.1f})"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def read_interval(found: Mapping[str, Any]) -> Interval:
    """What `Interval.as_dict`, or a score that has more beside it, says in a file of results."""
    return Interval(found["value"], found["low"], found["high"], found["count"])


def shown_p(p: float) -> str:
    """A probability for a table: small ones are below something, and none is 0."""
    return f"{p:.4f}" if p >= 1e-4 else "< 0.0001"


@dataclass(frozen=True)
class Comparison:
    """How two models differ on the same units."""

    difference: Interval
    """Of the first model's figure less the second's."""
    p: float
    """How probable so large a difference is, either way, if the models were equally good."""
    test: str
    """By which test."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def mean_interval(values: Sequence[float] | Values) -> Interval:
    """The mean of values and its interval: Wilson's where all are 0 or 1, else the BCa bootstrap
    (Efron 1987).

    Of equal values, or a single one, there is nothing to resample: the interval is then the value.

    Raises:
        HornbookError: no values.
    """
    found = np.asarray(values, dtype=np.float64)
    if not len(found):
        raise HornbookError("there is nothing to measure: no values were given.")
    if np.isin(found, (0.0, 1.0)).all():
        share = Proportion(int(found.sum()), len(found))
        return Interval(share.share, *share.interval(), len(found))
    return _bootstrap((found,), lambda some, axis: some.mean(axis=axis), len(found))


def ratio_interval(amounts: Values, sizes: Values) -> Interval:
    """The sum of amounts over the sum of sizes, such as nats a token, resampled by unit.

    Args:
        amounts: (units,).
        sizes: (units,), their sum above 0.
    """

    def ratio(some: Values, by: Values, axis: int) -> Any:
        return some.sum(axis=axis) / by.sum(axis=axis)

    return _bootstrap((np.asarray(amounts, float), np.asarray(sizes, float)), ratio, len(amounts))


def statistic_interval(rows: Values, statistic: Statistic) -> Interval:
    """A figure that is no mean of the units' own, such as the BLEU of a corpus, resampled by unit.

    Args:
        rows: (units, numbers), with one unit at least.
    """
    numbers = np.arange(len(rows), dtype=np.float64)
    return _bootstrap((numbers,), _of_numbers(rows, statistic), len(rows))


def _of_numbers(rows: Values, statistic: Statistic) -> Any:
    """The statistic of the rows that have these numbers, which lie along one axis of an array."""

    def chosen(numbers: Values, axis: int) -> Any:
        return np.apply_along_axis(lambda one: statistic(rows[one.astype(int)]), axis, numbers)

    return chosen


def _bootstrap(data: tuple[Values, ...], statistic: Any, count: int) -> Interval:
    value = float(statistic(*data, axis=-1))
    degenerate = count < 2 or all(np.ptp(part) == 0 for part in data)
    if degenerate:
        return Interval(value, value, value, count)
    from scipy.stats import bootstrap  # type: ignore[import-untyped]

    # BCa's correction takes each unit out in turn, which a resampling of few units can make no
    # number of; then the plain percentiles are taken.
    for method in ("BCa", "percentile") if count <= MOST_CORRECTED else ("percentile",):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = bootstrap(
                data,
                statistic,
                paired=True,
                vectorized=True,
                confidence_level=CONFIDENCE,
                n_resamples=RESAMPLES,
                method=method,
                batch=max(10**7 // count, 1),
                rng=np.random.default_rng(SEED),
            ).confidence_interval
        if np.isfinite([found.low, found.high]).all():
            break
    return Interval(value, float(found.low), float(found.high), count)


def compare_means(first: Sequence[float] | Values, second: Sequence[float] | Values) -> Comparison:
    """Two models' values on the same units, in the same order.

    Of values that are all 0 or 1, McNemar's exact test (McNemar 1947); of others, the permutation test
    that swaps the models unit by unit. The interval of the difference is the paired bootstrap's.

    Raises:
        HornbookError: no values, or not as many of each.
    """
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if len(one) != len(two) or not len(one):
        raise HornbookError(f"{len(one)} and {len(two)} values cannot be paired.")
    difference = _bootstrap((one - two,), lambda some, axis: some.mean(axis=axis), len(one))
    if np.isin(one, (0.0, 1.0)).all() and np.isin(two, (0.0, 1.0)).all():
        return Comparison(difference, mcnemar(one > 0, two > 0), "McNemar, exact")
    return Comparison(difference, _permutation(one - two), "paired permutations")


def mcnemar(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """The exact p of McNemar's test: is either model right more often where just one is right?"""
    from scipy.stats import binomtest

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def compare_ratios(
    first: Values, second: Values, sizes: Values, second_sizes: Values | None = None
) -> Comparison:
    """The same of sums of amounts over sums of sizes, such as bits a byte; sizes may differ."""
    own = sizes if second_sizes is None else second_sizes

    def difference(a: Values, b: Values, n: Values, m: Values, axis: int) -> Any:
        return a.sum(axis=axis) / n.sum(axis=axis) - b.sum(axis=axis) / m.sum(axis=axis)

    found = _bootstrap((first, second, sizes, own), difference, len(first))
    scaled = first / sizes.sum() - second / own.sum()
    return Comparison(found, _permutation(scaled), "paired permutations")


def compare_statistics(first: Values, second: Values, statistic: Statistic) -> Comparison:
    """The same of a figure that is no mean of the units' own; rows are (units, numbers) of each."""
    count = len(first)
    of_both = _of_numbers(np.concatenate([first, second]), statistic)

    def difference(one: Values, two: Values, axis: int) -> Any:
        return of_both(one, axis) - of_both(two, axis)

    numbers = np.arange(count, dtype=np.float64)
    found = _bootstrap((numbers, numbers + count), difference, count)
    p = _swapping(numbers, numbers + count, difference) if (first != second).any() else 1.0
    return Comparison(found, p, "paired permutations")


def _permutation(differences: Values) -> float:
    """How probable a sum so far from 0 is, if each difference might as well have the other sign."""
    if not differences.any():
        return 1.0
    nothing = np.zeros_like(differences)
    return _swapping(differences, nothing, lambda one, two, axis: (one - two).sum(axis=axis))


def _swapping(first: Values, second: Values, difference: Any) -> float:
    """How probable a difference so far from 0 is, if each unit's two might as well be swapped."""
    from scipy.stats import permutation_test

    found = permutation_test(
        (first, second),
        difference,
        permutation_type="samples",
        vectorized=True,
        n_resamples=PERMUTATIONS,
        batch=max(10**7 // len(first), 1),
        rng=np.random.default_rng(SEED),
    )
    return float(found.pvalue)
