"""Requests of different adapters in one batch: each answer is the one that it gets alone."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from hornbook.errors import HornbookError
from hornbook.finetuning.adapter import load_adapter, save_adapter
from hornbook.finetuning.bank import AdapterBank
from hornbook.finetuning.lora import LoRASettings, apply_lora, lora_layers, merge_lora
from hornbook.inference.engine import Engine, EngineSettings
from hornbook.inference.generate import generate
from hornbook.inference.weights import Weights, sharing_copy
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.tokenizer import Tokenizer
from tests.inference.test_engine import CPU, TEXTS, Asker, require_same_in_company
from tests.model.references import randomize

KINDS = {
    "thin": LoRASettings(rank=1),
    "some": LoRASettings(rank=3, targets=("query", "down"), rank_stabilized=True),
    "dora": LoRASettings(rank=2, dora=True),
    "vectors": LoRASettings(rank=2),
}
WHOLE = {"vectors": ("embedding.token",)}
"""Modules that one of them trains whole."""


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, TokenizerSettings(vocab_size=300))


@pytest.fixture(scope="module", params=["tied", "untied"])
def model(tokenizer: Tokenizer, request: pytest.FixtureRequest) -> Transformer:
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, context_length=64, embed_dim=32, n_layers=2, n_heads=2,
        tied_embeddings=request.param == "tied",
    )  # fmt: skip
    model = Transformer(config)
    randomize(model, 1, std=0.4)
    return model.eval()


def make_adapters(model: Transformer, folder: Path) -> dict[str, Path]:
    """Adapters of a model as after a training, in folders."""
    for name, settings in KINDS.items():
        adapted = sharing_copy(model)
        generator = torch.Generator().manual_seed(len(name))
        whole = WHOLE.get(name, ())
        if whole:
            adapted = copy.deepcopy(model)
        apply_lora(adapted, settings, new_modules=whole, seed=1)
        if whole:
            table = adapted.embedding.token.weight
            table.data += 0.3 * torch.randn(table.shape, generator=generator)
        for _, layer in lora_layers(adapted):
            layer.B.data = 0.5 * torch.randn(layer.B.shape, generator=generator)
        save_adapter(folder / name, adapted, settings, "base", base=model)
    return {name: folder / name for name in KINDS}


@pytest.fixture(scope="module")
def folders(model: Transformer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_adapters(model, tmp_path_factory.mktemp("adapters"))


def start(
    model: Transformer, tokenizer: Tokenizer, folders: dict[str, Path], weights: Weights
) -> Engine:
    switched = sharing_copy(model)
    bank = AdapterBank(switched, folders)
    settings = EngineSettings(rows=5, queue=40)
    engine = Engine(switched, tokenizer, CPU, settings, weights, bank)
    engine.start()
    return engine


def askers(tokenizer: Tokenizer) -> list[Asker]:
    found = []
    for number, adapter in enumerate([None, *KINDS, "vectors", None, "dora", "thin", "thin"]):
        prompt = tokenizer.encode(TEXTS[number % 3])[: number + 1]
        how: dict[str, Any] = {"temperature": 0.0} if number % 2 else {"seed": number, "top_k": 9}
        asker = Asker(prompt, top_logprobs=1, max_new_tokens=5 + 3 * number, **how)
        asker.order.adapter = adapter
        found.append(asker)
    return found


@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8"])
def test_answers_are_those_given_alone(
    model: Transformer, tokenizer: Tokenizer, folders: dict[str, Path], weights: Weights
) -> None:
    engine = start(model, tokenizer, folders, weights)
    try:
        require_same_in_company(engine, lambda: askers(tokenizer))
    finally:
        engine.stop()


def test_an_answer_is_the_merged_model_s(
    model: Transformer, tokenizer: Tokenizer, folders: dict[str, Path]
) -> None:
    engine = start(model, tokenizer, folders, "float32")
    prompt = tokenizer.encode(TEXTS[0])
    written = {}
    for name in (None, *folders):
        asker = Asker(prompt, temperature=0.0)
        asker.order.adapter = name
        engine.submit([asker.order])
        written[name] = [piece.choice.token for piece in asker.all() if piece.choice]
    engine.stop()
    for name, path in folders.items():
        merged = copy.deepcopy(model)
        load_adapter(path, merged)
        merge_lora(merged)
        assert written[name] == list(generate(merged, prompt, asker.order.settings))
        assert written[name] != written[None]
    assert written[None] == list(generate(model, prompt, asker.order.settings))


def test_experts_take_no_adapters_beside_others(tokenizer: Tokenizer, tmp_path: Path) -> None:
    config = ModelConfig(
        vocab_size=50, context_length=16, embed_dim=16, n_layers=1, n_heads=2, mlp="swiglu",
        n_experts=3, experts_per_token=2,
    )  # fmt: skip
    model = Transformer(config).eval()
    folders = make_adapters(model, tmp_path)
    with pytest.raises(HornbookError, match="experts do not know whose token they work on"):
        AdapterBank(sharing_copy(model), {"thin": folders["thin"]})
