"""What a run's training starts from: fresh weights, or a model that there is already.

A model that is there already is copied into the run's directory once, as a checkpoint of Hornbook's
own, so that the run goes on though its source moves, and adapters know what they adapt.
"""

from pathlib import Path

import torch

from hornbook.artifact import MANIFEST, hash_file, hash_json, read_manifest
from hornbook.checkpoints.loading.folders import describe_folder, is_folder
from hornbook.checkpoints.loading.hub import fetch_model, is_hub_model
from hornbook.checkpoints.sharded import load_weights_parts
from hornbook.checkpoints.store import KIND as CHECKPOINT
from hornbook.checkpoints.store import LoadedModel, load_model, load_weights
from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig
from hornbook.model.presets import ModelSettings, changes_in, resolve
from hornbook.model.transformer import Transformer
from hornbook.model.undrawn import Undrawn
from hornbook.pipeline.models.bundle import (
    ADAPTER,
    MODEL,
    TOKENIZER,
    default_runtime,
    load_bundle,
    save_bundle,
)
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import Workspace
from hornbook.tokenizing.tokenizer import Tokenizer
from hornbook.training.fresh import draw_parts

STAGE = "base"
CHANGEABLE = {"dropout"}
"""Fields of a model that is there already which do not decide what it has learned."""


def starting_config(settings: ModelSettings, vocab_size: int) -> ModelConfig:
    """The config of the model that the settings start from: a preset's, or that of `model.path`.

    Raises:
        HornbookError: no such preset or model, or changes that do not fit.
    """
    if settings.path is None:
        return resolve(settings, vocab_size)
    path = _local(settings.path)
    if is_folder(path) and not (path / MODEL).is_dir():
        config = describe_folder(path)
    else:
        config = load_bundle(path, default_runtime()).model.config
    return _changed(config, settings)


def copy_base(recipe: Recipe, workspace: Workspace, kept_on: str = "cpu") -> LoadedModel | None:
    """The model at `model.path`, copied into the run; None where a run starts from fresh weights.

    Its weights are read onto the device `kept_on`; on "meta" they are not.

    Raises:
        HornbookError: there is no model, or it cannot be loaded, or it is a classifier.
    """
    if recipe.model.path is None:
        return None
    path = _local(recipe.model.path)

    def make(folder: Path) -> None:
        bundle = load_bundle(path, default_runtime())
        if bundle.task == "classify":
            raise HornbookError(f"model.path: {path} is a classifier; give the model it came from.")
        model = bundle.model
        model.config = _changed(model.config, recipe.model)
        stored = getattr(torch, str(bundle.facts.get("stored_dtype", "float32")))
        save_bundle(folder, model.to(stored), bundle.tokenizer, bundle.facts)

    changes = changes_in(recipe.model)
    source = {"source": fingerprint_of(path)}
    return workspace.once(
        STAGE, changes, source, make, lambda folder: load_model(folder / MODEL, kept_on)
    )


def base_tokenizer(workspace: Workspace) -> Tokenizer:
    """The tokenizer of the model that `copy_base` has copied."""
    return Tokenizer.load(workspace.directory / STAGE / TOKENIZER)


def starting_model(
    config: ModelConfig, base: LoadedModel | None, generator: torch.Generator
) -> Transformer:
    """A model to train on the CPU: with fresh weights, or the base's."""
    with Undrawn():
        model = Transformer(config)
    if base is not None:
        load_weights(base.directory, model)
    else:
        model.initialize(generator)
    return model


def start_in_parts(
    model: Transformer, base: LoadedModel | None, generator: torch.Generator
) -> None:
    """Fill a model that several processes hold parts of: the weights are `starting_model`'s.

    Each process reads, or keeps of what it draws, its own parts.
    """
    if base is not None:
        load_weights_parts(base.directory, model)
    else:
        draw_parts(model, generator)


def fingerprint_of(path: Path) -> str:
    """One hash for what a model's folder holds of the model: of Hornbook's own, or all its files."""
    for part, kind in ((MODEL, CHECKPOINT), (ADAPTER, ADAPTER)):
        if (path / part).is_dir():
            manifest = read_manifest(path / part, kind, verify=False)
            return hash_json([manifest.fingerprint, manifest.inputs])
    files = sorted(file for file in path.iterdir() if file.is_file())
    return hash_json({file.name: hash_file(file) for file in files})


def _local(given: str) -> Path:
    path = fetch_model(given) if is_hub_model(given) else Path(given)
    if not path.is_dir():
        raise HornbookError(
            f"model.path: {path} is no model's folder; give one, such as runs/NAME/pretrain, a "
            "folder with config.json and safetensors, or hf:ORG/NAME."
        )
    inside = path.name in (MODEL, ADAPTER) and (path / MANIFEST).is_file()
    return path.parent if inside else path


def _changed(config: ModelConfig, settings: ModelSettings) -> ModelConfig:
    changes = changes_in(settings)
    fixed = sorted(changes.keys() - CHANGEABLE)
    if fixed:
        raise HornbookError(
            f"model.{fixed[0]} is settled by the model at model.path ({settings.path}); leave it out."
        )
    return config.model_copy(update=changes)
