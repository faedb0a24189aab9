"""Mixtral: Mistral's shape with experts in place of feed-forward layers."""

from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.fields import Always, Same, sizes
from hornbook.checkpoints.families.layers import Windows
from hornbook.checkpoints.families.llama import (
    ATTENTION,
    BLOCK,
    EMBEDDING_AND_HEAD,
    NO_BIASES,
    NORMS_BEFORE,
    OURS,
    SWIGLU,
)
from hornbook.checkpoints.families.rope import Rope
from hornbook.checkpoints.families.weights import Weight, linear

MOE, OUR_MOE = f"{BLOCK}.block_sparse_moe", f"{OURS}.feedforward"
EXPERT, OUR_EXPERT = f"{MOE}.experts.{{expert}}", f"{OUR_MOE}.experts.{{expert}}"

FAMILY = Family(
    name="mixtral",
    architecture="MixtralForCausalLM",
    fields=(
        *sizes(context=131_072, kv_heads=8),
        Same("head_size", "head_dim", None, written="head_dim"),
        Rope(1_000_000.0),
        Windows(),
        Same("norm_eps", "rms_norm_eps", 1e-5),
        Same("tied_embeddings", "tie_word_embeddings", False),
        NO_BIASES,
        Same("n_experts", "num_local_experts", 8, also=("num_experts",)),
        Same("experts_per_token", "num_experts_per_tok", 2),
        Always({"normalized_experts": True}),
        *SWIGLU,
    ),
    weights=(
        *EMBEDDING_AND_HEAD,
        *ATTENTION,
        *NORMS_BEFORE,
        Weight(f"{MOE}.gate.weight", (f"{OUR_MOE}.router.weight",)),
        *linear(f"{EXPERT}.w1", f"{OUR_EXPERT}.gate"),
        *linear(f"{EXPERT}.w3", f"{OUR_EXPERT}.up"),
        *linear(f"{EXPERT}.w2", f"{OUR_EXPERT}.down"),
    ),
)
