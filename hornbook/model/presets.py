"""Named models, and how settings choose and change one."""

import difflib
from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model

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
    "experts-mini": {
        **MODERN,
        "embed_dim": 128,
        "n_layers": 5,
        "n_heads": 4,
        "mlp": "swiglu",
        "n_experts": 8,
        "experts_per_token": 2,
        "expert_dim": 192,
        "token_shift": False,
    },
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
for tokens as short as characters or bytes, of which words are made by looking up n-grams;
"experts-mini" is a mixture of experts, as a Qwen3 has them."""


class _Preset(Settings):
    """The model: a preset, and what to change in it. A field not given keeps the preset's value."""

    preset: str = "mini"
    """Name of a model in the table of presets."""
    path: str | None = None
    """Start from a model that is there already, instead of a preset's fresh weights: a folder of
    Hornbook's or of the Hugging Face hub, or hf:ORG/NAME[@REVISION]. Its tokenizer comes with it."""
    continue_pretraining: bool = False
    """Train the model at `path` further on the corpus first; otherwise fine-tuning starts from it as
    it is, and the corpus is left alone (`hornbook pretrain` trains it in any case)."""


def _changes() -> dict[str, Any]:
    """Every field of a model's config but the tokenizer's, none of them given."""
    changes: dict[str, Any] = {}
    for name, field in ModelConfig.model_fields.items():
        if name != "vocab_size":
            kind: Any = field.annotation
            changes[name] = (kind | None, Field(default=None, description=field.description))
    return changes


if TYPE_CHECKING:

    class ModelSettings(_Preset):
        """As it is made below: `preset`, and each field of `ModelConfig` or None."""

        def __init__(
            self,
            *,
            preset: str = "mini",
            path: str | None = None,
            continue_pretraining: bool = False,
            **changes: Any,
        ) -> None: ...

else:
    ModelSettings = create_model(
        "ModelSettings",
        __base__=_Preset,
        __doc__=_Preset.__doc__,
        __module__=__name__,
        **_changes(),
    )


def resolve(settings: ModelSettings, vocab_size: int) -> ModelConfig:
    """The config of the chosen preset with the settings' changes.

    Raises:
        HornbookError: no such preset, or sizes that do not fit together.
    """
    if settings.preset not in PRESETS:
        near = difflib.get_close_matches(settings.preset, PRESETS, n=1)
        hint = f"did you mean {near[0]}" if near else f"known are {', '.join(PRESETS)}"
        raise HornbookError(f"model.preset: no preset {settings.preset!r}; {hint}.")
    tree = {**PRESETS[settings.preset], **changes_in(settings), "vocab_size": vocab_size}
    return validate(ModelConfig, tree, f"model (preset {settings.preset})")


def changes_in(settings: ModelSettings) -> dict[str, Any]:
    """The fields of a model's config that the settings give."""
    return settings.model_dump(exclude=set(_Preset.model_fields), exclude_none=True)
