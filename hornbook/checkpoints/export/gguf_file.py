"""A GGUF file: one file with weights, tokenizer and chat template, for llama.cpp and what is built on it.

The format is written by the `gguf` package, llama.cpp's own.
"""

import contextlib
import math
import re
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from hornbook.artifact import new_directory, write_text
from hornbook.checkpoints.export.gguf_shapes import Architecture, add_shape, architecture_of
from hornbook.checkpoints.export.gguf_tensors import planned, values_of
from hornbook.checkpoints.export.gguf_vocabulary import add_vocabulary
from hornbook.checkpoints.export.huggingface import require_free, require_held
from hornbook.checkpoints.export.vocabulary import Vocabulary
from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.loading.extras import require_extra
from hornbook.checkpoints.store import named_once
from hornbook.errors import HornbookError
from hornbook.model.transformer import Transformer

GGUFType = Literal["f32", "f16", "bf16", "q8_0"]
DRAWING = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
}
"""Ollama's names of how a text is drawn, by those of generation_config.json."""

PHI3_NAME = re.compile("phi-?3", re.IGNORECASE)
PHI3_KEEP = {"<unk>", "<s>", "<|endoftext|>"}
"""Of Phi-3's marks those that do not take the white space after them."""


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
        HornbookError: something stands at `directory`, or llama.cpp has not this model or tokenizer, or a
            number is too large for float16.
    """
    require_free(directory)
    if kind not in get_args(GGUFType):
        raise HornbookError(f"unknown kind {kind!r}; expected {', '.join(get_args(GGUFType))}.")
    gguf = require_extra("gguf", "exporting GGUF")
    architecture = architecture_of(family.name, model.config)
    name = f"{directory.name}-{kind}.gguf"
    with (
        new_directory(directory) as work,
        contextlib.closing(gguf.GGUFWriter(work / name, architecture.name)) as writer,
    ):
        writer.add_name(name_for(directory.name, vocabulary))
        writer.add_file_type(
            {
                "f32": gguf.LlamaFileType.ALL_F32,
                "f16": gguf.LlamaFileType.MOSTLY_F16,
                "bf16": gguf.LlamaFileType.MOSTLY_BF16,
                "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
            }[kind]
        )
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        add_shape(writer, architecture, model.config)
        add_vocabulary(writer, vocabulary, model.config.vocab_size)
        _write_tensors(gguf, writer, architecture, model, family, kind)
        write_text(work / "Modelfile", modelfile(name, vocabulary))
        write_text(work / "README.md", card)
    return directory / name


def name_for(name: str, vocabulary: Vocabulary) -> str:
    """A model's name in the file; from "phi-3" in it llama.cpp takes it that it has Phi-3's tokenizer.

    That one's marks take the white space that follows them, and four tokens must be there, or the file
    is not loaded (llama.cpp, src/llama-vocab.cpp). So the name says it where that is so, and only there.
    """
    eats = {
        token["content"]: bool(token.get("rstrip")) for token in vocabulary.tree["added_tokens"]
    }
    as_phi3 = vocabulary.tokens().keys() >= {"</s>", *PHI3_KEEP} and all(
        rstrip == (token not in PHI3_KEEP) for token, rstrip in eats.items()
    )
    if as_phi3:
        return name if PHI3_NAME.search(name) else f"{name} (Phi-3)"
    return PHI3_NAME.sub("phi 3", name)


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
    for name, theirs in DRAWING.items():
        if isinstance(vocabulary.drawing.get(name), int | float):
            lines.append(f"PARAMETER {theirs} {vocabulary.drawing[name]}")
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
    tensors = list(planned(gguf, architecture, model, family, kind))
    for tensor in tensors:
        size = math.prod(gguf.quants.quant_shape_to_byte_shape(tensor.shape, tensor.kind))
        writer.add_tensor_info(
            tensor.name, tensor.shape, np.dtype(np.float32), size, raw_dtype=tensor.kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    ours = {name: tensor.detach() for name, tensor in named_once(model)}
    for tensor in tensors:
        values = values_of(architecture, model.config, tensor, ours).float().cpu()
        if tensor.kind == gguf.GGMLQuantizationType.F16:
            require_held(values.half(), tensor.name)
        writer.write_tensor_data(gguf.quants.quantize(values.numpy(), tensor.kind))
