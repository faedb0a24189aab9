"""Several adapters on one base model, chosen row by row: what one server needs for many users.

    bank = AdapterBank(model, {"summaries": Path("runs/a/instruct-lora/adapter"), "poems": ...})
    bank.use(["poems", None, "summaries"])  # of the three rows of the batches that follow
    logits = model(ids)                     # (3, tokens, vocab)

The base's product is computed once for all rows; to it, the rows of each adapter add its thin products
(Chen et al. 2023, "Punica", section 3). Without an adapter a row is the base model's, to the bit.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hornbook.errors import HornbookError
from hornbook.finetuning.adapter import load_adapter
from hornbook.finetuning.lora import LoRALinear, set_submodule, take_off_lora


class AdapterBank:
    """The adapters on a model, and which of them each row of a batch uses."""

    def __init__(self, model: nn.Module, adapters: Mapping[str, Path]) -> None:
        """Put all adapters beside the layers of their base model, in place.

        Raises:
            HornbookError: an adapter is damaged, of another base, or brings a head of its own.
        """
        self._groups: list[tuple[str, Tensor]] = []
        self._rows: int | None = None
        self.names = tuple(adapters)
        """Names of the adapters."""
        found: dict[str, dict[str, LoRALinear]] = {}
        for name, path in adapters.items():
            for layer_name, layer in _taken_off(model, path).items():
                found.setdefault(layer_name, {})[name] = layer
        for layer_name, layers in found.items():
            base = cast(nn.Linear, model.get_submodule(layer_name))
            set_submodule(model, layer_name, SwitchedLinear(base, layers, self))
        model.requires_grad_(False)

    def use(self, names: Sequence[str | None]) -> None:
        """Say which adapter each row of the batches that follow uses; None is none.

        Raises:
            HornbookError: there is no adapter of that name.
        """
        unknown = sorted({name for name in names if name is not None} - set(self.names))
        if unknown:
            raise HornbookError(
                f"no adapter is called {unknown[0]!r}; expected one of {', '.join(self.names)}."
            )
        self._rows = len(names)
        self._groups = [
            (name, torch.tensor([row for row, used in enumerate(names) if used == name]))
            for name in dict.fromkeys(names)
            if name is not None
        ]

    def groups(self, rows: int) -> list[tuple[str, Tensor]]:
        """Each adapter in use and its rows, int64 (rows of it,).

        Raises:
            HornbookError: a batch has another number of rows than `use` was told.
        """
        if self._rows not in (None, rows):
            raise HornbookError(
                f"a batch has {rows} rows, but adapters were chosen for {self._rows}; call use() "
                "with a name, or None, for each row."
            )
        return self._groups


class SwitchedLinear(nn.Module):
    """A linear layer to which each row of a batch adds its own adapter's correction, or none."""

    def __init__(
        self, base: nn.Linear, layers: Mapping[str, LoRALinear], bank: AdapterBank
    ) -> None:
        """Share the base; of each layer keep what its adapter consists of."""
        super().__init__()
        self.base = base
        self._bank = bank
        self.adapters = nn.ParameterDict()
        self._scales = {name: layer.scale for name, layer in layers.items()}
        for name, layer in layers.items():
            self.adapters[f"{name}/A"], self.adapters[f"{name}/B"] = layer.A, layer.B
            if layer.magnitude is not None:
                self.adapters[f"{name}/gain"] = nn.Parameter(layer.gain().detach())

    @property
    def out_features(self) -> int:
        """Width of the output, as `nn.Linear` has it."""
        return self.base.out_features

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ..., d_in) to (batch, ..., d_out)."""
        y: Tensor = self.base(x)
        for name, rows in self._bank.groups(x.shape[0]):
            if name in self._scales:
                rows = rows.to(x.device)
                y[rows] = self._corrected(name, x[rows], y[rows])
        return y

    def _corrected(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        """What the base has made of some rows, with an adapter's correction."""
        a, b = (self.adapters[f"{name}/{part}"].to(y.dtype) for part in "AB")
        added = F.linear(F.linear(x.to(y.dtype), a), b) * self._scales[name]
        if f"{name}/gain" not in self.adapters:
            return y + added
        gain = self.adapters[f"{name}/gain"].to(y.dtype)
        bias = 0 if self.base.bias is None else self.base.bias.to(y.dtype)
        corrected: Tensor = (y - bias + added) * gain + bias
        return corrected


def _taken_off(model: nn.Module, path: Path) -> dict[str, LoRALinear]:
    """The layers of an adapter, read onto its base model and taken off again."""
    manifest = load_adapter(path, model)
    layers = take_off_lora(model)
    if whole := manifest.facts.get("whole"):
        raise HornbookError(
            f"{path} brings its own {', '.join(map(str, whole))}, so it cannot share a base with "
            "other adapters; open it by itself."
        )
    return layers
