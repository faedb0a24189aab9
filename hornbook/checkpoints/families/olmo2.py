"""OLMo 2: what a branch gives is normalized, and queries and keys across all heads."""

from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.fields import Always, Same, sizes
from hornbook.checkpoints.families.llama import (
    ATTENTION,
    ATTENTION_BIASES,
    EMBEDDING_AND_HEAD,
    FEEDFORWARD,
    NORMS_AFTER,
    QK_NORMS,
    SWIGLU,
)
from hornbook.checkpoints.families.rope import Rope

OLMO = (
    *sizes(context=2048),
    Same("norm_eps", "rms_norm_eps", 1e-5),
    Same("tied_embeddings", "tie_word_embeddings", False),
    *ATTENTION_BIASES,
    Always({"qk_norm": "whole", "norm_place": "after"}),
    *SWIGLU,
)

FAMILY = Family(
    name="olmo2",
    architecture="Olmo2ForCausalLM",
    fields=(*OLMO, Rope()),
    weights=(*EMBEDDING_AND_HEAD, *ATTENTION, *QK_NORMS, *NORMS_AFTER, *FEEDFORWARD),
)
