"""The model that is served, its engine, and what it can do."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from hornbook.errors import HornbookError
from hornbook.inference.constraints import Grammars
from hornbook.inference.engine import Engine
from hornbook.inference.sampler import Constraint
from hornbook.model.transformer import Transformer
from hornbook.pipeline.bundle import Bundle, load_bundle
from hornbook.runtime import Runtime, RuntimeSettings, choose_runtime
from hornbook.serving.errors import ApiError
from hornbook.serving.fields import Fields, Writing
from hornbook.serving.settings import ServerSettings
from hornbook.tokenizing.templates import Message, encode_conversation, stop_ids
from hornbook.tokenizing.tokenizer import Tokenizer


@dataclass(frozen=True)
class Served:
    """A model, ready to answer."""

    name: str
    """What requests call it."""
    bundle: Bundle
    engine: Engine
    created: int = field(default_factory=lambda: int(time.time()))
    """Seconds since 1970."""
    grammars: Grammars | None = None
    """For answers that must fit a JSON schema; None where the library for them is not installed."""

    @property
    def model(self) -> Transformer:
        """The model itself."""
        return self.bundle.model

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""
        return self.bundle.tokenizer

    @property
    def context_length(self) -> int:
        """Tokens of a prompt and its answer together."""
        return self.model.config.context_length

    def require(self, fields: Fields, *tasks: str) -> None:
        """Make sure that the model asked for is this one, and can do it.

        Raises:
            ApiError: it is not, or cannot.
        """
        if fields.model not in ("", self.name):
            raise ApiError(
                404, f"no model {fields.model!r} here; there is {self.name!r}.", "model",
                "model_not_found",
            )  # fmt: skip
        if self.bundle.task not in tasks:
            use = {
                "pretrain": "continues texts (/v1/completions)",
                "instruct": "answers requests (/v1/chat/completions, /v1/completions)",
                "classify": "classifies texts (/v1/classifications)",
            }[self.bundle.task]
            raise ApiError(400, f"{self.name} cannot do this: it {use}.", "model")

    def ids_of(self, prompt: str | list[int]) -> list[int]:
        """A prompt's ids; what a text spells never becomes a special token."""
        if not isinstance(prompt, str):
            return prompt
        ids = self.tokenizer.encode(prompt)
        if not ids:  # a new document, as after the end of another one
            start = [self.tokenizer.eos_id, self.tokenizer.bos_id]
            ids = [number for number in start if number is not None][:1]
        return ids

    def conversation(self, messages: Sequence[Message]) -> list[int]:
        """A conversation's ids, up to where the answer begins."""
        template = self.bundle.facts["template"]
        return encode_conversation(self.tokenizer, messages, template, add_answer_prompt=True).ids

    @property
    def ends(self) -> set[int]:
        """Tokens before which an answer ends."""
        if self.bundle.task == "instruct":
            return stop_ids(self.tokenizer, self.bundle.facts["template"])
        return set() if self.tokenizer.eos_id is None else {self.tokenizer.eos_id}

    def room(self, prompt: Sequence[int], param: str) -> int:
        """Tokens that an answer to a prompt may have.

        Raises:
            ApiError: none.
        """
        room = self.context_length - len(prompt)
        if room < 1:
            raise ApiError(
                400,
                f"{param}: {len(prompt)} tokens leave no room for an answer: the model reads "
                f"{self.context_length} in all.",
                param,
                "context_length_exceeded",
            )
        return room

    def check(self, writing: Writing) -> None:
        """What only this model can tell to be wrong.

        Raises:
            ApiError: a bias of a token that is not there, or more tokens than it can hold.
        """
        vocab_size = self.model.config.vocab_size
        if any(int(key) >= vocab_size for key in writing.logit_bias):
            raise ApiError(400, f"logit_bias: ids end at {vocab_size - 1}.", "logit_bias")
        for name in ("max_tokens", "max_completion_tokens"):
            if getattr(writing, name, 0) > max(self.context_length, 256):
                raise ApiError(
                    400, f"{name}: at most {self.context_length} tokens (the context).", name
                )

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


def open_model(path: Path, settings: ServerSettings, name: str | None = None) -> Served:
    """Load a model's folder and make an engine for it, which is still to be started.

    Raises:
        HornbookError: as `load_bundle`.
    """
    weights = settings.weights
    wide = weights is not None
    runtime = choose_runtime(RuntimeSettings(precision="float32" if wide else "auto"))
    bundle = load_bundle(path, runtime)
    return serve_bundle(bundle, settings, name or bundle.path.resolve().name, runtime)


def serve_bundle(bundle: Bundle, settings: ServerSettings, name: str, runtime: Runtime) -> Served:
    """The same of a model that is loaded already."""
    engine = Engine(bundle.model, bundle.tokenizer, runtime, settings.engine, settings.weights)
    return Served(name, bundle, engine, grammars=Grammars.of(bundle.tokenizer))


def random_seed() -> int:
    """For a request without a seed."""
    return secrets.randbits(62)


def embeddings_of(model: Transformer, rows: Sequence[list[int]]) -> list[list[float]]:
    """Of each text its mean hidden state, of length 1: float32 (texts, embed_dim)."""
    found = []
    with torch.inference_mode():
        for ids in rows:
            device = model.embedding.token.weight.device
            hidden = model.hidden(torch.tensor([ids], device=device))[0].float().mean(dim=0)
            found.append((hidden / hidden.norm().clamp_min(1e-12)).tolist())
    return found
