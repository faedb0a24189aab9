"""What a transformer is made of: its sizes and the kind of each part."""

from typing import Literal, Self

from pydantic import Field, model_validator

from hornbook.config import Settings


class ModelConfig(Settings):
    """Everything that decides a model's shape. Two models with equal configs have equal tensors."""

    vocab_size: int = Field(gt=0)
    """Number of token ids."""
    context_length: int = Field(gt=0)
    """Most tokens that the model reads at once."""
    embed_dim: int = Field(gt=0)
    """Width of the residual stream."""
    n_layers: int = Field(gt=0)
    """Number of transformer blocks."""
    n_heads: int = Field(gt=0)
    """Query heads of each attention layer."""
    n_kv_heads: int | None = Field(default=None, gt=0)
    """Key and value heads (grouped-query attention); as many as query heads when not given."""
    positions: Literal["learned", "rotary"] = "learned"
    """How tokens learn where they stand: a table of vectors added, or queries and keys turned."""
    rope_theta: float = Field(default=10_000.0, gt=0)
    """Base of the rotary frequencies."""
    token_shift: bool = False
    """Mix into each token's vector a learnt share of the one before: small models learn to copy
    from their context far sooner."""
    ngram_order: int = Field(default=1, gt=0)
    """Longest run of tokens that has a vector of its own, added to its last token's; 1 for none."""
    ngram_rows: int = Field(default=8192, gt=0)
    """Vectors for the runs of each length above 1; runs whose hashes agree share one."""
    norm: Literal["layernorm", "rmsnorm"] = "layernorm"
    norm_eps: float = Field(default=1e-5, gt=0)
    qk_norm: bool = False
    """Normalize queries and keys per head before their product."""
    qkv_bias: bool = True
    """Bias on the query, key and value projections."""
    bias: bool = True
    """Bias on the attention output and feed-forward layers."""
    mlp: Literal["gelu", "swiglu", "relu2"] = "gelu"
    """Kind of feed-forward layer; "gelu" is GPT-2's tanh form."""
    hidden_dim: int | None = Field(default=None, gt=0)
    """Width inside the feed-forward layer; 4 x embed_dim when not given (8/3 for SwiGLU)."""
    tied_embeddings: bool = True
    """Output head shares the token embedding's matrix."""
    init: Literal["gpt2", "torch"] = "gpt2"
    """How fresh weights are drawn: as GPT-2's, or as PyTorch's modules draw their own (uniform within
    1 / sqrt(inputs), embeddings of standard deviation 1), which many tutorials leave as it is."""
    zero_init: bool = False
    """Start every residual branch's last projection at zero, so that each block begins as identity."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability of dropping an activation while training."""

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.embed_dim % self.n_heads:
            fitting = [n for n in range(1, self.embed_dim + 1) if self.embed_dim % n == 0]
            near = sorted(fitting, key=lambda n: abs(n - self.n_heads))[:3]
            raise ValueError(
                f"n_heads {self.n_heads} does not divide embed_dim {self.embed_dim}; "
                f"try {', '.join(map(str, sorted(near)))}"
            )
        if self.n_heads % self.kv_heads:
            raise ValueError(f"n_kv_heads {self.kv_heads} does not divide n_heads {self.n_heads}")
        if self.positions == "rotary" and self.head_dim % 2:
            raise ValueError(f"rotary positions need an even head_dim, not {self.head_dim}")
        return self

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.embed_dim // self.n_heads

    @property
    def kv_heads(self) -> int:
        """Key and value heads, with the default filled in."""
        return self.n_kv_heads or self.n_heads

    @property
    def mlp_dim(self) -> int:
        """Width inside the feed-forward layer, with the default filled in."""
        if self.hidden_dim:
            return self.hidden_dim
        if self.mlp == "swiglu":
            return -(-self.embed_dim * 8 // (3 * 32)) * 32  # as many weights as 4x, in whole 32s
        return 4 * self.embed_dim
