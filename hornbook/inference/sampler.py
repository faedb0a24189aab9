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
    keep_min_p,
    keep_top_p,
    penalize_counts,
    penalize_repetition,
    pick,
    scale_temperature,
)
from hornbook.inference.settings import GenerationSettings


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
        token = int(logits.argmax()) if self.plain else self._pick(self._adjusted(logits))
        self._seen.add(token)
        self._written[token] += 1
        if self.constraint is not None:
            self.constraint.add(token)
        return self._report(logits, token)

    def take(self, token: int) -> Choice:
        """The same for a token that is known to be the one that would be chosen."""
        self._seen.add(token)
        self._written[token] += 1
        return Choice(token)

    def _adjusted(self, logits: Tensor) -> Tensor:
        """With penalties, biases and what the constraint rules out."""
        settings = self.settings
        if settings.repetition_penalty != 1:
            seen = torch.tensor(sorted(self._seen), device=logits.device)
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
            added = torch.tensor(list(settings.logit_bias.values()), device=logits.device)
            logits = logits.index_add(0, torch.tensor(ids, device=logits.device), added)
        if self.constraint is not None:
            allowed = self.constraint.allowed(len(logits)).to(logits.device)
            logits = logits.masked_fill(~allowed, -torch.inf)
        return logits

    def _pick(self, logits: Tensor) -> int:
        settings = self.settings
        if settings.temperature == 0:
            return int(logits.argmax())
        if logits.device.type == "mps":
            logits = logits.cpu()  # it has no float64
        ids = None
        if settings.top_k is not None and settings.top_k < len(logits):
            # What follows then looks at a few tokens instead of a whole vocabulary.
            lowest = logits.topk(settings.top_k).values[-1]
            ids = (logits >= lowest).nonzero()[:, 0]
            logits = logits[ids]
        logits = scale_temperature(logits, settings.temperature)
        if settings.top_p is not None:
            logits = keep_top_p(logits, settings.top_p)
        if settings.min_p is not None:
            logits = keep_min_p(logits, settings.min_p)
        draw = torch.tensor([self._stream.random()], dtype=torch.float64, device=logits.device)
        place = int(pick(logits[None], draw))
        return place if ids is None else int(ids[place])

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
    if logits.isnan().any():
        raise HornbookError(
            "the model's logits are not numbers; its weights are damaged or training diverged."
        )
    if all(sampler.plain for sampler in samplers):
        tokens = logits.argmax(dim=-1).tolist()
        return [sampler.take(token) for sampler, token in zip(samplers, tokens, strict=True)]
    return [sampler.choose(row) for sampler, row in zip(samplers, logits, strict=True)]
