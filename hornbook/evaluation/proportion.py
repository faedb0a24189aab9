"""How sure a share of right answers is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Proportion:
    """So many right out of so many."""

    right: int
    total: int

    @property
    def share(self) -> float:
        """Right out of all, 0 to 1; 0 of nothing."""
        return self.right / self.total if self.total else 0.0

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Wilson's score interval of the share: (0, 1) when there is nothing to count.

        Source: Wilson 1927; computed by SciPy.
        """
        if self.total == 0:
            return 0.0, 1.0
        from scipy.stats import binomtest  # type: ignore[import-untyped]  # takes 0.5 s to import

        found = binomtest(self.right, self.total).proportion_ci(confidence, method="wilson")
        return float(found.low), float(found.high)

    def __str__(self) -> str:
        """As in `87.5 % (66.4 to 96.5)`, the interval being of 95 %."""
        low, high = self.interval()
        return f"{100 * self.share:.1f} % ({100 * low:.1f} to {100 * high:.1f})"

    def as_dict(self) -> dict[str, float | int]:
        """Plain JSON values: those of an `intervals.Interval`, and how many are right."""
        low, high = self.interval()
        return {
            "value": self.share,
            "low": low,
            "high": high,
            "count": self.total,
            "right": self.right,
        }
