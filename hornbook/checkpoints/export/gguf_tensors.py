"""A model's tensors as llama.cpp wants them: in its order, with what it folds into weights.

Source: llama.cpp, convert_hf_to_gguf.py.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hornbook.checkpoints.export.gguf_shapes import Architecture, score_dim_there
from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.weights import Place
from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig
from hornbook.model.rotary import Llama3Scaling, LongRopeScaling
from hornbook.model.transformer import Transformer

BLOCK = 32
"""Numbers that share a scale in q8_0; a matrix whose rows are no whole blocks is written as f16."""
EXACT = ("position_embd", "ffn_gate_inp", "rope_f")
"""How the names of matrices begin, after their layer's, that stay float32: positions, routers."""
EXPERT = re.compile(r"\.experts\.\d+\.")


@dataclass(frozen=True)
class Written:
    """A tensor as it goes into the file."""

    name: str
    shape: tuple[int, ...]
    kind: Any
    """A `gguf.GGMLQuantizationType`."""
    places: tuple[Place, ...]
    """Where it comes from, of several experts one above the other; none for rotary factors."""


def planned(
    gguf: Any, architecture: Architecture, model: Transformer, family: Family, kind: str
) -> Iterator[Written]:
    """Every tensor of the file, in its order; `kind` is one of `GGUFType`.

    Raises:
        HornbookError: the file's format has no name for one.
    """
    config = model.config
    arch = next(a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture.name)
    names = gguf.get_tensor_name_map(arch, config.n_layers)
    for name, factors in frequency_factors(config).items():
        yield Written(name, tuple(factors.shape), gguf.GGMLQuantizationType.F32, ())
    groups: dict[str, list[Place]] = {}
    for place in family.places(model, config):
        groups.setdefault(EXPERT.sub(".experts.", place.theirs), []).append(place)
    for theirs, places in groups.items():
        name = names.get_name(theirs, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise HornbookError(f"{theirs} has no name in a GGUF file of {family.name}.")
        shape = places[0].shape[::-1] if places[0].transposed else places[0].shape
        if EXPERT.search(places[0].theirs):
            shape = (len(places), *shape)
        yield Written(name, shape, _kind(gguf, name, shape, kind), tuple(places))


def _kind(gguf: Any, name: str, shape: tuple[int, ...], wanted: str) -> Any:
    kinds = gguf.GGMLQuantizationType
    if len(shape) == 1 or re.sub(r"^blk\.\d+\.", "", name).startswith(EXACT):
        return kinds.F32
    if wanted == "q8_0" and shape[-1] % BLOCK:
        return kinds.F16
    return kinds[wanted.upper()]


def values_of(
    architecture: Architecture, config: ModelConfig, tensor: Written, ours: Mapping[str, Tensor]
) -> Tensor:
    """A planned tensor's numbers, from the model's own by their names."""
    if not tensor.places:
        return frequency_factors(config)[tensor.name]
    wholes = []
    for place in tensor.places:
        parts = [_folded(architecture, config, name, ours[name]) for name in place.ours]
        wholes.append(parts[0] if len(parts) == 1 else torch.cat(parts))
    return torch.stack(wholes) if len(tensor.shape) == 3 else wholes[0]


def _folded(architecture: Architecture, config: ModelConfig, name: str, tensor: Tensor) -> Tensor:
    layer = name.rpartition(".")[0]
    if not layer.endswith("norm"):
        return in_order(architecture, config, layer, tensor)
    scale = tensor + 1 if config.norm == "rmsnorm_plus_one" else tensor
    if layer.endswith("query_norm"):
        return scale * _query_factor(architecture, config)
    return scale


def in_order(architecture: Architecture, config: ModelConfig, layer: str, rows: Tensor) -> Tensor:
    """What a linear layer of ours gives, (outputs, ...), as llama.cpp wants it."""
    part = layer.rpartition(".")[2]
    if part == "query" and not config.qk_norm:
        rows = rows * _query_factor(architecture, config)
    heads = {"query": config.n_heads, "key": config.kv_heads}
    if not architecture.interleaved or part not in heads:
        return rows
    return interleave(rows, heads[part])


def _query_factor(architecture: Architecture, config: ModelConfig) -> float:
    """What makes scores that llama.cpp divides by one root those divided by another."""
    return math.sqrt(score_dim_there(architecture, config) / config.score_dim)


def interleave(rows: Tensor, heads: int) -> Tensor:
    """Rows of a projection (heads * head_dim, ...) so that pairs that are turned together, i and
    i + head_dim / 2 here, stand side by side."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.transpose(1, 2).reshape(rows.shape)


def frequency_factors(config: ModelConfig) -> dict[str, Tensor]:
    """By what llama.cpp divides each rotary frequency, float32 (turned / 2), by tensors' names."""
    scaling = config.rope_scaling
    if isinstance(scaling, Llama3Scaling):
        pairs = torch.arange(0, config.turned_dims, 2, dtype=torch.float32)
        plain = 1.0 / config.rope_theta ** (pairs / config.turned_dims)
        stretched = scaling.scale(plain, config.rope_theta, config.context_length)
        return {"rope_freqs.weight": plain / stretched}
    if isinstance(scaling, LongRopeScaling):
        return {
            "rope_factors_long.weight": torch.tensor(scaling.long_factors),
            "rope_factors_short.weight": torch.tensor(scaling.short_factors),
        }
    return {}
