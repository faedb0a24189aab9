"""How GGUF files name a family and describe its shape; which families can be written.

Source: llama.cpp, convert_hf_to_gguf.py and src/llama-model.cpp, for what each architecture reads.
The names of tensors are the `gguf` package's own table.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig
from hornbook.model.rotary import LinearScaling, Llama3Scaling


@dataclass(frozen=True)
class Architecture:
    """What llama.cpp has for a family."""

    name: str
    """In the file."""
    interleaved: bool = False
    """Whether its rotary positions turn neighbouring dimensions, not the halves of a head: the rows
    of query and key are then written in another order."""


ARCHITECTURES = {
    "gpt2": Architecture("gpt2"),
    "llama": Architecture("llama", interleaved=True),
    "mistral": Architecture("llama", interleaved=True),
    "qwen2": Architecture("qwen2"),
    "qwen3": Architecture("qwen3"),
}
"""By the family's `model_type`."""


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
    problems = {
        "model.mlp=gelu_exact": config.mlp == "gelu_exact",
        "a sliding window": config.window is not None and config.window < config.context_length,
        "rope scaling other than linear and llama3": not (
            config.rope_scaling is None
            or isinstance(config.rope_scaling, LinearScaling | Llama3Scaling)
        ),
        "a partial rotation": config.turned_dims != config.head_dim,
    }
    found = [problem for problem, there in problems.items() if there]
    if found:
        raise HornbookError(
            f"llama.cpp does not compute a {family} model with {' and '.join(found)} as it was "
            "trained, so it is not written as GGUF; export it with: hornbook export hf."
        )
    return ARCHITECTURES[family]


def add_shape(writer: Any, config: ModelConfig) -> None:
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
    if config.positions != "rotary":
        return
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.turned_dims)
    writer.add_rope_freq_base(config.rope_theta)
    if isinstance(config.rope_scaling, LinearScaling):
        writer.add_string(f"{writer.arch}.rope.scaling.type", "linear")
        writer.add_rope_scaling_factor(config.rope_scaling.factor)


def in_order(architecture: Architecture, config: ModelConfig, layer: str, rows: Tensor) -> Tensor:
    """What a linear layer of ours gives, (outputs, ...), in the order in which it is written."""
    heads = {"query": config.n_heads, "key": config.kv_heads}
    part = layer.rpartition(".")[2]
    if not architecture.interleaved or part not in heads:
        return rows
    return interleave(rows, heads[part])


def interleave(rows: Tensor, heads: int) -> Tensor:
    """Rows of a projection (heads * head_dim, ...) so that pairs that are turned together, i and
    i + head_dim / 2 here, stand side by side."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.transpose(1, 2).reshape(rows.shape)


def frequency_factors(config: ModelConfig) -> Tensor | None:
    """By what llama.cpp divides each rotary frequency, float32 (head_dim / 2); None where by none."""
    if not isinstance(config.rope_scaling, Llama3Scaling):
        return None
    pairs = torch.arange(0, config.turned_dims, 2, dtype=torch.float32)
    plain = 1.0 / config.rope_theta ** (pairs / config.turned_dims)
    return plain / config.rope_scaling.scale(plain, config.rope_theta, config.context_length)
