"""What is exported of a tokenizer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer in plain values, as other programs know it."""

    tree: Mapping[str, Any]
    """The content of its tokenizer.json."""
    roles: Mapping[str, str]
    """Spellings by role: bos_token, eos_token, pad_token, unk_token, as far as there are any."""
    stops: tuple[int, ...]
    """Every id that ends an answer; end of text first."""
    chat_template: str | None
    """How conversations are written, in Jinja; None for a model that only continues texts."""
    go_template: str | None = None
    """The same in Go's template language, which Ollama reads; None where there is none."""
    drawing: Mapping[str, Any] = field(default_factory=dict)
    """How its makers would have texts drawn, in generation_config.json's words: temperature, ..."""

    def tokens(self) -> dict[str, int]:
        """Ids by token, added tokens included."""
        vocab = self.tree["model"]["vocab"]
        if isinstance(vocab, list):  # Unigram's, in the order of the ids
            vocab = {piece: number for number, (piece, _) in enumerate(vocab)}
        added = {token["content"]: token["id"] for token in self.tree["added_tokens"]}
        return {**vocab, **added}

    def role_ids(self) -> dict[str, int]:
        """Ids by role."""
        ids = self.tokens()
        return {role: ids[spelling] for role, spelling in self.roles.items() if spelling in ids}
