"""Tokens that a training never shows: their vectors are told apart when it is over.

A token that is in no text is only pushed down by the softmax, step after step in the same direction as all
others like it, until these are one vector (cosines of 0.999). Whatever is trained next and leaves vectors
as they are, as an adapter does, cannot tell them from each other: the tokens of a prompt template, for
one. So each is moved a little its own way, so little that a text's loss hardly shows it.
"""

import torch
from torch import Tensor

from hornbook.divided import local
from hornbook.model.transformer import Transformer
from hornbook.training.shards import cuts_of, part_of, whole

SHARE = 0.5
"""Of the spread of the tokens that were met, by which the others are moved. All of it makes an adapter's
first steps hardly better, and the loss higher by 2e-4 nats instead of 2e-5."""


@torch.no_grad()
def tell_apart(model: Transformer, met: Tensor, seed: int) -> int:
    """Move the head's vector of each token never met by random numbers of its own, in place.

    With it the embedding's, where they share a matrix; an embedding of its own has them as they were drawn.

    Args:
        model: whole, or divided among processes, all of which must call this together; each needs
            memory for the whole matrix.
        met: bool (vocab,), on the CPU: which tokens the training has shown.
        seed: of the numbers, which are the same for any number of processes.

    Returns:
        How many tokens were not met.
    """
    unmet = ~met
    if not met.any() or not unmet.any():
        return int(unmet.sum())
    for module in model.modules():
        reshard = getattr(module, "reshard", None)  # FSDP's: a whole copy would be let go again
        if reshard is not None:
            reshard()
    matrix = model.head.weight
    full = whole(matrix.detach()).float().cpu().clone()  # (vocab, embed_dim)
    known = full[met]
    spread = (known - known.mean(dim=0)).square().mean().sqrt()
    generator = torch.Generator().manual_seed(seed)
    moved = torch.randn(int(unmet.sum()), full.shape[1], generator=generator)
    full[unmet] += moved * (SHARE * spread)
    local(matrix).copy_(part_of(full, cuts_of(matrix)))
    return int(unmet.sum())
