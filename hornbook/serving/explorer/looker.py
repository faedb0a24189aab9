"""One model as the explorer sees it: texts in, plain values out, everything within limits."""

import threading
from typing import Any

import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.finetuning.classification import encode_texts
from hornbook.pipeline.models.adapted import with_adapter_on
from hornbook.pipeline.models.bundle import Bundle
from hornbook.serving.explorer.adapter import adapter_changes
from hornbook.serving.explorer.attention import attention_maps, naive_steps
from hornbook.serving.explorer.embedding import EmbeddingMap
from hornbook.serving.explorer.guesses import classes_while_reading, logit_lens, next_tokens
from hornbook.serving.explorer.tokens import named, side_by_side, sliding

MOST_TOKENS = 64
"""Of a text, in what is drawn token by token; the rest is left out, and said so."""


class Looker:
    """Looks into one model; one look at a time, so that a page cannot keep all cores busy."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._lock = threading.Lock()
        self._map: EmbeddingMap | None = None
        self._changes: dict[str, Any] | None = None
        self._after: tuple[tuple[int, ...], Tensor] | None = None

    def about(self) -> dict[str, Any]:
        """What there is to look at."""
        config = self.bundle.model.config
        classes = self.bundle.labels if self.bundle.task == "classify" else []
        return {
            "task": self.bundle.task,
            "layers": config.n_layers,
            "heads": config.n_heads,
            "embed_dim": config.embed_dim,
            "context_length": config.context_length,
            "vocab_size": self.bundle.tokenizer.vocab_size,
            "classes": classes,
            "adapter": self.bundle.base is not None,
            "most_tokens": MOST_TOKENS,
        }

    def tokens(self, text: str, vocab_size: int) -> list[dict[str, Any]]:
        """See `side_by_side`."""
        with self._lock:
            return side_by_side(text, self.bundle.tokenizer, vocab_size)

    def windows(self, text: str, max_length: int, stride: int) -> dict[str, Any]:
        """See `sliding`."""
        return sliding(text, self.bundle.tokenizer, max_length, stride)

    def embedding(self, text: str) -> dict[str, Any]:
        """See `EmbeddingMap.points`."""
        return self._embedding_map().points(self.bundle.tokenizer.encode(text))

    def neighbours(self, token: int) -> list[dict[str, Any]]:
        """See `EmbeddingMap.neighbours`."""
        return self._embedding_map().neighbours(token)

    def _embedding_map(self) -> EmbeddingMap:
        with self._lock:
            if self._map is None:
                self._map = EmbeddingMap(self.bundle.model, self.bundle.tokenizer)
            return self._map

    def attention(self, text: str, layer: int) -> dict[str, Any]:
        """The tokens, and `attention_maps` of a layer as lists."""
        ids = self._ids(text)
        with self._lock, self.bundle.runtime.autocast():
            maps = attention_maps(self.bundle.model, ids, layer)
        rounded = (maps * 1e4).round() / 1e4
        return {"tokens": self._named(ids), "heads": rounded.tolist()}

    def steps(self, text: str, layer: int, head: int) -> dict[str, Any]:
        """The tokens, and `naive_steps`."""
        ids = self._ids(text)
        with self._lock, self.bundle.runtime.autocast():
            steps = naive_steps(self.bundle.model, ids, layer, head)
        return {"tokens": self._named(ids), "steps": steps}

    def lens(self, text: str) -> dict[str, Any]:
        """The tokens, and `logit_lens`."""
        self._require_words("guess the next token")
        ids = self._ids(text)
        with self._lock, self.bundle.runtime.autocast():
            layers = logit_lens(self.bundle.model, self.bundle.tokenizer, ids)
        return {"tokens": self._named(ids), "layers": layers}

    def next(
        self, text: str, temperature: float, top_k: int | None, top_p: float | None
    ) -> dict[str, Any]:
        """See `next_tokens`; of a long text only the end is read."""
        self._require_words("guess the next token")
        ids = self._ids(text, most=self.bundle.model.config.context_length, last=True)
        return next_tokens(
            self._logits_after(ids), self.bundle.tokenizer, temperature, top_k, top_p
        )

    @torch.no_grad()
    def _logits_after(self, ids: Tensor) -> Tensor:
        """Float32 (vocab,); those of the last text are remembered, while settings are moved."""
        model, key = self.bundle.model, tuple(ids[0].tolist())
        with self._lock, self.bundle.runtime.autocast():
            if self._after is None or self._after[0] != key:
                logits = model.head(model.hidden(ids)[0, -1]).float()
                self._after = key, logits[: self.bundle.tokenizer.vocab_size]
            return self._after[1]

    def classes(self, text: str) -> dict[str, Any]:
        """The tokens, and `classes_while_reading` after each."""
        labels = self.bundle.labels
        longest = min(MOST_TOKENS, self.bundle.model.config.context_length)
        [row], _ = encode_texts([text], self.bundle.tokenizer, longest)
        ids = torch.tensor([row], device=self.bundle.runtime.device)
        with self._lock, self.bundle.runtime.autocast():
            probabilities = classes_while_reading(self.bundle.model, ids)
        return {"tokens": self._named(ids), "classes": labels, "probabilities": probabilities}

    def adapter(self) -> dict[str, Any]:
        """See `adapter_changes`; worked out once, since the base is loaded anew for it."""
        with self._lock:
            if self._changes is None:
                self._changes = adapter_changes(*with_adapter_on(self.bundle))
            return self._changes

    def _require_words(self, purpose: str) -> None:
        if self.bundle.task == "classify":
            raise HornbookError(f"this model is a classifier and cannot {purpose}.")

    def _ids(self, text: str, most: int = MOST_TOKENS, last: bool = False) -> Tensor:
        """The text's first (or last) ids, (1, tokens); of no text, the token between documents."""
        tokenizer, config = self.bundle.tokenizer, self.bundle.model.config
        ids = tokenizer.encode(text)
        if not ids and tokenizer.eos_id is not None:
            ids = [tokenizer.eos_id]
        if not ids:
            raise HornbookError("the text is empty; give at least one word.")
        most = min(most, config.context_length)
        return torch.tensor(
            [ids[-most:] if last else ids[:most]], device=self.bundle.runtime.device
        )

    def _named(self, ids: Tensor) -> list[dict[str, Any]]:
        return named(self.bundle.tokenizer, ids[0].tolist())
