"""A GGUF file: one file with weights, tokenizer and chat template, for llama.cpp and what is built on it.

The format is written by the `gguf` package, llama.cpp's own.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from hornbook.artifact import new_directory, write_text
from hornbook.checkpoints.export.gguf_shapes import (
    Architecture,
    add_shape,
    architecture_of,
    frequency_factors,
    in_order,
)
from hornbook.checkpoints.export.gguf_vocabulary import add_vocabulary
from hornbook.checkpoints.export.huggingface import require_free
from hornbook.checkpoints.export.vocabulary import Vocabulary
from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.weights import Place
from hornbook.checkpoints.loading.extras import require_extra
from hornbook.checkpoints.store import named_once
from hornbook.errors import HornbookError
from hornbook.model.transformer import Transformer

GGUFType = Literal["f32", "f16", "bf16", "q8_0"]
BLOCK = 32
"""Numbers that share a scale in q8_0; a matrix whose rows are no whole blocks is written as f16."""


@dataclass(frozen=True)
class _Written:
    """A tensor as it goes into the file."""

    name: str
    shape: tuple[int, ...]
    kind: Any
    """A `gguf.GGMLQuantizationType`."""
    place: Place | None
    """Where it comes from; None for the rotary factors."""


def export_gguf(
    directory: Path,
    model: Transformer,
    family: Family,
    vocabulary: Vocabulary,
    card: str,
    kind: GGUFType = "f16",
) -> Path:
    """Write a folder with NAME-KIND.gguf, a Modelfile for Ollama and the card, whole or not at all.

    Memory is taken for one tensor beside the model. Vectors (norms, biases) and positions stay
    float32 in every kind.

    Returns:
        The path of the .gguf file.

    Raises:
        HornbookError: something stands at `directory`, or llama.cpp has not this model or tokenizer.
    """
    require_free(directory)
    if kind not in get_args(GGUFType):
        raise HornbookError(f"unknown kind {kind!r}; expected {', '.join(get_args(GGUFType))}.")
    gguf = require_extra("gguf", "exporting GGUF")
    architecture = architecture_of(family.name, model.config)
    name = f"{directory.name}-{kind}.gguf"
    with new_directory(directory) as work:
        writer = gguf.GGUFWriter(work / name, architecture.name)
        writer.add_name(directory.name)
        writer.add_file_type(
            {
                "f32": gguf.LlamaFileType.ALL_F32,
                "f16": gguf.LlamaFileType.MOSTLY_F16,
                "bf16": gguf.LlamaFileType.MOSTLY_BF16,
                "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
            }[kind]
        )
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        add_shape(writer, model.config)
        add_vocabulary(writer, vocabulary, model.config.vocab_size)
        _write_tensors(gguf, writer, architecture, model, family, kind)
        writer.close()
        write_text(work / "Modelfile", modelfile(name, vocabulary))
        write_text(work / "README.md", card)
    return directory / name


def modelfile(name: str, vocabulary: Vocabulary) -> str:
    """What Ollama's `ollama create` reads: the file, and the texts at which an answer ends.

    Ollama has a template language of its own; of the Jinja inside the file it knows the usual ones by
    their text. A model that only continues texts gets the prompt as it is.
    """
    spellings = {number: token for token, number in vocabulary.tokens().items()}
    lines = [f"FROM ./{name}"]
    if vocabulary.go_template is not None:
        lines.append(f'TEMPLATE """{vocabulary.go_template}"""')
    elif vocabulary.chat_template is None:
        lines.append('TEMPLATE "{{ .Prompt }}"')
    for number in vocabulary.stops:
        lines.append(f'PARAMETER stop "{_escaped(spellings[number])}"')
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _write_tensors(
    gguf: Any,
    writer: Any,
    architecture: Architecture,
    model: Transformer,
    family: Family,
    kind: str,
) -> None:
    planned = list(_plan(gguf, architecture, model, family, kind))
    for tensor in planned:
        size = math.prod(gguf.quants.quant_shape_to_byte_shape(tensor.shape, tensor.kind))
        writer.add_tensor_info(
            tensor.name, tensor.shape, np.dtype(np.float32), size, raw_dtype=tensor.kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    ours = {name: tensor.detach() for name, tensor in named_once(model)}
    for tensor in planned:
        values = _values(architecture, model, tensor, ours)
        writer.write_tensor_data(gguf.quants.quantize(values.float().cpu().numpy(), tensor.kind))


def _plan(
    gguf: Any, architecture: Architecture, model: Transformer, family: Family, kind: str
) -> Iterator[_Written]:
    config = model.config
    arch = next(a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture.name)
    names = gguf.get_tensor_name_map(arch, config.n_layers)
    if frequency_factors(config) is not None:
        yield _Written(
            "rope_freqs.weight", (config.turned_dims // 2,), gguf.GGMLQuantizationType.F32, None
        )
    for place in family.places(model, config):
        name = names.get_name(place.theirs, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise HornbookError(f"{place.theirs} has no name in a GGUF file of {family.name}.")
        shape = place.shape[::-1] if place.transposed else place.shape
        yield _Written(name, shape, _kind(gguf, name, shape, kind), place)


def _kind(gguf: Any, name: str, shape: tuple[int, ...], wanted: str) -> Any:
    kinds = gguf.GGMLQuantizationType
    if len(shape) == 1 or name.startswith("position_embd"):
        return kinds.F32
    if wanted == "q8_0" and shape[-1] % BLOCK:
        return kinds.F16
    return kinds[wanted.upper()]


def _values(
    architecture: Architecture, model: Transformer, tensor: _Written, ours: dict[str, Tensor]
) -> Tensor:
    if tensor.place is None:
        factors = frequency_factors(model.config)
        assert factors is not None
        return factors
    parts = [
        in_order(architecture, model.config, name.rpartition(".")[0], ours[name])
        for name in tensor.place.ours
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)
