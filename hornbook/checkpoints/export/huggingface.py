"""A folder that `AutoModelForCausalLM` and `AutoTokenizer` of `transformers` load."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from hornbook.artifact import new_directory, write_text
from hornbook.checkpoints.export.vocabulary import Vocabulary
from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.weights import Place
from hornbook.checkpoints.loading.tensors import INDEX, WEIGHTS
from hornbook.checkpoints.store import named_once
from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer

SHARD_BYTES = 5_000_000_000
"""Most bytes of tensors in one file, as is usual on the hub."""


def export_folder(
    directory: Path,
    model: Transformer,
    family: Family,
    vocabulary: Vocabulary,
    card: str,
    dtype: torch.dtype = torch.float32,
    shard_bytes: int = SHARD_BYTES,
    head: Mapping[str, Any] | None = None,
    longest: int | None = None,
) -> None:
    """Write a model as a Hugging Face folder, whole or not at all.

    Memory is taken for one file's tensors beside the model. Logits are the same bit for bit where
    `dtype` is the model's own.

    Args:
        card: the content of README.md.
        head: of a classifier, what config.json says of its head; nothing is said of how texts are
            written then.
        longest: most tokens of a text, where they are fewer than the model reads.

    Raises:
        HornbookError: something stands at `directory`, or the family cannot express the model.
    """
    require_free(directory)
    config = {**family.write(model.config), "torch_dtype": str(dtype).removeprefix("torch.")}
    with new_directory(directory) as work:
        stated = {**config, **_ends(vocabulary), **(head or {})}
        write_text(work / "config.json", to_json(stated))
        if head is None:
            drawing = {**vocabulary.drawing, **_ends(vocabulary)}
            write_text(work / "generation_config.json", to_json(drawing))
        write_tokenizer(work, vocabulary, longest or model.config.context_length)
        write_text(work / "README.md", card)
        _write_weights(work, model, family.places(model, model.config), dtype, shard_bytes)


def require_free(path: Path) -> None:
    """Make sure that an export overwrites nothing.

    Raises:
        HornbookError: a file, or a folder with something in it, stands there.
    """
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise HornbookError(
            f"{path} exists, and an export overwrites nothing; give the path of a new folder."
        )


def write_tokenizer(folder: Path, vocabulary: Vocabulary, context_length: int) -> None:
    """tokenizer.json, and beside it which token has which role and how conversations are written."""
    stated: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,
        **vocabulary.roles,
    }
    if vocabulary.chat_template is not None:
        stated["chat_template"] = vocabulary.chat_template
    write_text(folder / "tokenizer.json", to_json(vocabulary.tree))
    write_text(folder / "tokenizer_config.json", to_json(stated))


def to_json(value: Mapping[str, Any]) -> str:
    """JSON for people to read."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _ends(vocabulary: Vocabulary) -> dict[str, Any]:
    """The ids that generation begins, fills and ends with; every end-of-turn id is among the last."""
    ids = vocabulary.role_ids()
    named = {f"{role}_id": ids[role] for role in ("bos_token", "pad_token") if role in ids}
    stops = list(vocabulary.stops)
    if not stops:
        return named
    return {**named, "eos_token_id": stops if len(stops) > 1 else stops[0]}


def _write_weights(
    folder: Path, model: Transformer, places: list[Place], dtype: torch.dtype, most: int
) -> None:
    ours = {name: tensor.detach() for name, tensor in named_once(model)}
    groups = list(_in_files(places, dtype.itemsize, most))
    names = [f"model-{n:05}-of-{len(groups):05}.safetensors" for n in range(1, len(groups) + 1)]
    names = [WEIGHTS] if len(groups) == 1 else names
    for name, group in zip(names, groups, strict=True):
        tensors = {place.theirs: _storable(place, ours, dtype) for place in group}
        save_file(tensors, folder / name, {"format": "pt"})
        (folder / name).chmod(0o644)  # the library lets only the owner read it
    if len(groups) > 1:
        files = {p.theirs: name for name, group in zip(names, groups, strict=True) for p in group}
        total = sum(_numbers(place) * dtype.itemsize for place in places)
        index = {"metadata": {"total_size": total}, "weight_map": files}
        write_text(folder / INDEX, to_json(index))


def _storable(place: Place, ours: Mapping[str, Tensor], dtype: torch.dtype) -> Tensor:
    """A tensor on the CPU, in memory of its own."""
    tensor = place.join(ours).to("cpu", dtype, copy=True).contiguous()
    require_held(tensor, place.theirs)
    return tensor


def require_held(tensor: Tensor, name: str) -> None:
    """Make sure that numbers were not too large for the dtype that they have now.

    Raises:
        HornbookError: they were, as can be in float16.
    """
    if tensor.dtype == torch.float16 and not tensor.isfinite().all():
        raise HornbookError(
            f"{name} has numbers beyond 65,504, float16's largest; write the weights as bfloat16."
        )


def _in_files(places: list[Place], itemsize: int, most: int) -> Iterator[list[Place]]:
    group, size = list[Place](), 0
    for place in places:
        bytes_ = _numbers(place) * itemsize
        if group and size + bytes_ > most:
            yield group
            group, size = [], 0
        group.append(place)
        size += bytes_
    yield group


def _numbers(place: Place) -> int:
    return torch.Size(place.shape).numel()


def exportable(config: ModelConfig, families: Mapping[str, Family]) -> Family:
    """The first family that can express a model made here.

    Raises:
        HornbookError: none can; says which settings to change for a model that one can.
    """
    lost = {name: family.differences(config) for name, family in families.items()}
    name = min(lost, key=lambda name: len(lost[name]))
    if lost[name]:
        raise HornbookError(
            f"no family that other programs know has this model's shape; for the nearest, {name}, "
            f"other settings than {', '.join(f'model.{field}' for field in lost[name])} are needed. "
            "The presets gpt2-mini to gpt2-xl, experts-mini and modern-124m can be exported; set these, or "
            "one of them, before training."
        )
    return families[name]
