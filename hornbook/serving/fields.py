"""The fields of each kind of request, after OpenAI's API reference, and what they may be.

A field that is null is one that is left out: it has its default.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from hornbook.inference.settings import GenerationSettings
from hornbook.serving.errors import LIMIT_EXCEEDED, ApiError, of_validation, too_much
from hornbook.tokenizing.templates import Message

MOST_TEXTS = 64
"""Most prompts, texts or answers of a request."""
MOST_MESSAGES = 1000
"""Of a conversation."""
ANSWER_TOKENS = 256
"""Most tokens of an answer where the request does not say."""
MOST_STOPS, LONGEST_STOP = 8, 200
"""Stop strings, and their characters."""

MOST_LOGPROBS = 20
"""Other tokens whose log-probabilities are told at each place."""


def at_most(limit: int, unit: str) -> AfterValidator:
    """A number, or the length of a text or a list, beyond which a request is answered with 422."""

    def check(value: Any) -> Any:
        amount = value if isinstance(value, int) else len(value)
        if amount > limit:
            raise PydanticCustomError(
                LIMIT_EXCEEDED, "{said}", {"said": too_much(limit, unit, amount)}
            )
        return value

    return AfterValidator(check)


Text = Annotated[str, at_most(1_000_000, "characters")]
Ids = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
Texts = Annotated[list[Text | Ids], Field(min_length=1), at_most(MOST_TEXTS, "texts")]
Stop = Annotated[str, Field(min_length=1), at_most(LONGEST_STOP, "characters")]
Tokens = Annotated[int, Field(ge=1)]
Logprobs = Annotated[int, Field(ge=0), at_most(MOST_LOGPROBS, "tokens")]


class Part(BaseModel):
    """Base of all requests, and of the parts of them."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        return {key: value for key, value in tree.items() if value is not None}


class Fields(Part):
    """What every request may have."""

    model: str = Field(default="", max_length=200)


class Ignored(Fields):
    """What clients send that changes nothing here."""

    user: str = ""
    metadata: dict[str, str] = Field(default_factory=dict)
    store: bool = False
    service_tier: str = ""
    safety_identifier: str = ""
    prompt_cache_key: str = ""


class StreamOptions(Part):
    """What a stream says besides the text."""

    include_usage: bool = False
    include_obfuscation: bool = False


class JsonSchema(Part):
    """A schema for the answer."""

    name: str = Field(default="answer", max_length=64)
    description: str = ""
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool = True


class ResponseFormat(Part):
    """Whether the answer is free text or JSON."""

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

    max_tokens: Tokens | None = None
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_k: Tokens | None = None
    top_p: float = Field(default=1.0, gt=0, le=1)
    min_p: float = Field(default=0.0, ge=0, le=1)
    repetition_penalty: float = Field(default=1.0, gt=0, le=10)
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    logit_bias: Annotated[
        dict[str, Annotated[float, Field(ge=-100, le=100)]], at_most(300, "tokens")
    ] = Field(default_factory=dict)
    stop: Stop | Annotated[list[Stop], at_most(MOST_STOPS, "texts")] = Field(default_factory=list)
    seed: int = Field(default=-1, ge=0, le=2**63 - 1, validate_default=False)
    n: Annotated[int, Field(ge=1), at_most(MOST_TEXTS, "answers")] = 1
    best_of: int = 1
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

    @field_validator("best_of")
    @classmethod
    def _not_ranked(cls, count: int) -> int:
        if count != 1:
            raise ValueError("answers are not ranked here; leave this out, or 1, and ask for n")
        return count

    @property
    def most_tokens(self) -> int:
        """Of an answer."""
        return self.max_tokens or ANSWER_TOKENS

    def settings(
        self, room: int, seed: int, unstated: Mapping[str, Any] | None = None
    ) -> GenerationSettings:
        """For an answer of at most `room` tokens; `seed` where none is given.

        `unstated` is how the model's makers would have tokens drawn where the request says nothing.
        """
        own = {n: v for n, v in (unstated or {}).items() if n not in self.model_fields_set}
        given = GenerationSettings(
            max_new_tokens=max(min(self.most_tokens, room), 1),
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=None if self.top_p == 1 else self.top_p,
            min_p=self.min_p or None,
            repetition_penalty=self.repetition_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            logit_bias=self.logit_bias,
            stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop),
            seed=self.seed if self.seed >= 0 else seed,
        )
        return given.model_copy(update=own)


class CompletionFields(Writing):
    """POST /v1/completions."""

    prompt: Text | Texts | Ids
    logprobs: Logprobs = Field(default=-1, validate_default=False)
    echo: Literal[False] = False

    @property
    def prompts(self) -> list[str | list[int]]:
        """Each prompt, as text or as ids."""
        return one_by_one(self.prompt)


def one_by_one(given: Any) -> list[str | list[int]]:
    """Texts or ids, of which one may stand without a list, as a list."""
    if isinstance(given, str) or isinstance(given[0], int):
        return [given]
    return list(given)


class TextPart(Part):
    """A part of a message."""

    type: str
    text: Text = ""

    @field_validator("type")
    @classmethod
    def _only_text(cls, kind: str) -> str:
        if kind != "text":
            raise ValueError(f"messages are of text only here; {kind[:40]!r} cannot be read")
        return kind

    @model_validator(mode="after")
    def _there(self) -> Self:
        if "text" not in self.model_fields_set:
            raise ValueError("its text is missing")
        return self


def _no_tools(given: list[Any]) -> list[Any]:
    if given:
        raise ValueError("there are no tools here; leave this field out, or empty")
    return given


Empty = Annotated[list[Any], AfterValidator(_no_tools)]


class ChatMessage(Part):
    """What one side says."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[TextPart], at_most(MOST_TEXTS, "parts")] = Field(
        default_factory=list
    )
    name: str = ""
    tool_calls: Empty = Field(default_factory=list)
    annotations: list[Any] = Field(default_factory=list)
    """Clients send back what they were given, with all its fields."""

    @model_validator(mode="after")
    def _said(self) -> Self:
        # An assistant's message may have no content: null is what there is beside a call of a tool.
        if self.role != "assistant" and "content" not in self.model_fields_set:
            raise ValueError("content is missing")
        return self

    @property
    def said(self) -> Message:
        """As templates have it: a developer is who the system is to newer clients."""
        parts = self.content
        words = parts if isinstance(parts, str) else "".join(part.text for part in parts)
        return Message("system" if self.role == "developer" else self.role, words)


class ChatFields(Writing):
    """POST /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], Field(min_length=1), at_most(MOST_MESSAGES, "messages")]
    logprobs: bool = False
    top_logprobs: Logprobs = 0
    tools: Empty = Field(default_factory=list)
    functions: Empty = Field(default_factory=list)
    tool_choice: Literal["none", "auto"] = "none"
    function_call: Literal["none", "auto"] = "none"
    parallel_tool_calls: bool = False
    max_completion_tokens: Tokens | None = None

    @property
    def most_tokens(self) -> int:
        """Of an answer: the newer of two names goes before the older."""
        return self.max_completion_tokens or super().most_tokens


class EmbeddingFields(Ignored):
    """POST /v1/embeddings."""

    input: Text | Texts | Ids
    encoding_format: Literal["float", "base64"] = "float"


class ClassificationFields(Ignored):
    """POST /v1/classifications."""

    input: Text | Annotated[list[Text], Field(min_length=1), at_most(MOST_TEXTS, "texts")]


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
