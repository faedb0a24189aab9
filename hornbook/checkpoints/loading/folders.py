"""A model from a Hugging Face folder: its config and weights, through its family's two tables."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.known import family_of
from hornbook.checkpoints.families.weights import Place
from hornbook.checkpoints.loading.tensorflow import find_bundle, open_gpt2
from hornbook.checkpoints.loading.tensors import TensorSource, open_tensors
from hornbook.checkpoints.loading.text_part import HEAD, TextPart, reads_images, text_config
from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer, shapes_of

CONFIG = "config.json"


@dataclass(frozen=True)
class FolderModel:
    """A model read from a folder that others wrote."""

    model: Transformer
    """In evaluation mode."""
    family: Family
    described: dict[str, Any]
    """The content of its config.json; of a model that reads images too, its text model's."""
    path: Path
    stored: torch.dtype
    """Of the folder's weights, where all have the same; else float32."""


def is_folder(path: Path) -> bool:
    """Whether a path looks like a folder that others wrote: Hugging Face's, or OpenAI's GPT-2."""
    return (path / CONFIG).is_file() or (path.is_dir() and find_bundle(path) is not None)


def read_config(folder: Path) -> dict[str, Any]:
    """The content of a folder's config.json.

    Raises:
        HornbookError: it is missing, or is not a JSON object.
    """
    path = folder / CONFIG
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HornbookError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        tree = None
    if not isinstance(tree, dict):
        raise HornbookError(f"{path} is not a JSON object; get the folder's own config.json.")
    return tree


def describe_folder(path: Path) -> ModelConfig:
    """The config of a folder's model, without its weights.

    Raises:
        HornbookError: as `load_folder`, but for the weights.
    """
    tree, _ = _opened(path)
    source = str(path / CONFIG)
    return family_of(tree, source).read(tree, source)


def load_folder(
    path: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> FolderModel:
    """Read a model of a known family, file by file, its tensors one at a time.

    At no time is there more in memory than the model and one tensor of the folder's.

    Args:
        path: a folder with config.json and safetensors, or OpenAI's with GPT-2 for TensorFlow.
        device: where the model goes.
        dtype: of its weights.

    Raises:
        HornbookError: the family is not known or a field not followed; or the weights are damaged
            or do not fit the config, with all that does not.
    """
    tree, tensors = _opened(path)
    source = str(path / CONFIG)
    family = family_of(tree, source)
    config = family.read(tree, source)
    if config.n_layers > len(tensors.names()):
        raise HornbookError(
            f"{path} does not fit its {CONFIG}: {config.n_layers:,} layers are stated there, and the "
            f"files hold {len(tensors.names()):,} tensors in all."
        )
    model = _shapes(config, source)
    fill(model, config, family, tensors, path, torch.device(device), dtype)
    dtypes = {tensors.dtype(name) for name in tensors.names()}
    stored = dtypes.pop() if len(dtypes) == 1 else torch.float32
    return FolderModel(model.eval(), family, tree, path, stored)


def _shapes(config: ModelConfig, source: str) -> Transformer:
    try:
        return shapes_of(config)
    except (RuntimeError, TypeError) as error:  # a product or a number beyond 64 bits
        raise HornbookError(
            f"{source} states sizes that no model can have: {str(error).splitlines()[0]}."
        ) from None


def _opened(path: Path) -> tuple[dict[str, Any], TensorSource]:
    """A folder's config.json, or what it would say, and its tensors: of text models alone."""
    if not (path / CONFIG).is_file() and find_bundle(path) is not None:
        return open_gpt2(path)
    tree, tensors = read_config(path), open_tensors(path)
    if not reads_images(tree):
        return tree, tensors
    text = TextPart(tensors)
    return text_config(tree, text), text


@torch.no_grad()
def fill(
    model: Transformer,
    config: ModelConfig,
    family: Family,
    source: TensorSource,
    path: Path,
    device: torch.device,
    dtype: torch.dtype,
) -> None:
    """Give a model without memory its weights.

    Raises:
        HornbookError: tensors are missing, extra or shaped wrongly: all of them are named.
    """
    places = family.places(model, config)
    names = _stored_names(family, source)
    _require_fit(places, names, family, config, source, path)
    order = {stored: number for number, stored in enumerate(source.names())}
    for place in sorted(places, key=lambda place: order[names[place.theirs]]):
        for name, part in place.split(source.read(names[place.theirs])):
            owner, _, own = name.rpartition(".")
            # A copy always, so that the file's pages can be let go.
            weight = torch.empty(part.shape, device=device, dtype=dtype).copy_(part)
            model.get_submodule(owner).register_parameter(own, nn.Parameter(weight))
    if config.tied_embeddings:
        model.head.weight = model.embedding.token.weight


def _stored_names(family: Family, source: TensorSource) -> dict[str, str]:
    """The source's own name of each tensor, by its full name: a folder may lack the prefix."""
    names = source.names()
    if any(name.startswith(family.prefix) for name in names):
        return {name: name for name in names}
    return {name if name == HEAD else family.prefix + name: name for name in names}


def _require_fit(
    places: list[Place],
    names: dict[str, str],
    family: Family,
    config: ModelConfig,
    source: TensorSource,
    path: Path,
) -> None:
    expected = {place.theirs: place.shape for place in places}
    ignored = (*family.ignored, HEAD) if config.tied_embeddings else family.ignored
    extra = [n for n in names if n not in expected and not n.endswith(ignored or ("\0",))]
    stored = {name: source.dtype(names[name]) for name in expected if name in names}
    problems = [
        *_grouped((n, f"is missing, expected {s}") for n, s in expected.items() if n not in names),
        *_grouped((n, f"{source.shape(names[n])} has no place in the model") for n in extra),
        *_grouped(
            (name, f"is {source.shape(names[name])}, expected {shape}")
            for name, shape in expected.items()
            if name in names and source.shape(names[name]) != shape
        ),
        *_grouped(
            (name, f"is stored as {str(dtype).removeprefix('torch.')}, expected floating point")
            for name, dtype in stored.items()
            if not dtype.is_floating_point
        ),
    ]
    if problems:
        raise HornbookError(f"{path} does not fit its {CONFIG}: {'; '.join(problems)}.")


def _grouped(problems: Iterable[tuple[str, str]]) -> list[str]:
    """One line for the same problem in many layers: layers.{0,1,2}.mlp.up_proj.weight is ..."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, problem in problems:
        number = re.search(r"\.(\d+)\.", name)
        pattern = name if number is None else f"{name[: number.start(1)]}#{name[number.end(1) :]}"
        groups.setdefault((pattern, problem), []).append(number[1] if number else "")
    lines = []
    for (pattern, problem), numbers in groups.items():
        which = numbers[0] if len(numbers) == 1 else f"{{{','.join(numbers)}}}"
        lines.append(f"{pattern.replace('#', which, 1)} {problem}")
    return lines
