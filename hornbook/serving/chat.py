"""/v1/chat/completions: answers to conversations."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hornbook.inference.engine import Piece
from hornbook.inference.sampler import Choice
from hornbook.serving.completions import GONE, Chunks, stream, token_text, usage_of
from hornbook.serving.errors import ApiError
from hornbook.serving.fields import ChatFields, read_fields
from hornbook.serving.models import Models
from hornbook.serving.served import Served, random_seed
from hornbook.serving.writing import Asked, whole


async def chat(request: Request, models: Models) -> Response:
    """Answer one request."""
    fields = await read_fields(request, ChatFields)
    served = models.find(fields.model)
    served.require("instruct")
    served.check(fields)
    if fields.top_logprobs and not fields.logprobs:
        raise ApiError(400, "top_logprobs: needs logprobs to be true.", "top_logprobs")
    asked = await asyncio.to_thread(_asked, served, fields)
    kind = "chat.completion.chunk" if fields.stream else "chat.completion"
    head = {
        "id": f"chatcmpl-{secrets.token_hex(12)}", "object": kind, "created": int(time.time()),
        "model": served.name,
    }  # fmt: skip
    if fields.stream:
        return await stream(request, served, asked, _Stream(head, served, fields))
    answers = await whole(served.engine, asked, request)
    if answers is None:
        return Response(status_code=GONE)
    choices = [
        {
            "index": number, "message": {"role": "assistant", "content": answer.text},
            "finish_reason": answer.ended,
            "logprobs": _logprobs(served, answer.choices) if fields.logprobs else None,
        }
        for number, answer in enumerate(answers)
    ]  # fmt: skip
    written = sum(len(answer.choices) for answer in answers)
    return JSONResponse({**head, "choices": choices, "usage": usage_of(asked, written, fields.n)})


def _asked(served: Served, fields: ChatFields) -> list[Asked]:
    ids = served.conversation([message.said for message in fields.messages])
    settings = fields.settings(served.room(ids, "messages"), random_seed(), served.drawing)
    top = fields.top_logprobs if fields.logprobs else None
    schema = fields.response_format.schema_for_answer
    return [
        Asked(
            ids, settings, served.ends, number, top, served.constraint(schema), strip=True,
            adapter=served.adapter,
        )
        for number in range(fields.n)
    ]  # fmt: skip


def _logprobs(served: Served, choices: Sequence[Choice]) -> dict[str, Any]:
    def entry(token: int, logprob: float | None) -> dict[str, Any]:
        text = token_text(served, token)
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

    content = [
        {
            **entry(choice.token, choice.logprob),
            "top_logprobs": [entry(token, value) for token, value in choice.top],
        }
        for choice in choices
    ]
    return {"content": content, "refusal": None}


class _Stream(Chunks):
    def __init__(self, head: dict[str, Any], served: Served, fields: ChatFields) -> None:
        self._head, self._served, self._logprobs = head, served, fields.logprobs
        self.usage, self.n = fields.stream_options.include_usage, fields.n

    def first(self, number: int) -> dict[str, Any] | None:
        return self._chunk(number, {"role": "assistant", "content": ""}, None)

    def piece(self, number: int, piece: Piece) -> dict[str, Any]:
        delta = {"content": piece.text} if piece.text else {}
        return self._chunk(number, delta, piece.ended, piece.choice)

    def _chunk(
        self, number: int, delta: dict[str, str], ended: str | None, choice: Choice | None = None
    ) -> dict[str, Any]:
        logprobs = None
        if self._logprobs and choice is not None:
            logprobs = _logprobs(self._served, [choice])
        one = {"index": number, "delta": delta, "finish_reason": ended, "logprobs": logprobs}
        return {**self._head, "choices": [one]}

    def last(self, usage: dict[str, int]) -> dict[str, Any]:
        return {**self._head, "choices": [], "usage": usage}
