"""How the layers of a block are cut among the processes that compute it together.

A layer whose outputs are shared out (whole heads, hidden units) reads all of its input, and each
process makes some outputs; one that reads what those have made adds its part to a sum over the
processes (Shoeybi et al. 2019, Megatron-LM, § 3). torch has both for a linear layer. One that carries a
LoRA adapter is cut here: with the outputs B is cut as the weight is and each process has A whole, with
the inputs it is the other way round. The lengths of rows that DoRA trains are cut with the outputs; with
the inputs each process has them whole, and a row's length is found from sums over all processes.

A normalization of each head is computed by whoever has the head. One across all heads (OLMo 2) is cut
with them: each process has the scale of its own, and squares are added up over the processes.
"""

import functools
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, RowwiseParallel

from hornbook.errors import HornbookError
from hornbook.model.attention import MultiHeadAttention
from hornbook.model.norm import NORMS

BY_OUTPUTS = ("query", "key", "value", "up", "gate")
"""Linear layers of a block whose outputs are shared out: whole heads, or hidden units."""
BY_INPUTS = ("out", "down")
"""Those that read what the others have made: each process adds its part of the sum."""
WHOLE = ("router",)
"""Those that every process computes whole."""
OF_HEADS = ("query_norm", "key_norm")
"""Normalizations of heads. Where they are of each head by itself, every process has them whole, but uses
them for its own heads only."""


@runtime_checkable
class Adapted(Protocol):
    """A linear layer with a LoRA adapter, see `finetuning/lora.py`."""

    base: nn.Linear
    A: nn.Parameter
    B: nn.Parameter
    magnitude: nn.Parameter | None
    adds_bias: bool
    add_up: Callable[[Tensor], Tensor]


def layer_cuts(block: nn.Module) -> dict[str, ParallelStyle]:
    """For each linear layer of a block, and each norm across all heads, by its name, how it is cut.

    Raises:
        HornbookError: one cannot be.
    """
    cuts: dict[str, ParallelStyle] = {}
    for name, module in block.named_modules():
        owner, _, kind = name.rpartition(".")
        if isinstance(module, Adapted):
            cuts[name] = CutAdapter(by_outputs=kind in BY_OUTPUTS)
        elif isinstance(module, nn.Linear) and owner not in cuts and kind not in WHOLE:
            if kind not in BY_OUTPUTS + BY_INPUTS:
                raise HornbookError(
                    f"parallel.tensor: the layer {name} cannot be divided; set parallel.tensor=1."
                )
            cuts[name] = ColwiseParallel() if kind in BY_OUTPUTS else RowwiseParallel()
        elif isinstance(module, MultiHeadAttention) and module.norms_whole:
            cuts |= {f"{name}.{norm}": CutNorm() for norm in OF_HEADS}
    return cuts


def partly_used(model: nn.Module) -> list[nn.Parameter]:
    """The parameters whose gradient has to be added up over the processes of a block."""
    found: list[nn.Parameter] = []
    for name, module in model.named_modules():
        if isinstance(module, MultiHeadAttention) and not module.norms_whole:
            found += [p for norm in OF_HEADS for p in module.get_submodule(norm).parameters()]
        if isinstance(module, Adapted) and name.startswith("blocks."):
            by_outputs = name.endswith(BY_OUTPUTS)
            found.append(module.A if by_outputs else module.B)
            if module.magnitude is not None and not by_outputs:
                found.append(module.magnitude)
    return found


class CutAdapter(ParallelStyle):
    """Cuts a linear layer and the adapter on it."""

    def __init__(self, by_outputs: bool) -> None:
        """Else by inputs."""
        super().__init__()
        self.by_outputs = by_outputs

    def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:
        """Called by `parallelize_module`."""
        assert isinstance(module, Adapted)
        group = device_mesh.get_group()
        dim = 0 if self.by_outputs else 1
        module.base.weight = _cut(module.base.weight, device_mesh, dim)
        if self.by_outputs:
            module.B = _cut(module.B, device_mesh, 0)
            if module.base.bias is not None:
                module.base.bias = _cut(module.base.bias, device_mesh, 0)
            if module.magnitude is not None:
                module.magnitude = _cut(module.magnitude, device_mesh, 0)
            module.register_forward_pre_hook(lambda _, given: (_ReadByAll.apply(given[0], group),))  # type: ignore[no-untyped-call]
        else:
            module.A = _cut(module.A, device_mesh, 1)
            module.adds_bias = device_mesh.get_local_rank() == 0
            module.add_up = functools.partial(_summed, group=group)
            module.register_forward_hook(lambda _, given, made: _AddedUp.apply(made, group))  # type: ignore[no-untyped-call]
        return module


class CutNorm(ParallelStyle):
    """Cuts a normalization across all heads: what it scales lies with the heads."""

    def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:
        """Called by `parallelize_module`."""
        assert isinstance(module, NORMS)
        for name, parameter in list(module.named_parameters()):
            setattr(module, name, _cut(parameter, device_mesh, 0))
        module.add_up = functools.partial(_added_up_for_all, group=device_mesh.get_group())
        return module


def _cut(parameter: Tensor, mesh: DeviceMesh, dim: int) -> nn.Parameter:
    """The same in every process before, of which each keeps a part: nothing is sent."""
    divided = distribute_tensor(parameter.detach(), mesh, [Shard(dim)], src_data_rank=None)
    return nn.Parameter(divided, parameter.requires_grad)


def _summed(part: Tensor, group: Any) -> Tensor:
    """Added up over the processes; no gradient."""
    total = part.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total, group=group)
    return total


def _added_up_for_all(part: Tensor, group: Any) -> Tensor:
    """Added up over the processes, each of which goes on with the sum in a way of its own: the gradient
    is the sum of theirs."""
    total: Tensor = _ReadByAll.apply(_AddedUp.apply(part, group), group)  # type: ignore[no-untyped-call]
    return total


class _ReadByAll(torch.autograd.Function):
    """An input that each process uses for some outputs: its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        """The same."""
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        """Added up."""
        return _summed(slopes[0], ctx.group), None


class _AddedUp(torch.autograd.Function):
    """An output of which each process has made a part of the sum."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, group: Any) -> Tensor:
        """Added up."""
        return _summed(y, group)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        """The same."""
        return slopes[0], None
