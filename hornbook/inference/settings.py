"""How a text is written: which token comes next, and for how long."""

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from hornbook.config import Settings


class GenerationSettings(Settings):
    """How the next token is chosen, and for how long."""

    max_new_tokens: int = Field(default=200, ge=1)
    """Most tokens to write after the prompt."""
    temperature: float = Field(default=0.8, ge=0)
    """Divides the logits: 0 always takes the likeliest token, 1 keeps the model's distribution."""
    top_k: int | None = Field(default=50, ge=1)
    """Choose among this many likeliest tokens; the vocabulary's size or more keeps all."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Choose among the fewest likeliest tokens that have this much probability together."""
    min_p: float | None = Field(default=None, ge=0, le=1)
    """Choose among tokens at least this many times as probable as the likeliest one."""
    repetition_penalty: float = Field(default=1.0, gt=0)
    """Above 1 makes tokens that have occurred, in the prompt too, less likely."""
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    """Taken from the logit of each token that has been written."""
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    """Taken from the logit of each token as often as it has been written."""
    logit_bias: dict[str, float] = Field(default_factory=dict)
    """Added to the logits of tokens, by their ids."""
    stop: tuple[str, ...] = ()
    """Texts before which writing ends, or one such text; they may lie across tokens."""
    seed: int = 1
    """Seed of the random choices."""

    @field_validator("stop", mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, given: Any) -> Any:
        if isinstance(given, list):
            return tuple(given)
        return (given,) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        wrong = [key for key in self.logit_bias if not (key.isascii() and key.isdigit())]
        if wrong:
            raise ValueError(f"logit_bias: {wrong[0]!r} is no token id")
        if "" in self.stop:
            raise ValueError("stop: an empty text stands everywhere")
        return self

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken, as the model gives it."""
        return (
            self.temperature == 0
            and self.repetition_penalty == 1
            and self.presence_penalty == self.frequency_penalty == 0
            and not self.logit_bias
        )
