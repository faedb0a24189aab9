"""Ministral: Mistral's shape with a window in some layers."""

from hornbook.checkpoints.families import mistral
from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.fields import Same, sizes
from hornbook.checkpoints.families.layers import Windows
from hornbook.checkpoints.families.llama import NO_BIASES, SWIGLU
from hornbook.checkpoints.families.rope import Rope

FAMILY = Family(
    name="ministral",
    architecture="MinistralForCausalLM",
    fields=(
        *sizes(context=131_072, kv_heads=8),
        Same("head_size", "head_dim", None, written="head_dim"),
        Rope(),
        Windows(4096, lambda theirs, layer: True),
        Same("norm_eps", "rms_norm_eps", 1e-6),
        Same("tied_embeddings", "tie_word_embeddings", False),
        NO_BIASES,
        *SWIGLU,
    ),
    weights=mistral.FAMILY.weights,
)
