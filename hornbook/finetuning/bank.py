"""Several adapters on one base model, chosen row by row: what one server needs for many users.

    bank = AdapterBank(model, {"summaries": Path("runs/a/instruct-lora/adapter"), "poems": ...})
    bank.use(["poems", None, "summaries"])  # of the three rows of the batches that follow
    logits = model(ids)                     # (3, tokens, vocab)

The base's product is computed once for all rows; to it, the rows of each adapter add its thin products
(Chen et al. 2023, "Punica", section 3). Without an adapter a row is the base model's, to the bit.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hornbook.errors import HornbookError
from hornbook.finetuning.adapter import load_adapter
from hornbook.finetuning.lora import LoRALinear, set_submodule, take_off_lora
from hornbook.model.feedforward import MixtureOfExperts

TABLE, HEAD = "embedding.token", "head"
"""Modules that an adapter may bring whole: the tokens' vectors, and the head of as many tokens."""

Put = Callable[[Path, nn.Module], Mapping[str, Any]]
"""Puts the adapter in a folder onto its base model, and gives what its training has noted."""


def put_own(path: Path, model: nn.Module) -> Mapping[str, Any]:
    """`load_adapter` as a `Put`."""
    return load_adapter(path, model).facts


@dataclass(frozen=True)
class Group:
    """The rows of a batch that use one adapter."""

    name: str
    rows: Tensor
    """Int64 (rows to compute,): the adapter's own, then the last of them again and again."""
    count: int
    """How many are its own."""


class AdapterBank:
    """The adapters on a model, and which of them each row of a batch uses."""

    def __init__(self, model: nn.Module, adapters: Mapping[str, Path], put: Put = put_own) -> None:
        """Put all adapters beside the layers of their base model, in place.

        Raises:
            HornbookError: an adapter is damaged, of another base, brings a head of another width, or
                adapts the experts of a mixture, which do not know a token's row.
        """
        self._groups: list[Group] = []
        self._rows: int | None = None
        self._device = next(model.parameters()).device
        self.names = tuple(adapters)
        """Names of the adapters."""
        self.facts: dict[str, Mapping[str, Any]] = {}
        """What the training of each has noted: its task, its template."""
        found: dict[str, dict[str, LoRALinear]] = {}
        whole: dict[str, dict[str, nn.Module]] = {}
        for name, path in adapters.items():
            adapter = _taken_off(model, path, put)
            self.facts[name] = adapter.facts
            for layer_name, layer in adapter.layers.items():
                found.setdefault(layer_name, {})[name] = layer
            for module_name, module in adapter.whole.items():
                whole.setdefault(module_name, {})[name] = module
        self._layers = found
        for layer_name, layers in found.items():
            base = cast(nn.Linear, model.get_submodule(layer_name))
            set_submodule(model, layer_name, SwitchedLinear(base, layers, self))
        for module_name, modules in whole.items():
            kept = model.get_submodule(module_name)
            set_submodule(model, module_name, SwitchedWhole(kept, modules, self))
        model.requires_grad_(False)

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        """The same: copies of a model, in other precisions, are switched together."""
        return self

    def products(self) -> Iterator[nn.Linear]:
        """A layer of the shape of each of the thin products, whatever its weights."""
        for layers in self._layers.values():
            for layer in layers.values():
                for thin in (layer.A, layer.B):
                    outputs, inputs = thin.shape
                    yield nn.Linear(inputs, outputs, False, thin.device, thin.dtype)

    def use(self, names: Sequence[str | None], at_least: int = 1) -> None:
        """Say which adapter each row of the batches that follow uses; None is none.

        With `at_least`, each adapter's products have so many rows, filled up where it has fewer: from
        some number on a row's bits do not hang on how many others use the adapter.

        Raises:
            HornbookError: there is no adapter of that name.
        """
        unknown = sorted({name for name in names if name is not None} - set(self.names))
        if unknown:
            raise HornbookError(
                f"no adapter is called {unknown[0]!r}; expected one of {', '.join(self.names)}."
            )
        self._rows = len(names)
        self._groups = []
        for name in dict.fromkeys(names):
            if name is not None:
                own = [row for row, used in enumerate(names) if used == name]
                filled = own + own[-1:] * (at_least - len(own))
                rows = torch.tensor(filled, device=self._device)
                self._groups.append(Group(name, rows, len(own)))

    def groups(self, rows: int) -> list[Group]:
        """The adapters in use and the rows of each.

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
        # Numbers stand for the names, which may hold what a parameter's name may not.
        self._numbers = {name: number for number, name in enumerate(layers)}
        for name, layer in layers.items():
            number = self._numbers[name]
            self.adapters[f"{number}/A"], self.adapters[f"{number}/B"] = layer.A, layer.B
            if layer.magnitude is not None:
                self.adapters[f"{number}/gain"] = nn.Parameter(layer.gain().detach())

    @property
    def out_features(self) -> int:
        """Width of the output, as `nn.Linear` has it."""
        return self.base.out_features

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ..., d_in) to (batch, ..., d_out)."""
        y: Tensor = self.base(x)
        for group in self._bank.groups(x.shape[0]):
            if group.name in self._scales:
                rows, own = group.rows, group.rows[: group.count]
                y[own] = self._corrected(group.name, x[rows], y[rows])[: group.count]
        return y

    def _corrected(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        """What the base has made of some rows, with an adapter's correction."""
        number = self._numbers[name]
        a, b = (self.adapters[f"{number}/{part}"].to(y.dtype) for part in "AB")
        added = F.linear(F.linear(x.to(y.dtype), a), b) * self._scales[name]
        if f"{number}/gain" not in self.adapters:
            return y + added
        gain = self.adapters[f"{number}/gain"].to(y.dtype)
        bias = 0 if self.base.bias is None else self.base.bias.to(y.dtype)
        corrected: Tensor = (y - bias + added) * gain + bias
        return corrected


class SwitchedWhole(nn.Module):
    """A module in whose place some adapters have one of their own, of the same shape."""

    def __init__(self, base: nn.Module, own: Mapping[str, nn.Module], bank: AdapterBank) -> None:
        """Share the base, and keep each adapter's own."""
        super().__init__()
        self.base = base
        self.own = nn.ModuleList(own.values())
        self._numbers = {name: number for number, name in enumerate(own)}
        self._bank = bank

    @property
    def weight(self) -> Tensor:
        """The base's, whose place and precision all have."""
        return cast(Tensor, self.base.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ...) to (batch, ..., width)."""
        y: Tensor = self.base(x)
        for group in self._bank.groups(x.shape[0]):
            if group.name in self._numbers:
                rows, own = group.rows, group.rows[: group.count]
                y[own] = self.own[self._numbers[group.name]](x[rows])[: group.count]
        return y


@dataclass(frozen=True)
class _Adapter:
    """What an adapter consists of."""

    facts: Mapping[str, Any]
    layers: dict[str, LoRALinear]
    whole: dict[str, nn.Module]
    """Modules that it trains whole, and a head that is tied to one, in place of the model's."""


def _taken_off(model: nn.Module, path: Path, put: Put) -> _Adapter:
    """An adapter, read onto its base model and taken off again; the model's tensors stay as they are."""
    kept = {name: model.get_submodule(name) for name in (TABLE, HEAD)}
    for name, lent in copy.deepcopy(kept).items():  # a reader writes into what it finds
        set_submodule(model, name, lent)
    try:
        facts = put(path, model)
        layers = take_off_lora(model)
        found = {name: model.get_submodule(name) for name in kept}
    finally:
        for name, module in kept.items():
            set_submodule(model, name, module)
    whole = [str(name) for name in facts.get("whole", ())]
    tied = kept[HEAD].weight is kept[TABLE].weight
    if TABLE in whole and tied:
        whole.append(HEAD)
    if strange := [
        name for name in whole if name not in kept or not _alike(kept[name], found[name])
    ]:
        raise HornbookError(
            f"{path} brings its own {', '.join(strange)}, so it cannot share a base with other adapters; "
            "open it by itself."
        )
    mixtures = [name for name, part in model.named_modules() if isinstance(part, MixtureOfExperts)]
    for name in layers:
        if any(name.startswith(f"{mixture}.") for mixture in mixtures):
            raise HornbookError(
                f"{path} adapts {name}, and experts do not know whose token they work on; open it by "
                "itself."
            )
    return _Adapter(facts, layers, {name: found[name] for name in whole})


def _alike(one: nn.Module, other: nn.Module) -> bool:
    return cast(Tensor, one.weight).shape == cast(Tensor, other.weight).shape
