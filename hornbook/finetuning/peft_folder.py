"""LoRA adapters in the form of the `peft` library, in both directions; `peft` is not needed for it."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save_file
from torch import Tensor

from hornbook.artifact import new_directory, write_text
from hornbook.checkpoints.export.huggingface import require_free, to_json, write_tokenizer
from hornbook.checkpoints.export.vocabulary import Vocabulary
from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.weights import Place
from hornbook.checkpoints.loading.tensors import TensorSource, open_tensors
from hornbook.errors import HornbookError
from hornbook.finetuning.joined import WEIGHT, JoinedLayer, joined_layers, weight_places
from hornbook.finetuning.lora import LoRALinear, LoRASettings, apply_lora
from hornbook.model.transformer import Transformer

Number = TypeVar("Number", int, float)

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
NAME = re.compile(
    r"base_model\.model\.(?P<layer>.+)\.(?P<part>lora_A|lora_B|lora_magnitude_vector)"
    r"(?:\.default)?(?:\.weight)?"
)
STARTS_ELSEWHERE = ("pissa", "olora", "corda", "loftq")
"""Ways to begin that change the base's weights too, which an adapter's file does not hold."""


class PeftConfig(BaseModel):
    """What matters here of an adapter_config.json."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    peft_type: Literal["LORA"]
    base_model_name_or_path: str | None = None
    r: int = Field(default=8, gt=0)
    lora_alpha: float = 8.0
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    use_rslora: bool = False
    use_dora: bool = False
    rank_pattern: dict[str, int] = {}
    alpha_pattern: dict[str, float] = {}
    bias: Literal["none"] = "none"
    modules_to_save: list[str] | None = None
    init_lora_weights: bool | str = True

    def rank_of(self, layer: str) -> int:
        """A layer's rank."""
        return _by_pattern(self.rank_pattern, layer, self.r)

    def scale_of(self, layer: str) -> float:
        """Factor on a layer's correction."""
        rank = self.rank_of(layer)
        alpha = _by_pattern(self.alpha_pattern, layer, self.lora_alpha)
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)


def is_peft_folder(path: Path) -> bool:
    """Whether a folder holds an adapter of peft's."""
    return (path / CONFIG).is_file()


def export_peft(
    directory: Path,
    model: Transformer,
    family: Family,
    dropout: float,
    base: str,
    card: str,
    vocabulary: Vocabulary | None = None,
) -> None:
    """Write the adapter on a model, not merged, for `peft.PeftModel.from_pretrained`.

    Args:
        dropout: that it was trained with.
        base: the folder or hub name of the base model, for others to find it.

    Raises:
        HornbookError: something stands at `directory`, there is no adapter, or `peft` cannot have it.
    """
    require_free(directory)
    layers = joined_layers(model, family)
    tensors: dict[str, Tensor] = {}
    for layer in layers:
        tensors[f"{PREFIX}{layer.theirs}.lora_A.weight"] = layer.A
        tensors[f"{PREFIX}{layer.theirs}.lora_B.weight"] = layer.B
        if layer.magnitude is not None:
            tensors[f"{PREFIX}{layer.theirs}.lora_magnitude_vector"] = layer.magnitude
    with new_directory(directory) as work:
        ready = {name: t.to("cpu", copy=True).contiguous() for name, t in tensors.items()}
        save_file(ready, work / WEIGHTS, {"format": "pt"})
        (work / WEIGHTS).chmod(0o644)  # the library lets only the owner read it
        write_text(work / CONFIG, to_json(_config(layers, dropout, base)))
        write_text(work / "README.md", card)
        if vocabulary is not None:
            write_tokenizer(work, vocabulary, model.config.context_length)


def _config(layers: list[JoinedLayer], dropout: float, base: str) -> dict[str, Any]:
    first = layers[0]
    alphas = {layer.theirs: layer.scale * layer.rank for layer in layers}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": first.rank,
        "lora_alpha": alphas[first.theirs],
        "lora_dropout": dropout,
        "target_modules": [layer.theirs for layer in layers],
        "rank_pattern": {x.theirs: x.rank for x in layers if x.rank != first.rank},
        "alpha_pattern": {n: a for n, a in alphas.items() if a != alphas[first.theirs]},
        "fan_in_fan_out": first.transposed,
        "use_dora": first.magnitude is not None,
        "use_rslora": False,  # its factor is in the alphas
        "bias": "none",
        "inference_mode": True,
    }


def read_peft_config(directory: Path) -> PeftConfig:
    """The adapter's settings.

    Raises:
        HornbookError: not such a file, or an adapter of a kind that Hornbook has not.
    """
    path = directory / CONFIG
    try:
        config = PeftConfig.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        if not isinstance(error, ValidationError):
            raise HornbookError(f"{path} cannot be read as JSON.") from None
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise HornbookError(
            f"{path}: {field}: {first['msg'].lower()} (found {first.get('input')!r}); Hornbook reads "
            "LoRA adapters without biases."
        ) from None
    if str(config.init_lora_weights).startswith(STARTS_ELSEWHERE):
        raise HornbookError(
            f"{path}: init_lora_weights {config.init_lora_weights!r} has changed the base model too; "
            "convert the adapter to plain LoRA with peft (save_pretrained with "
            "path_initial_model_for_weight_conversion)."
        )
    return config


def trains_whole(directory: Path) -> bool:
    """Whether an adapter of peft's has more than LoRA: modules trained whole, which replace the base's.

    Raises:
        HornbookError: it cannot be read.
    """
    names = open_tensors(directory / WEIGHTS).names()
    stated = read_peft_config(directory).modules_to_save
    return bool(stated) or any(NAME.fullmatch(name) is None for name in names)


def load_peft(directory: Path, model: Transformer, family: Family) -> LoRASettings:
    """Put an adapter of peft's onto its base model, in place; it can be trained on, or merged.

    What peft has trained whole beside it (`modules_to_save`) takes the place of the base's weights.

    Returns:
        Settings that describe it.

    Raises:
        HornbookError: the adapter is damaged, of another kind, or of another model.
    """
    config = read_peft_config(directory)
    source = open_tensors(directory / WEIGHTS)
    found, whole = _found(source, family.places(model, model.config), directory / WEIGHTS)
    _replace(model, whole, source, config.modules_to_save or [], directory)
    places = {
        place.theirs.removesuffix(WEIGHT): (place, names)
        for place, names in weight_places(model.config, family)
    }
    lost = sorted(found.keys() - places.keys())
    if lost:
        raise HornbookError(
            f"{directory / WEIGHTS} adapts {', '.join(lost[:5])}, which a {family.name} model like "
            "this has not; give the base model that it was trained on."
        )
    ranks = {name: config.rank_of(theirs) for theirs in found for name in places[theirs][1]}
    settings = LoRASettings(
        rank=config.r,
        ranks={name: rank for name, rank in ranks.items() if rank != config.r},
        alpha=config.lora_alpha,
        rank_stabilized=config.use_rslora,
        dora=config.use_dora,
        dropout=config.lora_dropout,
        targets=tuple(ranks),
    )
    apply_lora(model, settings)
    for theirs, parts in found.items():
        place, names = places[theirs]
        sizes = [shape[0] for shape in place.shapes]
        _fill(model, names, sizes, parts, source, config.scale_of(theirs), directory / WEIGHTS)
    return settings


def _found(
    source: TensorSource, places: list[Place], path: Path
) -> tuple[dict[str, dict[str, str]], list[Place]]:
    """The file's names of each adapted layer's tensors, by kind; the tensors that it has whole."""
    known = {PREFIX + place.theirs: place for place in places}
    found, whole = dict[str, dict[str, str]](), list[Place]()
    for name in source.names():
        matched = NAME.fullmatch(name)
        if matched is not None:
            found.setdefault(matched["layer"], {})[matched["part"]] = name
        elif name in known:
            whole.append(known[name])
        else:
            raise HornbookError(f"{path} has the tensor {name}, which is not of a LoRA on a layer.")
    return found, whole


@torch.no_grad()
def _replace(
    model: Transformer, whole: list[Place], source: TensorSource, stated: list[str], directory: Path
) -> None:
    """Give the base the weights that peft has trained whole.

    Raises:
        HornbookError: one is of another shape, or missing, or the model shares it with another part.
    """
    modules = [place.theirs.rpartition(".")[0] for place in whole]
    lost = [name for name in stated if not any(f".{m}".endswith(f".{name}") for m in modules)]
    ends = {"embedding.token.weight", "head.weight"} & {n for place in whole for n in place.ours}
    if lost:
        raise HornbookError(
            f"{directory / WEIGHTS} lacks {', '.join(lost)}, which {CONFIG} says is trained whole."
        )
    if ends and model.config.tied_embeddings:
        raise HornbookError(
            f"{directory} has trained one end of the model whole, whose two ends share a matrix; merge "
            "the adapter with peft (merge_and_unload) and load the folder that it saves."
        )
    for place in whole:
        if source.shape(PREFIX + place.theirs) != place.shape:
            raise HornbookError(
                f"{directory / WEIGHTS}: {place.theirs} is {source.shape(PREFIX + place.theirs)}, "
                f"expected {place.shape}."
            )
        for name, part in place.split(source.read(PREFIX + place.theirs)):
            model.get_parameter(name).copy_(part)


@torch.no_grad()
def _fill(
    model: Transformer,
    names: list[str],
    sizes: list[int],
    parts: dict[str, str],
    source: TensorSource,
    scale: float,
    path: Path,
) -> None:
    """Give a matrix's A to each of its layers, and each its rows of B."""
    layers = [model.get_submodule(name) for name in names]
    rows = [0, *(sum(sizes[: n + 1]) for n in range(len(sizes)))]
    for layer, start, stop in zip(layers, rows, rows[1:], strict=False):
        assert isinstance(layer, LoRALinear)
        wanted = {"lora_A": layer.A.shape, "lora_B": (sum(sizes), layer.rank)}
        if layer.magnitude is not None:
            wanted["lora_magnitude_vector"] = (sum(sizes),)
        for part, shape in wanted.items():
            stated = source.shape(parts[part]) if part in parts else "absent"
            if stated != tuple(shape):
                raise HornbookError(
                    f"{path}: {part} of {names} is {stated}, expected {tuple(shape)}."
                )
        layer.A.copy_(source.read(parts["lora_A"]))
        layer.B.copy_(source.read(parts["lora_B"])[start:stop] * (scale / layer.scale))
        if layer.magnitude is not None:
            layer.magnitude.copy_(source.read(parts["lora_magnitude_vector"])[start:stop])


def _by_pattern(values: Mapping[str, Number], layer: str, default: Number) -> Number:
    """peft's rule: the first pattern that is the layer's name or its end."""
    for pattern, value in values.items():
        if re.match(rf"(.*\.)?({pattern})$", layer):
            return value
    return default
