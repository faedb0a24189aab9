"""The feed-forward layer: each token's vector, worked on alone."""

import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.model.config import ModelConfig


def gelu(x: Tensor) -> Tensor:
    """GPT-2's form of GELU, with tanh in place of the normal distribution.

        0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))

    (Hendrycks and Gimpel 2016, Gaussian Error Linear Units, §2.)
    """
    return F.gelu(x, approximate="tanh")


def squared_relu(x: Tensor) -> Tensor:
    """max(0, x)^2 (So et al. 2021, Primer, §3): as good as GELU and cheaper on a CPU."""
    return F.relu(x).square()


class FeedForward(nn.Module):
    """Widen, apply a curve, narrow again: down(curve(up(x)))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.embed_dim, config.mlp_dim, bias=config.bias)
        self.down = nn.Linear(config.mlp_dim, config.embed_dim, bias=config.bias)
        self.curve = {"gelu": gelu, "relu2": squared_relu}[config.mlp]
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Float (..., embed_dim) in and out."""
        y: Tensor = self.dropout(self.down(self.curve(self.up(x))))
        return y


class SwiGLU(nn.Module):
    """A layer whose width is gated by a second one: down(silu(gate(x)) * up(x)).

    silu(x) = x * sigmoid(x) (Shazeer 2020, GLU Variants Improve Transformer, §2).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.embed_dim, config.mlp_dim, bias=config.bias)
        self.up = nn.Linear(config.embed_dim, config.mlp_dim, bias=config.bias)
        self.down = nn.Linear(config.mlp_dim, config.embed_dim, bias=config.bias)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Float (..., embed_dim) in and out."""
        gated = F.silu(self.gate(x)) * self.up(x)  # (..., mlp_dim)
        y: Tensor = self.dropout(self.down(gated))
        return y


def build_feedforward(config: ModelConfig) -> FeedForward | SwiGLU:
    """The kind of feed-forward layer that the config asks for."""
    return SwiGLU(config) if config.mlp == "swiglu" else FeedForward(config)
