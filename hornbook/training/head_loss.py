"""The output head's loss with its gradient worked out by hand, for a compiler to fuse.

On a GPU the head of a small model takes a quarter of a step: its logits are many (16,384 positions
by 50,304 tokens are 3.3 GB in float32), and operation by operation they are read and written some ten
times. Written as plain arithmetic, without autograd between, torch.compile makes two passes of it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

LOGITS_AT_ONCE = 2**28
"""512 MiB in bfloat16."""

ChunkLoss = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""`chunk_loss`, or the same compiled."""


def chunk_loss(rows: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of -log softmax(rows weightᵀ)[target], and its gradients by rows and by weight.

    The gradient by the logits is softmax minus one at the target. The three products are computed
    in the dtype of `rows` and `weight`, everything between them in float32.

    Args:
        rows: (rows, embed_dim).
        weight: (vocab, embed_dim).
        targets: int64 (rows,), each below vocab.

    Returns:
        float32 (); (rows, embed_dim); (vocab, embed_dim).
    """
    logits = (rows @ weight.t()).float()  # (rows, vocab)
    normalizer = logits.logsumexp(dim=1, keepdim=True)  # (rows, 1)
    loss = (normalizer - logits.gather(1, targets[:, None])).sum()
    right = torch.arange(weight.shape[0], device=rows.device) == targets[:, None]
    slopes = ((logits - normalizer).exp() - right.float()).to(rows.dtype)  # (rows, vocab)
    return loss, slopes @ weight, slopes.t() @ rows


def head_loss(rows: Tensor, weight: Tensor, targets: Tensor, of_chunk: ChunkLoss) -> Tensor:
    """The loss of all rows, float32 (), differentiable; some thousand rows' logits at a time.

    Chunks have a power of two of rows: most batches divide evenly, so that one compilation serves.
    """
    most = max(LOGITS_AT_ONCE // weight.shape[0], 1)
    chunk = 1 << (most.bit_length() - 1)
    loss: Tensor = _HeadLoss.apply(rows, weight, targets, of_chunk, chunk)  # type: ignore[no-untyped-call]
    return loss


class _HeadLoss(torch.autograd.Function):
    """Takes the gradient on the way forward, while the logits are there."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, weight: Tensor, targets: Tensor, of_chunk: ChunkLoss, chunk: int
    ) -> Tensor:
        """Products in autocast's dtype, where it is on; sums in float32."""
        kind = rows.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else rows.dtype
        narrow_rows, narrow_weight = rows.to(dtype), weight.to(dtype)
        loss = torch.zeros((), dtype=torch.float32, device=rows.device)
        row_slopes = torch.empty_like(rows)
        weight_slopes = torch.zeros_like(weight)
        with torch.autocast(kind, enabled=False):
            for start in range(0, len(rows), chunk):
                part = slice(start, start + chunk)
                some = of_chunk(narrow_rows[part], narrow_weight, targets[part])
                loss += some[0]
                row_slopes[part] = some[1]
                weight_slopes += some[2]
        ctx.save_for_backward(row_slopes, weight_slopes)
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        """The loss's own gradient is one number, by which both are multiplied."""
        row_slopes, weight_slopes = ctx.saved_tensors
        return row_slopes * upstream[0], weight_slopes * upstream[0], None, None, None
