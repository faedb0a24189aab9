"""Qwen3: Llama's shape, each head's queries and keys normalized, heads of a width of their own."""

from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.fields import Always, Same, sizes
from hornbook.checkpoints.families.layers import Windows
from hornbook.checkpoints.families.llama import (
    ATTENTION,
    ATTENTION_BIASES,
    EMBEDDING_AND_HEAD,
    FEEDFORWARD,
    NORMS_BEFORE,
    QK_NORMS,
    SWIGLU,
)
from hornbook.checkpoints.families.qwen2 import upper_layers
from hornbook.checkpoints.families.rope import Rope

FAMILY = Family(
    name="qwen3",
    architecture="Qwen3ForCausalLM",
    fields=(
        *sizes(context=32_768, kv_heads=32),
        Same("head_size", "head_dim", 128, written="head_dim"),
        Rope(),
        Windows(4096, upper_layers, switch="use_sliding_window"),
        Same("norm_eps", "rms_norm_eps", 1e-6),
        Same("tied_embeddings", "tie_word_embeddings", False),
        *ATTENTION_BIASES,
        Always({"qk_norm": True}),
        *SWIGLU,
    ),
    weights=(*EMBEDDING_AND_HEAD, *ATTENTION, *QK_NORMS, *NORMS_BEFORE, *FEEDFORWARD),
)
