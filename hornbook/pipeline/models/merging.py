"""`hornbook merge`: adapters folded into their base, or added up to one adapter."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hornbook.artifact import Manifest, read_manifest
from hornbook.checkpoints.export.huggingface import require_free
from hornbook.checkpoints.store import LoadedModel, load_model
from hornbook.errors import HornbookError
from hornbook.finetuning.adapter import KIND, load_adapter, save_adapter
from hornbook.finetuning.lora import merge_lora
from hornbook.finetuning.merging import add_up
from hornbook.pipeline.models.bundle import ADAPTER, MODEL, TOKENIZER, save_bundle
from hornbook.tokenizing.tokenizer import Tokenizer

OF_THE_TASK = ("task", "template", "labels", "pooling", "many")
"""Facts that adapters must share to be one."""


def merge_into_model(
    base: Path, adapters: Sequence[Path], weights: Sequence[float], out: Path
) -> None:
    """Write a model into whose matrices the adapters are folded; it needs neither base nor adapters.

    Args:
        base: the model that they were trained on, such as runs/NAME/pretrain.
        adapters: such as runs/NAME/instruct-lora. A single one with weight 1 may be of any kind,
            several are added up (see `add_up`).
        weights: how much of each to take.
        out: a new folder.

    Raises:
        HornbookError: something stands at `out`, an adapter is of another base, or the adapters
            cannot be one.
    """
    require_free(out)
    folders, loaded, tokenizer = _opened(base, adapters)
    if len(folders) == 1 and list(weights) == [1.0]:
        load_adapter(folders[0], loaded.model)
    else:
        add_up(loaded.model, folders, weights)
    merge_lora(loaded.model)
    facts = {**_common_facts(folders), "merged_from": _named(adapters, weights)}
    save_bundle(out, loaded.model, tokenizer, facts)


def merge_to_adapter(
    base: Path,
    adapters: Sequence[Path],
    weights: Sequence[float],
    out: Path,
    rank: int | None = None,
) -> Manifest:
    """Write one adapter that is the weighted sum of several; it still needs their base.

    `rank` is the sum of theirs when not given, which is exact.

    Raises:
        HornbookError: as `merge_into_model`.
    """
    require_free(out)
    folders, loaded, tokenizer = _opened(base, adapters)
    settings, _ = add_up(loaded.model, folders, weights, rank)
    there = os.path.relpath(loaded.directory.resolve(), out.resolve())
    facts = {
        **_common_facts(folders),
        "merged_from": _named(adapters, weights),
        "base": Path(there).as_posix(),
    }
    tokenizer.save(out / TOKENIZER)
    return save_adapter(out / ADAPTER, loaded.model, settings, loaded.manifest.fingerprint, facts)


def _opened(base: Path, adapters: Sequence[Path]) -> tuple[list[Path], LoadedModel, Tokenizer]:
    """The adapters' own folders, and their base with its tokenizer."""
    folders = [_adapter_folder(path) for path in adapters]
    stage = base.parent if base.name == MODEL else base
    if not (stage / MODEL).is_dir():
        raise HornbookError(
            f"{base} holds no model of Hornbook's; give the one that the adapters were trained on, "
            "such as runs/NAME/pretrain or runs/NAME/base."
        )
    loaded = load_model(stage / MODEL)
    tokenizer = Tokenizer.load(stage / TOKENIZER)
    loaded.require_tokenizer(tokenizer.fingerprint)
    return folders, replace(loaded, directory=stage / MODEL), tokenizer


def _adapter_folder(path: Path) -> Path:
    folder = path if path.name == ADAPTER else path / ADAPTER
    if not folder.is_dir():
        raise HornbookError(
            f"{path} has no {ADAPTER}/ in it; give a folder such as runs/NAME/instruct-lora."
        )
    return folder


def _common_facts(folders: Sequence[Path]) -> dict[str, Any]:
    """What the adapters' models do, which must be the same."""
    first, *others = (read_manifest(folder, KIND, verify=False).facts for folder in folders)
    for folder, facts in zip(folders[1:], others, strict=True):
        for name in OF_THE_TASK:
            if facts.get(name) != first.get(name):
                raise HornbookError(
                    f"{folder} cannot be added to {folders[0]}: its {name} is {facts.get(name)!r}, "
                    f"not {first.get(name)!r}."
                )
    return {name: value for name, value in first.items() if name not in ("base", "whole")}


def _named(adapters: Sequence[Path], weights: Sequence[float]) -> dict[str, float]:
    return {str(path): weight for path, weight in zip(adapters, weights, strict=True)}
