"""Named models, and how settings choose and change one."""

import difflib
from typing import Any, Literal

from hornbook.config import Settings, validate
from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig

GPT2: dict[str, Any] = {
    "context_length": 1024,
    "positions": "learned",
    "norm": "layernorm",
    "mlp": "gelu",
    "qkv_bias": True,
    "bias": True,
    "tied_embeddings": True,
}
"""The shape of GPT-2 (Radford et al. 2019)."""

MODERN: dict[str, Any] = {
    "context_length": 256,
    "positions": "rotary",
    "norm": "rmsnorm",
    "norm_eps": 1e-6,
    "qk_norm": True,
    "mlp": "relu2",
    "qkv_bias": False,
    "bias": False,
    "tied_embeddings": True,
    "zero_init": True,
    "token_shift": True,
}
"""What has become usual since; squared ReLU is the feed-forward layer quickest on a CPU."""

PRESETS: dict[str, dict[str, Any]] = {
    "nano": {**MODERN, "embed_dim": 64, "n_layers": 4, "n_heads": 2},
    "mini": {**MODERN, "embed_dim": 128, "n_layers": 5, "n_heads": 4},
    "chars": {
        **MODERN,
        "context_length": 128,
        "embed_dim": 128,
        "n_layers": 2,
        "n_heads": 4,
        "ngram_order": 5,
    },
    "small-cpu": {**MODERN, "embed_dim": 384, "n_layers": 6, "n_heads": 6},
    "modern-124m": {
        **MODERN,
        "context_length": 1024,
        "embed_dim": 768,
        "n_layers": 12,
        "n_heads": 12,
        "n_kv_heads": 4,
        "mlp": "swiglu",
        "hidden_dim": 2432,
        "token_shift": False,
    },
    "gpt2-mini": {**GPT2, "context_length": 256, "embed_dim": 128, "n_layers": 5, "n_heads": 4},
    "gpt2-small": {**GPT2, "embed_dim": 768, "n_layers": 12, "n_heads": 12},
    "gpt2-medium": {**GPT2, "embed_dim": 1024, "n_layers": 24, "n_heads": 16},
    "gpt2-large": {**GPT2, "embed_dim": 1280, "n_layers": 36, "n_heads": 20},
    "gpt2-xl": {**GPT2, "embed_dim": 1600, "n_layers": 48, "n_heads": 25},
}
"""Every field of `ModelConfig` that a preset sets; the vocabulary is the tokenizer's. "chars" is
for tokens as short as characters or bytes, of which words are made by looking up n-grams."""


class ModelSettings(Settings):
    """The model: a preset, and what to change in it. A field not given keeps the preset's value."""

    preset: str = "mini"
    """Name of a model in the table of presets."""
    context_length: int | None = None
    """Most tokens that the model reads at once."""
    embed_dim: int | None = None
    """Width of the residual stream."""
    n_layers: int | None = None
    """Number of transformer blocks."""
    n_heads: int | None = None
    """Query heads of each attention layer."""
    n_kv_heads: int | None = None
    """Key and value heads (grouped-query attention)."""
    positions: Literal["learned", "rotary"] | None = None
    """How tokens learn where they stand."""
    rope_theta: float | None = None
    """Base of the rotary frequencies."""
    token_shift: bool | None = None
    """Mix into each token's vector a learnt share of the one before."""
    ngram_order: int | None = None
    """Longest run of tokens that has a vector of its own, added to its last token's; 1 for none."""
    ngram_rows: int | None = None
    """Vectors for the runs of each length above 1."""
    norm: Literal["layernorm", "rmsnorm"] | None = None
    """Kind of normalization."""
    norm_eps: float | None = None
    """Added under the normalization's square root."""
    qk_norm: bool | None = None
    """Normalize queries and keys per head before their product."""
    qkv_bias: bool | None = None
    """Bias on the query, key and value projections."""
    bias: bool | None = None
    """Bias on the attention output and feed-forward layers."""
    mlp: Literal["gelu", "swiglu", "relu2"] | None = None
    """Kind of feed-forward layer."""
    hidden_dim: int | None = None
    """Width inside the feed-forward layer."""
    tied_embeddings: bool | None = None
    """Output head shares the token embedding's matrix."""
    init: Literal["gpt2", "torch"] | None = None
    """How fresh weights are drawn: as GPT-2's, or as PyTorch's modules draw their own."""
    zero_init: bool | None = None
    """Start every residual branch's last projection at zero."""
    dropout: float | None = None
    """Probability of dropping an activation while training."""


def resolve(settings: ModelSettings, vocab_size: int) -> ModelConfig:
    """The config of the chosen preset with the settings' changes.

    Raises:
        HornbookError: no such preset, or sizes that do not fit together.
    """
    if settings.preset not in PRESETS:
        near = difflib.get_close_matches(settings.preset, PRESETS, n=1)
        hint = f"did you mean {near[0]}" if near else f"known are {', '.join(PRESETS)}"
        raise HornbookError(f"model.preset: no preset {settings.preset!r}; {hint}.")
    changes = settings.model_dump(exclude={"preset"}, exclude_none=True)
    tree = {**PRESETS[settings.preset], **changes, "vocab_size": vocab_size}
    return validate(ModelConfig, tree, f"model (preset {settings.preset})")
