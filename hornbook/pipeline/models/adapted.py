"""LoRA adapters on a model that is opened by itself: one merged into it, or several to choose from."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from hornbook.artifact import MANIFEST
from hornbook.errors import HornbookError
from hornbook.finetuning.adapter import load_adapter
from hornbook.finetuning.bank import AdapterBank
from hornbook.finetuning.lora import merge_lora
from hornbook.finetuning.peft_folder import (
    is_peft_folder,
    load_peft,
    read_peft_config,
    trains_whole,
)
from hornbook.finetuning.pooling import pool
from hornbook.inference.weights import sharing_copy
from hornbook.model.transformer import Transformer
from hornbook.pipeline.models.bundle import ADAPTER, Bundle, family_of, load_bundle
from hornbook.runtime import Runtime


def load_with_adapter(path: Path, adapter: Path, runtime: Runtime) -> Bundle:
    """A model with an adapter merged into it; the adapter says what the two are for.

    Raises:
        HornbookError: as `load_bundle`; or the adapter is not there, damaged, or another model's.
    """
    folder = adapter_folder(adapter)
    bundle = load_bundle(path, runtime)
    facts = _put(folder, bundle.model, bundle)
    merge_lora(bundle.model)
    pool(bundle.model, facts.get("pooling", "last"))
    merged = replace(bundle, model=bundle.model.eval(), base=bundle.path)
    return described(merged, folder, facts)


def with_adapter_on(bundle: Bundle) -> tuple[Transformer, list[str]]:
    """The base of a bundle's adapter, loaded anew, with the adapter on it and not merged.

    Returns:
        The model, and the names of the modules that the adapter's training changed whole.

    Raises:
        HornbookError: the bundle has no adapter; or as `load_with_adapter`.
    """
    if bundle.base is None:
        raise HornbookError("this model has no LoRA adapter; open one that was trained so.")
    folder = adapter_folder(bundle.path)
    base = load_bundle(bundle.base, bundle.runtime)
    facts = _put(folder, base.model, base)
    peft = is_peft_folder(folder)
    whole = read_peft_config(folder).modules_to_save if peft else facts.get("whole")
    return base.model.eval(), list(whole or ())


def switched(bundle: Bundle, adapters: Mapping[str, Path]) -> tuple[Transformer, AdapterBank]:
    """The model again, of the same tensors, with adapters on it that each row of a batch chooses from.

    Raises:
        HornbookError: an adapter is not there, damaged, another model's, or cannot share a base.
    """
    bundle.require_language_model()
    folders = {name: adapter_folder(path) for name, path in adapters.items()}
    for folder in folders.values():
        if is_peft_folder(folder) and trains_whole(folder):  # it would be written into the base
            raise HornbookError(
                f"{folder} has modules that peft trained whole, so it cannot share a base with other "
                "adapters; open it by itself."
            )
    model = sharing_copy(bundle.model)
    return model, AdapterBank(model, folders, lambda path, on: _put(path, on, bundle))


def described(bundle: Bundle, folder: Path, facts: Mapping[str, Any]) -> Bundle:
    """A bundle as an adapter makes it: its place, its task, its template."""
    place = folder.parent if folder.name == ADAPTER else folder
    return replace(
        bundle, path=place, manifest=replace(bundle.manifest, facts=dict(facts), files={})
    )


def adapter_folder(path: Path) -> Path:
    """Where in a folder the adapter is, Hornbook's or peft's.

    Raises:
        HornbookError: there is none.
    """
    if (path / ADAPTER).is_dir():
        return path / ADAPTER
    if is_peft_folder(path) or (path / MANIFEST).is_file():
        return path
    what = "holds no LoRA adapter" if path.exists() else "no such adapter"
    raise HornbookError(
        f"{path}: {what}; give a folder such as runs/NAME/instruct-lora, or one that peft has saved."
    )


def _put(path: Path, model: nn.Module, bundle: Bundle) -> Mapping[str, Any]:
    """Put an adapter on the bundle's model, or a copy of it; what there is to know of the two."""
    if is_peft_folder(path):
        assert isinstance(model, Transformer)
        load_peft(path, model, family_of(model.config, bundle.facts.get("family")))
        return {**bundle.facts, "adapter": str(path)}
    return {**bundle.facts, **load_adapter(path, model).facts}
