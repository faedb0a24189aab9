"""The output head's loss with its gradient worked out by hand.

On a CPU that takes less memory than autograd's way: one narrow copy of the head's matrix serves all
chunks. On a GPU it is for a compiler to fuse: there the head of a small model takes a quarter of a
step, since its logits are many (16,384 positions by 50,304 tokens are 3.3 GB in float32), and
operation by operation they are read and written some ten times. Written as plain arithmetic, without
autograd between, torch.compile makes two passes of it.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from hornbook.training.chunks import loss_in_chunks

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


def compiled_loss(rows: Tensor, weight: Tensor, targets: Tensor, of_chunk: ChunkLoss) -> Tensor:
    """`head_loss` where `of_chunk` is compiled: chunks have a power of two of rows, some thousand.

    Most batches divide evenly by it, so that one compilation serves.
    """
    most = max(LOGITS_AT_ONCE // weight.shape[0], 1)
    return head_loss(rows, weight, targets, 1 << (most.bit_length() - 1), of_chunk)


def head_loss(
    rows: Tensor, weight: Tensor, targets: Tensor, chunk: int, of_chunk: ChunkLoss = chunk_loss
) -> Tensor:
    """The loss of all rows, float32 (), differentiable; the logits of `chunk` rows at a time.

    Products run in autocast's dtype, where it is on; sums in float32.
    """
    kind = rows.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else rows.dtype
    narrow_weight = weight.detach().to(dtype)

    def by_hand(some: Tensor, wanted: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(kind, enabled=False):
            return of_chunk(some.to(dtype), narrow_weight, wanted)

    return loss_in_chunks(by_hand, chunk, targets, rows, weight)
