"""The next token of one text, by its own settings and its own random numbers."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.inference.logits import (
    beside,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalize_counts,
    penalize_repetition,
    pick,
    scale_temperature,
)
from hornbook.inference.settings import GenerationSettings

NO_TOKEN = -1
"""Stands for the choice from logits that are not numbers."""


@dataclass(frozen=True)
class Choice:
    """A token that was chosen."""

    token: int
    logprob: float | None = None
    """Log-probability that the model gave it, before any setting changed the logits."""
    top: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens and their log-probabilities, the likeliest first."""


class Constraint(Protocol):
    """What rules tokens out as a text grows, such as a grammar."""

    def allowed(self, vocab_size: int) -> Tensor:
        """Which tokens may come next, bool (vocab_size,)."""

    def add(self, token: int) -> None:
        """Take note of a token that was chosen."""

    @property
    def done(self) -> bool:
        """Whether the text is complete."""


class Sampler:
    """Chooses the tokens of one text.

    Args:
        settings: how.
        prompt: ids that the text begins with.
        stream: random numbers of this text alone, so that no other text changes it.
        top_logprobs: how many likeliest tokens to report with each choice; None for no
            log-probabilities at all.
        constraint: what else rules tokens out.
    """

    def __init__(
        self,
        settings: GenerationSettings,
        prompt: Sequence[int],
        stream: random.Random,
        top_logprobs: int | None = None,
        constraint: Constraint | None = None,
    ) -> None:
        self.settings = settings
        self.constraint = constraint
        self._stream = stream
        self._top_logprobs = top_logprobs
        self._seen = set(prompt)
        self._written: Counter[int] = Counter()
        self.plain = settings.greedy and top_logprobs is None and constraint is None
        """Whether the highest logit is all that is asked for."""

    def choose(self, logits: Tensor) -> Choice:
        """The next token, from float32 logits (vocab,); it counts as written."""
        return self.take(int(self.pick(logits)), logits)

    def pick(self, logits: Tensor) -> Tensor:
        """The token that would be chosen, int64 (), on the logits' device: the host need not wait."""
        return logits.argmax() if self.plain else self._pick(self._adjusted(logits))

    def take(self, token: int, logits: Tensor) -> Choice:
        """Count a token that was picked from these logits as written."""
        self._seen.add(token)
        self._written[token] += 1
        if self.constraint is not None:
            self.constraint.add(token)
        return self._report(logits, token)

    def _adjusted(self, logits: Tensor) -> Tensor:
        """With penalties, biases and what the constraint rules out."""
        settings = self.settings
        if settings.repetition_penalty != 1:
            seen = beside(logits, sorted(self._seen))
            logits = penalize_repetition(logits, seen, settings.repetition_penalty)
        if self._written and (settings.presence_penalty or settings.frequency_penalty):
            logits = penalize_counts(
                logits, self._written, settings.presence_penalty, settings.frequency_penalty
            )
        if settings.logit_bias:
            ids = [int(key) for key in settings.logit_bias]
            if max(ids) >= len(logits):
                raise HornbookError(
                    f"logit_bias: no token has the id {max(ids)}; the vocabulary has {len(logits)}."
                )
            added = beside(logits, list(settings.logit_bias.values()))
            logits = logits.index_add(0, beside(logits, ids), added)
        # Settings beyond what float32 holds must not make two infinities, whose difference is no number.
        logits = logits.nan_to_num()
        if self.constraint is not None:
            allowed = self.constraint.allowed(len(logits)).to(logits.device, non_blocking=True)
            logits = logits.masked_fill(~allowed, -torch.inf)
        return logits

    def _pick(self, logits: Tensor) -> Tensor:
        settings = self.settings
        if settings.temperature == 0:
            return logits.argmax()
        if logits.device.type == "mps":
            logits = logits.cpu()  # it has no float64
        ids = None
        if settings.top_k is not None and settings.top_k < len(logits):
            logits = keep_top_k(logits, settings.top_k)
            if logits.device.type == "cpu":  # to ask another device how many there are takes longer
                # What follows then looks at a few tokens instead of a whole vocabulary.
                ids = (logits > -torch.inf).nonzero()[:, 0]
                logits = logits[ids]
        logits = scale_temperature(logits, settings.temperature)
        if settings.top_p is not None:
            logits = keep_top_p(logits, settings.top_p)
        if settings.min_p is not None:
            logits = keep_min_p(logits, settings.min_p)
        draw = beside(logits, [self._stream.random()], torch.float64)
        place = pick(logits[None], draw)[0]
        return place if ids is None else ids[place]

    def _report(self, logits: Tensor, token: int) -> Choice:
        if self._top_logprobs is None:
            return Choice(token)
        logprobs = logits.log_softmax(dim=-1)
        top = logprobs.topk(min(self._top_logprobs, len(logprobs)))
        pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        return Choice(token, float(logprobs[token]), tuple(pairs))


def choose_all(logits: Tensor, samplers: Sequence[Sampler]) -> list[Choice]:
    """A choice for each row of float32 logits (rows, vocab).

    Raises:
        HornbookError: the logits are not numbers.
    """
    wrong = logits.isnan()
    rows = logits.masked_fill(wrong, 0.0)
    if all(sampler.plain for sampler in samplers):
        picked = rows.argmax(dim=-1)
    else:
        picks = [sampler.pick(row) for sampler, row in zip(samplers, rows, strict=True)]
        picked = torch.stack([one.to(logits.device) for one in picks])
    # The one place where the host waits for the device.
    tokens = picked.masked_fill(wrong.any(dim=-1), NO_TOKEN).tolist()
    if NO_TOKEN in tokens:
        raise HornbookError(
            "the model's logits are not numbers; its weights are damaged or training diverged."
        )
    return [
        sampler.take(token, row)
        for sampler, token, row in zip(samplers, tokens, logits, strict=True)
    ]
