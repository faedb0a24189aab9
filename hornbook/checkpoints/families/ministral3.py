"""Ministral 3: Mistral's shape with YaRN, and queries that grow with their positions."""

from hornbook.checkpoints.families import mistral
from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.fields import Same, sizes
from hornbook.checkpoints.families.layers import Windows
from hornbook.checkpoints.families.llama import NO_BIASES, SWIGLU
from hornbook.checkpoints.families.rope import Rope

FAMILY = Family(
    name="ministral3",
    architecture="Ministral3ForCausalLM",
    fields=(
        *sizes(context=262_144, kv_heads=8),
        Same("head_size", "head_dim", 128, written="head_dim"),
        Rope(
            1_000_000.0,
            grows=True,
            unstated={
                "rope_type": "yarn",
                "factor": 16.0,
                "original_max_position_embeddings": 16_384,
                "mscale": 1.0,
                "mscale_all_dim": 1.0,
                "llama_4_scaling_beta": 0.1,
            },
        ),
        Windows(),
        Same("norm_eps", "rms_norm_eps", 1e-5),
        Same("tied_embeddings", "tie_word_embeddings", False),
        NO_BIASES,
        *SWIGLU,
    ),
    weights=mistral.FAMILY.weights,
)
