"""What a classifier's head reads of a text: one vector, of many tokens' vectors."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

Pooling = Literal["last", "mean", "first"]


def pool(model: nn.Module, pooling: Pooling) -> None:
    """Let each position's vector be the mean over all tokens up to it, where `pooling` is "mean".

    At a text's last real token that is the mean over the text, and padding to its right does not
    count; nothing changes in the names of the weights. Of a model whose `norm` is its last layer.
    """
    if pooling == "mean":
        model.get_submodule("norm").register_forward_hook(_mean_so_far)


def _mean_so_far(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    """(batch, tokens, embed_dim) to the same shape; summed in float32."""
    counts = torch.arange(1, output.shape[1] + 1, device=output.device)[:, None]
    return (output.float().cumsum(dim=1) / counts).to(output.dtype)
