"""/v1/embeddings and /v1/classifications: numbers for texts."""

import asyncio
import base64
from array import array
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hornbook.serving.completions import GONE
from hornbook.serving.errors import ApiError, over_limit
from hornbook.serving.fields import (
    ClassificationFields,
    EmbeddingFields,
    one_by_one,
    read_fields,
)
from hornbook.serving.models import Models


async def embed(request: Request, models: Models) -> Response:
    """A vector of length 1 for each text: the mean of the model's last hidden states."""
    fields = await read_fields(request, EmbeddingFields)
    served = models.find(fields.model)
    texts = one_by_one(fields.input)
    rows = await asyncio.to_thread(lambda: [served.ids_of(text, "input") for text in texts])
    vocab_size = served.model.config.vocab_size
    for row in rows:
        if len(row) > served.context_length:
            unit = "tokens a text (the model's context)"
            raise over_limit("input", served.context_length, unit, len(row))
        if not row or max(row) >= vocab_size:
            said = f"input: each text must have tokens, of ids from 0 to {vocab_size - 1}."
            raise ApiError(400, said, "input")
    vectors = []
    for row in rows:  # one by one: in between, answers are written, and a client may have left
        if await request.is_disconnected():
            return Response(status_code=GONE)
        work = served.engine.call(partial(served.embedding, row))
        vectors.append(await asyncio.wrap_future(work))
    data = [
        {"object": "embedding", "index": number, "embedding": _written(vector, fields)}
        for number, vector in enumerate(vectors)
    ]
    read = sum(map(len, rows))
    usage = {"prompt_tokens": read, "total_tokens": read}
    return JSONResponse({"object": "list", "data": data, "model": served.name, "usage": usage})


def _written(vector: list[float], fields: EmbeddingFields) -> list[float] | str:
    if fields.encoding_format == "float":
        return vector
    return base64.b64encode(array("f", vector).tobytes()).decode()


async def classify(request: Request, models: Models) -> Response:
    """The class of each text, and the probability of every class."""
    fields = await read_fields(request, ClassificationFields)
    served = models.find(fields.model)
    served.require("classify")
    texts = [fields.input] if isinstance(fields.input, str) else list(fields.input)
    bundle = served.bundle
    work = served.engine.call(lambda: bundle.classify(texts))
    found = await asyncio.wrap_future(work)
    data: list[dict[str, Any]] = [
        {
            "index": number, "label": bundle.labels[int(row.argmax())], "probs": row.tolist(),
            "num_classes": len(row), "labels": bundle.labels,
        }
        for number, row in enumerate(found)
    ]  # fmt: skip
    return JSONResponse({"object": "list", "data": data, "model": served.name})
