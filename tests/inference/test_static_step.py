"""Steps recorded and done again give what ordinary steps give; and how a CUDA graph is recorded."""

import contextlib
import inspect
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hornbook.inference import cuda_graph, decoder, static_step
from hornbook.inference.cuda_graph import CudaRecorder, recorder_for
from hornbook.inference.decoder import Decoder
from hornbook.inference.generate import GenerationSettings, generate, generate_batch
from hornbook.inference.static_step import can_be_recorded
from hornbook.model.config import ModelConfig
from hornbook.model.norm import LayerNorm
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.tokenizer import Tokenizer
from tests.inference.tape import Tape
from tests.inference.test_engine import TEXTS, require_same_in_company
from tests.inference.test_engine_adapters import askers, make_adapters, start
from tests.model.references import randomize
from tests.model.test_rows_cache import MODELS

CPU = torch.device("cpu")
PROMPTS = [[5], [1, 2, 3], [9, 8, 7, 6, 5, 4], list(range(17)), [30], [3] * 23, [1, 2, 3]]


def make(name: str) -> Transformer:
    fields = {**MODELS[name], "tied_embeddings": False}
    model = Transformer(ModelConfig.model_validate(fields))
    # Strong weights, and no token favoured everywhere: else greedy texts repeat one token.
    randomize(model, 1, std=0.9)
    if isinstance(model.norm, LayerNorm):
        torch.nn.init.zeros_(model.norm.bias)
    return model.eval()


@pytest.fixture
def tape(monkeypatch: pytest.MonkeyPatch) -> Tape:
    """Have decoders record on it."""
    found = Tape()
    monkeypatch.setattr(decoder, "recorder_for", lambda device: found)
    monkeypatch.setattr(static_step, "FEWEST_PLACES", 6)
    return found


@contextlib.contextmanager
def unrecorded() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "recorder_for", recorder_for)
        yield


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_logits_are_those_of_ordinary_steps(tape: Tape, name: str) -> None:
    model = make(name)
    with unrecorded():
        plain = Decoder(model, 3)
    static = Decoder(model, 3)
    generator = torch.Generator().manual_seed(1)
    plan = [9, 1, None, None, None, "leave 0", None, 16, 2, None, None, None, None, "leave 1", None]
    for event in plan:
        if event is None:
            tokens = torch.randint(41, (len(plain.cache.lengths),), generator=generator).tolist()
            torch.testing.assert_close(static.step(tokens), plain.step(tokens))
            assert static.cache.lengths == plain.cache.lengths
            continue
        for one in (plain, static):
            if isinstance(event, int):
                cache = one.new_cache()
                one.read([(7 * place) % 41 for place in range(event)], cache)
                one.cache.join(cache)
            else:
                one.cache.leave(int(event.split()[1]))
    expected = (2, 4) if can_be_recorded(model) else (0, 0)  # 12 places, then 24
    assert (tape.recorded, tape.replayed) == expected


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("batch_size", [1, 4])
def test_greedy_texts_of_all_kinds_far_beyond_the_context(
    tape: Tape, name: str, batch_size: int
) -> None:
    model = make(name)
    greedy = GenerationSettings(temperature=0, max_new_tokens=30)
    with unrecorded():
        expected = generate_batch(model, PROMPTS, greedy, {19}, batch_size=batch_size)
    assert len({token for text in expected for token in text}) > 5
    assert generate_batch(model, PROMPTS, greedy, {19}, batch_size=batch_size) == expected
    if can_be_recorded(model):
        assert tape.replayed > 10 * tape.recorded > 0


def test_sampled_texts_hang_on_their_seed_only(tape: Tape) -> None:
    model = make("windows")
    settings = GenerationSettings(
        max_new_tokens=20, top_p=0.9, repetition_penalty=1.2, presence_penalty=0.3, seed=5,
        logit_bias={"3": -1.0},
    )  # fmt: skip
    with unrecorded():
        expected = generate_batch(model, PROMPTS, settings)
    assert generate_batch(model, PROMPTS, settings) == expected
    assert generate_batch(model, PROMPTS, settings, batch_size=2) == expected
    assert list(generate(model, PROMPTS[0], settings)) == expected[0]


def test_bfloat16_weights(tape: Tape) -> None:
    runtime = Runtime(CPU, torch.bfloat16, 1, "test")
    greedy = GenerationSettings(temperature=0, max_new_tokens=20)
    model = make("rotary")
    with unrecorded():
        expected = generate_batch(model, PROMPTS, greedy, runtime=runtime)
    assert generate_batch(model, PROMPTS, greedy, runtime=runtime) == expected
    assert tape.replayed > 0


def test_a_server_with_adapters_answers_alike_in_any_company(tape: Tape, tmp_path: Path) -> None:
    tokenizer = Tokenizer.train(TEXTS, TokenizerSettings(vocab_size=300))
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, context_length=64, embed_dim=32, n_layers=2, n_heads=2
    )
    model = Transformer(config)
    randomize(model, 1, std=0.4)
    engine = start(model.eval(), tokenizer, make_adapters(model, tmp_path), "bfloat16")
    try:
        require_same_in_company(engine, lambda: askers(tokenizer))  # to the last bit
    finally:
        engine.stop()
    assert tape.recorded == 1
    assert tape.replayed > 0


def test_a_text_of_few_tokens_is_not_recorded(tape: Tape) -> None:
    greedy = GenerationSettings(temperature=0, max_new_tokens=3)
    list(generate(make("gpt2"), [1], greedy))
    assert (tape.warmed_up, tape.recorded, tape.replayed) == (2, 0, 0)


def test_what_cannot_be_recorded_is_done_in_the_usual_way(
    tape: Tape, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(decoder, "can_be_recorded", lambda model: True)
    model, greedy = make("experts"), GenerationSettings(temperature=0, max_new_tokens=20)
    with unrecorded():
        expected = generate_batch(model, PROMPTS, greedy)
    with caplog.at_level(logging.WARNING):
        assert generate_batch(model, PROMPTS, greedy) == expected
    assert (tape.recorded, tape.replayed) == (1, 0)
    assert "writing without a CUDA graph: operation not permitted" in caplog.text


def test_nothing_is_recorded_on_a_cpu() -> None:
    assert recorder_for(CPU) is None
    assert recorder_for(torch.device("mps")) is None


class FakeCuda:
    """Notes the calls that recording makes, in their order."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def Stream(self, device: object = None) -> Any:
        return _FakeStream("side", self.calls)

    def current_stream(self, device: object = None) -> Any:
        return _FakeStream("current", self.calls)

    def graph_pool_handle(self) -> str:
        return "pool"

    @contextlib.contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        self.calls.append(f"begin on {stream.name}")
        yield
        self.calls.append(f"end on {stream.name}")

    @contextlib.contextmanager
    def device(self, device: object) -> Iterator[None]:
        yield

    def CUDAGraph(self) -> Any:
        calls = self.calls

        class Graph:
            def replay(self) -> None:
                calls.append("replay")

        return Graph()

    @contextlib.contextmanager
    def graph(
        self, graph: Any, pool: Any, stream: Any, capture_error_mode: str = "global"
    ) -> Iterator[None]:
        self.calls.append(("begin recording", pool, stream.name, capture_error_mode))
        yield
        self.calls.append("end recording")


class _FakeStream:
    def __init__(self, name: str, calls: list[Any]) -> None:
        self.name, self._calls = name, calls

    def wait_stream(self, other: "_FakeStream") -> None:
        self._calls.append(f"{self.name} waits for {other.name}")


def test_how_a_cuda_graph_is_warmed_up_recorded_and_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda = FakeCuda()
    monkeypatch.setattr(cuda_graph.torch, "cuda", cuda)
    recorder = recorder_for(torch.device("cuda"))
    assert isinstance(recorder, CudaRecorder)
    recorder.warm_up(lambda: cuda.calls.append("work"))
    replay = recorder.record(lambda: cuda.calls.append("work"))
    replay()
    assert cuda.calls == [
        "side waits for current", "begin on side", "work", "end on side",
        "current waits for side",
        ("begin recording", "pool", "side", "thread_local"), "work", "end recording",
        "replay",
    ]  # fmt: skip


def test_the_fake_has_what_torch_has() -> None:
    assert list(inspect.signature(torch.cuda.graph.__init__).parameters)[:5] == [
        "self", "cuda_graph", "pool", "stream", "capture_error_mode",
    ]  # fmt: skip
    for name in ("Stream", "current_stream", "graph_pool_handle", "stream", "CUDAGraph", "device"):
        assert hasattr(torch.cuda, name)
