"""Qwen2 and Qwen2.5: Llama's shape with biases on queries, keys and values."""

from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.fields import Always, Same, Theirs, sizes
from hornbook.checkpoints.families.layers import Windows
from hornbook.checkpoints.families.llama import (
    ATTENTION,
    EMBEDDING_AND_HEAD,
    FEEDFORWARD,
    NORMS_BEFORE,
    SWIGLU,
)
from hornbook.checkpoints.families.rope import Rope


def upper_layers(theirs: Theirs, layer: int) -> bool:
    """Whether a layer is one of those with the window: the upper ones."""
    return layer >= int(theirs.typed("max_window_layers", int, 28))


FAMILY = Family(
    name="qwen2",
    architecture="Qwen2ForCausalLM",
    fields=(
        *sizes(context=32_768, kv_heads=32),
        Rope(),
        Windows(4096, upper_layers, switch="use_sliding_window"),
        Same("norm_eps", "rms_norm_eps", 1e-6),
        Same("tied_embeddings", "tie_word_embeddings", False),
        Always({"qkv_bias": True, "bias": False}),
        *SWIGLU,
    ),
    weights=(*EMBEDDING_AND_HEAD, *ATTENTION, *NORMS_BEFORE, *FEEDFORWARD),
    ignored=(".rotary_emb.inv_freq",),
)
