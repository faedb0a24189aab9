"""Gemma 2: norms before and after each branch, soft caps, a window in every other layer."""

from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.fields import Always, Same, Stated, sizes
from hornbook.checkpoints.families.layers import Windows, all_but_every
from hornbook.checkpoints.families.llama import (
    ATTENTION,
    ATTENTION_BIASES,
    BLOCK,
    EMBEDDING_AND_HEAD,
    FEEDFORWARD,
    OURS,
)
from hornbook.checkpoints.families.rope import Rope
from hornbook.checkpoints.families.weights import Weight

NORMS_AROUND = (
    Weight(f"{BLOCK}.input_layernorm.weight", (f"{OURS}.attention_norm.weight",)),
    Weight(f"{BLOCK}.post_attention_layernorm.weight", (f"{OURS}.attention_post_norm.weight",)),
    Weight(f"{BLOCK}.pre_feedforward_layernorm.weight", (f"{OURS}.feedforward_norm.weight",)),
    Weight(f"{BLOCK}.post_feedforward_layernorm.weight", (f"{OURS}.feedforward_post_norm.weight",)),
)
GEMMA = (
    Same("head_size", "head_dim", 256, written="head_dim"),
    Same("query_pre_attn_scalar", "query_pre_attn_scalar", 256, written="score_dim", whole=True),
    Same("norm_eps", "rms_norm_eps", 1e-6),
    Same("tied_embeddings", "tie_word_embeddings", True),
    *ATTENTION_BIASES,
    Stated("hidden_activation", "gelu_pytorch_tanh"),
    Stated("use_bidirectional_attention", False),
    Always(
        {
            "norm": "rmsnorm_plus_one",
            "norm_place": "both",
            "mlp": "geglu",
            "scaled_embeddings": True,
        }
    ),
)

FAMILY = Family(
    name="gemma2",
    architecture="Gemma2ForCausalLM",
    fields=(
        *sizes(context=8192, kv_heads=4),
        Rope(),
        Windows(4096, all_but_every(2)),
        Same("attention_softcap", "attn_logit_softcapping", 50.0, null=True),
        Same("logit_softcap", "final_logit_softcapping", 30.0, null=True),
        *GEMMA,
    ),
    weights=(*EMBEDDING_AND_HEAD, *ATTENTION, *NORMS_AROUND, *FEEDFORWARD),
)
