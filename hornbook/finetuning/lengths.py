"""What became of examples that are longer than the model can read."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LengthReport:
    """Counts over one set of examples."""

    examples: int
    """How many were given."""
    shortened: int
    """How many were longer than `max_length` and lost their last tokens."""
    dropped: int
    """How many were left out because nothing to train was left of them."""
    longest: int
    """Tokens of the longest, as it was given."""
    max_length: int
    """Most tokens of an example that is kept."""

    @property
    def kept(self) -> int:
        """How many are trained on."""
        return self.examples - self.dropped

    def warning(self) -> str | None:
        """One sentence to print when an example lost tokens; None when all fitted."""
        if not self.shortened and not self.dropped:
            return None
        parts = [f"{self.shortened:,} shortened"] if self.shortened else []
        parts += [f"{self.dropped:,} dropped"] if self.dropped else []
        return (
            f"{' and '.join(parts)} of {self.examples:,} examples: the longest has "
            f"{self.longest:,} tokens, above max_length {self.max_length:,}."
        )
