"""Rows for rotary positions, whose fields config.json files write in three ways.

Since transformers 5 everything is in `rope_parameters`, for some families once for each kind of
layer; before, the base was `rope_theta` and the rest `rope_scaling`. All are read; the older form is
written, which every reader knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hornbook.checkpoints.families.fields import Theirs
from hornbook.model.config import ModelConfig
from hornbook.model.rotary import (
    DynamicScaling,
    LinearScaling,
    Llama3Scaling,
    LongRopeScaling,
    RopeScaling,
    YarnScaling,
    yarn_size,
)

FULL, WINDOWED = "full_attention", "sliding_attention"
"""The kinds of layers, as config.json files name them."""
ORIGINAL = "original_max_position_embeddings"
GROWTH = "llama_4_scaling_beta"


@dataclass(frozen=True)
class Rope:
    """Base, scaling and turned share of the rotary positions."""

    theta: float = 10_000.0
    """The family's base where config.json states none."""
    window_theta: float | None = None
    """The base in windowed layers, for families where these turn otherwise."""
    window_theta_name: str = "rope_theta"
    """Where that base stands; when under the common name, it is the common base."""
    original_outside: bool = False
    """Whether the context before stretching is written beside the rope's fields too."""
    grows: bool = False
    """Whether queries can grow with their positions; other families pass the number over."""
    unstated: Mapping[str, Any] = field(default_factory=dict)
    """The family's own fields where config.json has none."""

    def read(self, theirs: Theirs) -> dict[str, Any]:
        """As `Row.read`."""
        common, windowed = self._parameters(theirs)
        where = Theirs(common, f"{theirs.source}: rope")
        fields: dict[str, Any] = {
            "positions": "rotary",
            "rope_theta": where.typed("rope_theta", float, self.theta),
            "rope_scaling": _read_scaling(where, theirs),
            "rope_share": where.typed("partial_rotary_factor", float, 1.0),
        }
        if self.grows:
            fields["rope_scaling"] = _growing(where, fields["rope_scaling"])
        if self.window_theta is not None:
            own = Theirs(windowed, f"{theirs.source}: rope of windowed layers")
            kind = own.get("rope_type", "default")
            if kind != "default":
                raise own.refuse("rope_type", kind, "only 'default'")
            fields["window_rope_theta"] = own.typed("rope_theta", float, self.window_theta)
        return fields

    def _parameters(self, theirs: Theirs) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """What holds in all layers but windowed ones, and in windowed ones, in the newest form."""
        unstated = dict(self.unstated) if theirs.tree.get("rope_scaling") is None else {}
        given = theirs.typed("rope_parameters", dict[str, Any], unstated)
        older = theirs.typed("rope_scaling", dict[str, Any], {})
        names = ("rope_theta", "partial_rotary_factor")
        outside = {name: theirs.tree[name] for name in names if theirs.tree.get(name) is not None}
        if FULL in given or WINDOWED in given:
            kinds = Theirs(given, f"{theirs.source}: rope_parameters")
            full, windowed = (kinds.typed(kind, dict[str, Any], {}) for kind in (FULL, WINDOWED))
            return {**outside, **full}, windowed
        common = {**outside, **older, **given}
        window_theta = theirs.tree.get(self.window_theta_name)
        if window_theta is None and self.window_theta_name == "rope_theta":
            window_theta = common.get("rope_theta")
        return common, {} if window_theta is None else {"rope_theta": window_theta}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        """As `Row.write`."""
        if self.window_theta is not None and self.window_theta_name == "rope_theta":
            return {"rope_parameters": self._by_layers(config)}
        written: dict[str, Any] = {"rope_theta": config.rope_theta}
        if config.rope_share != 1.0:
            written["partial_rotary_factor"] = config.rope_share
        if self.window_theta is not None:
            written[self.window_theta_name] = config.window_rope_theta or config.rope_theta
        if config.rope_scaling is not None:
            scaling = _write_scaling(config.rope_scaling)
            if self.grows:
                scaling[GROWTH] = getattr(config.rope_scaling, "query_growth", 0.0)
            written["rope_scaling"] = scaling
            if self.original_outside:
                written[ORIGINAL] = scaling.get(ORIGINAL)
        return written

    def _by_layers(self, config: ModelConfig) -> dict[str, Any]:
        """The newest form, for families that have no other for a base in windowed layers."""
        scaling = config.rope_scaling
        stretched = {"rope_type": "default"} if scaling is None else _write_scaling(scaling)
        window_theta = config.window_rope_theta or config.rope_theta
        return {
            FULL: {**stretched, "rope_theta": config.rope_theta},
            WINDOWED: {"rope_type": "default", "rope_theta": window_theta},
        }


def _read_scaling(rope: Theirs, config: Theirs) -> dict[str, Any] | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    readers = {
        "linear": _factor,
        "dynamic": _factor,
        "llama3": _llama3,
        "yarn": _yarn,
        "longrope": _longrope,
        "su": _longrope,
    }
    if not isinstance(kind, str) or kind not in readers:
        raise rope.refuse("rope_type", kind, f"{', '.join(map(repr, ('default', *readers)))}")
    return readers[kind](rope, config)


def _growing(rope: Theirs, scaling: dict[str, Any] | None) -> dict[str, Any]:
    """YaRN with the growth of queries, which is counted in contexts before stretching."""
    if scaling is None or scaling["kind"] != "yarn":
        raise rope.refuse("rope_type", rope.get("rope_type", "default"), "only 'yarn'")
    return {**scaling, "query_growth": rope.typed(GROWTH, float, 0.0)}


def _factor(rope: Theirs, config: Theirs) -> dict[str, Any]:
    kind = rope.get("rope_type", rope.get("type", ""))
    return {"kind": kind, "factor": rope.typed("factor", float)}


def _llama3(rope: Theirs, config: Theirs) -> dict[str, Any]:
    return {
        "kind": "llama3",
        "factor": rope.typed("factor", float),
        "low_frequency_factor": rope.typed("low_freq_factor", float),
        "high_frequency_factor": rope.typed("high_freq_factor", float),
        "original_context": _original(rope, config),
    }


def _yarn(rope: Theirs, config: Theirs) -> dict[str, Any]:
    original = _original(rope, config)
    context = config.typed("max_position_embeddings", int, original)
    factor = rope.typed("factor", float, context / original)
    size = rope.typed("attention_factor", float | None, None)
    one, all_dims = (rope.typed(name, float, 0.0) for name in ("mscale", "mscale_all_dim"))
    if size is None and one and all_dims:  # DeepSeek's way to write it, Ministral's too
        size = yarn_size(factor, one) / yarn_size(factor, all_dims)
    return {
        "kind": "yarn",
        "factor": factor,
        "original_context": original,
        "beta_fast": rope.typed("beta_fast", float, 32.0),
        "beta_slow": rope.typed("beta_slow", float, 1.0),
        "attention_factor": size,
        "whole_borders": rope.typed("truncate", bool, True),
    }


def _longrope(rope: Theirs, config: Theirs) -> dict[str, Any]:
    original = _original(rope, config)
    context = config.typed("max_position_embeddings", int, original)
    return {
        "kind": "longrope",
        "short_factors": rope.typed("short_factor", list[float]),
        "long_factors": rope.typed("long_factor", list[float]),
        "original_context": original,
        "factor": rope.typed("factor", float, context / original),
        "attention_factor": rope.typed("attention_factor", float | None, None),
    }


def _original(rope: Theirs, config: Theirs) -> int:
    """The context before it was stretched; config.json's own statement goes before the rope's."""
    stated = config.get(ORIGINAL, rope.get(ORIGINAL, config.get("max_position_embeddings", 0)))
    original: int = Theirs({ORIGINAL: stated}, config.source).typed(ORIGINAL, int)
    if original < 1:
        raise config.refuse(ORIGINAL, original, "numbers above 0")
    return original


def _write_scaling(scaling: RopeScaling) -> dict[str, Any]:
    written: dict[str, Any] = {"rope_type": scaling.kind, "factor": scaling.factor}
    if isinstance(scaling, LinearScaling | DynamicScaling):
        return written
    written[ORIGINAL] = scaling.original_context
    if isinstance(scaling, Llama3Scaling):
        written["low_freq_factor"] = scaling.low_frequency_factor
        written["high_freq_factor"] = scaling.high_frequency_factor
        return written
    if scaling.attention_factor is not None:
        written["attention_factor"] = scaling.attention_factor
    if isinstance(scaling, YarnScaling):
        written |= {"beta_fast": scaling.beta_fast, "beta_slow": scaling.beta_slow}
        written["truncate"] = scaling.whole_borders
    if isinstance(scaling, LongRopeScaling):
        written["short_factor"] = list(scaling.short_factors)
        written["long_factor"] = list(scaling.long_factors)
    return written
