"""A loss over many rows, some of them at a time, so that all their logits are never held at once."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

OfChunk = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""Of rows (some, embed_dim) and their targets (some,): the summed loss, float32 (), its gradient by
the rows, and by each of the trained tensors."""


def loss_in_chunks(
    of_chunk: OfChunk, chunk: int, targets: Tensor, rows: Tensor, *trained: Tensor
) -> Tensor:
    """The summed loss of all rows (rows, embed_dim), float32 (), differentiable by `trained` too.

    Each chunk's gradient is taken on the way forward, while its logits are there, so that none are
    kept and none made twice; the way back only multiplies by the loss's own gradient.
    """
    loss: Tensor = _InChunks.apply(of_chunk, chunk, targets, rows, *trained)  # type: ignore[no-untyped-call]
    return loss


class _InChunks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, of_chunk: OfChunk, chunk: int, targets: Tensor, rows: Tensor, *trained: Tensor
    ) -> Tensor:
        """Sums over the chunks."""
        loss = torch.zeros((), dtype=torch.float32, device=rows.device)
        row_slopes = torch.empty_like(rows)
        slopes: list[Tensor] = []
        for start in range(0, len(rows), chunk):
            part = slice(start, start + chunk)
            part_loss, row_slopes[part], *more = of_chunk(rows[part], targets[part])
            loss += part_loss
            if not slopes:
                slopes = [some.to(t.dtype) for some, t in zip(more, trained, strict=True)]
                continue
            for total, some in zip(slopes, more, strict=True):
                total += some
        ctx.slopes = [row_slopes, *(slopes or map(torch.zeros_like, trained))]
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        """Nothing for `of_chunk`, `chunk` and `targets`; for the others in the memory kept: once."""
        slopes, ctx.slopes = ctx.slopes, None
        return None, None, None, *(slope.mul_(upstream[0]) for slope in slopes)
