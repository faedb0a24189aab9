"""GPT-2 (Radford et al. 2019): learned positions, LayerNorm, biases, query, key and value as one."""

from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.fields import Always, Choice, Same, Stated
from hornbook.checkpoints.families.weights import Weight, linear

BLOCK, OURS = "transformer.h.{layer}", "blocks.{layer}"

FAMILY = Family(
    name="gpt2",
    architecture="GPT2LMHeadModel",
    fields=(
        Same("vocab_size", "vocab_size"),
        Same("context_length", "n_positions"),
        Same("embed_dim", "n_embd"),
        Same("n_layers", "n_layer"),
        Same("n_heads", "n_head"),
        Same("hidden_dim", "n_inner", None),
        Choice(
            "mlp",
            "activation_function",
            {"gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "gelu": "gelu_exact"},
            "gelu_new",
        ),
        Same("norm_eps", "layer_norm_epsilon", 1e-5),
        Same("tied_embeddings", "tie_word_embeddings", True),
        Stated("scale_attn_weights", True),
        Stated("scale_attn_by_inverse_layer_idx", False),
        Stated("add_cross_attention", False),
        Always({"positions": "learned", "norm": "layernorm", "qkv_bias": True, "bias": True}),
    ),
    weights=(
        Weight("transformer.wte.weight", ("embedding.token.weight",)),
        Weight("transformer.wpe.weight", ("embedding.position.weight",)),
        *linear(f"{BLOCK}.ln_1", f"{OURS}.attention_norm"),
        *linear(
            f"{BLOCK}.attn.c_attn",
            *(f"{OURS}.attention.{part}" for part in ("query", "key", "value")),
            transposed=True,
        ),
        *linear(f"{BLOCK}.attn.c_proj", f"{OURS}.attention.out", transposed=True),
        *linear(f"{BLOCK}.ln_2", f"{OURS}.feedforward_norm"),
        *linear(f"{BLOCK}.mlp.c_fc", f"{OURS}.feedforward.up", transposed=True),
        *linear(f"{BLOCK}.mlp.c_proj", f"{OURS}.feedforward.down", transposed=True),
        *linear("transformer.ln_f", "norm"),
        Weight("lm_head.weight", ("head.weight",)),
    ),
    prefix="transformer.",
    ignored=(".attn.bias", ".attn.masked_bias"),
)
