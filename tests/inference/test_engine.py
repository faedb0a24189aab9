"""The engine: answers as if alone, requests that come and go, and its end."""

import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

from hornbook.errors import HornbookError
from hornbook.inference.engine import (
    BusyError,
    DeadError,
    Engine,
    EngineSettings,
    Failure,
    Order,
    Piece,
)
from hornbook.inference.generate import generate
from hornbook.inference.settings import GenerationSettings
from hornbook.inference.weights import Weights
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.tokenizer import Tokenizer
from tests.model.references import randomize

CPU = Runtime(torch.device("cpu"), torch.float32, 1, "test")
TEXTS = ["The cat — a fat one — sat.", "Der Bär aß süße Äpfel 🍎🍏.", "cats sat on mats"] * 5


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, TokenizerSettings(vocab_size=300))


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> Transformer:
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, context_length=64, embed_dim=32, n_layers=2, n_heads=2
    )
    model = Transformer(config)
    randomize(model, 1, std=0.4)
    return model.eval()


class Asker:
    """Collects the pieces of one answer."""

    def __init__(self, prompt: list[int], **changes: Any) -> None:
        self.pieces: queue.SimpleQueue[Piece | Failure] = queue.SimpleQueue()
        special = {
            name: changes.pop(name) for name in ("top_logprobs", "stream") if name in changes
        }
        settings = GenerationSettings.model_validate({"max_new_tokens": 20, **changes})
        self.order = Order(prompt, settings, self.pieces.put, **special)

    def all(self) -> list[Piece]:
        found = []
        while True:
            piece = self.pieces.get(timeout=20)
            assert isinstance(piece, Piece), piece
            found.append(piece)
            if piece.ended is not None:
                return found


def start(
    model: Transformer, tokenizer: Tokenizer, weights: Weights | None = None, **changes: Any
) -> Engine:
    settings = EngineSettings.model_validate({"rows": 3, "queue": 20, **changes})
    engine = Engine(model, tokenizer, CPU, settings, weights)
    engine.start()
    return engine


def askers(tokenizer: Tokenizer) -> list[Asker]:
    prompts = [tokenizer.encode(text) for text in TEXTS[:3]]
    return [
        Asker(prompts[0], temperature=0.0),
        Asker(prompts[1], temperature=0.0, max_new_tokens=3),
        Asker(prompts[2], seed=4, top_logprobs=2),
        Asker(prompts[0], temperature=1.5, top_p=0.8, repetition_penalty=1.2, seed=7),
        Asker(prompts[2][:1], presence_penalty=1.0, logit_bias={"40": 2.0}, stream=3),
        Asker(prompts[1], temperature=0.0, frequency_penalty=0.5, stop=("a", "ü")),
        Asker(prompts[0][:2], min_p=0.1, top_k=None, max_new_tokens=50),
    ]


def require_same_in_company(engine: Engine, make: Callable[[], list[Asker]]) -> None:
    """Each answer is the same whether all are asked for together or one after the other."""
    together = make()
    for asker in together:
        engine.submit([asker.order])
    found = [asker.all() for asker in together]
    alone = []
    for asker in make():
        engine.submit([asker.order])
        alone.append(asker.all())
    assert found == alone


@pytest.mark.parametrize("weights", ["float32", "bfloat16"])
def test_answers_are_those_given_alone(
    model: Transformer, tokenizer: Tokenizer, weights: Weights
) -> None:
    engine = start(model, tokenizer, weights)
    try:
        require_same_in_company(engine, lambda: askers(tokenizer))
    finally:
        engine.stop()


def test_a_greedy_answer_is_what_generate_writes(model: Transformer, tokenizer: Tokenizer) -> None:
    engine = start(model, tokenizer)
    asker = Asker(tokenizer.encode(TEXTS[0]), temperature=0.0)
    engine.submit([asker.order])
    pieces = asker.all()
    engine.stop()
    expected = list(generate(model, list(asker.order.prompt), asker.order.settings))
    assert [piece.choice.token for piece in pieces if piece.choice] == expected


@pytest.mark.parametrize("tokens", [1, 2, 3])
def test_the_shortest_answers_are_whole(
    model: Transformer, tokenizer: Tokenizer, tokens: int
) -> None:
    engine = start(model, tokenizer)
    asker = Asker(tokenizer.encode(TEXTS[0]), temperature=0.0, max_new_tokens=tokens)
    engine.submit([asker.order])
    pieces = asker.all()
    engine.stop()
    expected = list(generate(model, list(asker.order.prompt), asker.order.settings))
    assert len(expected) == tokens
    assert [piece.choice.token for piece in pieces if piece.choice] == expected
    assert [piece.ended for piece in pieces] == [None] * (tokens - 1) + ["length"]


def test_ids_without_a_token_are_never_written(tokenizer: Tokenizer) -> None:
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size + 5000, context_length=64, embed_dim=16, n_layers=1,
        n_heads=2,
    )  # fmt: skip
    engine = start(Transformer(config).eval(), tokenizer)
    asker = Asker([1], temperature=2.0, top_k=None, max_new_tokens=50)
    engine.submit([asker.order])
    tokens = [piece.choice.token for piece in asker.all() if piece.choice]
    engine.stop()
    assert len(tokens) == 50
    assert max(tokens) < tokenizer.vocab_size


def test_who_is_cancelled_gets_nothing_more_and_frees_the_row(
    model: Transformer, tokenizer: Tokenizer
) -> None:
    engine = start(model, tokenizer, rows=1)
    long = Asker([1], max_new_tokens=60)
    waiting = Asker([2], max_new_tokens=60)
    last = Asker([3], max_new_tokens=2)
    engine.submit([long.order, waiting.order, last.order])
    long.pieces.get(timeout=10)
    engine.cancel([waiting.order, long.order])
    assert last.all()[-1].ended == "length"
    assert waiting.pieces.empty()
    engine.stop()
    assert engine.writing == engine.waiting == 0
    engine.cancel([long.order])  # once more does no harm


def test_all_orders_or_none(model: Transformer, tokenizer: Tokenizer) -> None:
    engine = Engine(model, tokenizer, CPU, EngineSettings(rows=2, queue=1))  # not started
    engine.submit([Asker([1]).order, Asker([2]).order])
    with pytest.raises(BusyError, match="2 answers are being written or wait"):
        engine.submit([Asker([1]).order, Asker([2]).order])
    engine.submit([Asker([1]).order])
    with pytest.raises(HornbookError, match="the prompt is empty"):
        engine.submit([Asker([1]).order, Asker([]).order])
    assert engine.waiting == 3


def test_who_waits_too_long_is_told(model: Transformer, tokenizer: Tokenizer) -> None:
    engine = start(model, tokenizer, rows=1, seconds=1e-6)
    asker, other = Asker([1], max_new_tokens=60), Asker([2], max_new_tokens=60)
    engine.submit([asker.order, other.order])
    assert len(asker.all()) < 10
    late = other.pieces.get(timeout=10)
    engine.stop()
    assert isinstance(late, Failure)
    assert late.waited


def test_what_breaks_it_is_told_to_all_and_to_who_comes_later(
    model: Transformer, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start(model, tokenizer)
    asker = Asker([1], temperature=0.0, max_new_tokens=60)
    monkeypatch.setattr(engine._batch, "step", lambda **_: 1 / 0)
    engine.submit([asker.order])
    failure = asker.pieces.get(timeout=10)
    assert isinstance(failure, Failure)
    assert "ZeroDivisionError" in failure.message
    with pytest.raises(DeadError):
        engine.submit([Asker([1]).order])
    with pytest.raises(DeadError):
        engine.call(lambda: 1)


def test_other_work_is_done_between_steps(model: Transformer, tokenizer: Tokenizer) -> None:
    engine = start(model, tokenizer)
    assert engine.call(lambda: threading.current_thread().name).result(10) == "engine"
    with pytest.raises(ZeroDivisionError):
        engine.call(lambda: 1 / 0).result(10)
    assert engine.call(lambda: 2).result(10) == 2  # it lives on
    engine.stop()
    assert engine.failure == "the server is stopping."
