"""A small model of each task behind a real server on a free port."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

pytest.importorskip("fastapi")
pytest.importorskip("sse_starlette")
pytest.importorskip("prometheus_client")
uvicorn = pytest.importorskip("uvicorn")

from hornbook.artifact import Manifest  # noqa: E402
from hornbook.inference.engine import EngineSettings  # noqa: E402
from hornbook.model.config import ModelConfig  # noqa: E402
from hornbook.model.transformer import Transformer  # noqa: E402
from hornbook.pipeline.models.bundle import Bundle  # noqa: E402
from hornbook.runtime import Runtime  # noqa: E402
from hornbook.serving.app import create_app  # noqa: E402
from hornbook.serving.models import serve_bundle  # noqa: E402
from hornbook.serving.served import Served  # noqa: E402
from hornbook.serving.settings import ServerSettings  # noqa: E402
from hornbook.tokenizing.settings import TokenizerSettings  # noqa: E402
from hornbook.tokenizing.tokenizer import Tokenizer  # noqa: E402
from tests.model.references import randomize  # noqa: E402

TEXTS = ['The cat {"a": 1} sat [END].', "Der Bär aß süße Äpfel 🍎🍏.", "cats sat on mats"] * 5
CPU = Runtime(torch.device("cpu"), torch.float32, 1, "test")
FACTS: dict[str, dict[str, Any]] = {
    "pretrain": {},
    "instruct": {"template": "hornbook"},
    "classify": {"labels": ["bad", "good"], "max_length": 64},
}


def make_bundle(task: str, context_length: int = 96, n_layers: int = 1) -> Bundle:
    tokenizer = Tokenizer.train(TEXTS, TokenizerSettings(vocab_size=320))
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, context_length=context_length, embed_dim=32,
        n_layers=n_layers, n_heads=2, positions="rotary", tied_embeddings=False,
    )  # fmt: skip
    model = Transformer(config)
    randomize(model, 1, std=0.4)
    if task == "classify":
        model.head = torch.nn.Linear(32, 2)
    facts = {"task": task, **FACTS[task]}
    manifest = Manifest("checkpoint", {}, {}, {}, facts)
    return Bundle(Path(task), model.eval(), tokenizer, manifest, CPU)


@dataclass
class Running:
    """A server that runs in this process."""

    url: str
    port: int
    served: Served
    http: httpx.Client

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body)

    def free(self, within: float = 10) -> bool:
        """Whether no answer has a row, or becomes so within some seconds."""
        until = time.monotonic() + within
        engine = self.served.engine
        while (engine.writing or engine.waiting) and time.monotonic() < until:
            time.sleep(0.005)
        return not (engine.writing or engine.waiting)

    def raw(self, data: bytes, timeout: float = 10) -> bytes:
        """Send bytes as they are; what comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            found = b""
            while part := connection.recv(65536):
                found += part
        return found


@contextmanager
def running(
    task: str = "instruct",
    api_key: str | None = None,
    bundle: Bundle | None = None,
    adapters: dict[str, Path] | None = None,
    **changes: Any,
) -> Iterator[Running]:
    changes = {"weights": "float32", "engine": EngineSettings(rows=4, queue=8), **changes}
    settings = ServerSettings(port=0, **changes)
    models = serve_bundle(bundle or make_bundle(task), settings, task, CPU, adapters)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(256)
    port = listening.getsockname()[1]
    app = create_app(models, settings, api_key)
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{port}"
    headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
    try:
        with httpx.Client(base_url=url, timeout=30, headers=headers, trust_env=False) as client:
            yield Running(url, port, models.first, client)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture(scope="session")
def start() -> Callable[..., Any]:
    return running


@pytest.fixture(scope="session")
def instruct() -> Iterator[Running]:
    with running("instruct") as server:
        yield server


@pytest.fixture(scope="session")
def pretrain() -> Iterator[Running]:
    with running("pretrain") as server:
        yield server


@pytest.fixture(scope="session")
def classify() -> Iterator[Running]:
    with running("classify") as server:
        yield server
