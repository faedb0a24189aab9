"""LoRA layers as other programs have them: one for each of a family's matrices.

Where a family keeps several of Hornbook's layers as one matrix (GPT-2's c_attn is query, key and
value), their corrections become one: the A's stand above one another, and the B's in blocks along
the diagonal. The sum of ranks is its rank, and it computes the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.weights import Place
from hornbook.errors import HornbookError
from hornbook.finetuning.lora import LoRALinear, lora_layers
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer, shapes_of

InOrder = Callable[[str, Tensor], Tensor]
"""From a layer's name and rows that belong to its outputs to the same rows in another order."""
WEIGHT = ".weight"


@dataclass(frozen=True)
class JoinedLayer:
    """One matrix's correction: scale * B A."""

    theirs: str
    """The layer's name in the family."""
    A: Tensor
    """(rank, inputs)."""
    B: Tensor
    """(outputs, rank)."""
    scale: float
    magnitude: Tensor | None
    """DoRA's, (outputs,)."""
    transposed: bool
    """Whether the family keeps the matrix as (inputs, outputs)."""

    @property
    def rank(self) -> int:
        """Rows of A."""
        return self.A.shape[0]


def joined_layers(
    model: Transformer, family: Family, in_order: InOrder = lambda _, rows: rows
) -> list[JoinedLayer]:
    """The adapter on a model, not merged, as the family would have it.

    Raises:
        HornbookError: there is none, or it trains more than the family's matrices.
    """
    layers = dict(lora_layers(model))
    if not layers:
        raise HornbookError("the model carries no LoRA adapter; export the model itself.")
    whole = [n for n, p in model.named_parameters() if p.requires_grad and n.rpartition(".")[2] not in ("A", "B", "magnitude")]  # fmt: skip
    if whole:
        raise HornbookError(
            f"the adapter trains {', '.join(whole)} whole, which an adapter of LoRA's alone cannot "
            "hold; export the merged model instead."
        )
    return [
        _join(place, names, model, layers, in_order)
        for place, names in weight_places(model.config, family)
        if any(name in layers for name in names)
    ]


def weight_places(config: ModelConfig, family: Family) -> Iterator[tuple[Place, list[str]]]:
    """The family's matrices, each with the names of the layers of ours that it holds."""
    shapes = shapes_of(config)
    for place in family.places(shapes, config):
        if place.theirs.endswith(WEIGHT):
            yield place, [name.removesuffix(WEIGHT) for name in place.ours]


def _join(
    place: Place,
    names: list[str],
    model: Transformer,
    layers: dict[str, LoRALinear],
    in_order: InOrder,
) -> JoinedLayer:
    theirs = place.theirs.removesuffix(WEIGHT)
    adapted = [layers[name] for name in names if name in layers]
    magnitudes = [_magnitude(model, name, layers, in_order) for name in names]
    magnitude = torch.cat(magnitudes) if adapted[0].magnitude is not None else None
    down = torch.cat([layer.A.detach() for layer in adapted])
    if len(names) == 1:
        up = in_order(names[0], adapted[0].B.detach())
        return JoinedLayer(theirs, down, up, adapted[0].scale, magnitude, place.transposed)
    up, row, column = down.new_zeros(sum(s[0] for s in place.shapes), down.shape[0]), 0, 0
    for name, (outputs, _) in zip(names, place.shapes, strict=True):
        if name in layers:
            layer = layers[name]
            block = in_order(name, layer.B.detach() * layer.scale)
            up[row : row + outputs, column : column + layer.rank] = block
            column += layer.rank
        row += outputs
    return JoinedLayer(theirs, down, up, 1.0, magnitude, place.transposed)


def _magnitude(
    model: Transformer, name: str, layers: dict[str, LoRALinear], in_order: InOrder
) -> Tensor:
    """The lengths of a layer's rows, trained or not."""
    if name in layers and layers[name].magnitude is not None:
        trained = layers[name].magnitude
        assert trained is not None
        return in_order(name, trained.detach())
    module = layers[name].base if name in layers else model.get_submodule(name)
    weight = module.weight
    assert isinstance(weight, Tensor)
    return in_order(name, torch.linalg.vector_norm(weight.detach().float(), dim=1))
