"""What a transformer is made of: its sizes and the kind of each part."""

from typing import Literal, Self

from pydantic import Field, model_validator

from hornbook.config import Settings
from hornbook.model.rotary import RopeScaling

GATED = ("swiglu", "geglu")
"""Kinds of feed-forward layers with a third matrix, the gate."""
MOST_HEADS = 4096
"""That are proposed in place of a number that does not fit."""


class ModelConfig(Settings):
    """Everything that decides a model's shape. Two models with equal configs have equal tensors."""

    vocab_size: int = Field(gt=0)
    """Number of token ids."""
    context_length: int = Field(gt=0)
    """Most tokens that the model reads at once."""
    embed_dim: int = Field(gt=0)
    """Width of the residual stream."""
    n_layers: int = Field(gt=0, le=10_000)
    """Number of transformer blocks."""
    n_heads: int = Field(gt=0)
    """Query heads of each attention layer."""
    n_kv_heads: int | None = Field(default=None, gt=0)
    """Key and value heads (grouped-query attention); as many as query heads when not given."""
    head_size: int | None = Field(default=None, gt=0)
    """Width of one head; embed_dim / n_heads when not given."""
    positions: Literal["learned", "rotary", "none"] = "learned"
    """How tokens learn where they stand: a table of vectors added, queries and keys turned, or only
    from how many tokens they see."""
    rope_theta: float = Field(default=10_000.0, gt=0)
    """Base of the rotary frequencies."""
    rope_scaling: RopeScaling | None = None
    """How the rotary frequencies are stretched for texts longer than those first trained on."""
    rope_share: float = Field(default=1.0, gt=0, le=1)
    """Share of each head's dimensions that is turned, the first ones."""
    rotary_layers: tuple[bool, ...] = Field(default=(True,), min_length=1)
    """Which layers turn queries and keys; a shorter list than there are layers is repeated."""
    window: int | None = Field(default=None, gt=0)
    """Tokens that a windowed layer sees, its own among them; all earlier ones when not given."""
    windowed_layers: tuple[bool, ...] = Field(default=(True,), min_length=1)
    """Which layers have the window; a shorter list than there are layers is repeated."""
    window_rope_theta: float | None = Field(default=None, gt=0)
    """Base of the rotary frequencies in windowed layers, which are then not stretched; those of the
    other layers when not given."""
    token_shift: bool = False
    """Mix into each token's vector a learnt share of the one before: small models learn to copy
    from their context far sooner."""
    ngram_order: int = Field(default=1, gt=0)
    """Longest run of tokens that has a vector of its own, added to its last token's; 1 for none."""
    ngram_rows: int = Field(default=8192, gt=0)
    """Vectors for the runs of each length above 1; runs whose hashes agree share one."""
    norm: Literal["layernorm", "rmsnorm", "rmsnorm_plus_one"] = "layernorm"
    """Kind of normalization; "rmsnorm_plus_one" scales by 1 + weight, as Gemma does."""
    norm_eps: float = Field(default=1e-5, gt=0)
    """Added under the normalization's square root."""
    norm_place: Literal["before", "after", "both"] = "before"
    """Where a block normalizes: what a branch reads, what it gives, or both."""
    qk_norm: bool | Literal["whole"] = False
    """Normalize queries and keys before their product: each head, or "whole" across all heads."""
    query_pre_attn_scalar: float | None = Field(default=None, gt=0)
    """Attention scores are divided by its square root; a head's width when not given."""
    attention_softcap: float | None = Field(default=None, gt=0)
    """Attention scores are bent to stay within this, c * tanh(score / c)."""
    logit_softcap: float | None = Field(default=None, gt=0)
    """The logits are bent to stay within this."""
    qkv_bias: bool = True
    """Bias on the query, key and value projections."""
    out_bias: bool | None = None
    """Bias on the attention output; as `bias` says when not given."""
    bias: bool = True
    """Bias on the attention output and feed-forward layers."""
    mlp: Literal["gelu", "gelu_exact", "relu2", "swiglu", "geglu"] = "gelu"
    """Kind of feed-forward layer; "gelu" is GPT-2's tanh form, as is "geglu"'s."""
    hidden_dim: int | None = Field(default=None, gt=0)
    """Width inside the feed-forward layer; 4 x embed_dim when not given (8/3 for gated kinds)."""
    n_experts: int | None = Field(default=None, gt=0, le=10_000)
    """Feed-forward layers side by side, of which each token is sent to a few; one when not given."""
    experts_per_token: int = Field(default=2, gt=0)
    """How many experts work on each token."""
    expert_dim: int | None = Field(default=None, gt=0)
    """Width inside an expert; as `hidden_dim` when not given."""
    expert_layers: tuple[bool, ...] = Field(default=(True,), min_length=1)
    """Which layers have experts; a shorter list than there are layers is repeated."""
    normalized_experts: bool = True
    """The shares of a token's experts are made to add up to one."""
    tied_embeddings: bool = True
    """Output head shares the token embedding's matrix."""
    scaled_embeddings: bool = False
    """Token vectors are multiplied by sqrt(embed_dim) before the first block."""
    init: Literal["gpt2", "torch"] = "gpt2"
    """How fresh weights are drawn: as GPT-2's, or as PyTorch's modules draw their own (uniform within
    1 / sqrt(inputs), embeddings of standard deviation 1), which many tutorials leave as it is."""
    zero_init: bool = False
    """Start every residual branch's last projection at zero, so that each block begins as identity."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability of dropping an activation while training."""

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.head_size is None and self.embed_dim % self.n_heads:
            most = min(self.embed_dim, MOST_HEADS)
            fitting = [n for n in range(1, most + 1) if self.embed_dim % n == 0]
            near = sorted(fitting, key=lambda n: abs(n - self.n_heads))[:3]
            raise ValueError(
                f"n_heads {self.n_heads} does not divide embed_dim {self.embed_dim}; "
                f"try {', '.join(map(str, sorted(near)))}"
            )
        if self.n_heads % self.kv_heads:
            raise ValueError(f"n_kv_heads {self.kv_heads} does not divide n_heads {self.n_heads}")
        return self

    @model_validator(mode="after")
    def _turns_fit(self) -> Self:
        if self.positions != "rotary":
            return self
        if self.head_dim % 2:
            raise ValueError(f"rotary positions need an even head_dim, not {self.head_dim}")
        if self.turned_dims % 2 or self.turned_dims == 0:
            raise ValueError(
                f"rope_share {self.rope_share} of head_dim {self.head_dim} is {self.turned_dims} "
                "dimensions; they are turned in pairs"
            )
        for name in ("short_factors", "long_factors"):
            found = len(getattr(self.rope_scaling, name, ())) or self.turned_dims // 2
            if found != self.turned_dims // 2:
                raise ValueError(
                    f"rope_scaling.{name} has {found} numbers for {self.turned_dims // 2} pairs of "
                    "turned dimensions"
                )
        return self

    @model_validator(mode="after")
    def _experts_fit(self) -> Self:
        if self.n_experts is not None:
            if self.experts_per_token > self.n_experts:
                raise ValueError(
                    f"experts_per_token {self.experts_per_token} is more than n_experts "
                    f"{self.n_experts}"
                )
            if self.mlp not in GATED:
                raise ValueError(f"experts are gated layers, swiglu or geglu, not {self.mlp}")
        return self

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.head_size or self.embed_dim // self.n_heads

    @property
    def kv_heads(self) -> int:
        """Key and value heads, with the default filled in."""
        return self.n_kv_heads or self.n_heads

    @property
    def turned_dims(self) -> int:
        """Dimensions of each head that rotary positions turn."""
        return int(self.head_dim * self.rope_share)

    @property
    def score_dim(self) -> float:
        """What attention scores are divided by the square root of, with the default filled in."""
        return self.query_pre_attn_scalar or self.head_dim

    @property
    def mlp_dim(self) -> int:
        """Width inside the feed-forward layer, with the default filled in."""
        if self.hidden_dim:
            return self.hidden_dim
        if self.mlp in GATED:
            return -(-self.embed_dim * 8 // (3 * 32)) * 32  # as many weights as 4x, in whole 32s
        return 4 * self.embed_dim

    def window_of(self, layer: int) -> int | None:
        """How many tokens a layer sees; None for all earlier ones."""
        return self.window if _turn(self.windowed_layers, layer) else None

    def turns(self, layer: int) -> bool:
        """Whether a layer turns its queries and keys."""
        return self.positions == "rotary" and _turn(self.rotary_layers, layer)

    def has_experts(self, layer: int) -> bool:
        """Whether a layer's feed-forward part is several experts."""
        return self.n_experts is not None and _turn(self.expert_layers, layer)


def _turn(pattern: tuple[bool, ...], layer: int) -> bool:
    return pattern[layer % len(pattern)]
