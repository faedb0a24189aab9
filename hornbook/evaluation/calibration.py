"""Whether a classifier's probabilities can be taken at their word, and where to draw the line.

Temperature scaling and the expected calibration error are those of Guo et al. 2017, "On Calibration
of Modern Neural Networks", sections 2 and 4.2.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbook.evaluation.class_scores import class_scores
from hornbook.evaluation.intervals import Interval
from hornbook.evaluation.resampling import resampled

Array = npt.NDArray[np.float64]
LEAST = 1e-12
"""Probabilities are kept away from 0 by this, for their logarithm."""
TEMPERATURES = (0.05, 20.0)
"""Between which a temperature is looked for."""
BINS = 10
LEAST_OF_EACH = 5
"""Texts of a class, and others, from which on a temperature and a threshold of its own are found."""


@dataclass(frozen=True)
class Bin:
    """Decisions of about the same confidence."""

    confidence: float
    """Their mean."""
    right: float
    """Share of them that is right."""
    count: int


@dataclass(frozen=True)
class Calibration:
    """How a classifier's confidence and its success go together."""

    temperature: float
    """What logits are divided by, found on the validation set; 1 where there is none."""
    error_before: Interval
    """Expected calibration error on the test set with temperature 1: mean distance of confidence and
    share of right answers over ten bins, weighted by their texts."""
    error: Interval
    """The same with the temperature."""
    nll_before: Interval
    """Mean -log p(right class) on the test set with temperature 1, in nats."""
    nll: Interval
    """The same with the temperature."""
    bins: tuple[Bin, ...]
    """Of the test set, with the temperature; empty ones left out."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def scaled(probabilities: Array, temperature: float) -> Array:
    """What the probabilities (texts, classes) are when logits are divided by the temperature.

    Logarithms of probabilities are logits but for a constant in each row, which changes nothing.
    """
    logits = np.log(np.maximum(probabilities, LEAST)) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    raised = np.exp(logits)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float64)


def nll(probabilities: Array, expected: Sequence[int] | npt.NDArray[np.int64]) -> float:
    """Mean of -log p(right class), in nats."""
    return float(_nlls(probabilities, expected).mean())


def _nlls(probabilities: Array, expected: Sequence[int] | npt.NDArray[np.int64]) -> Array:
    """-log p(right class) of each text, (texts,)."""
    of_right = probabilities[np.arange(len(expected)), np.asarray(expected)]
    return np.asarray(-np.log(np.maximum(of_right, LEAST)))


def fit_temperature(probabilities: Array, expected: Sequence[int] | npt.NDArray[np.int64]) -> float:
    """The temperature with which these texts' right classes are likeliest; 1 without any."""
    if not len(expected):
        return 1.0
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    low, high = np.log(TEMPERATURES)
    found = minimize_scalar(
        lambda log: nll(scaled(probabilities, float(np.exp(log))), expected),
        bounds=(low, high),
        method="bounded",
    )
    return float(np.exp(found.x))


@dataclass(frozen=True)
class YesOrNo:
    """How one class of a text that can have several is decided, and how sure its probability is."""

    label: str
    temperature: float
    """What its logit is divided by, found on the validation set."""
    threshold: float
    """The probability from which on it is given, with which F1 is highest on the validation set."""
    error_before: Interval
    """Expected calibration error on the test set with temperature 1."""
    error: Interval
    """The same with the temperature."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def decisions(
    classes: Sequence[str],
    probabilities: Array,
    true: npt.NDArray[np.bool_],
    temperatures: Sequence[float],
    thresholds: Sequence[float],
) -> list[YesOrNo]:
    """What temperatures and thresholds found on another set do on a test set, class by class.

    Args:
        classes: names, by column.
        probabilities: with temperature 1, (texts, classes).
        true: which texts are of which class, (texts, classes).
    """
    after = scaled_yes(probabilities, temperatures)
    gaps = [
        _gaps(_yes_and_no(column), wanted.astype(int))
        for some in (probabilities, after)
        for column, wanted in zip(some.T, true.T, strict=True)
    ]
    errors = _errors(gaps)
    halves = errors[: len(classes)], errors[len(classes) :]
    columns = zip(classes, temperatures, thresholds, *halves, strict=True)
    return [YesOrNo(*column) for column in columns]


def scaled_yes(probabilities: Array, temperatures: Sequence[float]) -> Array:
    """The same where each class (texts, classes) is a yes or no of its own, with its own temperature."""
    columns = [
        scaled(_yes_and_no(column), temperature)[:, 1]
        for column, temperature in zip(probabilities.T, temperatures, strict=True)
    ]
    return np.stack(columns, axis=1)


def fit_temperatures(probabilities: Array, true: npt.NDArray[np.bool_]) -> list[float]:
    """For each class, a yes or no of its own, the temperature with which these texts are likeliest.

    Of a class with less than `LEAST_OF_EACH` texts, or all but as many, it is 1.

    Args:
        probabilities: (texts, classes).
        true: which texts are of which class, (texts, classes).
    """
    return [
        fit_temperature(_yes_and_no(column), wanted.astype(int)) if _tells(wanted) else 1.0
        for column, wanted in zip(probabilities.T, true.T, strict=True)
    ]


def choose_thresholds(probabilities: Array, true: npt.NDArray[np.bool_]) -> list[float]:
    """For each class the threshold with the highest F1 on these texts; 0.5 where there are too few."""
    return [
        choose_threshold(column, wanted) if _tells(wanted) else 0.5
        for column, wanted in zip(probabilities.T, true.T, strict=True)
    ]


def _yes_and_no(yes: Array) -> Array:
    return np.stack([1 - yes, yes], axis=1)


def _tells(wanted: npt.NDArray[np.bool_]) -> bool:
    """Whether there are texts enough of a class, and enough others, to fit anything to them."""
    return min(int(wanted.sum()), int((~wanted).sum())) >= LEAST_OF_EACH


def reliability(
    probabilities: Array, expected: Sequence[int] | npt.NDArray[np.int64], bins: int = BINS
) -> tuple[Bin, ...]:
    """Decisions by confidence, in bins of equal width from 0 to 1; empty ones left out."""
    confidence, right, places = _placed(probabilities, expected, bins)
    return tuple(
        Bin(float(confidence[inside].mean()), float(right[inside].mean()), int(inside.sum()))
        for inside in (places == number for number in range(bins))
        if inside.any()
    )


def _placed(
    probabilities: Array, expected: Sequence[int] | npt.NDArray[np.int64], bins: int = BINS
) -> tuple[Array, npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Each decision's confidence, whether it is right, and its bin: three of (texts,)."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == np.asarray(expected)
    return confidence, right, np.minimum((confidence * bins).astype(int), bins - 1)


def _gaps(probabilities: Array, expected: Sequence[int] | npt.NDArray[np.int64]) -> Array:
    """By how much each decision is surer than right, in the column of its bin: (texts, bins)."""
    confidence, right, places = _placed(probabilities, expected)
    found = np.zeros((len(places), BINS))
    found[np.arange(len(places)), places] = confidence - right
    return found


def _errors(gaps: Sequence[Array], means: Sequence[Array] = ()) -> list[Interval]:
    """The expected calibration error of each matrix of gaps, then each mean, with their intervals."""
    several = np.stack([*means], axis=1) if means else np.zeros((len(gaps[0]), 0))

    def figures(counts: Array) -> Array:
        errors = [np.abs(counts @ one).sum(axis=1, keepdims=True) for one in gaps]
        together = np.concatenate([*errors, counts @ several], axis=1)
        return np.asarray(together / counts.sum(axis=1, keepdims=True))

    return resampled(figures, np.ones(len(gaps[0]), dtype=np.int64))


def calibrate(probabilities: Array, expected: Sequence[int], temperature: float) -> Calibration:
    """Measure on a test set what a temperature found on another set does."""
    after = scaled(probabilities, temperature)
    both = probabilities, after
    error_before, error, nll_before, nll_after = _errors(
        [_gaps(some, expected) for some in both], [_nlls(some, expected) for some in both]
    )
    bins = reliability(after, expected)
    return Calibration(temperature, error_before, error, nll_before, nll_after, bins)


@dataclass(frozen=True)
class Threshold:
    """The probability from which on a text is taken to be of the class that is looked for."""

    label: str
    threshold: float
    """With which F1 is highest on the validation set."""
    precision: Interval
    """On the test set, as the next two."""
    recall: Interval
    f1: Interval

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def choose_threshold(scores: npt.NDArray[np.float64], true: npt.NDArray[np.bool_]) -> float:
    """The threshold with the highest F1 on these texts, half way to the next lower score.

    Args:
        scores: probability of the class, (texts,).
        true: which texts are of it, (texts,).
    """
    from sklearn.metrics import precision_recall_curve

    if not true.any():
        return 0.5
    precision, recall, thresholds = precision_recall_curve(true, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, LEAST)
    best = int(f1[:-1].argmax())
    below = scores[scores < thresholds[best]]
    return float((thresholds[best] + below.max()) / 2 if len(below) else thresholds[best])


def at_threshold(
    label: str, scores: npt.NDArray[np.float64], true: npt.NDArray[np.bool_], threshold: float
) -> Threshold:
    """What a threshold reaches on these texts."""
    given = scores >= threshold
    (found,) = class_scores([label], true[:, None], given[:, None]).classes
    return Threshold(label, threshold, found.precision, found.recall, found.f1)
