"""Noise on the embeddings while a model is fine-tuned: it recites less of what it is shown.

Jain et al. 2023, "NEFTune: Noisy Embeddings Improve Instruction Finetuning", §2.
"""

import math

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hornbook.model.transformer import Transformer


def add_embedding_noise(model: Transformer, alpha: float) -> RemovableHandle:
    """From now on, in training mode, shake each token's vector; `remove()` of the result ends it.

    To every number, one drawn evenly from -m to m is added, with m = alpha / sqrt(tokens * embed_dim),
    tokens being a batch's width (as in transformers; the paper counts without padding). Drawn from
    torch's global generator, like dropout.
    """

    def shake(module: nn.Module, given: tuple[Tensor, ...], vectors: Tensor) -> Tensor:
        if not module.training:
            return vectors
        size = alpha / math.sqrt(vectors.shape[1] * vectors.shape[2])
        return vectors + torch.zeros_like(vectors).uniform_(-size, size)

    return model.embedding.token.register_forward_hook(shake)
