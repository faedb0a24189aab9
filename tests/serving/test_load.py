"""Many clients at once, half of whom leave early or send garbage; the long form is bench/serve.py."""

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx

from hornbook.inference.engine import EngineSettings

CLIENTS, SECONDS = 16, 2.0
GARBAGE = (b"", b"{", b"\xff", b"[" * 5_000, b'{"prompt": null}', b'{"prompt": "x", "n": 1e12}')


def question(number: int) -> dict[str, Any]:
    chosen = random.Random(number)
    return {
        "prompt": " ".join(chosen.choices(["cat", "sat", "on", "Äpfel"], k=chosen.randint(1, 9))),
        "max_tokens": chosen.randint(1, 30), "temperature": chosen.choice([0, 0.7, 1.5]),
        "seed": number, "repetition_penalty": chosen.choice([1, 1.2]), "logprobs": 1,
    }  # fmt: skip


def test_who_stays_gets_the_answer_given_alone(start: Callable[..., Any]) -> None:
    with start("pretrain", engine=EngineSettings(rows=5, queue=100)) as server:
        expected = [
            server.post("/v1/completions", **question(number)).json()["choices"]
            for number in range(12)
        ]
        until = time.monotonic() + SECONDS
        right: list[int] = []
        wrong: list[Any] = []

        def client(number: int) -> None:
            chosen = random.Random(number)
            with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http:
                while time.monotonic() < until or not right:
                    which = chosen.randrange(12)
                    if number % 4 == 1:
                        answer = http.post("/v1/completions", content=chosen.choice(GARBAGE))
                        if answer.status_code != 400:
                            wrong.append(answer.text)
                    elif number % 4 == 3:
                        asked = {**question(which), "stream": True, "max_tokens": 60}
                        with http.stream("POST", "/v1/completions", json=asked) as stream:
                            next(stream.iter_lines())
                    else:
                        answer = http.post("/v1/completions", json=question(which))
                        if answer.json()["choices"] == expected[which]:
                            right.append(which)
                        else:
                            wrong.append((answer.json(), expected[which]))

        threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert right
        assert server.free()
        assert server.http.get("/health").status_code == 200
