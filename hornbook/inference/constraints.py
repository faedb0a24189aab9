"""Answers that must fit a JSON schema: llguidance says which tokens may come next."""

import json
from collections.abc import Collection
from typing import Any, Self

import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.tokenizing.tokenizer import Tokenizer


class Grammars:
    """Makes constraints for one tokenizer's texts; `of` gives one where that is possible."""

    def __init__(self, tokenizer: Any, vocab_size: int) -> None:
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Self | None:
        """None where llguidance is not installed, or the tokenizer's tokens are no bytes."""
        try:
            import llguidance
        except ImportError:
            return None
        if tokenizer.eos_id is None:
            return None
        try:
            known = llguidance.LLTokenizer(
                tokenizer.to_json(), n_vocab=tokenizer.vocab_size, eos_token=tokenizer.eos_id
            )
        except ValueError:  # words, or pieces of words with spaces put between them
            return None
        return cls(known, tokenizer.vocab_size)

    def of_schema(self, schema: dict[str, Any], ends: Collection[int]) -> "Grammar":
        """A constraint for one answer that is JSON of this schema.

        Raises:
            HornbookError: the schema is wrong, or too complex.
        """
        import llguidance

        compact = {**schema, "x-guidance": {"whitespace_flexible": False}}
        grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(compact))
        matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            first = str(matcher.get_error()).splitlines()[0]
            raise HornbookError(f"not a JSON schema that can be followed: {first}")
        return Grammar(matcher, ends)


class Grammar:
    """What may come next in one answer; see `Constraint`."""

    def __init__(self, matcher: Any, ends: Collection[int]) -> None:
        self._matcher = matcher
        self._ends = list(ends)

    def allowed(self, vocab_size: int) -> Tensor:
        """Which tokens may come next, bool (vocab_size,); the end's, where it is complete."""
        mask = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        bits = (mask[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
        allowed = torch.zeros(vocab_size, dtype=torch.bool)
        known = bits.flatten()[:vocab_size].bool()
        allowed[: len(known)] = known
        allowed[self._ends] = bool(self._matcher.is_accepting()) or not known.any()
        return allowed

    def add(self, token: int) -> None:
        """Take note of a token that was chosen."""
        if token not in self._ends:
            self._matcher.consume_token(token)

    @property
    def done(self) -> bool:
        """Whether nothing can follow."""
        return bool(self._matcher.is_stopped())
