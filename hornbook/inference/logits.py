"""Which token may come next, and how likely: pure functions on the model's scores.

Each takes float logits (vocab,) or (batch, vocab) and returns new ones of the same shape, in which
a token that is ruled out has minus infinity.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def penalize_repetition(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Make tokens that have occurred less likely (Keskar et al. 2019, CTRL, §4.1).

    A positive logit is divided by the penalty and a negative one multiplied: either way it falls
    where the penalty is above 1. Occurring twice counts once.

    Args:
        logits: (..., vocab).
        seen: int64 ids that have occurred, (..., any number).
        penalty: 1 changes nothing.
    """
    scores = logits.gather(-1, seen)
    lowered = torch.where(scores > 0, scores / penalty, scores * penalty)
    return logits.scatter(-1, seen, lowered)


def penalize_counts(
    logits: Tensor, counts: Mapping[int, int], presence: float, frequency: float
) -> Tensor:
    """Take `presence` once, and `frequency` as often, from each token that has been written.

    Source: OpenAI's API reference, "frequency and presence penalties".

    Args:
        logits: (vocab,).
        counts: how often each token has been written, at least once.
    """
    ids = beside(logits, list(counts))
    often = beside(logits, list(counts.values()), logits.dtype)
    return logits.index_add(0, ids, -(presence + frequency * often))


def beside(logits: Tensor, values: Sequence[float], dtype: torch.dtype | None = None) -> Tensor:
    """A tensor of these values on the logits' device, for which the host does not wait."""
    return torch.tensor(values, dtype=dtype).to(logits.device, non_blocking=True)


def scale_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Divide by a positive temperature: below 1 the likely become likelier, above 1 less so.

    The highest logit is moved to zero first, which changes no probability, so that no
    temperature makes it infinite; below a millionth, nothing is left to gain.
    """
    return (logits - logits.amax(dim=-1, keepdim=True)) / max(temperature, 1e-6)


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k highest logits, and those equal to the lowest of them (Fan et al. 2018)."""
    kept = logits.topk(min(k, logits.shape[-1]), dim=-1).values
    return logits.masked_fill(logits < kept[..., -1:], -torch.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the fewest most likely tokens whose probabilities reach p together.

    At least one stays; of equally likely tokens the lower id comes first (Holtzman et al. 2019,
    The Curious Case of Neural Text Degeneration, §3.1).
    """
    ordered, ids = logits.sort(dim=-1, descending=True, stable=True)
    probabilities = ordered.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities  # of all likelier tokens
    outside = before >= p
    outside[..., 0] = False
    return logits.masked_fill(torch.zeros_like(outside).scatter(-1, ids, outside), -torch.inf)


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Keep tokens at least p times as probable as the likeliest (Nguyen et al. 2024, Min-p, §3)."""
    probabilities = logits.softmax(dim=-1)
    least = p * probabilities.amax(dim=-1, keepdim=True)
    return logits.masked_fill(probabilities < least, -torch.inf)


def pick(logits: Tensor, draws: Tensor) -> Tensor:
    """One token from each row's distribution, for random numbers that the caller has drawn.

    The token is the first whose cumulative probability exceeds the draw, so a token ruled out
    is never picked, and the same draws give the same text on every device.

    Args:
        logits: (batch, vocab).
        draws: float64 (batch,), uniform in [0, 1).

    Returns:
        Token ids, int64 (batch,).
    """
    cumulative = logits.double().softmax(dim=-1).cumsum(dim=-1)  # (batch, vocab)
    # Sums of rounded terms end near one, not at it.
    targets = draws[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, targets, right=True)[:, 0]
