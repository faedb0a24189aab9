"""The model writes, token after token, one text or many at once.

Texts that are written together advance in step: each step reads one token of every row. Rows whose
prompts are longer than the shortest one take their prompt's tokens until it ends, so no row needs
padding, and each answer is what the same prompt gives alone.
"""

import contextlib
import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from hornbook.config import Settings
from hornbook.errors import HornbookError
from hornbook.inference.logits import (
    keep_top_k,
    keep_top_p,
    penalize_repetition,
    pick,
    scale_temperature,
)
from hornbook.model.kv_cache import KVCache
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime


class GenerationSettings(Settings):
    """How the next token is chosen, and for how long."""

    max_new_tokens: int = Field(default=200, ge=1)
    """Most tokens to write after the prompt."""
    temperature: float = Field(default=0.8, ge=0)
    """Divides the logits: 0 always takes the likeliest token, 1 keeps the model's distribution."""
    top_k: int | None = Field(default=50, ge=1)
    """Choose among this many likeliest tokens; the vocabulary's size or more keeps all."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Choose among the fewest likeliest tokens that have this much probability together."""
    repetition_penalty: float = Field(default=1.0, gt=0)
    """Above 1 makes tokens that have occurred, in the prompt too, less likely."""
    seed: int = 1
    """Seed of the random choices."""


def generate(
    model: Transformer,
    prompt_ids: list[int],
    settings: GenerationSettings,
    stop_ids: Collection[int] = (),
    runtime: Runtime | None = None,
) -> Iterator[int]:
    """Token ids that continue a prompt, each as soon as it is known.

    Writing ends before the first of `stop_ids` or after `max_new_tokens`. When the context is
    full, the model forgets the older half of it and reads the newer half again, so that writing
    can go on for any length. Without a runtime, products are float32 on the model's device.

    Raises:
        HornbookError: the prompt is empty, longer than the context, or not in the vocabulary;
            or the model's logits are not numbers.
    """
    _check(model, [prompt_ids])
    pairs = _write(model, {0: prompt_ids}, settings, stop_ids, runtime)
    return (token for _, token in pairs)


def generate_batch(
    model: Transformer,
    prompts: Sequence[list[int]],
    settings: GenerationSettings,
    stop_ids: Collection[int] = (),
    runtime: Runtime | None = None,
    batch_size: int = 64,
) -> list[list[int]]:
    """The answers to many prompts of any lengths, in the prompts' order.

    Each greedy answer is the one that `generate` gives (up to rounding: two logits within 1e-6 of
    each other may change places). Sampled answers hang on the seed and the prompt's number,
    not on `batch_size`.

    Raises:
        HornbookError: as `generate`, for any of the prompts.
    """
    _check(model, prompts)
    answers: list[list[int]] = [[] for _ in prompts]
    # Neighbours in length waste the fewest steps on the rest of the longer prompts.
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for first in range(0, len(order), batch_size):
        chunk = {index: prompts[index] for index in order[first : first + batch_size]}
        for index, token in _write(model, chunk, settings, stop_ids, runtime):
            answers[index].append(token)
    return answers


def _check(model: Transformer, prompts: Sequence[list[int]]) -> None:
    vocab_size, longest = model.config.vocab_size, model.config.context_length
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


@dataclass
class _Row:
    """One text being written."""

    index: int
    prompt: list[int]
    random: random.Random
    written: int = 0
    done: bool = False


def _write(
    model: Transformer,
    prompts: dict[int, list[int]],
    settings: GenerationSettings,
    stop_ids: Collection[int],
    runtime: Runtime | None,
) -> Iterator[tuple[int, int]]:
    """Pairs of a prompt's number and its next token, for all prompts in step."""
    rows = [
        # A stream of random numbers for each prompt, whatever batch it is in.
        _Row(index, prompt, random.Random(f"{settings.seed}/{index}"))
        for index, prompt in prompts.items()
    ]
    shortest = min(len(row.prompt) for row in rows)
    most = max(len(row.prompt) for row in rows) + settings.max_new_tokens
    reader = _Reader(model, len(rows), most, runtime)
    ids = torch.tensor([row.prompt[:shortest] for row in rows], device=reader.device)
    while rows:
        here = ids.shape[1]
        chosen = _choose(reader.read(ids), ids, rows, settings)
        tokens = [
            row.prompt[here] if here < len(row.prompt) else token
            for row, token in zip(rows, chosen, strict=True)
        ]
        ids = torch.cat((ids, torch.tensor(tokens, device=ids.device)[:, None]), dim=1)
        for row, token in zip(rows, tokens, strict=True):
            if row.done or here < len(row.prompt):
                continue
            if token in stop_ids:
                row.done = True
                continue
            row.written += 1
            row.done = row.written == settings.max_new_tokens
            yield row.index, token
        going = [number for number, row in enumerate(rows) if not row.done]
        if len(going) <= len(rows) // 2:  # copying the cache pays only when many rows go
            rows = [rows[number] for number in going]
            ids = ids[going]
            reader.keep(going)


class _Reader:
    """Reads rows of tokens with a cache, each token once unless the context overflows."""

    def __init__(self, model: Transformer, rows: int, most: int, runtime: Runtime | None) -> None:
        self.model = model
        embedding = model.embedding.token.weight
        self.device = embedding.device
        self.runtime = runtime
        dtype = runtime.dtype if runtime is not None else embedding.dtype
        self.cache = KVCache(model.config, rows, self.device, dtype, capacity=most)
        self.start = 0  # of what the model has in view

    def read(self, ids: Tensor) -> Tensor:
        """Logits of the token after `ids` (rows, tokens): float32 (rows, vocab)."""
        context = self.model.config.context_length
        if ids.shape[1] - self.start > context:
            self.start = ids.shape[1] - max(context // 2, 1)
            self.cache.clear()
        if self.model.reads_anew(self.cache.length, ids.shape[1] - self.start):
            self.cache.clear()
        unread = ids[:, self.start + self.cache.length :]
        autocast = self.runtime.autocast() if self.runtime is not None else contextlib.nullcontext()
        with torch.inference_mode(), autocast, _evaluating(self.model):
            last = self.model.hidden(unread, self.cache)[:, -1]  # (rows, embed_dim)
            logits: Tensor = self.model.head(last).float()
        if logits.isnan().any():
            raise HornbookError(
                "the model's logits are not numbers; its weights are damaged or training diverged."
            )
        return logits

    def keep(self, rows: list[int]) -> None:
        """Drop all other rows."""
        self.cache.keep(torch.tensor(rows, dtype=torch.int64, device=self.device))


@contextlib.contextmanager
def _evaluating(model: Transformer) -> Iterator[None]:
    """No dropout inside the block; the model is left as it was found."""
    training = model.training
    if training:
        model.eval()
    try:
        yield
    finally:
        if training:
            model.train()


def _choose(
    logits: Tensor, ids: Tensor, rows: list[_Row], settings: GenerationSettings
) -> list[int]:
    """A next token for each row."""
    if settings.repetition_penalty != 1:
        logits = penalize_repetition(logits, ids, settings.repetition_penalty)
    if settings.temperature == 0:
        return logits.argmax(dim=-1).tolist()
    logits = scale_temperature(logits, settings.temperature)
    if settings.top_k is not None:
        logits = keep_top_k(logits, settings.top_k)
    if settings.top_p is not None:
        logits = keep_top_p(logits, settings.top_p)
    # A row that is still in its prompt must not use up its random numbers.
    draws = [row.random.random() if len(row.prompt) <= ids.shape[1] else 0.0 for row in rows]
    if logits.device.type == "mps":
        logits = logits.cpu()  # it has no float64
    picked = pick(logits, torch.tensor(draws, dtype=torch.float64, device=logits.device))
    return picked.tolist()
