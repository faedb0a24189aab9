"""Rotary positions: queries and keys are turned by where they stand, and how long texts are reached.

Su et al. 2021, RoFormer, §3.2.2. The kinds of scaling stretch a model that was trained on short
texts to longer ones: each changes the frequencies of the turns, two of them the vectors' size too.
"""

import math
from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from hornbook.config import Settings


class Rotation(NamedTuple):
    """What positions do to queries and keys: cosines and sines of the rotary angles.

    Each float32 (tokens, turned / 2), where `turned` of a head's dimensions are turned; of rows of
    documents, whose positions differ from row to row, (batch, 1, tokens, turned / 2).
    """

    cos: Tensor
    sin: Tensor
    growth: Tensor | None = None
    """Factor on queries alone, float32 (tokens, 1) or (batch, 1, tokens, 1); None for 1."""


class LinearScaling(Settings):
    """All positions divided by one number (Chen et al. 2023, Position Interpolation, §2.3)."""

    kind: Literal["linear"] = "linear"
    factor: float = Field(gt=0)
    """How many times longer the texts become."""

    @property
    def size(self) -> float:
        """Factor on the turned vectors."""
        return 1.0

    def scale(self, frequencies: Tensor, theta: float, length: int | Tensor) -> Tensor:
        """Stretch float32 `frequencies` (pairs) of base `theta` for a text of `length` tokens."""
        return frequencies / self.factor


class DynamicScaling(Settings):
    """The base grows with a text's length beyond the context, and within it nothing changes.

    Longer texts than the context are not read here, so that the factor is only handed on.
    """

    kind: Literal["dynamic"] = "dynamic"
    factor: float = Field(gt=0)
    """How many times longer the texts may become elsewhere."""

    @property
    def size(self) -> float:
        """Factor on the turned vectors."""
        return 1.0

    def scale(self, frequencies: Tensor, theta: float, length: int | Tensor) -> Tensor:
        """As in `LinearScaling`."""
        return frequencies


class Llama3Scaling(Settings):
    """Slow turns are slowed further, quick ones kept, those between blended (Llama 3.1's own).

    Source: meta-llama/llama-models, `apply_scaling`.
    """

    kind: Literal["llama3"] = "llama3"
    factor: float = Field(gt=0)
    """By how much the slowest turns are slowed."""
    low_frequency_factor: float = Field(default=1.0, gt=0)
    """Turns with fewer rounds than this within the original context are slowed by `factor`."""
    high_frequency_factor: float = Field(default=4.0, gt=0)
    """Turns with more rounds than this within the original context stay as they are."""
    original_context: int = Field(default=8192, gt=0)
    """Tokens that the model was trained on before it was stretched."""

    @property
    def size(self) -> float:
        """Factor on the turned vectors."""
        return 1.0

    def scale(self, frequencies: Tensor, theta: float, length: int | Tensor) -> Tensor:
        """As in `LinearScaling`."""
        rounds = self.original_context / (2 * math.pi / frequencies)
        low, high = self.low_frequency_factor, self.high_frequency_factor
        kept = (rounds - low) / (high - low)
        blended = (1 - kept) * frequencies / self.factor + kept * frequencies
        slowed = torch.where(rounds < low, frequencies / self.factor, blended)
        return torch.where(rounds > high, frequencies, slowed)


class YarnScaling(Settings):
    """Slow turns are slowed, quick ones kept, a ramp between (Peng et al. 2023, YaRN, §3.2 to 3.4)."""

    kind: Literal["yarn"] = "yarn"
    factor: float = Field(gt=0)
    """How many times longer the texts become."""
    original_context: int = Field(gt=0)
    """Tokens that the model was trained on before it was stretched."""
    beta_fast: float = Field(default=32.0, gt=0)
    """Turns with more rounds than this within the original context stay as they are."""
    beta_slow: float = Field(default=1.0, gt=0)
    """Turns with fewer rounds than this are slowed by the whole factor."""
    attention_factor: float | None = Field(default=None, gt=0)
    """Factor on the turned queries and keys; 0.1 ln(factor) + 1 when not given."""
    whole_borders: bool = True
    """The ramp begins and ends at whole pairs of dimensions."""
    query_growth: float = Field(default=0.0, ge=0)
    """Queries are multiplied by 1 + query_growth * ln(1 + floor(position / original_context)), so
    that attention stays sharp over many keys (Llama 4's `attn_scale`, Ministral 3's
    `llama_4_scaling_beta`)."""

    @property
    def size(self) -> float:
        """Factor on the turned vectors."""
        if self.attention_factor is not None:
            return self.attention_factor
        return yarn_size(self.factor)

    def scale(self, frequencies: Tensor, theta: float, length: int | Tensor) -> Tensor:
        """As in `LinearScaling`."""
        pairs = frequencies.shape[0]
        first, last = (
            self._pair(self.beta_fast, theta, pairs),
            self._pair(self.beta_slow, theta, pairs),
        )
        if self.whole_borders:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, 2 * pairs - 1)
        width = last - first or 0.001
        places = torch.arange(pairs, dtype=torch.float32, device=frequencies.device)
        slowed = ((places - first) / width).clamp(0, 1)
        return frequencies / self.factor * slowed + frequencies * (1 - slowed)

    def growth(self, positions: Tensor) -> Tensor:
        """Factor on the queries at these positions, float32 of their shape."""
        rounds = torch.floor(positions / self.original_context)
        return 1 + self.query_growth * torch.log(1 + rounds)

    def _pair(self, rounds: float, theta: float, pairs: int) -> float:
        """The pair of dimensions that turns this often within the original context."""
        distance = self.original_context / (rounds * 2 * math.pi)
        return pairs * math.log(distance) / math.log(theta)


def yarn_size(factor: float, weight: float = 1.0) -> float:
    """YaRN's factor on turned vectors, which sharpens attention over longer texts (§3.4)."""
    return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0


class LongRopeScaling(Settings):
    """A divisor for each frequency, found by search; one set for short texts, one for long.

    Ding et al. 2024, LongRoPE, §3. Which set holds depends on the whole text, so that a text that
    grows past `original_context` has to be read again from its beginning.
    """

    kind: Literal["longrope"] = "longrope"
    short_factors: tuple[float, ...] = Field(min_length=1)
    """Divisors for texts up to the original context, one for each pair of turned dimensions."""
    long_factors: tuple[float, ...] = Field(min_length=1)
    """Divisors for longer texts."""
    original_context: int = Field(gt=1)
    """Tokens that the model was trained on before it was stretched."""
    factor: float = Field(default=1.0, gt=0)
    """How many times longer the texts become."""
    attention_factor: float | None = Field(default=None, gt=0)
    """Factor on the turned queries and keys; sqrt(1 + ln(factor) / ln(original_context)) when not
    given."""

    @property
    def size(self) -> float:
        """Factor on the turned vectors."""
        if self.attention_factor is not None:
            return self.attention_factor
        if self.factor <= 1:
            return 1.0
        return math.sqrt(1 + math.log(self.factor) / math.log(self.original_context))

    def scale(self, frequencies: Tensor, theta: float, length: int | Tensor) -> Tensor:
        """As in `LinearScaling`."""
        long = torch.as_tensor(length > self.original_context, device=frequencies.device)
        short_divisors = frequencies.new_tensor(self.short_factors)
        long_divisors = frequencies.new_tensor(self.long_factors)
        return frequencies / torch.where(long, long_divisors, short_divisors)


RopeScaling = Annotated[
    LinearScaling | DynamicScaling | Llama3Scaling | YarnScaling | LongRopeScaling,
    Field(discriminator="kind"),
]


class RotaryEmbedding(nn.Module):
    """Angles by which queries and keys are turned, so that their product depends on distance.

    In a head, the pair of dimensions number i of a token at position p turns by the angle
    p * theta^(-2i / turned). The module has no tensors of its own, so it is the same on every
    device and in every dtype.

    Args:
        turned: how many dimensions of a head are turned, its first ones.
        theta: base of the frequencies.
        scaling: how they are stretched for longer texts.
    """

    def __init__(self, turned: int, theta: float, scaling: RopeScaling | None = None) -> None:
        super().__init__()
        self.turned = turned
        self.theta = theta
        self.scaling = scaling

    def forward(
        self, start: int, stop: int, device: torch.device, length: int | None = None
    ) -> Rotation:
        """Cosines and sines for positions `start` up to `stop` of a text of `length`, or `stop`."""
        return self.at(torch.arange(start, stop, device=device), length or stop)

    def of_rows(self, places: Tensor) -> Rotation:
        """Cosines and sines for the positions of several rows, int64 (batch, tokens)."""
        return self.at(places[:, None], places.max() + 1)

    def table(self, length: int, device: torch.device) -> Callable[[Tensor], Rotation]:
        """Cosines and sines up to `length`, to be looked up for single tokens of several texts.

        The function takes the place of each text's last token, int64 (batch, 1). A row's numbers
        do not hang on how many rows there are, as those of a vectorized cosine do in the last bit.
        """
        places = torch.arange(length, device=device)
        short = self.at(places, 1)
        if not isinstance(self.scaling, LongRopeScaling):
            growth = short.growth
            return lambda last: Rotation(
                short.cos[last][:, None],
                short.sin[last][:, None],
                None if growth is None else growth[last][:, None],
            )
        long, original = self.at(places, self.scaling.original_context + 1), self.scaling

        def look_up(last: Tensor) -> Rotation:
            outgrown = (last >= original.original_context)[..., None]  # (batch, 1, 1)
            cos, sin = (
                torch.where(outgrown, many[last], few[last])[:, None]
                for many, few in zip(long[:2], short[:2], strict=True)
            )
            return Rotation(cos, sin)

        return look_up

    def at(self, positions: Tensor, length: int | Tensor) -> Rotation:
        """Cosines and sines for positions (..., tokens), each float32 (..., tokens, turned / 2).

        `length` is that of the whole text, for a scaling that looks at it.
        """
        pairs = torch.arange(0, self.turned, 2, device=positions.device, dtype=torch.float32)
        frequencies = 1.0 / self.theta ** (pairs / self.turned)  # (turned / 2)
        if self.scaling is not None:
            frequencies = self.scaling.scale(frequencies, self.theta, length)
        angles = positions.float()[..., None] * frequencies  # (..., tokens, turned / 2)
        cos, sin = angles.cos(), angles.sin()
        if self.scaling is not None and self.scaling.size != 1.0:
            cos, sin = cos * self.scaling.size, sin * self.scaling.size
        growth = None
        if isinstance(self.scaling, YarnScaling) and self.scaling.query_growth:
            growth = self.scaling.growth(positions)[..., None]  # (..., tokens, 1)
        return Rotation(cos, sin, growth)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn queries or keys `x` (batch, heads, tokens, head_dim), keeping shape and dtype.

    Dimension i makes a pair with dimension i + turned / 2, as in Llama's published weights (the
    RoFormer paper pairs neighbours; the two differ by the order of the dimensions only). Dimensions
    from `turned` on stay as they are.
    """
    cos, sin = rotation.cos.to(x.dtype), rotation.sin.to(x.dtype)
    turned = 2 * cos.shape[-1]
    if turned < x.shape[-1]:
        return torch.cat((rotate(x[..., :turned], rotation), x[..., turned:]), dim=-1)
    left, right = x.chunk(2, dim=-1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)
