"""Rows for what changes from layer to layer: windows, positions, experts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hornbook.checkpoints.families.fields import Theirs
from hornbook.checkpoints.families.rope import FULL, WINDOWED
from hornbook.model.config import ModelConfig

Pattern = Callable[[Theirs, int], bool]
"""Whether a layer is of a kind, where config.json does not list the layers."""


def all_but_every(period: int, name: str = "") -> Pattern:
    """All layers but the last of every `period`, or of as many as the field `name` says."""

    def pattern(theirs: Theirs, layer: int) -> bool:
        stated = theirs.typed(name, int, period) if name else period
        return bool((layer + 1) % max(stated, 1))

    return pattern


@dataclass(frozen=True)
class Windows:
    """How many tokens which layers see."""

    size: int | None = None
    """The window where config.json does not state one; null states that there is none."""
    pattern: Pattern | None = None
    """Which layers have it where config.json does not list them; None where all have it, always."""
    switch: str = ""
    """A field without which nothing has a window."""

    def read(self, theirs: Theirs) -> dict[str, Any]:
        """As `Row.read`."""
        size = self.size
        if theirs.tree.get("sliding_window", size) is None:
            size = None
        else:
            size = theirs.typed("sliding_window", int | None, size)
        if self.switch and not theirs.typed(self.switch, bool, False):
            size = None
        if size is None or self.pattern is None:
            return {"window": size}
        layers = theirs.typed("num_hidden_layers", int)
        kinds = theirs.typed("layer_types", list[str], [])
        if not kinds:
            return {
                "window": size,
                "windowed_layers": [self.pattern(theirs, layer) for layer in range(layers)],
            }
        if not set(kinds) <= {FULL, WINDOWED} or len(kinds) != layers:
            raise theirs.refuse("layer_types", kinds, f"{layers} times {FULL} or {WINDOWED}")
        return {"window": size, "windowed_layers": [kind == WINDOWED for kind in kinds]}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        """As `Row.write`."""
        windowed = [config.window_of(layer) is not None for layer in range(config.n_layers)]
        written: dict[str, Any] = {"sliding_window": config.window if any(windowed) else None}
        if self.switch:
            written[self.switch] = any(windowed)
            written["max_window_layers"] = [*windowed, True].index(True)
        if self.pattern is not None:
            written["layer_types"] = [WINDOWED if w else FULL for w in windowed]
        return written


@dataclass(frozen=True)
class Turning:
    """Which layers turn their queries and keys (SmolLM3's fields)."""

    period: int
    """The last of so many does not, where config.json does not say otherwise."""

    def read(self, theirs: Theirs) -> dict[str, Any]:
        """As `Row.read`."""
        layers = range(theirs.typed("num_hidden_layers", int))
        stated = theirs.typed("no_rope_layers", list[int], [])
        default = all_but_every(self.period, "no_rope_layer_interval")
        if stated and len(stated) < len(layers):
            raise theirs.refuse("no_rope_layers", stated, f"a list of {len(layers)} numbers")
        turning = [bool(stated[n]) if stated else default(theirs, n) for n in layers]
        return {"rotary_layers": turning}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        """As `Row.write`."""
        turning = [int(config.turns(layer)) for layer in range(config.n_layers)]
        return {"no_rope_layers": turning, "no_rope_layer_interval": self.period}


@dataclass(frozen=True)
class ExpertLayers:
    """Which layers have experts (Qwen's fields)."""

    def read(self, theirs: Theirs) -> dict[str, Any]:
        """As `Row.read`."""
        layers = range(theirs.typed("num_hidden_layers", int))
        step = theirs.typed("decoder_sparse_step", int, 1)
        plain = theirs.typed("mlp_only_layers", list[int], [])
        if step < 1:
            raise theirs.refuse("decoder_sparse_step", step, "numbers above 0")
        return {"expert_layers": [n not in plain and (n + 1) % step == 0 for n in layers]}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        """As `Row.write`."""
        layers = range(config.n_layers)
        return {
            "decoder_sparse_step": 1,
            "mlp_only_layers": [layer for layer in layers if not config.has_experts(layer)],
        }
