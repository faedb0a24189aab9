"""Stage 7: what a LoRA adapter added to each layer's matrix."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hornbook.finetuning.lora import LoRALinear, lora_layers


@torch.no_grad()
def adapter_changes(model: nn.Module, whole: Sequence[str] = ()) -> dict[str, Any]:
    """How large an adapter's correction is in each layer, and in how many directions.

    Args:
        model: with the adapter on it, not merged.
        whole: names of the modules that were trained whole beside it.

    Returns:
        whole; dora, whether the lengths of the rows were trained too; and layers: name, rank, scale,
        norm of the correction (Frobenius), its share of the norm that the base's matrix has, and the
        singular values of scale * B A, largest first.
    """
    adapted = list(lora_layers(model))
    return {
        "whole": list(whole),
        "dora": any(layer.magnitude is not None for _, layer in adapted),
        "layers": [_change(name, layer) for name, layer in adapted],
    }


def _change(name: str, layer: LoRALinear) -> dict[str, Any]:
    singular = singular_values(layer.A, layer.B, layer.scale)
    # Where the rows' lengths were trained, the correction has no low rank: its norm is taken whole.
    norm = singular.norm() if layer.magnitude is None else layer.correction().norm()
    assert isinstance(layer.base, nn.Linear)  # loaded as it is, not in few bits
    base = torch.linalg.matrix_norm(layer.base.weight.float())
    return {
        "name": name,
        "rank": layer.rank,
        "scale": layer.scale,
        "norm": float(norm),
        "share": float(norm) / max(float(base), 1e-12),
        "singular_values": singular.tolist(),
    }


def singular_values(down: Tensor, up: Tensor, scale: float) -> Tensor:
    """Those of scale * up @ down, without making that matrix: (rank,), largest first.

    Args:
        down: A, float (rank, d_in).
        up: B, float (d_out, rank).
    """
    outer = torch.linalg.qr(up.double()).R  # (rank, rank)
    inner = torch.linalg.qr(down.double().T).R
    values: Tensor = torch.linalg.svdvals(outer @ inner.T)
    return scale * values
