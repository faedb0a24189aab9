"""A server under load: many clients, half of whom leave early or send garbage; and 16 users against one.

    python bench/serve.py load [--clients 200] [--seconds 60]
    python bench/serve.py users [--preset gpt2-small] [--tokens 32]

`load` serves a small random model, and fails unless every answer is the one that its request gets
alone, no row is left in use, the server lives and its memory is flat. `users` prints the tokens per
second of one user and of sixteen at once, and their ratio.
"""

import argparse
import json
import random
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import torch
import uvicorn

from hornbook.artifact import Manifest
from hornbook.inference.engine import EngineSettings
from hornbook.model.presets import ModelSettings, resolve
from hornbook.model.transformer import Transformer
from hornbook.pipeline.models.bundle import Bundle
from hornbook.runtime import RuntimeSettings, choose_runtime
from hornbook.serving.app import create_app
from hornbook.serving.models import Models, serve_bundle
from hornbook.serving.settings import ServerSettings
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.tokenizer import Tokenizer

PORT = 8765
URL = f"http://127.0.0.1:{PORT}"
GARBAGE = (b"", b"{", b"\xff", b"[" * 10_000, b'{"prompt": null}', b'{"prompt": "x", "n": 1e12}')


def start_server(preset: str, queue: int) -> Models:
    """Serve a model of random weights from a thread of this process."""
    tokenizer = Tokenizer.train(
        ["one two three four five, six!"], TokenizerSettings(vocab_size=300)
    )
    vocab = 50_257 if preset.startswith("gpt2") else tokenizer.vocab_size
    torch.manual_seed(1)
    model = Transformer(resolve(ModelSettings(preset=preset), vocab)).eval()
    manifest = Manifest("checkpoint", {}, {}, {}, {"task": "pretrain"})
    runtime = choose_runtime(RuntimeSettings())
    bundle = Bundle(Path("bench"), model, tokenizer, manifest, runtime)
    settings = ServerSettings(port=PORT, engine=EngineSettings(rows=16, queue=queue))
    models = serve_bundle(bundle, settings, "bench", runtime)
    config = uvicorn.Config(create_app(models, settings), port=PORT, log_level="error")
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return models


def question(number: int) -> dict[str, Any]:
    """One of a hundred requests: prompts, lengths and ways of sampling mixed."""
    chosen = random.Random(number)
    return {
        "prompt": " ".join(chosen.choices(["one", "two", "three", "four", "five", "six"], k=chosen.randint(1, 20))),
        "max_tokens": chosen.randint(1, 40), "temperature": chosen.choice([0, 0.7, 1.3]),
        "seed": number,
    }  # fmt: skip


@dataclass
class Tally:
    """What the clients have met."""

    right: int = 0
    wrong: int = 0
    left: int = 0
    garbage: int = 0
    busy: int = 0
    broken: list[str] = field(default_factory=list)


def client(number: int, until: float, expected: list[str], tally: Tally) -> None:
    """Ask until the time is up; odd clients leave early or send garbage."""
    chosen = random.Random(number)
    with httpx.Client(base_url=URL, timeout=60) as http:
        while time.monotonic() < until:
            which = chosen.randrange(len(expected))
            try:
                if number % 4 == 1:
                    found = http.post("/v1/completions", content=chosen.choice(GARBAGE))
                    tally.garbage += 1
                    if found.status_code != 400:
                        tally.broken.append(f"garbage: {found.status_code}")
                    time.sleep(0.2)
                elif number % 4 == 3:
                    asked = {**question(which), "stream": True, "max_tokens": 100}
                    with http.stream("POST", "/v1/completions", json=asked) as stream:
                        for _, _ in zip(stream.iter_lines(), range(3), strict=False):
                            pass
                    tally.left += 1
                else:
                    found = http.post("/v1/completions", json=question(which))
                    if found.status_code == 429:
                        tally.busy += 1
                        time.sleep(chosen.random())
                    elif found.json()["choices"][0]["text"] == expected[which]:
                        tally.right += 1
                    else:
                        tally.wrong += 1
            except Exception as error:
                tally.broken.append(f"{type(error).__name__}: {error}")


def load(clients: int, seconds: float) -> None:
    """Many clients at once, and what is left of the server afterwards."""
    models = start_server("mini", queue=150)
    with httpx.Client(base_url=URL, timeout=60) as http:
        expected = [
            http.post("/v1/completions", json=question(number)).json()["choices"][0]["text"]
            for number in range(100)
        ]
    process, memory = psutil.Process(), []
    tally, until = Tally(), time.monotonic() + seconds
    threads = [
        threading.Thread(target=client, args=(number, until, expected, tally))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    while time.monotonic() < until:
        time.sleep(min(2.0, seconds / 8))
        memory.append(process.memory_info().rss >> 20)
    for thread in threads:
        thread.join()
    time.sleep(1)
    engine = models.engine
    half = len(memory) // 2
    print(json.dumps({
        "clients": clients, "seconds": seconds, **vars(tally), "broken": tally.broken[:5],
        "memory_mib": [memory[0], memory[half], memory[-1]], "steps": engine.steps,
        "rows_in_use": engine.writing, "waiting": engine.waiting, "engine": engine.failure or "alive",
    }))  # fmt: skip
    assert not tally.wrong
    assert not tally.broken
    assert engine.writing == engine.waiting == 0
    assert engine.failure is None
    assert tally.right
    assert memory[-1] < memory[half] * 1.1


def users(preset: str, tokens: int) -> None:
    """Tokens per second of one user, and of sixteen at once."""
    start_server(preset, queue=64)
    http = httpx.Client(base_url=URL, timeout=300)  # to make one takes longer than a token

    def ask(number: int) -> int:
        asked = {"prompt": "one two three", "max_tokens": tokens, "temperature": 0, "seed": number}
        found = http.post("/v1/completions", json=asked).json()
        return int(found["usage"]["completion_tokens"])

    def rate(count: int) -> float:
        started = time.perf_counter()
        with ThreadPoolExecutor(count) as pool:
            written = sum(pool.map(ask, range(count)))
        return written / (time.perf_counter() - started)

    rate(1)
    one, many = [], []
    for _ in range(3):
        one.append(rate(1))
        many.append(rate(16))
    alone, together = statistics.median(one), statistics.median(many)
    print(json.dumps({
        "preset": preset, "one user": round(alone, 1), "sixteen users": round(together, 1),
        "times": round(together / alone, 2),
    }))  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["load", "users"])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--preset", default="gpt2-small")
    parser.add_argument("--tokens", type=int, default=32)
    given = parser.parse_args()
    if given.what == "load":
        load(given.clients, given.seconds)
    else:
        users(given.preset, given.tokens)
