"""A model that is served: its engine, and what it can do."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from hornbook.errors import HornbookError
from hornbook.finetuning.bank import AdapterBank
from hornbook.inference.constraints import Grammars
from hornbook.inference.engine import Engine
from hornbook.inference.sampler import Constraint
from hornbook.inference.settings import GenerationSettings
from hornbook.model.transformer import Transformer
from hornbook.pipeline.models.bundle import Bundle
from hornbook.serving.errors import ApiError, over_limit
from hornbook.serving.fields import Writing
from hornbook.tokenizing.templates import Message
from hornbook.tokenizing.tokenizer import Tokenizer


@dataclass(frozen=True)
class Served:
    """A model, ready to answer: a base, or an adapter on one."""

    name: str
    """What requests call it."""
    bundle: Bundle
    engine: Engine
    model: Transformer
    """With the adapters on it, if there are any."""
    adapter: str | None = None
    """The adapter's name in the bank; None for the base."""
    bank: AdapterBank | None = None
    created: int = field(default_factory=lambda: int(time.time()))
    """Seconds since 1970."""
    grammars: Grammars | None = None
    """For answers that must fit a JSON schema; None where the library for them is not installed."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""
        return self.bundle.tokenizer

    @property
    def context_length(self) -> int:
        """Tokens of a prompt and its answer together."""
        return self.model.config.context_length

    @cached_property
    def drawing(self) -> dict[str, Any]:
        """How the model's makers would have tokens drawn, as far as they have stated it.

        Raises:
            HornbookError: what they have stated cannot be.
        """
        stated = self.bundle.drawing(GenerationSettings())
        return {name: getattr(stated, name) for name in stated.model_fields_set}

    def require(self, *tasks: str) -> None:
        """Make sure that the model can do what is asked of it.

        Raises:
            ApiError: it was trained for something else.
        """
        if self.bundle.task not in tasks:
            use = {
                "pretrain": "continues texts (/v1/completions)",
                "instruct": "answers requests (/v1/chat/completions, /v1/completions)",
                "classify": "classifies texts (/v1/classifications)",
            }[self.bundle.task]
            raise ApiError(400, f"{self.name} cannot do this: it {use}.", "model")

    def ids_of(self, prompt: str | list[int], param: str) -> list[int]:
        """A prompt's ids; what a text spells never becomes a special token.

        Raises:
            ApiError: the prompt is empty, and the tokenizer has no token to begin a document with.
        """
        if not isinstance(prompt, str):
            return prompt
        try:
            return self.bundle.prompt_ids(prompt)
        except HornbookError as error:
            raise ApiError(400, f"{param}: {error}", param) from None

    def conversation(self, messages: Sequence[Message]) -> list[int]:
        """A conversation's ids, up to where the answer begins.

        Raises:
            ApiError: nothing is asked, or the template cannot write it.
        """
        if not messages[-1].content.strip():
            raise ApiError(400, "messages: the last message is empty.", "messages")
        try:
            return self.bundle.conversation_ids(messages)
        except HornbookError as error:
            raise ApiError(400, f"messages: {error}", "messages") from None

    @property
    def ends(self) -> set[int]:
        """Tokens before which an answer ends."""
        return self.bundle.ends

    @torch.inference_mode()
    def embedding(self, ids: Sequence[int]) -> list[float]:
        """A text's mean hidden state, of length 1: float32 (embed_dim,).

        To be called by the engine, between two steps.
        """
        if self.bank is not None:
            self.bank.use([self.adapter])
        device = self.model.embedding.token.weight.device
        hidden = self.model.hidden(torch.tensor([ids], device=device))[0]
        mean = hidden.float().mean(dim=0)
        numbers: list[float] = (mean / mean.norm().clamp_min(1e-12)).tolist()
        return numbers

    def room(self, prompt: Sequence[int], param: str) -> int:
        """Tokens that an answer to a prompt may have.

        Raises:
            ApiError: none.
        """
        most = self.context_length - 1
        if len(prompt) > most:
            unit = f"tokens (the model reads {self.context_length:,}, its answer among them)"
            raise over_limit(param, most, unit, len(prompt), "context_length_exceeded")
        return self.context_length - len(prompt)

    def check(self, writing: Writing, prompts: int = 1) -> None:
        """What only this model can tell to be wrong.

        Raises:
            ApiError: a bias of a token that is not there, more tokens than it can hold, or more
                answers than may be written and wait.
        """
        answers, most = prompts * writing.n, self.engine.most_orders
        if answers > most:
            unit = "answers to all prompts together (engine.rows and engine.queue)"
            raise over_limit("n", most, unit, answers)
        vocab_size = self.model.config.vocab_size
        if any(int(key) >= vocab_size for key in writing.logit_bias):
            raise ApiError(400, f"logit_bias: ids end at {vocab_size - 1}.", "logit_bias")
        for name in ("max_tokens", "max_completion_tokens"):
            asked = getattr(writing, name, None) or 0
            if asked > self.context_length:
                raise over_limit(name, self.context_length, "tokens (the model's context)", asked)

    def constraint(self, schema: dict[str, Any] | None) -> Constraint | None:
        """What makes an answer fit a JSON schema.

        Raises:
            ApiError: the schema is wrong, or this server cannot.
        """
        if schema is None:
            return None
        if self.grammars is None:
            raise ApiError(
                400, "response_format: this server has no llguidance installed, or the model's "
                "tokenizer has no tokens of bytes.", "response_format",
            )  # fmt: skip
        try:
            return self.grammars.of_schema(schema, self.ends)
        except HornbookError as error:
            raise ApiError(400, f"response_format: {error}", "response_format") from None


def random_seed() -> int:
    """For a request without a seed."""
    return secrets.randbits(62)
