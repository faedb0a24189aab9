"""Tensors that are divided among processes: whether one is, and the part of it that lies in this one.

A divided tensor is torch's `DTensor`: it knows its whole shape, and holds this process's part. It is
known by its `placements`, because importing its class takes a while and one process needs none.
Everything here takes plain tensors too, which are their own and only part.
"""

from typing import Any

from torch import Tensor


def is_divided(tensor: Tensor) -> bool:
    """Whether this is a tensor of which other processes hold parts."""
    return hasattr(tensor, "placements")


def local(tensor: Tensor) -> Tensor:
    """This process's part, sharing its memory."""
    divided: Any = tensor
    part: Tensor = divided.to_local() if is_divided(tensor) else tensor
    return part
