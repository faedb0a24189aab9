"""/v1/completions: texts that go on."""

import asyncio
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hornbook.inference.engine import Piece
from hornbook.inference.sampler import Choice
from hornbook.serving.errors import ApiError, as_api_error
from hornbook.serving.fields import CompletionFields, read_fields
from hornbook.serving.models import Models
from hornbook.serving.served import Served, random_seed
from hornbook.serving.writing import Asked, whole, writing

GONE = 499
"""Status for the log when a client went away before its answer (nginx's)."""


async def complete(request: Request, models: Models) -> Response:
    """Answer one request."""
    fields = await read_fields(request, CompletionFields)
    served = models.find(fields.model)
    served.require("pretrain", "instruct")
    served.check(fields, len(fields.prompts))
    asked = await asyncio.to_thread(_asked, served, fields)
    head = {
        "id": f"cmpl-{secrets.token_hex(12)}", "object": "text_completion",
        "created": int(time.time()), "model": served.name,
    }  # fmt: skip
    logprobs = fields.logprobs >= 0
    if fields.stream:
        usage = fields.stream_options.include_usage
        return await stream(request, served, asked, _Stream(head, served, logprobs, usage))
    answers = await whole(served.engine, asked, request)
    if answers is None:
        return Response(status_code=GONE)
    choices = [
        {
            "index": number, "text": answer.text, "finish_reason": answer.ended,
            "logprobs": _logprobs(served, answer.choices) if logprobs else None,
        }
        for number, answer in enumerate(answers)
    ]  # fmt: skip
    written = sum(len(answer.choices) for answer in answers)
    return JSONResponse({**head, "choices": choices, "usage": usage_of(asked, written, fields.n)})


def _asked(served: Served, fields: CompletionFields) -> list[Asked]:
    seed = random_seed()
    asked = []
    for prompt in fields.prompts:
        ids = served.ids_of(prompt, "prompt")
        settings = fields.settings(served.room(ids, "prompt"), seed, served.drawing)
        for stream_number in range(fields.n):
            constraint = served.constraint(fields.response_format.schema_for_answer)
            top = fields.logprobs if fields.logprobs >= 0 else None
            asked.append(
                Asked(
                    ids, settings, served.ends, stream_number, top, constraint,
                    adapter=served.adapter,
                )
            )  # fmt: skip
    return asked


def usage_of(asked: Sequence[Asked], written: int, n: int) -> dict[str, int]:
    """Tokens read and written; a prompt with several answers is counted once."""
    read = sum(len(one.prompt) for one in asked) // n
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def token_text(served: Served, token: int) -> str:
    """A token's own text; its bytes, where they are no whole character."""
    text = served.tokenizer.decode([token])
    return f"bytes:{served.tokenizer.token_text(token)}" if "�" in text else text


def _logprobs(served: Served, choices: Sequence[Choice], offset: int = 0) -> dict[str, Any]:
    tokens = [token_text(served, choice.token) for choice in choices]
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token)
    return {
        "tokens": tokens,
        "token_logprobs": [choice.logprob for choice in choices],
        "top_logprobs": [
            {token_text(served, token): value for token, value in choice.top} for choice in choices
        ],
        "text_offset": offsets,
    }


class Chunks(ABC):
    """The form of one endpoint's chunks."""

    n = 1
    usage = False

    def first(self, number: int) -> dict[str, Any] | None:
        """What opens an answer, if anything."""
        return None

    @abstractmethod
    def piece(self, number: int, piece: Piece) -> dict[str, Any]:
        """What an answer has grown by."""

    @abstractmethod
    def last(self, usage: dict[str, int]) -> dict[str, Any]:
        """Usage, after all answers."""


class _Stream(Chunks):
    def __init__(self, head: dict[str, Any], served: Served, logprobs: bool, usage: bool) -> None:
        self._head, self._served, self._logprobs, self.usage = head, served, logprobs, usage

    def piece(self, number: int, piece: Piece) -> dict[str, Any]:
        known = [] if piece.choice is None else [piece.choice]
        logprobs = _logprobs(self._served, known) if self._logprobs else None
        choice = {
            "index": number, "text": piece.text, "finish_reason": piece.ended,
            "logprobs": logprobs,
        }  # fmt: skip
        return {**self._head, "choices": [choice]}

    def last(self, usage: dict[str, int]) -> dict[str, Any]:
        return {**self._head, "choices": [], "usage": usage}


async def stream(
    request: Request, served: Served, asked: Sequence[Asked], chunks: Chunks
) -> Response:
    """Answers piece by piece, as server-sent events.

    What is wrong before the first piece is an answer with its status; later, an event.
    """
    opened = writing(served.engine, asked)
    pieces = await opened.__aenter__()

    async def events() -> AsyncIterator[bytes]:
        written = 0
        try:
            for number in range(len(asked)):
                if (first := chunks.first(number)) is not None:
                    yield orjson.dumps(first)
            async for number, piece in pieces:
                written += piece.choice is not None
                if piece.text or piece.ended or piece.choice is not None:
                    yield orjson.dumps(chunks.piece(number, piece))
            if chunks.usage:
                yield orjson.dumps(chunks.last(usage_of(asked, written, chunks.n)))
            yield b"[DONE]"
        except ApiError as error:
            yield bytes(as_api_error(error).response().body)
        finally:
            await opened.__aexit__(None, None, None)

    async def data() -> AsyncIterator[dict[str, str]]:
        source = events()
        try:
            async for event in source:
                yield {"data": event.decode()}
        finally:
            await source.aclose()  # type: ignore[attr-defined]

    limit = request.app.state.settings.max_unread_seconds
    return EventSourceResponse(data(), send_timeout=limit, headers={"Cache-Control": "no-store"})
