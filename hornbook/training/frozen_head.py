"""The output head's loss where its matrix is not trained (LoRA), on a CPU.

The gradient of -log softmax(W h)[t] by a row h is Σ p_v w_v - w_t: h attends to all tokens of the
vocabulary, and W is both keys and values. So it is computed as fused attention is, a part of the
vocabulary at a time with a running maximum and sum (Milakov and Gimelshein 2018, "Online normalizer
calculation for softmax"; Dao et al. 2022, "FlashAttention", § 3.1): the logits of a part stay in the
processor's cache, none are kept and none made twice. A trained head cannot do so, since its own gradient
needs the probabilities, whose sum is known at the end only.
"""

import torch
from torch import Tensor

from hornbook.training.chunks import loss_in_chunks
from hornbook.training.products import exp_, product

ROWS_AT_ONCE, TOKENS_AT_ONCE = 512, 2048
"""4 MiB of logits."""


def frozen_head_loss(rows: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Sum of -log softmax(rows weightᵀ)[target], float32 (), differentiable by the rows alone.

    Products run in autocast's dtype, where it is on; sums in float32.

    Args:
        rows: (rows, embed_dim).
        weight: (vocab, embed_dim).
        targets: int64 (rows,), each below vocab.
    """
    kind = rows.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else rows.dtype
    narrow = weight.detach().to(dtype)

    def by_parts(some: Tensor, wanted: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(kind, enabled=False):
            return loss_and_slopes(some.to(dtype), narrow, wanted)

    return loss_in_chunks(by_parts, ROWS_AT_ONCE, targets, rows)


def loss_and_slopes(rows: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The summed loss, float32 (), and its gradient by the rows, float32 (rows, embed_dim)."""
    largest = torch.full((len(rows), 1), -torch.inf)
    total = torch.zeros(len(rows), 1)  # of exp(logit - largest)
    gathered = torch.zeros(rows.shape)  # of exp(logit - largest) * w_v
    for part in torch.split(weight, TOKENS_AT_ONCE):
        logits = product(rows, part).float()  # (rows, tokens of the part)
        higher = torch.maximum(largest, logits.amax(dim=1, keepdim=True))
        shrunk = exp_(largest - higher)
        shares = exp_(logits.sub_(higher))
        total.mul_(shrunk).add_(shares.sum(dim=1, keepdim=True))
        gathered.mul_(shrunk).add_(product(shares.to(rows.dtype), part.t()))
        largest = higher
    wanted = weight[targets].float()  # (rows, embed_dim)
    loss = (largest + total.log()).sum() - (rows.float() * wanted).sum()
    return loss, gathered.div_(total).sub_(wanted)
