"""The loss by which a mixture's experts come to share their work.

Without it a router that begins to prefer some experts trains these more, and prefers them the more:
the others fall idle.
"""

import functools
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from hornbook.model.feedforward import MixtureOfExperts
from hornbook.model.transformer import Transformer


def balance_experts(model: Transformer, weight: float) -> bool:
    """Have `weight` times `balance_loss` added to the loss of each position that is trained.

    Returns:
        Whether the model has experts; nothing is done where it has none.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, MixtureOfExperts)]
    if layers:
        model.hidden_in_training = functools.partial(_hidden, model, layers, weight)
    return bool(layers)


def _hidden(
    model: Transformer,
    layers: Sequence[MixtureOfExperts],
    weight: float,
    ids: Tensor,
    documents: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """As `Transformer.hidden_in_training`.

    The scores are kept during the way forward alone: a block that is computed again for its gradient
    would hang all that it makes on them.
    """
    for layer in layers:
        layer.keeps_scores = True
    try:
        hidden = model.hidden(ids, documents=documents)
        scores = [layer.scores for layer in layers if layer.scores is not None]
        return hidden, weight * balance_loss(scores, layers[0].per_token)
    finally:
        for layer in layers:
            layer.keeps_scores, layer.scores = False, None


def balance_loss(scores: Sequence[Tensor], per_token: int) -> Tensor:
    """n * sum over the n experts of f * P, float32 (): `per_token` when all have the same load.

    f is the share of tokens that choose an expert, P its mean probability, through which alone the
    gradient flows (Fedus et al. 2021, Switch Transformers, equations 4 to 6). Tokens of all layers
    are counted together, as in `transformers` (`load_balancing_loss_func`).

    Args:
        scores: of each layer's router, before the softmax, float32 (tokens, n_experts).
        per_token: experts that work on each token.
    """
    tokens = sum(len(layer) for layer in scores)
    experts = scores[0].shape[-1]
    chosen = scores[0].new_zeros(experts)
    probability = scores[0].new_zeros(experts)
    for layer in scores:
        shares = layer.softmax(dim=-1)
        best = shares.topk(per_token).indices  # (tokens, per_token)
        chosen = chosen + F.one_hot(best, experts).sum(dim=(0, 1))
        probability = probability + shares.sum(dim=0)
    return experts * ((chosen / tokens) * (probability / tokens)).sum()
