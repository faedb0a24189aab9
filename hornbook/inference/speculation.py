"""Greedy writing by guessing ahead: several tokens for one reading of the weights.

Somebody quick proposes the next few tokens; the model reads them all at once, which takes hardly
longer than reading one, and keeps those that it would have written itself (Leviathan et al. 2023,
Fast Inference from Transformers via Speculative Decoding, §2, with greedy sampling).
"""

from collections.abc import Callable, Collection, Iterator, Sequence

import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.inference.batch import check_prompts
from hornbook.inference.decoder import Decoder
from hornbook.inference.settings import GenerationSettings
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime

AHEAD = 5
"""Most tokens that are proposed at once."""
LONGEST_RUN = 4
"""Prompt look-up searches for this many last tokens, then for fewer."""

Propose = Callable[[Sequence[int], int], list[int]]
"""From the text so far and how many are wanted at most, the tokens that may come next."""


def generate_speculatively(
    model: Transformer,
    prompt_ids: list[int],
    settings: GenerationSettings,
    propose: Propose,
    stop_ids: Collection[int] = (),
    runtime: Runtime | None = None,
) -> Iterator[int]:
    """The same ids as `generate` gives, up to the rounding of two logits that are almost equal.

    Args:
        propose: `look_up`, or `draft_with` a small model.

    Raises:
        HornbookError: as `generate`; or the settings are not greedy.
    """
    check_prompts(model.config, [prompt_ids])
    if not settings.greedy:
        raise HornbookError(
            "guessing ahead gives greedy texts only: use temperature=0 and neither penalties nor "
            "biases."
        )
    return _write(model, prompt_ids, settings, propose, stop_ids, runtime)


def _write(
    model: Transformer,
    prompt_ids: list[int],
    settings: GenerationSettings,
    propose: Propose,
    stop_ids: Collection[int],
    runtime: Runtime | None,
) -> Iterator[int]:
    context = model.config.context_length
    reader = _Reader(model, runtime, len(prompt_ids) + settings.max_new_tokens + AHEAD)
    ids, start, written = list(prompt_ids), 0, 0
    while True:
        if len(ids) - start > context:
            start = len(ids) - max(context // 2, 1)
        room = min(AHEAD, context - (len(ids) - start), settings.max_new_tokens - written - 1)
        guesses = propose(ids[start:], room)[:room] if room > 0 else []
        if reader.reads_anew(len(ids) - start, len(guesses)):
            guesses = []
        logits = reader.after([*ids[start:], *guesses], len(guesses) + 1)
        for token, guess in zip(logits.argmax(-1).tolist(), [*guesses, None], strict=True):
            if token in stop_ids:
                return
            ids.append(token)
            written += 1
            yield token
            if written == settings.max_new_tokens:
                return
            if token != guess:
                break


def look_up(text: Sequence[int], most: int) -> list[int]:
    """What followed the last tokens where they occurred before, latest first.

    (Saxena 2023, Prompt Lookup Decoding.) Costs nothing, and hits where a text repeats parts of
    itself: summaries, corrections, code.
    """
    for length in range(min(LONGEST_RUN, len(text) - 1), 0, -1):
        run = list(text[-length:])
        for place in range(len(text) - length - 1, -1, -1):
            if list(text[place : place + length]) == run:
                return list(text[place + length : place + length + most])
    return []


def draft_with(draft: Transformer, runtime: Runtime | None = None) -> Propose:
    """Proposals of a smaller model with the same vocabulary, its likeliest tokens."""
    reader = _Reader(draft, runtime, draft.config.context_length)
    context = draft.config.context_length

    def propose(text: Sequence[int], most: int) -> list[int]:
        proposed: list[int] = []
        known = list(text[-max(context - most, 1) :])
        for _ in range(min(most, context - len(known))):
            proposed.append(int(reader.after([*known, *proposed], 1)[0].argmax()))
        return proposed

    return propose


class _Reader:
    """Reads one text, taking up again where it has read the same before."""

    def __init__(self, model: Transformer, runtime: Runtime | None, capacity: int) -> None:
        self._decoder = Decoder(model, 1, runtime, capacity)
        self._cache = self._decoder.new_cache()
        self._known: list[int] = []

    def reads_anew(self, length: int, ahead: int) -> bool:
        """Whether a text of `length` tokens reads otherwise with `ahead` more."""
        model = self._decoder.model
        return any(model.reads_anew(length, length + more) for more in range(1, ahead + 1))

    def after(self, ids: list[int], last: int) -> Tensor:
        """Logits of what follows each of the last tokens of `ids`, float32 (last, vocab)."""
        same = 0
        for known, wanted in zip(self._known, ids[: len(ids) - last], strict=False):
            if known != wanted:
                break
            same += 1
        if self._decoder.model.reads_anew(same, len(ids)):
            same = 0
        same = self._forget_after(same)
        unread = torch.tensor([ids[same:]], device=self._decoder.device)
        logits = self._decoder.logits(unread, self._cache, last)[0]
        if logits.isnan().any():
            raise HornbookError(
                "the model's logits are not numbers; its weights are damaged or training diverged."
            )
        self._known = list(ids)
        return logits

    def _forget_after(self, length: int) -> int:
        """Keep the first `length` tokens, or none where too little of them is held; how many are kept."""
        self._cache.expected = 0
        length = self._cache.forget_after(length)
        reach = self._decoder.model.embedding.reach
        last = self._known[max(length - reach, 0) : length]
        device = self._decoder.device
        self._cache.last_ids = torch.tensor([last], dtype=torch.int64, device=device)
        return length
