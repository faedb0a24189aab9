"""How divided tensors (see `hornbook.divided`) are cut, and what training does with their parts.

A `DTensor` is cut as its `placements` say, one for each dimension of the `device_mesh`. Everything
here takes plain tensors too, so that one path of code serves both.

A dimension that is cut twice is cut among the tensor-parallel processes first (the last dimension
of the mesh), and each part of that among the data-parallel ones.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hornbook.divided import is_divided, local


def placements_of(tensor: Tensor) -> tuple[Any, ...]:
    """How a tensor is cut: one placement for each dimension of the mesh; () for a plain one."""
    return tuple(_as_divided(tensor).placements) if is_divided(tensor) else ()


def _as_divided(tensor: Tensor) -> Any:
    """The same, with the members that only a `DTensor` has."""
    return tensor


def is_cut(placement: Any) -> bool:
    """Whether a placement means that each process has another part.

    The other one means that each has the whole. `_StridedShard`, torch's name for the second cut of
    a dimension, does not answer to `is_shard`.
    """
    return hasattr(placement, "dim")


def local_gradient(parameter: Tensor) -> Tensor | None:
    """This process's part of the gradient, cut as the parameter is; None where there is none."""
    gradient = parameter.grad
    if gradient is None:
        return None
    if is_divided(gradient) and placements_of(gradient) != placements_of(parameter):
        gradient = _as_divided(gradient).redistribute(placements=placements_of(parameter))
        parameter.grad = gradient
    return local(gradient)


def divided_like(part: Tensor, tensor: Tensor) -> Tensor:
    """The divided tensor whose part here is `part`, cut as `tensor` is and of its shape."""
    if not is_divided(tensor):
        return part
    from torch.distributed.tensor import DTensor

    mesh = _as_divided(tensor).device_mesh
    whole: Tensor = DTensor.from_local(
        part,
        mesh,
        placements_of(tensor),
        run_check=False,
        shape=tensor.shape,
        stride=tensor.stride(),
    )
    return whole


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, gathered from every process; a plain one as it is."""
    return whole_of(local(tensor), cuts_of(tensor))


@dataclass(frozen=True)
class Cut:
    """One cut of a tensor along a dimension, into parts as `torch.chunk` makes them."""

    dim: int
    size: int
    """Of the dimension before this cut."""
    index: int
    """Which part this process holds."""
    count: int
    group: Any
    """The processes that hold the parts."""


def cuts_of(tensor: Tensor) -> list[Cut]:
    """The cuts that make this process's part, in their order; none for a plain tensor."""
    cuts: list[Cut] = []
    sizes = list(tensor.shape)
    for number, placement in reversed(list(enumerate(placements_of(tensor)))):
        if is_cut(placement):
            mesh = _as_divided(tensor).device_mesh
            dim, count = placement.dim, mesh.size(number)
            index, group = mesh.get_local_rank(number), mesh.get_group(number)
            cuts.append(Cut(dim, sizes[dim], index, count, group))
            sizes[dim] //= count  # what is cut again is cut evenly: `tensor` divides it
    return cuts


def part_of(full: Tensor, cuts: list[Cut], ahead: int = 0) -> Tensor:
    """This process's part of a whole tensor that has `ahead` more dimensions in front."""
    for cut in cuts:
        chunk = -(-full.shape[cut.dim + ahead] // cut.count)
        start = min(cut.index * chunk, full.shape[cut.dim + ahead])
        length = min(chunk, full.shape[cut.dim + ahead] - start)
        full = full.narrow(cut.dim + ahead, start, length)
    return full


def whole_of(part: Tensor, cuts: list[Cut], ahead: int = 0) -> Tensor:
    """The whole tensor, gathered from the parts of all processes; what `part_of` takes apart."""
    from torch import distributed

    for cut in reversed(cuts):
        dim, chunk = cut.dim + ahead, -(-cut.size // cut.count)
        padded = part.new_zeros((*part.shape[:dim], chunk, *part.shape[dim + 1 :]))
        padded.narrow(dim, 0, part.shape[dim]).copy_(part)
        pieces = [torch.empty_like(padded) for _ in range(cut.count)]
        distributed.all_gather(pieces, padded, group=cut.group)
        part = torch.cat(pieces, dim).narrow(dim, 0, cut.size)
    return part
