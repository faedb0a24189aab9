"""SmolLM3: Llama's shape, and no positions in every fourth layer (NoPE)."""

from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.fields import Same, Theirs, sizes
from hornbook.checkpoints.families.layers import Turning, Windows
from hornbook.checkpoints.families.llama import (
    ATTENTION,
    EMBEDDING_AND_HEAD,
    FEEDFORWARD,
    NORMS_BEFORE,
    SWIGLU,
)
from hornbook.checkpoints.families.rope import Rope

TURNING = Turning(4)


def _windowed(theirs: Theirs, layer: int) -> bool:
    """Layers without positions are those with a window, where there is one."""
    turning: list[bool] = TURNING.read(theirs)["rotary_layers"]
    return not turning[layer]


FAMILY = Family(
    name="smollm3",
    architecture="SmolLM3ForCausalLM",
    fields=(
        *sizes(context=32_768, kv_heads=4),
        Same("head_size", "head_dim", None, written="head_dim"),
        Rope(2_000_000.0),
        TURNING,
        Windows(None, _windowed, switch="use_sliding_window"),
        Same("norm_eps", "rms_norm_eps", 1e-6),
        Same("tied_embeddings", "tie_word_embeddings", True),
        Same("qkv_bias", "attention_bias", False),
        Same("out_bias", "attention_bias", False, written="qkv_bias"),
        Same("bias", "mlp_bias", False),
        *SWIGLU,
    ),
    weights=(*EMBEDDING_AND_HEAD, *ATTENTION, *NORMS_BEFORE, *FEEDFORWARD),
)
