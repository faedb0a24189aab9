"""Rows that pair tensors of a folder with tensors of the model, read in both directions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hornbook.errors import HornbookError

Shapes = Mapping[str, tuple[int, ...]]
"""The model's tensors by name, one that two modules share under its first name."""


@dataclass(frozen=True)
class Weight:
    """One tensor of theirs, which holds one of ours or several joined along their outputs.

    In names, {layer} and {expert} stand for every layer and every expert.
    """

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False
    """Whether theirs is laid out (inputs, outputs)."""

    def places(self, shapes: Shapes, layers: int, experts: int) -> Iterator["Place"]:
        """The row written out for a model: nothing where it lacks these tensors."""
        for layer in range(layers if "{layer}" in self.theirs else 1):
            for expert in range(experts if "{expert}" in self.theirs else 1):
                ours = tuple(name.format(layer=layer, expert=expert) for name in self.ours)
                if all(name in shapes for name in ours):
                    theirs = self.theirs.format(layer=layer, expert=expert)
                    yield Place(theirs, ours, tuple(shapes[o] for o in ours), self.transposed)


@dataclass(frozen=True)
class Place:
    """Where one tensor of theirs goes in the model, or comes from."""

    theirs: str
    ours: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    """Of ours."""
    transposed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """What theirs is expected to be shaped like."""
        outputs = sum(shape[0] for shape in self.shapes)
        whole = (outputs, *self.shapes[0][1:])
        return whole[::-1] if self.transposed else whole

    def split(self, theirs: Tensor) -> list[tuple[str, Tensor]]:
        """Ours from theirs: names and views."""
        whole = theirs.t() if self.transposed else theirs
        parts = torch.split(whole, [shape[0] for shape in self.shapes])
        return list(zip(self.ours, parts, strict=True))

    def join(self, ours: Mapping[str, Tensor]) -> Tensor:
        """Theirs from ours, contiguous."""
        parts = [ours[name] for name in self.ours]
        whole = parts[0] if len(parts) == 1 else torch.cat(parts)
        return (whole.t() if self.transposed else whole).contiguous()


def places(
    rows: Sequence[Weight], shapes: Shapes, layers: int, experts: int, family: str
) -> list[Place]:
    """The whole table written out for a model.

    Raises:
        HornbookError: the model has tensors for which the family has no name.
    """
    found = [place for row in rows for place in row.places(shapes, layers, experts)]
    left = sorted(shapes.keys() - {name for place in found for name in place.ours})
    if left:
        raise HornbookError(
            f"a {family} model has no place for {', '.join(left[:5])}"
            f"{' and more' if len(left) > 5 else ''}."
        )
    return found


def linear(theirs: str, *ours: str, transposed: bool = False) -> list[Weight]:
    """The rows of a layer's weight and bias."""
    return [
        Weight(f"{theirs}.{kind}", tuple(f"{name}.{kind}" for name in ours), transposed)
        for kind in ("weight", "bias")
    ]
