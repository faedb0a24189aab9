"""A server of the pages alone, on a tiny trained run; the model answers through a stand-in for the API."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from hornbook.errors import HornbookError
from hornbook.inference.generate import GenerationSettings
from hornbook.pipeline.models.bundle import Bundle, default_runtime, load_bundle
from hornbook.pipeline.recipe import load_recipe
from hornbook.run import run
from hornbook.serving.pages import add_pages
from hornbook.tokenizing.templates import Message

STAGES = ("instruct-full", "pretrain", "classify-lora")
SETTINGS = (
    *("world.stories=400", "world.labelled=200", "world.instructions=240"),
    *("tokenizer.vocab_size=500", "model.preset=nano", "model.embed_dim=48", "model.n_layers=3"),
    *("model.n_heads=4", "model.context_length=128", "training.steps=30", "training.batch_size=8"),
    *("training.eval_every=10", "training.sample_every=10", "training.eval_sequences=8"),
    *('classification.train=["lora"]', 'instruction.train=["full", "lora"]'),
    *("classification.lora_training.steps=12", "instruction.training.steps=8"),
    *("instruction.lora_training.steps=4", "instruction.questions=4"),
    *("generation.max_new_tokens=24", "runtime.precision=float32"),
)


def train(runs: Path) -> None:
    """A run with every kind of model, in seconds."""
    run(load_recipe(None, [*SETTINGS, f"run.directory={runs / 'tiny'}"]))


def make_app(runs: Path) -> FastAPI:
    bundles = {name: load_bundle(runs / "tiny" / name, default_runtime()) for name in STAGES}

    def find(name: str | None) -> Bundle:
        bundle = bundles.get(name or STAGES[0])
        if bundle is None:
            raise HornbookError(f"there is no model {name!r}.")
        return bundle

    app = FastAPI()
    add_pages(app, find, runs)

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {
            "data": [
                {
                    "id": name, "task": bundle.task,
                    "context_length": bundle.model.config.context_length,
                }
                for name, bundle in bundles.items()
            ]
        }  # fmt: skip

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> StreamingResponse:
        body = await request.json()
        messages = [Message(m["role"], m["content"]) for m in body["messages"]]
        pieces = find(body["model"]).answer(messages, settings_of(body))
        return StreamingResponse(events(pieces, lambda text: {"delta": {"content": text}}))

    @app.post("/v1/completions")
    async def complete(request: Request) -> StreamingResponse:
        body = await request.json()
        pieces = find(body["model"]).complete(body["prompt"], settings_of(body))
        return StreamingResponse(events(pieces, lambda text: {"text": text}))

    return app


def settings_of(body: dict[str, Any]) -> GenerationSettings:
    return GenerationSettings(
        temperature=body["temperature"], max_new_tokens=body["max_tokens"], seed=body.get("seed", 1)
    )


def events(pieces: Iterator[str], choice: Any) -> Iterator[str]:
    for count, piece in enumerate(pieces, start=1):
        time.sleep(0.004)
        usage = {"completion_tokens": count}
        yield f"data: {json.dumps({'choices': [choice(piece)], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The app's address while it is served from a thread."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)
