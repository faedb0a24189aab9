"""OLMo 3: OLMo 2's shape with a window in three of four layers, whose positions stay unstretched."""

from hornbook.checkpoints.families import olmo2
from hornbook.checkpoints.families.family import Family
from hornbook.checkpoints.families.layers import Windows, all_but_every
from hornbook.checkpoints.families.rope import Rope

FAMILY = Family(
    name="olmo3",
    architecture="Olmo3ForCausalLM",
    fields=(
        *olmo2.OLMO,
        Rope(500_000.0, window_theta=500_000.0),
        Windows(4096, all_but_every(4)),
    ),
    weights=olmo2.FAMILY.weights,
)
