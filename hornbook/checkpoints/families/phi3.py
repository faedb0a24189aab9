"""Phi-3 and Phi-4: Llama's shape with query, key and value as one, gate and up as one, LongRoPE."""

from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.fields import Same, sizes
from hornbook.checkpoints.families.layers import Windows
from hornbook.checkpoints.families.llama import (
    BLOCK,
    EMBEDDING_AND_HEAD,
    NO_BIASES,
    NORMS_BEFORE,
    OURS,
    SWIGLU,
)
from hornbook.checkpoints.families.rope import Rope
from hornbook.checkpoints.families.weights import linear

FAMILY = Family(
    name="phi3",
    architecture="Phi3ForCausalLM",
    fields=(
        *sizes(context=4096),
        Rope(original_outside=True),
        Windows(),
        Same("norm_eps", "rms_norm_eps", 1e-5),
        Same("tied_embeddings", "tie_word_embeddings", False),
        NO_BIASES,
        *SWIGLU,
    ),
    weights=(
        *EMBEDDING_AND_HEAD,
        *linear(
            f"{BLOCK}.self_attn.qkv_proj",
            *(f"{OURS}.attention.{part}" for part in ("query", "key", "value")),
        ),
        *linear(f"{BLOCK}.self_attn.o_proj", f"{OURS}.attention.out"),
        *NORMS_BEFORE,
        *linear(f"{BLOCK}.mlp.gate_up_proj", f"{OURS}.feedforward.gate", f"{OURS}.feedforward.up"),
        *linear(f"{BLOCK}.mlp.down_proj", f"{OURS}.feedforward.down"),
    ),
)
