"""Texts written side by side, each joining when there is room and leaving when it ends.

(Yu et al. 2022, Orca, §3.1: scheduling by steps instead of by requests.)
"""

import random
from collections import deque
from collections.abc import Collection, Sequence
from typing import Literal

from hornbook.errors import HornbookError
from hornbook.inference.decoder import Decoder
from hornbook.inference.sampler import Choice, Constraint, Sampler, choose_all
from hornbook.inference.settings import GenerationSettings
from hornbook.model.config import ModelConfig
from hornbook.model.kv_cache import CHUNK, KVCache

Ended = Literal["stop", "length"]
"""Why a text has ended."""

Event = tuple["Text", Choice | None, Ended | None]
"""What a step has brought a text: its next token, if any, and why it ends with it, if it does.

A text that is read in a step is written in the same step: it can have two events in one.
"""


class Text:
    """One text being written.

    Args:
        prompt: ids that it begins with.
        settings: how it goes on.
        stop_ids: tokens before which it ends.
        stream: name of its random numbers beside the seed, such as its number among several.
        slides: when the context is full, forget the older half and go on; otherwise it ends there.
        top_logprobs: see `Sampler`.
        constraint: see `Sampler`.
        adapter: name of the decoder's adapter that it is written with; None for the model itself.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        settings: GenerationSettings,
        stop_ids: Collection[int] = (),
        stream: int = 0,
        slides: bool = False,
        top_logprobs: int | None = None,
        constraint: Constraint | None = None,
        adapter: str | None = None,
    ) -> None:
        self.adapter = adapter
        self.ids = list(prompt)
        self.prompt_length = len(self.ids)
        self.settings = settings
        self.stop_ids = stop_ids
        self.slides = slides
        self.start = 0
        """The first token that the model still has in view."""
        numbers = random.Random(f"{settings.seed}/{stream}")
        self.sampler = Sampler(settings, prompt, numbers, top_logprobs, constraint)
        self.ended: Ended | None = None
        """Why it has ended, if it has."""

    @property
    def in_view(self) -> list[int]:
        """The tokens that the next one follows from."""
        return self.ids[self.start :]

    def accept(self, choice: Choice, context_length: int) -> Choice | None:
        """Go on by a token, or end; returns the choice if it is part of the text."""
        if choice.token in self.stop_ids:
            self.ended = "stop"
            return None
        self.ids.append(choice.token)
        constraint = self.sampler.constraint
        if constraint is not None and constraint.done:
            self.ended = "stop"
        elif len(self.ids) - self.prompt_length >= self.settings.max_new_tokens or (
            not self.slides and len(self.ids) >= context_length
        ):
            self.ended = "length"
        return choice


class Batch:
    """Writes texts with a decoder, as many at a time as it has rows."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._waiting: deque[Text] = deque()
        self._reading: Text | None = None
        self._unread: list[int] = []
        self._cache: KVCache = decoder.new_cache()
        self._rows: list[Text] = []

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._waiting or self._reading or self._rows)

    @property
    def writing(self) -> int:
        """How many texts have a row or are being read."""
        return len(self._rows) + (self._reading is not None)

    @property
    def waiting(self) -> int:
        """How many texts wait for a row."""
        return len(self._waiting)

    def add(self, text: Text) -> None:
        """Have a text written as soon as there is room."""
        self._waiting.append(text)

    def drop(self, text: Text) -> None:
        """Stop writing a text; its row is free at once."""
        if text is self._reading:
            self._reading = None
        elif text in self._rows:
            self._leave(self._rows.index(text))
        elif text in self._waiting:
            self._waiting.remove(text)

    def step(self, read_at_most: int | None = None) -> list[Event]:
        """Read prompts, then write a token of every text.

        Args:
            read_at_most: begin no further chunk of a prompt after this many tokens; None reads
                prompts until all rows are in use.

        Raises:
            HornbookError: the model's logits are not numbers.
        """
        return [*self._read(read_at_most), *self._write()]

    def _read(self, at_most: int | None) -> list[Event]:
        events: list[Event] = []
        done = 0
        while at_most is None or done < at_most:
            if self._reading is None and not self._begin_reading():
                break
            text = self._reading
            assert text is not None
            # No more at once, so that other texts wait no longer than that.
            chunk, self._unread = self._unread[:CHUNK], self._unread[CHUNK:]
            logits = self._decoder.read(chunk, self._cache, text.adapter)
            done += len(chunk)
            if self._unread:
                continue
            self._reading = None
            choice = choose_all(logits, [text.sampler])[0]
            events.append(_go_on(text, choice, self._decoder.config.context_length))
            if text.ended is None:
                self._decoder.cache.join(self._cache)
                self._rows.append(text)
        return events

    def _begin_reading(self) -> bool:
        if not self._waiting or len(self._rows) == self._decoder.rows:
            return False
        self._reading = self._waiting.popleft()
        self._unread = self._reading.in_view
        self._cache.clear()
        self._cache.expected = len(self._unread)
        return True

    def _write(self) -> list[Event]:
        self._read_anew_where_needed()
        if not self._rows:
            return []
        last = [text.ids[-1] for text in self._rows]
        logits = self._decoder.step(last, [text.adapter for text in self._rows])
        choices = choose_all(logits, [text.sampler for text in self._rows])
        context = self._decoder.config.context_length
        events = [
            _go_on(text, choice, context) for text, choice in zip(self._rows, choices, strict=True)
        ]
        for row in reversed(range(len(self._rows))):
            if self._rows[row].ended is not None:
                self._leave(row)
        return events

    def _read_anew_where_needed(self) -> None:
        """Texts that have filled the context, or whose positions change, are read again first."""
        context = self._decoder.config.context_length
        for row in reversed(range(len(self._rows))):
            text, known = self._rows[row], self._decoder.cache.lengths[row]
            full = known == context
            if full:
                text.start = len(text.ids) - max(context // 2, 1)
            if full or self._decoder.model.reads_anew(known, known + 1):
                self._leave(row)
                self._waiting.appendleft(text)

    def _leave(self, row: int) -> None:
        self._decoder.cache.leave(row)
        self._rows[row] = self._rows[-1]
        self._rows.pop()


def _go_on(text: Text, choice: Choice, context_length: int) -> Event:
    accepted = text.accept(choice, context_length)
    return text, accepted, text.ended


def check_prompts(config: ModelConfig, prompts: Sequence[Sequence[int]]) -> None:
    """Make sure that a model can go on from each prompt.

    Raises:
        HornbookError: one is empty, longer than the context, or not in the vocabulary.
    """
    vocab_size, longest = config.vocab_size, config.context_length
    for prompt in prompts:
        if not prompt:
            raise HornbookError("the prompt is empty; give the model at least one token to go on.")
        if len(prompt) > longest:
            raise HornbookError(
                f"the prompt is {len(prompt)} tokens long, but this model reads at most "
                f"{longest} (model.context_length); shorten the prompt."
            )
        if min(prompt) < 0 or max(prompt) >= vocab_size:
            raise HornbookError(
                f"the prompt has a token id outside the model's vocabulary of {vocab_size}; "
                f"encode it with the tokenizer that the model was trained with."
            )
