"""A step of writing that does the same to the same memory each time, and is recorded where that helps."""

import logging
from collections import Counter
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from hornbook.inference.cuda_graph import Recorder, Work
from hornbook.model.feedforward import MixtureOfExperts
from hornbook.model.rows_cache import StaticRowsCache
from hornbook.model.transformer import Transformer

FEWEST_PLACES = 256
"""Places of a row that a step looks at, at least; then twice as many, and so on."""
WARM_UP = 2
"""Steps that are done in the usual way before one is recorded, for each number of places."""


class StaticStep:
    """Reads one token of each row of a cache; ids in, logits out, in memory that stays.

    There is a recording for each number of places, 256, 512 and so on, made when a text first becomes
    as long. The first steps are done in the usual way, so that short texts are not recorded at all.

    Args:
        model: in evaluation mode whenever a step is done.
        cache: of its texts.
        recorder: of the device.
        steady: look at all places always, so that no text's bits hang on how long others are.
    """

    def __init__(
        self, model: Transformer, cache: StaticRowsCache, recorder: Recorder, steady: bool
    ) -> None:
        self._model, self._cache = model, cache
        self._recorder: Recorder | None = recorder
        self._steady = steady
        self._recorded: dict[int, Work] = {}
        self._done: Counter[int] = Counter()
        device = cache.places.device
        self._ids = torch.zeros(cache.rows, 1, dtype=torch.int64, device=device)
        # Ids and places are written by the host, and copied while it goes on.
        self._sent = torch.zeros(2, cache.rows, dtype=torch.int64, pin_memory=device.type == "cuda")
        self._logits = torch.zeros(cache.rows, model.config.vocab_size, device=device)

    def __call__(self, tokens: Sequence[int], as_recorded: bool = True) -> Tensor:
        """Logits of what follows `tokens`, of the rows in use: float32 (rows in use, vocab).

        They stand there until the next step. Without `as_recorded` the step is done in the usual way,
        for what was not done when it was recorded.
        """
        used = len(tokens)
        self._sent.zero_()
        self._sent[0, :used] = torch.tensor(tokens)
        self._sent[1, :used] = torch.tensor(self._cache.lengths)
        self._ids[:, 0].copy_(self._sent[0], non_blocking=True)
        self._cache.places[:, 0].copy_(self._sent[1], non_blocking=True)
        seen = self._places(max(self._cache.lengths) + 1)
        self._work(seen, as_recorded)()
        self._cache.grow()
        return self._logits[:used]

    def _places(self, longest: int) -> int:
        most = self._cache.capacity
        if self._steady:
            return most
        places = FEWEST_PLACES
        while places < longest:
            places *= 2
        return min(places, most)

    def _work(self, seen: int, as_recorded: bool) -> Work:
        """The step, in one form or another."""
        plain = partial(self._compute, seen)
        if self._recorder is None or not as_recorded:
            return plain
        if seen not in self._recorded:
            if self._done[seen] < WARM_UP:
                self._done[seen] += 1
                return partial(self._recorder.warm_up, plain)
            try:
                self._recorded[seen] = self._recorder.record(plain)
            except RuntimeError as error:
                why = str(error).splitlines()[0]
                logging.getLogger(__name__).warning("writing without a CUDA graph: %s", why)
                self._recorder = None
                return plain
        return self._recorded[seen]

    def _compute(self, seen: int) -> None:
        self._cache.seen = seen
        hidden = self._model.hidden(self._ids, self._cache)[:, -1]  # (rows, embed_dim)
        self._logits.copy_(self._model.head(hidden))


def can_be_recorded(model: Transformer) -> bool:
    """Whether a step never asks the device for a number; experts ask how many tokens each has."""
    return not any(isinstance(module, MixtureOfExperts) for module in model.modules())
