"""Layers made without the random numbers that torch fills them with."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

DRAWS = {
    Tensor.normal_,
    Tensor.uniform_,
    nn.init.normal_,
    nn.init.uniform_,
    nn.init.kaiming_uniform_,
}


class Undrawn(TorchFunctionMode):
    """Inside the block, tensors that would be filled at random keep whatever their memory holds.

    For a model whose weights are read or drawn afterwards: drawing 124 million numbers takes half a
    second, and on the meta device, where there are none to draw, torch imports its compiler first.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Leave a draw out; do everything else."""
        if func in DRAWS:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))
