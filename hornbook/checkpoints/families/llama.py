"""Llama 2 and 3, SmolLM2 and the many models of their shape; other families borrow its names."""

from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.fields import Always, Same, Stated, sizes
from hornbook.checkpoints.families.rope import Rope
from hornbook.checkpoints.families.weights import Weight, linear

BLOCK, OURS = "model.layers.{layer}", "blocks.{layer}"

EMBEDDING_AND_HEAD = (
    Weight("model.embed_tokens.weight", ("embedding.token.weight",)),
    Weight("model.norm.weight", ("norm.weight",)),
    Weight("lm_head.weight", ("head.weight",)),
)
ATTENTION = (
    *linear(f"{BLOCK}.self_attn.q_proj", f"{OURS}.attention.query"),
    *linear(f"{BLOCK}.self_attn.k_proj", f"{OURS}.attention.key"),
    *linear(f"{BLOCK}.self_attn.v_proj", f"{OURS}.attention.value"),
    *linear(f"{BLOCK}.self_attn.o_proj", f"{OURS}.attention.out"),
)
QK_NORMS = (
    Weight(f"{BLOCK}.self_attn.q_norm.weight", (f"{OURS}.attention.query_norm.weight",)),
    Weight(f"{BLOCK}.self_attn.k_norm.weight", (f"{OURS}.attention.key_norm.weight",)),
)
NORMS_BEFORE = (
    Weight(f"{BLOCK}.input_layernorm.weight", (f"{OURS}.attention_norm.weight",)),
    Weight(f"{BLOCK}.post_attention_layernorm.weight", (f"{OURS}.feedforward_norm.weight",)),
)
NORMS_AFTER = (
    Weight(f"{BLOCK}.post_attention_layernorm.weight", (f"{OURS}.attention_post_norm.weight",)),
    Weight(f"{BLOCK}.post_feedforward_layernorm.weight", (f"{OURS}.feedforward_post_norm.weight",)),
)
FEEDFORWARD = (
    *linear(f"{BLOCK}.mlp.gate_proj", f"{OURS}.feedforward.gate"),
    *linear(f"{BLOCK}.mlp.up_proj", f"{OURS}.feedforward.up"),
    *linear(f"{BLOCK}.mlp.down_proj", f"{OURS}.feedforward.down"),
)
SWIGLU = (
    Stated("hidden_act", "silu", also=("swish",)),
    Always({"norm": "rmsnorm", "mlp": "swiglu"}),
)
NO_BIASES = Always({"qkv_bias": False, "bias": False})
ATTENTION_BIASES = (
    Same("qkv_bias", "attention_bias", False),
    Same("out_bias", "attention_bias", False, written="qkv_bias"),
    Always({"bias": False}),
)

FAMILY = Family(
    name="llama",
    architecture="LlamaForCausalLM",
    fields=(
        *sizes(context=2048),
        Same("head_size", "head_dim", None, written="head_dim"),
        Rope(),
        Same("norm_eps", "rms_norm_eps", 1e-6),
        Same("tied_embeddings", "tie_word_embeddings", False),
        Same("qkv_bias", "attention_bias", False),
        Same("out_bias", "attention_bias", False, written="qkv_bias"),
        Same("bias", "mlp_bias", False),
        *SWIGLU,
    ),
    weights=(*EMBEDDING_AND_HEAD, *ATTENTION, *NORMS_BEFORE, *FEEDFORWARD),
    ignored=(".rotary_emb.inv_freq",),
)
