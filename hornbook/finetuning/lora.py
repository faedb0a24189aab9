"""Low-rank adaptation: train two thin matrices beside each large one and leave the large one be.

A linear layer's weight W stays frozen; its output gains `alpha/rank * B (A x)`, where A is
(rank, d_in) and B is (d_out, rank). B starts at zero, so an adapted model begins as its base.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", § 4.1; Kalajdzievski
2023, "A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA"; Liu et al. 2024, "DoRA:
Weight-Decomposed Low-Rank Adaptation", § 4. The start values and the place of the dropout are those of
the `peft` library, which the tests compare with.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from hornbook.config import Settings
from hornbook.divided import local
from hornbook.errors import HornbookError
from hornbook.finetuning.frozen import (
    FrozenLinear,
    FrozenMatrix,
    Packed,
    adapted_linear,
    compute_dtype,
    dense,
    frozen_linear,
)
from hornbook.finetuning.quantized import BaseForm, QuantizedLinear, quantized
from hornbook.finetuning.targets import (
    ALL_LINEAR,
    find_targets,
    matches,
    refuse_shared,
    require_ranks,
)
from hornbook.training.shards import cuts_of, part_of


class LoRASettings(Settings):
    """Which layers are adapted, and how widely."""

    rank: int = Field(default=16, gt=0)
    """Rows of A and columns of B: what one adapted layer may learn."""
    ranks: dict[str, int] = Field(default_factory=dict)
    """Other ranks for some of the adapted layers, by ends of their names, such as
    {"feedforward.up" = 32}; of several that fit, the longest counts."""
    alpha: float = Field(default=32.0, gt=0)
    """The correction is multiplied by alpha / rank."""
    rank_stabilized: bool = False
    """Multiply by alpha / sqrt(rank) instead (rsLoRA): corrections of high rank then keep learning."""
    dora: bool = False
    """Train the length of each of the corrected matrix's rows as a number of its own (DoRA): closer
    to training everything at low ranks, for somewhat slower steps."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability of dropping a layer's input on its way into A while training."""
    base: BaseForm = "float"
    """How the frozen matrices of the blocks are kept while an adapter is trained (QLoRA): "float", as they
    are; "int8", in a quarter of float32's memory; "nf4", in an eighth, for slower steps. What is saved
    is the adapter, which is used on the base as it is."""
    targets: tuple[str, ...] = Field(default=(ALL_LINEAR,), min_length=1)
    """Linear layers to adapt: "all-linear" (all but the head), or ends of their names, such as
    "query", "attention.out" or "head"."""

    @property
    def scale(self) -> float:
        """Factor on the correction of a layer of the usual rank."""
        return self.scale_of(self.rank)

    def scale_of(self, rank: int) -> float:
        """Factor on a correction of this rank."""
        return self.alpha / (math.sqrt(rank) if self.rank_stabilized else rank)

    def rank_of(self, name: str) -> int:
        """The rank of the layer of this name."""
        fitting = [end for end in self.ranks if matches(name, end)]
        return self.ranks[max(fitting, key=len)] if fitting else self.rank


class LoRALinear(nn.Module):
    """A frozen linear layer with a trained correction of low rank.

    `merge` folds the correction into the weight, so that a forward pass costs what the base's
    does; `unmerge` puts the base's weight back bit for bit, from a copy kept while merged.

    With DoRA the corrected matrix V = W + scale * B A gives only the rows' directions:
    y = magnitude / |V| * (V x) + bias, |V| being the lengths of V's rows, which get no gradient (Liu et
    al. 2024, § 4.3).
    """

    packed: Packed | None = None
    """The base's matrix as oneDNN reads it, where it was packed."""

    def __init__(
        self,
        base: nn.Linear,
        settings: LoRASettings,
        generator: torch.Generator,
        rank: int | None = None,
    ) -> None:
        """`rank` is the settings' usual one when not given."""
        super().__init__()
        rank = rank or settings.rank
        self.base: nn.Linear | QuantizedLinear = base.requires_grad_(False)
        self.base_is_new = False
        """Whether the base model lacks this layer, so that an adapter must carry it (a new head)."""
        self.scale = settings.scale_of(rank)
        self.dropout = nn.Dropout(settings.dropout)
        # Drawn on the CPU, so that a seed means the same adapter on every device, and kept in
        # float32 even beside a bfloat16 base: small updates would round away.
        start = torch.empty(rank, base.in_features)
        nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=generator)
        device = beside(base.weight)
        self.A = nn.Parameter(start.to(device))
        self.B = nn.Parameter(torch.zeros(base.out_features, rank, device=device))
        self._unmerged_weight: Tensor | None = None
        self.magnitude: nn.Parameter | None = None
        if settings.dora:
            known = not base.weight.is_meta
            start = self._base_lengths() if known else torch.zeros(base.out_features)
            self.magnitude = nn.Parameter(start)
        self._squares: Tensor | None
        self.register_buffer(
            "_squares", None, persistent=False
        )  # of W's rows' lengths, once asked for
        self.adds_bias = True
        """Whether the bias is added here: where several processes each compute a part of the
        layer's sum, one of them does."""
        self.add_up: Callable[[Tensor], Tensor] = _whole
        """Makes sums over all inputs of sums over those in this process."""

    @property
    def in_features(self) -> int:
        """Width of the input, as `nn.Linear` has it."""
        return self.base.in_features

    @property
    def out_features(self) -> int:
        """Width of the output, as `nn.Linear` has it."""
        return self.base.out_features

    @property
    def rank(self) -> int:
        """Rows of A."""
        return self.A.shape[0]

    @property
    def merged(self) -> bool:
        """Whether the base's weight holds the correction now."""
        return self._unmerged_weight is not None

    def trained(self) -> dict[str, nn.Parameter]:
        """What the adapter consists of, by name: A, B, and with DoRA the magnitude."""
        thin = {"A": self.A, "B": self.B}
        return thin if self.magnitude is None else {**thin, "magnitude": self.magnitude}

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_in) to (..., d_out)."""
        if self.merged:
            merged: Tensor = self.base(x)
            return merged
        bias = local(self.base.bias) if self.base.bias is not None and self.adds_bias else None
        if self.magnitude is None:
            return self._corrected(x, bias)
        y = self._corrected(x, None) * self.gain().to(compute_dtype(x, self._matrix()))
        return y if bias is None else y + bias.to(y.dtype)

    def gain(self) -> Tensor:
        """DoRA's factor on each output before the bias, (d_out,)."""
        assert self.magnitude is not None
        return local(self.magnitude) / self._lengths()

    def _matrix(self) -> FrozenMatrix:
        """The base's own, without a correction."""
        if self._unmerged_weight is not None:
            return self._unmerged_weight
        if isinstance(self.base, QuantizedLinear):
            return self.base
        return self.packed or local(self.base.weight)

    @torch.no_grad()
    def _base_lengths(self) -> Tensor:
        """Of the rows of W, float32 (d_out,)."""
        lengths: Tensor = torch.linalg.vector_norm(dense(self._matrix(), torch.float32), dim=1)
        return lengths

    def quantize_base(self, form: Literal["int8", "nf4"]) -> None:
        """Keep the base's matrix in few bits; its own digits are gone."""
        assert isinstance(self.base, nn.Linear)
        self.base = quantized(self.base, form)
        self._squares = None

    def _corrected(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """W x + bias + scale * B (A x)."""
        weight, a, b = self._matrix(), local(self.A), local(self.B)
        if not (self.training and self.dropout.p):
            return adapted_linear(x, weight, bias, a, b, self.scale)
        dtype = compute_dtype(x, weight)
        low = F.linear(self.dropout(x).to(dtype), a.to(dtype))  # (..., rank)
        return frozen_linear(x, weight, bias) + F.linear(low, b.to(dtype)) * self.scale

    @torch.no_grad()
    def _lengths(self) -> Tensor:
        """Of the rows of W + scale * B A, float32 (d_out,), without making that matrix.

        |w + s b A|² = |w|² + 2 s b (A w) + s² (b A) (b A)
        """
        if self._squares is None:
            self._squares = self.add_up(self._base_lengths().square())
        weight = dense(self._matrix(), self._matrix().dtype)
        a, b = local(self.A), local(self.B) * self.scale
        along = F.linear(weight, a.to(weight.dtype)).to(a.dtype)  # A w for each row: (d_out, rank)
        along, crossed = self.add_up(along), self.add_up(a @ a.t())
        square = self._squares + ((2 * along + b @ crossed) * b).sum(dim=1)
        return square.clamp_min(torch.finfo(torch.float32).tiny).sqrt()

    @torch.no_grad()
    def correction(self) -> Tensor:
        """What the adapter adds to the base's weight, (d_out, d_in), float32."""
        added = self.scale * (self.B @ self.A)
        if self.magnitude is None:
            return added
        weight = dense(self._matrix(), torch.float32)
        return weight.add(added).mul_(self.gain()[:, None]).sub_(weight)

    def _corrected_matrix(self) -> Tensor:
        """The base's matrix, which holds no correction yet, with it: float32 (d_out, d_in)."""
        return dense(self._matrix(), torch.float32) + self.correction()

    @torch.no_grad()
    def merge(self) -> None:
        """Fold the correction into the weight; nothing happens if it is there already.

        Dropout does not act on a merged layer, and training one changes nothing: unmerge first.

        Raises:
            HornbookError: the base is kept in few bits, which cannot hold it.
        """
        if isinstance(self.base, QuantizedLinear):
            raise HornbookError(
                "the base is kept in few bits (lora.base), which cannot hold a correction; save the "
                "adapter, and load it onto the base as it is to merge it."
            )
        if self._unmerged_weight is None:
            weight = self.base.weight
            corrected = self._corrected_matrix()
            self._unmerged_weight = weight.detach().clone()
            self.packed = None  # which holds what was
            weight.copy_(corrected)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Put the base's own weight back, bit for bit."""
        if self._unmerged_weight is not None and isinstance(self.base, nn.Linear):
            self.base.weight.copy_(self._unmerged_weight)
            self._unmerged_weight = None

    @torch.no_grad()
    def folded(self) -> nn.Linear:
        """A plain layer that computes the same; this one and its base stay as they are."""
        if self.merged and isinstance(self.base, nn.Linear):
            return self.base
        with torch.device("meta"):
            plain = nn.Linear(self.in_features, self.out_features, self.base.bias is not None)
        plain.weight = nn.Parameter(self._corrected_matrix(), requires_grad=False)
        if self.base.bias is not None:
            plain.bias = nn.Parameter(self.base.bias.detach(), requires_grad=False)
        return plain

    def extra_repr(self) -> str:
        """What `print(model)` shows beside the layer."""
        return f"rank={self.rank}, scale={self.scale:g}, merged={self.merged}"


def _whole(total: Tensor) -> Tensor:
    """Of a layer whose inputs are all in this process."""
    return total


def beside(weight: Tensor) -> torch.device:
    """Where new numbers lie that belong to a weight: with it, or on the CPU beside a mere shape."""
    return torch.device("cpu") if weight.is_meta else weight.device


def apply_lora(
    model: nn.Module, settings: LoRASettings, *, new_modules: Sequence[str] = (), seed: int = 0
) -> list[str]:
    """Wrap the target layers in place and freeze everything but their A and B.

    Args:
        model: any module with named `nn.Linear` layers; the weights may be on the meta device, A
            and B are then on the CPU, and DoRA's lengths await `measure_rows`.
        settings: which layers, and how.
        new_modules: names of modules that the pre-trained model did not have, such as a `head`
            of classes. They are trained whole, or by LoRA where they are targets, and are saved
            with the adapter either way.
        seed: of the start values of A.

    Returns:
        The names of the adapted layers, in the model's order.

    Raises:
        HornbookError: a target names no linear layer, one shares its matrix with another module
            (so merging would change both), or the model carries an adapter already.
    """
    if next(lora_layers(model), None) is not None:
        raise HornbookError(
            "the model carries a LoRA adapter already; merge it or load the base model anew."
        )
    names = find_targets(model, settings.targets)
    refuse_shared(model, names)
    require_ranks(settings.ranks, names)
    generator = torch.Generator().manual_seed(seed)
    model.requires_grad_(False)
    for name in names:
        base = cast(nn.Linear, model.get_submodule(name))
        layer = LoRALinear(base, settings, generator, settings.rank_of(name))
        layer.base_is_new = name in new_modules
        set_submodule(model, name, layer)
    for name in set(new_modules) - set(names):
        model.get_submodule(name).requires_grad_(True)
    quicken(model)
    return names


def quicken(model: nn.Module) -> None:
    """Let the layers that are neither adapted nor trained multiply as frozen ones."""
    adapted = {layer.base for _, layer in lora_layers(model)}
    for name, module in list(model.named_modules()):
        plain = type(module) is nn.Linear and module not in adapted
        if plain and not any(p.requires_grad for p in module.parameters()):
            set_submodule(model, name, FrozenLinear.of(cast(nn.Linear, module)))


def merge_lora(model: nn.Module) -> list[str]:
    """Turn every adapted layer back into a plain `nn.Linear` holding the corrected weight.

    In place and for good (the base's weights are not kept). What was frozen stays frozen; call
    `model.requires_grad_(True)` to go on training all of it.

    Returns:
        The names of the layers merged.
    """
    for _, layer in lora_layers(model):
        layer.merge()
    return list(take_off_lora(model))


def take_off_lora(model: nn.Module) -> dict[str, LoRALinear]:
    """Put every adapted layer's base back in its place; the adapter's layers by name.

    The bases are as they are: with the correction in them where it was merged.
    """
    layers = dict(lora_layers(model))
    for name, layer in layers.items():
        set_submodule(model, name, layer.base)
    for name, module in list(model.named_modules()):
        if isinstance(module, FrozenLinear):
            set_submodule(model, name, module.thawed())
    return layers


def lora_layers(model: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    """The adapted layers with their names, in the model's order."""
    for name, module in model.named_modules():
        if isinstance(module, LoRALinear):
            yield name, module


@torch.no_grad()
def measure_rows(layer: LoRALinear, weight: Tensor) -> None:
    """Set the lengths that DoRA trains to those of the rows of the base's matrix (d_out, d_in), whole.

    For a layer that was adapted while its base was a mere shape; it may be divided among processes.
    """
    assert layer.magnitude is not None
    lengths = torch.linalg.vector_norm(weight.float(), dim=1)
    local(layer.magnitude).copy_(part_of(lengths, cuts_of(layer.magnitude)))


def lora_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Every A and B, layer by layer: rank * (d_in + d_out) numbers per adapted layer."""
    return [parameter for _, layer in lora_layers(model) for parameter in (layer.A, layer.B)]


def set_submodule(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` in the place called `name` (dotted)."""
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
