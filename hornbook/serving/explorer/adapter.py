"""Stage 7: what a LoRA adapter added to each layer's matrix."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from hornbook.artifact import read_manifest
from hornbook.config import validate
from hornbook.errors import HornbookError
from hornbook.finetuning.adapter import KIND, WEIGHTS
from hornbook.finetuning.lora import LoRASettings


@torch.no_grad()
def adapter_changes(folder: Path, model: nn.Module) -> dict[str, Any]:
    """How large an adapter's correction is in each layer, and in how many directions.

    Args:
        folder: the adapter's.
        model: with the adapter merged into it, as a bundle has it.

    Returns:
        rank, scale, and layers: name, norm of the correction (Frobenius), its share of the norm that
        the base's matrix has, and its singular values, largest first.

    Raises:
        HornbookError: there is no adapter, or it is damaged.
    """
    matrices, scale = _read_matrices(folder)
    layers = []
    for name, (down, up) in matrices.items():
        singular = singular_values(down, up, scale)
        merged = model.get_parameter(f"{name}.weight").float().cpu()
        if merged.shape != (up.shape[0], down.shape[1]):
            raise HornbookError(f"{folder}: {name} does not fit the model.")
        base = (merged - scale * (up @ down)).norm()
        norm = float(singular.norm())
        layers.append(
            {
                "name": name,
                "norm": norm,
                "share": norm / max(float(base), 1e-12),
                "singular_values": singular.tolist(),
            }
        )
    rank = next(iter(matrices.values()))[0].shape[0] if matrices else 0
    return {"rank": rank, "scale": scale, "layers": layers}


def _read_matrices(folder: Path) -> tuple[dict[str, tuple[Tensor, Tensor]], float]:
    """A (rank, d_in) and B (d_out, rank) of each layer, float32, and what B A is multiplied by."""
    manifest = read_manifest(folder, KIND)  # which checks the file's hash
    settings = validate(LoRASettings, manifest.settings, f"{folder}/manifest.json")
    tensors = load_file(folder / WEIGHTS)
    names = [name.removesuffix(".A") for name in tensors if name.endswith(".A")]
    matrices = {
        name: (tensors[f"{name}.A"].float(), tensors[f"{name}.B"].float())
        for name in names
        if f"{name}.B" in tensors
    }
    return matrices, settings.scale


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
