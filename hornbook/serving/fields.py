"""The fields of each kind of request, after OpenAI's API reference, and what they may be.

A field is left out to have its default; null is refused like any other wrong value.
"""

from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.requests import Request

from hornbook.inference.settings import GenerationSettings
from hornbook.serving.errors import ApiError, of_validation

MOST_TEXTS = 64
"""Most prompts, or texts, of a request."""
MOST_STOPS, LONGEST_STOP = 8, 200
"""Stop strings, and their characters."""

Text = Annotated[str, Field(max_length=1_000_000)]
Ids = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
Stop = Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]


class Fields(BaseModel):
    """Base of all requests."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)
    model: str = Field(default="", max_length=200)


class Ignored(Fields):
    """What clients send that changes nothing here."""

    user: str = ""
    metadata: dict[str, str] = Field(default_factory=dict)
    store: bool = False


class StreamOptions(BaseModel):
    """What a stream says besides the text."""

    model_config = ConfigDict(strict=True, extra="forbid")
    include_usage: bool = False


class JsonSchema(BaseModel):
    """A schema for the answer."""

    model_config = ConfigDict(strict=True, extra="forbid")
    name: str = Field(default="answer", max_length=64)
    description: str = ""
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool = True


class ResponseFormat(BaseModel):
    """Whether the answer is free text or JSON."""

    model_config = ConfigDict(strict=True, extra="forbid")
    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchema | None = None

    @property
    def schema_for_answer(self) -> dict[str, Any] | None:
        """The JSON schema that the answer must fit, if any."""
        if self.type == "json_object":
            return {"type": "object"}
        if self.type == "json_schema":
            if self.json_schema is None:
                raise ApiError(400, "response_format.json_schema is missing.", "response_format")
            return self.json_schema.schema_
        return None


class Writing(Ignored):
    """How an answer is written."""

    max_tokens: int = Field(default=256, ge=1, le=10_000_000)
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_k: int = Field(default=0, ge=1, le=10_000_000, validate_default=False)
    top_p: float = Field(default=1.0, gt=0, le=1)
    min_p: float = Field(default=0.0, ge=0, le=1)
    repetition_penalty: float = Field(default=1.0, gt=0, le=10)
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] = Field(
        default_factory=dict, max_length=300
    )
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS)] = Field(default_factory=list)
    seed: int = Field(default=-1, ge=0, le=2**63 - 1, validate_default=False)
    n: int = Field(default=1, ge=1, le=MOST_TEXTS)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    response_format: ResponseFormat = ResponseFormat()

    @field_validator("logit_bias")
    @classmethod
    def _ids(cls, bias: dict[str, float]) -> dict[str, float]:
        for key in bias:
            if not (key.isascii() and key.isdigit() and len(key) < 10):
                raise ValueError(f"{key[:20]!r} is no token id")
        return bias

    def settings(self, room: int, seed: int) -> GenerationSettings:
        """For an answer of at most `room` tokens; `seed` where none is given."""
        return GenerationSettings(
            max_new_tokens=max(min(self.max_tokens, room), 1),
            temperature=self.temperature,
            top_k=self.top_k or None,
            top_p=None if self.top_p == 1 else self.top_p,
            min_p=self.min_p or None,
            repetition_penalty=self.repetition_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            logit_bias=self.logit_bias,
            stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop),
            seed=self.seed if self.seed >= 0 else seed,
        )


class CompletionFields(Writing):
    """POST /v1/completions."""

    prompt: Text | Annotated[list[Text | Ids], Field(min_length=1, max_length=MOST_TEXTS)] | Ids
    logprobs: int = Field(default=-1, ge=0, le=20, validate_default=False)

    @property
    def prompts(self) -> list[str | list[int]]:
        """Each prompt, as text or as ids."""
        return one_by_one(self.prompt)


def one_by_one(given: Any) -> list[str | list[int]]:
    """Texts or ids, of which one may stand without a list, as a list."""
    if isinstance(given, str) or isinstance(given[0], int):
        return [given]
    return list(given)


class TextPart(BaseModel):
    """A part of a message."""

    model_config = ConfigDict(strict=True, extra="forbid")
    type: Literal["text"]
    text: Text


class ChatMessage(BaseModel):
    """What one side says."""

    model_config = ConfigDict(strict=True, extra="forbid")
    role: Literal["system", "user", "assistant"]
    content: Text | Annotated[list[TextPart], Field(min_length=1, max_length=MOST_TEXTS)]
    name: str = ""

    @property
    def words(self) -> str:
        """The content as one text."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class ChatFields(Writing):
    """POST /v1/chat/completions."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=1000)
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0, le=20)
    max_completion_tokens: int = Field(default=0, ge=1, le=10_000_000, validate_default=False)

    def settings(self, room: int, seed: int) -> GenerationSettings:
        """As in `Writing`."""
        if self.max_completion_tokens:
            room = min(room, self.max_completion_tokens)
            wide = self.model_copy(
                update={"max_tokens": self.max_completion_tokens, "max_completion_tokens": 0}
            )
            return wide.settings(room, seed)
        return super().settings(room, seed)


class EmbeddingFields(Ignored):
    """POST /v1/embeddings."""

    input: Text | Annotated[list[Text | Ids], Field(min_length=1, max_length=MOST_TEXTS)] | Ids
    encoding_format: Literal["float", "base64"] = "float"


class ClassificationFields(Ignored):
    """POST /v1/classifications."""

    input: Text | Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS)]


FieldsT = TypeVar("FieldsT", bound=Fields)


async def read_fields(request: Request, kind: type[FieldsT]) -> FieldsT:
    """A request's body, checked.

    Raises:
        ApiError: not UTF-8, not JSON, nested too deep, or a field that is wrong.
    """
    body = await request.body()
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"the body is not JSON in UTF-8: {error}.", "body") from None
    if not isinstance(tree, dict):
        raise ApiError(400, "the body is not a JSON object.", "body")
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        raise of_validation(error) from None
