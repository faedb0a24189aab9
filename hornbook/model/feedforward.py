"""The feed-forward layer: each token's vector, worked on alone."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.model.config import GATED, ModelConfig
from hornbook.model.dropout import Dropout

Curve = Callable[[Tensor], Tensor]


def gelu(x: Tensor) -> Tensor:
    """GPT-2's form of GELU, with tanh in place of the normal distribution.

        0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))

    (Hendrycks and Gimpel 2016, Gaussian Error Linear Units, §2.)
    """
    return F.gelu(x, approximate="tanh")


def exact_gelu(x: Tensor) -> Tensor:
    """x times the normal distribution's share below x."""
    return F.gelu(x)


def squared_relu(x: Tensor) -> Tensor:
    """max(0, x)^2 (So et al. 2021, Primer, §3): as good as GELU and cheaper on a CPU."""
    return F.relu(x).square()


class FeedForward(nn.Module):
    """Widen, apply a curve, narrow again: down(curve(up(x)))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.embed_dim, config.mlp_dim, bias=config.bias)
        self.down = nn.Linear(config.mlp_dim, config.embed_dim, bias=config.bias)
        self.curve: Curve = {"gelu": gelu, "gelu_exact": exact_gelu, "relu2": squared_relu}[
            config.mlp
        ]
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Float (..., embed_dim) in and out."""
        y: Tensor = self.dropout(self.down(self.curve(self.up(x))))
        return y


class GatedFeedForward(nn.Module):
    """A layer whose width is gated by a second one: down(curve(gate(x)) * up(x)).

    The curve is silu(x) = x * sigmoid(x) or GELU: SwiGLU and GeGLU (Shazeer 2020, GLU Variants
    Improve Transformer, §2).
    """

    def __init__(self, config: ModelConfig, width: int | None = None) -> None:
        super().__init__()
        width = width or config.mlp_dim
        self.gate = nn.Linear(config.embed_dim, width, bias=config.bias)
        self.up = nn.Linear(config.embed_dim, width, bias=config.bias)
        self.down = nn.Linear(width, config.embed_dim, bias=config.bias)
        curves: dict[str, Curve] = {"swiglu": F.silu, "geglu": gelu}
        self.curve = curves[config.mlp]
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Float (..., embed_dim) in and out."""
        gated = self.curve(self.gate(x)) * self.up(x)  # (..., width)
        y: Tensor = self.dropout(self.down(gated))
        return y


class MixtureOfExperts(nn.Module):
    """Gated layers side by side; a router chooses which of them work on a token.

    A token's result is the sum of its experts' results, each times its share: the softmax of the
    router's scores over all experts, made to add up to one over the chosen where the config says so
    (Shazeer et al. 2017, Outrageously Large Neural Networks; Jiang et al. 2024, Mixtral of Experts,
    §2.1). No token is dropped, however many choose one expert.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.n_experts is not None
        self.per_token = config.experts_per_token
        self.normalized = config.normalized_experts
        self.keeps_scores = False
        """Whether a trainer wants to see what the router says."""
        self.scores: Tensor | None = None
        """What it said last, float32 (tokens, n_experts), where it is kept."""
        self.router = nn.Linear(config.embed_dim, config.n_experts, bias=False)
        width = config.expert_dim or config.mlp_dim
        self.experts = nn.ModuleList(
            GatedFeedForward(config, width) for _ in range(config.n_experts)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Float (..., embed_dim) in and out."""
        rows = x.flatten(0, -2)  # (tokens, embed_dim)
        shares, chosen = self.choose(rows)  # (tokens, per_token)
        # Tokens sorted by expert: each expert then reads one slice, in one product.
        order = chosen.flatten().argsort(stable=True)  # (tokens * per_token)
        token = order // self.per_token
        counts = chosen.flatten().bincount(minlength=len(self.experts)).tolist()
        read = torch.split(rows[token], counts)
        # In training an expert without tokens runs too, so that all have a gradient, if of zero.
        given = [
            expert(part) if part.shape[0] or self.training else part
            for expert, part in zip(self.experts, read, strict=True)
        ]
        weighted = torch.cat(given) * shares.flatten()[order, None].to(x.dtype)
        summed = torch.zeros_like(rows, dtype=weighted.dtype).index_add(0, token, weighted)
        return summed.view_as(x)

    def choose(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The experts of each of `rows` (tokens, embed_dim), and their shares.

        Returns:
            float32 (tokens, per_token) and int64 (tokens, per_token).
        """
        scores = self.router(rows).float()
        if self.keeps_scores:
            self.scores = scores
        shares, chosen = scores.softmax(dim=-1).topk(self.per_token)
        if self.normalized:
            shares = shares / shares.sum(dim=-1, keepdim=True)
        return shares, chosen


def build_feedforward(config: ModelConfig, layer: int = 0) -> nn.Module:
    """The kind of feed-forward layer that the config asks for in this layer."""
    if config.has_experts(layer):
        return MixtureOfExperts(config)
    return GatedFeedForward(config) if config.mlp in GATED else FeedForward(config)
