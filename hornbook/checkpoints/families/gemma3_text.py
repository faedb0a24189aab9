"""Gemma 3's text model: five windowed layers to one that sees all, each kind with its own base."""

from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.fields import Always, Same, Stated, sizes
from hornbook.checkpoints.families.gemma2 import GEMMA, NORMS_AROUND
from hornbook.checkpoints.families.layers import Windows, all_but_every
from hornbook.checkpoints.families.llama import (
    ATTENTION,
    EMBEDDING_AND_HEAD,
    FEEDFORWARD,
    QK_NORMS,
)
from hornbook.checkpoints.families.rope import Rope

FAMILY = Family(
    name="gemma3_text",
    architecture="Gemma3ForCausalLM",
    fields=(
        *sizes(context=131_072, kv_heads=4),
        Rope(1_000_000.0, window_theta=10_000.0, window_theta_name="rope_local_base_freq"),
        Windows(4096, all_but_every(6, "sliding_window_pattern")),
        Stated("attn_logit_softcapping", None),
        Same("logit_softcap", "final_logit_softcapping", None),
        Always({"qk_norm": True}),
        *GEMMA,
    ),
    weights=(*EMBEDDING_AND_HEAD, *ATTENTION, *QK_NORMS, *NORMS_AROUND, *FEEDFORWARD),
)
