"""Qwen3 with experts in place of feed-forward layers, in all layers or some."""

from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.fields import Always, Same, sizes
from hornbook.checkpoints.families.layers import ExpertLayers, Windows
from hornbook.checkpoints.families.llama import (
    ATTENTION,
    ATTENTION_BIASES,
    BLOCK,
    EMBEDDING_AND_HEAD,
    FEEDFORWARD,
    NORMS_BEFORE,
    OURS,
    QK_NORMS,
    SWIGLU,
)
from hornbook.checkpoints.families.rope import Rope
from hornbook.checkpoints.families.weights import Weight, linear

EXPERT, OUR_EXPERT = f"{BLOCK}.mlp.experts.{{expert}}", f"{OURS}.feedforward.experts.{{expert}}"

FAMILY = Family(
    name="qwen3_moe",
    architecture="Qwen3MoeForCausalLM",
    fields=(
        *sizes(context=32_768, kv_heads=4),
        Same("head_size", "head_dim", None, written="head_dim"),
        Rope(),
        Windows(4096, switch="use_sliding_window"),
        Same("norm_eps", "rms_norm_eps", 1e-6),
        Same("tied_embeddings", "tie_word_embeddings", False),
        *ATTENTION_BIASES,
        Same("n_experts", "num_experts", 128, also=("num_local_experts",)),
        Same("experts_per_token", "num_experts_per_tok", 8),
        Same("expert_dim", "moe_intermediate_size", 768),
        Same("normalized_experts", "norm_topk_prob", False),
        ExpertLayers(),
        Always({"qk_norm": True}),
        *SWIGLU,
    ),
    weights=(
        *EMBEDDING_AND_HEAD,
        *ATTENTION,
        *QK_NORMS,
        *NORMS_BEFORE,
        *FEEDFORWARD,
        Weight(f"{BLOCK}.mlp.gate.weight", (f"{OURS}.feedforward.router.weight",)),
        *linear(f"{EXPERT}.gate_proj", f"{OUR_EXPERT}.gate"),
        *linear(f"{EXPERT}.up_proj", f"{OUR_EXPERT}.up"),
        *linear(f"{EXPERT}.down_proj", f"{OUR_EXPERT}.down"),
    ),
)
