"""Mistral: Llama's shape, a window over all layers or none, YaRN for long texts."""

from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.fields import Same, sizes
from hornbook.checkpoints.families.layers import Windows
from hornbook.checkpoints.families.llama import (
    ATTENTION,
    EMBEDDING_AND_HEAD,
    FEEDFORWARD,
    NO_BIASES,
    NORMS_BEFORE,
    SWIGLU,
)
from hornbook.checkpoints.families.rope import Rope

FAMILY = Family(
    name="mistral",
    architecture="MistralForCausalLM",
    fields=(
        *sizes(context=131_072, kv_heads=8),
        Same("head_size", "head_dim", None, written="head_dim"),
        Rope(),
        Windows(4096),
        Same("norm_eps", "rms_norm_eps", 1e-6),
        Same("tied_embeddings", "tie_word_embeddings", False),
        NO_BIASES,
        *SWIGLU,
    ),
    weights=(*EMBEDDING_AND_HEAD, *ATTENTION, *NORMS_BEFORE, *FEEDFORWARD),
)
