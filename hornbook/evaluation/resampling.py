"""The bootstrap of figures that are made of all texts together, such as the area under a curve.

Drawing texts again, with repetition, gives each a count. A figure is computed from the counts of many
such draws at once, so that thousands of them take moments. Intervals are the percentiles of the draws.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hornbook.evaluation.intervals import CONFIDENCE, RESAMPLES, SEED, Interval

Floats = npt.NDArray[np.float64]
Figures = Callable[[Floats], Floats]
"""From how often each text counts, (draws, texts), its figures in each draw, (draws, figures); NaN where
a draw has none."""

CELLS_AT_ONCE = 2**21
"""Counts that are looked at together: 16 MiB."""
MOST_CELLS = 2**26
"""Counts drawn in all: of more than 33,000 kinds of texts there are fewer draws."""
LEAST_DRAWS = 200


def resampled(figures: Figures, counts: npt.NDArray[np.int64]) -> list[Interval]:
    """Figures of texts, and their intervals.

    Args:
        figures: computes them.
        counts: how many texts there are of each kind that it tells apart, (kinds,); ones, where each
            text is a kind of its own.

    Returns:
        An interval for each figure; 0 where there is nothing that it can be computed of.
    """
    total, generator = int(counts.sum()), np.random.default_rng(SEED)
    value = figures(counts[None, :].astype(np.float64))[0]
    draws = min(RESAMPLES, max(MOST_CELLS // len(counts), LEAST_DRAWS))
    step = max(CELLS_AT_ONCE // len(counts), 1)
    drawn = []
    for start in range(0, draws, step):
        several = min(step, draws - start)
        some = generator.multinomial(total, counts / total, size=several)
        drawn.append(figures(some.astype(np.float64)))
    return _intervals(np.nan_to_num(value), np.concatenate(drawn), total)


def _intervals(value: Floats, drawn: Floats, count: int) -> list[Interval]:
    """The middle 95 % of each column, and in any case the figure itself.

    A figure that is never negative, such as a calibration error of hardly anything, is larger in nearly
    every draw than it is.
    """
    outside = 100 * (1 - CONFIDENCE) / 2
    filled = np.where(np.isnan(drawn).all(axis=0), value, drawn)
    low, high = np.nanpercentile(filled, [outside, 100 - outside], axis=0)
    ends = zip(value, np.minimum(low, value), np.maximum(high, value), strict=True)
    return [Interval(float(v), float(a), float(b), count) for v, a, b in ends]
