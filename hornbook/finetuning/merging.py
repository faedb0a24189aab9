"""Adapters of one base added up, each with a weight, to one adapter.

The sum of w_i * scale_i * B_i A_i is one product again: A's above one another, B's side by side; its
rank is the sum of theirs. To a lower rank it is cut by its singular values, which is the nearest
matrix of that rank (Eckart and Young 1936).
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from hornbook.artifact import Manifest, read_manifest
from hornbook.errors import HornbookError
from hornbook.finetuning.adapter import KIND, load_adapter, save_adapter
from hornbook.finetuning.lora import (
    LoRALinear,
    LoRASettings,
    apply_lora,
    lora_layers,
    take_off_lora,
)


def merge_adapters(
    out: Path,
    model: nn.Module,
    adapters: Sequence[Path],
    weights: Sequence[float],
    rank: int | None = None,
) -> Manifest:
    """Write the weighted sum of adapters as an adapter of its own, and leave it on the model.

    Args:
        out: where to write.
        model: their base, without an adapter.
        adapters: folders as `save_adapter` writes them.
        weights: how much of each to take; they need not sum to 1.
        rank: of every layer of the result; the sum of the ranks when not given, which is exact.

    Raises:
        HornbookError: see `add_up`.
    """
    settings, first = add_up(model, adapters, weights, rank)
    facts = {name: value for name, value in first.facts.items() if name != "whole"}
    facts["merged_from"] = {str(p): w for p, w in zip(adapters, weights, strict=True)}
    return save_adapter(out, model, settings, first.inputs.get("base", ""), facts)


def add_up(
    model: nn.Module, adapters: Sequence[Path], weights: Sequence[float], rank: int | None = None
) -> tuple[LoRASettings, Manifest]:
    """Put the weighted sum of adapters onto their base, in place, as `merge_adapters` has it.

    Returns:
        Settings that describe the sum, and the first adapter's manifest.

    Raises:
        HornbookError: numbers that do not agree, adapters of another base, with DoRA (whose
            correction is no product of thin matrices), or with a head of their own.
    """
    if len(adapters) != len(weights) or not adapters:
        raise HornbookError(
            f"{len(adapters)} adapters and {len(weights)} weights; give one weight for each."
        )
    sums: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for path, weight in zip(adapters, weights, strict=True):
        for name, layer in _read(path, model).items():
            b = weight * layer.scale * layer.B.detach()
            sums.setdefault(name, []).append((layer.A.detach(), b))
    joined = {name: _joined(parts, rank) for name, parts in sums.items()}
    ranks = {name: a.shape[0] for name, (a, _) in joined.items()}
    most = max(ranks.values())
    settings = LoRASettings(rank=most, ranks=ranks, alpha=1.0, targets=tuple(joined))
    apply_lora(model, settings)
    for name, layer in lora_layers(model):
        a, b = joined[name]
        layer.A.data.copy_(a)
        layer.B.data.copy_(b / layer.scale)
    return settings, read_manifest(adapters[0], KIND)


def _read(path: Path, model: nn.Module) -> dict[str, LoRALinear]:
    """An adapter's layers; the model is as it was before."""
    manifest = load_adapter(path, model)
    layers = take_off_lora(model)
    if manifest.facts.get("whole"):
        raise HornbookError(f"{path} has a head of its own; such adapters cannot be added up.")
    if any(layer.magnitude is not None for layer in layers.values()):
        raise HornbookError(
            f"{path} was trained with DoRA, whose correction is no product of thin matrices; merge "
            "it into the model instead."
        )
    return layers


def _joined(parts: Sequence[tuple[Tensor, Tensor]], rank: int | None) -> tuple[Tensor, Tensor]:
    """One A (rank, d_in) and B (d_out, rank), the scale in B."""
    a, b = torch.cat([a for a, _ in parts]), torch.cat([b for _, b in parts], dim=1)
    if rank is None or rank >= a.shape[0]:
        return a, b
    # Of B A by way of the small factors: B = Q R, A' = P S, and R S' is at most (sum of ranks) wide.
    q, r = torch.linalg.qr(b.double())
    p, s = torch.linalg.qr(a.double().t())
    left, sizes, right = torch.linalg.svd(r @ s.t())
    roots = sizes[:rank].sqrt()
    thin_b = q @ left[:, :rank] * roots  # (d_out, rank)
    thin_a = (p @ right[:rank].t() * roots).t()  # (rank, d_in)
    return thin_a.to(a.dtype), thin_b.to(b.dtype)
