"""How GGUF files name a family and describe its shape; which families can be written.

Source: llama.cpp, convert_hf_to_gguf.py and src/models/, for what each architecture reads and what it
takes for granted. The names of tensors are the `gguf` package's own table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig
from hornbook.model.rotary import (
    DynamicScaling,
    LinearScaling,
    Llama3Scaling,
    LongRopeScaling,
    RopeScaling,
    YarnScaling,
    yarn_size,
)


@dataclass(frozen=True)
class Architecture:
    """What llama.cpp has for a family."""

    name: str
    """In the file."""
    interleaved: bool = False
    """Whether its rotary positions turn neighbouring dimensions, not the halves of a head: the rows
    of query and key are then written in another order."""
    scalings: tuple[type[Any], ...] = (LinearScaling, DynamicScaling, YarnScaling)
    """Ways to stretch rotary positions that it computes; "dynamic" is none within the context."""
    windows: int | None = None
    """All layers but the last of so many have a window; None where it has no windows."""
    turns: int | None = None
    """All layers but the last of so many turn queries and keys; None where all do."""
    partly_turned: bool = False
    """Whether a part of a head can be turned."""
    grows: bool = False
    """Whether queries can grow with their positions."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `ModelConfig` that it takes for granted."""


LLAMA = Architecture(
    "llama", interleaved=True, scalings=(LinearScaling, DynamicScaling, YarnScaling, Llama3Scaling)
)
OLMO = Architecture("olmo2", windows=4, given={"qkv_bias": False})
ARCHITECTURES = {
    "gpt2": Architecture("gpt2", given={"mlp": "gelu"}),
    "llama": LLAMA,
    "mistral": LLAMA,
    "ministral": LLAMA,
    "ministral3": Architecture("mistral3", interleaved=True, grows=True),
    "mixtral": LLAMA,
    "smollm3": Architecture(
        "smollm3", interleaved=True, turns=4, given={"qkv_bias": False, "bias": False}
    ),
    "qwen2": Architecture("qwen2"),
    "qwen3": Architecture("qwen3", given={"qkv_bias": False}),
    "qwen3_moe": Architecture("qwen3moe", given={"qkv_bias": False, "normalized_experts": True}),
    "olmo2": OLMO,
    "olmo3": OLMO,
    "gemma2": Architecture("gemma2", windows=2, given={"qkv_bias": False, "tied_embeddings": True}),
    "gemma3_text": Architecture(
        "gemma3", scalings=(LinearScaling,), windows=6, given={"qkv_bias": False}
    ),
    "phi3": Architecture("phi3", scalings=(LongRopeScaling,), partly_turned=True),
}
"""By the family's `model_type`."""
LARGEST_GEMMAS = {"gemma2": 46, "gemma3": 62}
"""Layers by which llama.cpp knows the models whose scores it divides by another root."""


def architecture_of(family: str, config: ModelConfig) -> Architecture:
    """The architecture for a family's model.

    Raises:
        HornbookError: there is none, or llama.cpp would compute something else.
    """
    if family not in ARCHITECTURES:
        raise HornbookError(
            f"a {family} model cannot be written as GGUF here, only {', '.join(ARCHITECTURES)}; "
            "export it as a folder (hornbook export hf) and convert that with llama.cpp's "
            "convert_hf_to_gguf.py."
        )
    architecture = ARCHITECTURES[family]
    found = _problems(architecture, config)
    if found:
        raise HornbookError(
            f"llama.cpp does not compute a {family} model with {' and '.join(found)} as it was "
            "trained, so it is not written as GGUF; export it with: hornbook export hf."
        )
    return architecture


def _problems(architecture: Architecture, config: ModelConfig) -> list[str]:
    """What llama.cpp would compute otherwise, in words."""
    layers = range(config.n_layers)
    windowed = [config.window_of(n) is not None for n in layers] if has_windows(config) else None
    turning = [config.turns(n) for n in layers]
    scaling = config.rope_scaling
    problems = {
        "these windows": windowed is not None
        and windowed != _all_but(architecture.windows, layers),
        f"{getattr(scaling, 'kind', '')} rope scaling": not (
            scaling is None or isinstance(scaling, architecture.scalings)
        ),
        "a ramp of YaRN between whole pairs": isinstance(scaling, YarnScaling)
        and not scaling.whole_borders,
        "queries that grow": bool(getattr(scaling, "query_growth", 0.0)) and not architecture.grows,
        "a partial rotation": config.turned_dims != config.head_dim
        and not architecture.partly_turned,
        "these layers without positions": config.positions == "rotary"
        and turning != [n or not architecture.turns for n in _all_but(architecture.turns, layers)],
        "experts in some layers": config.n_experts is not None
        and not all(config.has_experts(n) for n in layers),
    }
    given = [
        f"model.{name}={getattr(config, name)}"
        for name, value in architecture.given.items()
        if getattr(config, name) != value
    ]
    return given + [problem for problem, there in problems.items() if there]


def _all_but(period: int | None, layers: range) -> list[bool]:
    """Whether a layer is not the last of each `period`; of none if there is no period."""
    return [period is not None and (layer + 1) % period > 0 for layer in layers]


def has_windows(config: ModelConfig) -> bool:
    """Whether some layer sees less than the whole context."""
    return (
        config.window is not None
        and config.window < config.context_length
        and any(config.window_of(layer) is not None for layer in range(config.n_layers))
    )


def score_dim_there(architecture: Architecture, config: ModelConfig) -> float:
    """By whose root llama.cpp divides attention scores."""
    if LARGEST_GEMMAS.get(architecture.name) == config.n_layers:
        return config.embed_dim / config.n_heads
    return config.head_dim


def add_shape(writer: Any, architecture: Architecture, config: ModelConfig) -> None:
    """Write a model's sizes; `writer` is a `gguf.GGUFWriter`."""
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.context_length)
    writer.add_embedding_length(config.embed_dim)
    writer.add_block_count(config.n_layers)
    writer.add_feed_forward_length(config.mlp_dim)
    writer.add_head_count(config.n_heads)
    writer.add_head_count_kv(config.kv_heads)
    if config.norm == "layernorm":
        writer.add_layer_norm_eps(config.norm_eps)
    else:
        writer.add_layer_norm_rms_eps(config.norm_eps)
    if config.n_experts is not None:
        writer.add_expert_count(config.n_experts)
        writer.add_expert_used_count(config.experts_per_token)
        writer.add_expert_feed_forward_length(config.expert_dim or config.mlp_dim)
    if config.attention_softcap is not None:
        writer.add_attn_logit_softcapping(config.attention_softcap)
    if config.logit_softcap is not None:
        writer.add_final_logit_softcapping(config.logit_softcap)
    if architecture.windows is not None:
        _add_windows(writer, architecture.windows, config)
    if config.positions == "rotary":
        _add_rope(writer, config)


def _add_windows(writer: Any, period: int, config: ModelConfig) -> None:
    """The width of the windows; one as wide as the context for a model that has none."""
    if has_windows(config):
        writer.add_sliding_window(config.window)
        writer.add_sliding_window_pattern(period)
    elif writer.arch != "olmo2":  # which has windows only if they are stated
        writer.add_sliding_window(config.context_length)
    if config.window_rope_theta is not None:
        writer.add_float32(f"{writer.arch}.rope.freq_base_swa", config.window_rope_theta)


def _add_rope(writer: Any, config: ModelConfig) -> None:
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.turned_dims)
    writer.add_rope_freq_base(config.rope_theta)
    if config.rope_scaling is not None:
        _add_scaling(writer, config.rope_scaling)


def _add_scaling(writer: Any, scaling: RopeScaling) -> None:
    """llama3's and LongRoPE's numbers are tensors; see `gguf_tensors.frequency_factors`."""
    scope = f"{writer.arch}.rope.scaling"
    if isinstance(scaling, LongRopeScaling):
        writer.add_string(f"{scope}.type", "longrope")
        writer.add_rope_scaling_orig_ctx_len(scaling.original_context)
        writer.add_float32(f"{scope}.attn_factor", scaling.size)
    if isinstance(scaling, LinearScaling | YarnScaling):
        writer.add_string(f"{scope}.type", scaling.kind)
        writer.add_rope_scaling_factor(scaling.factor)
    if isinstance(scaling, YarnScaling):
        writer.add_rope_scaling_orig_ctx_len(scaling.original_context)
        writer.add_float32(f"{scope}.yarn_beta_fast", scaling.beta_fast)
        writer.add_float32(f"{scope}.yarn_beta_slow", scaling.beta_slow)
        # llama.cpp multiplies by YaRN's own factor, whatever this one is.
        writer.add_float32(f"{scope}.attn_factor", scaling.size / yarn_size(scaling.factor))
        if scaling.query_growth:  # counted in contexts before stretching there, too
            writer.add_attn_temperature_scale(scaling.query_growth)
