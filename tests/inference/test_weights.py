"""Narrow weights: what they hold, and that a text's bits do not hang on its company."""

from typing import Any

import pytest
import torch
from torch import nn

from hornbook.finetuning.lora import LoRASettings, apply_lora, lora_layers
from hornbook.inference.batch import Batch, Text
from hornbook.inference.decoder import Decoder
from hornbook.inference.int8 import Int8Linear
from hornbook.inference.settings import GenerationSettings
from hornbook.inference.weights import (
    LaidLinear,
    PackedLinear,
    Weights,
    laid_out,
    prepared,
    steady_rows,
)
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from tests.model.references import randomize


def make(**fields: Any) -> Transformer:
    config = {"vocab_size": 200, "context_length": 48, "embed_dim": 64, "n_layers": 2, "n_heads": 4}
    model = Transformer(ModelConfig.model_validate({**config, **fields}))
    randomize(model, 1, std=0.3)
    return model.eval()


@pytest.mark.parametrize(("weights", "bound"), [("bfloat16", 0.01), ("int8", 0.02)])
@torch.no_grad()
def test_narrow_layers_compute_nearly_the_same(weights: Weights, bound: float) -> None:
    layer = nn.Linear(256, 128)
    x = torch.randn(40, 256, generator=torch.Generator().manual_seed(1))
    narrow = Int8Linear(layer) if weights == "int8" else PackedLinear(layer, torch.bfloat16)
    for rows in (1, 3, 40):
        expected = layer(x[:rows])
        found = narrow(x[:rows])
        assert found.dtype == torch.float32
        assert float((found - expected).norm() / expected.norm()) < bound


def test_the_model_itself_stays_as_it_is() -> None:
    model = make()
    narrow = prepared(model, "bfloat16")
    assert prepared(narrow, "bfloat16") is narrow
    assert prepared(model, "float32") is model
    assert type(model.head) is nn.Linear
    assert model.head.weight is model.embedding.token.weight
    assert narrow.embedding.token.weight is model.embedding.token.weight
    assert isinstance(narrow.head, PackedLinear)
    wide = {type(layer) for layer in narrow.modules()} & {nn.Linear}
    assert not wide


SHAPES: dict[str, dict[str, Any]] = {
    "gpt2": {},
    "groups": {"positions": "rotary", "n_kv_heads": 2, "mlp": "swiglu", "qk_norm": "whole"},
    "experts": {"positions": "rotary", "mlp": "swiglu", "n_experts": 3, "bias": False},
    "caps": {"positions": "rotary", "logit_softcap": 3.0, "attention_softcap": 5.0, "window": 7},
}


@pytest.mark.parametrize("fields", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize(
    ("weights", "bound"), [("float32", 1e-5), ("bfloat16", 0.04), ("int8", 0.05)]
)
@torch.no_grad()
def test_a_prepared_model_computes_what_the_model_does(
    weights: Weights, bound: float, fields: dict[str, Any]
) -> None:
    model = make(**fields)
    narrow = prepared(model, weights, for_long=True)
    assert not hasattr(narrow.blocks[0].attention, "query")  # joined with key and value
    assert hasattr(model.blocks[0].attention, "query")
    ids = torch.randint(200, (2, 40), generator=torch.Generator().manual_seed(4))
    expected = model(ids)
    found = narrow(ids)
    assert found.dtype == torch.float32
    assert float((found - expected).norm() / expected.norm()) < bound
    if "logit_softcap" in fields:
        assert float(found.abs().max()) < 3.0 < float(model.norm(model.embedding(ids)).abs().max())


@pytest.mark.parametrize("fields", SHAPES.values(), ids=list(SHAPES))
@torch.no_grad()
def test_a_model_laid_out_for_single_texts_computes_what_the_model_does(
    fields: dict[str, Any],
) -> None:
    model = make(**fields)
    laid = laid_out(model)
    assert laid_out(laid) is laid
    layers = [layer for layer in laid.modules() if isinstance(layer, LaidLinear)]
    assert len(layers) >= 9
    for layer in layers:
        sides = sorted(zip(layer.weight.shape, layer.weight.stride(), strict=True))
        assert layer.out_features == layer.in_features or sides[1][1] == 1
    ids = torch.randint(200, (2, 40), generator=torch.Generator().manual_seed(4))
    for rows in (ids, ids[:1, :1], ids[:1]):
        torch.testing.assert_close(laid(rows), model(rows), rtol=1e-4, atol=1e-4)
    packed = prepared(laid, "float32", for_long=True)  # as a server has it
    torch.testing.assert_close(packed(ids), model(ids), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize(
    ("weights", "bound"), [("float32", 1e-5), ("bfloat16", 0.04), ("int8", 0.05)]
)
@torch.no_grad()
def test_an_adapter_that_is_not_merged_is_folded_in(
    weights: Weights, bound: float, dora: bool
) -> None:
    model = make()
    apply_lora(model, LoRASettings(rank=4, dora=dora))
    for _, layer in lora_layers(model):
        layer.B.normal_(std=0.1, generator=torch.Generator().manual_seed(2))
    ids = torch.randint(200, (2, 40), generator=torch.Generator().manual_seed(4))
    expected = model(ids)
    found = prepared(model, weights, for_long=True)(ids)
    assert float((found - expected).norm() / expected.norm()) < bound
    assert next(lora_layers(model), None) is not None
    assert torch.equal(model(ids), expected)


def test_layers_that_are_no_longer_plain_are_not_joined() -> None:
    model = make()
    attention = model.blocks[0].attention
    attention.key = nn.Sequential(attention.key)
    narrow = prepared(model, "bfloat16")
    assert narrow.blocks[0].attention.joined is None
    assert isinstance(narrow.blocks[0].attention.key[0], PackedLinear)
    assert isinstance(narrow.blocks[1].attention.joined, PackedLinear)


@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_steady_decoder_writes_the_same_in_any_company(
    weights: Weights, temperature: float
) -> None:
    model = make(positions="rotary", n_kv_heads=2, mlp="swiglu")
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(1, 20, (14,), generator=generator).tolist()
    prompts = [torch.randint(200, (n,), generator=generator).tolist() for n in lengths]
    settings = GenerationSettings(max_new_tokens=25, temperature=temperature)

    def text(number: int) -> Text:
        return Text(prompts[number], settings, {5}, stream=number, top_logprobs=2)

    def write(numbers: list[int], every: int) -> dict[int, list[Any]]:
        """Texts that join one by one, a new one `every` so many steps."""
        batch = Batch(Decoder(model, 6, weights=weights, steady=True))
        texts = {text(number): number for number in numbers}
        found: dict[int, list[Any]] = {number: [] for number in numbers}
        coming, step = list(texts), 0
        while coming or batch.busy:
            if coming and step % every == 0:
                batch.add(coming.pop(0))
            step += 1
            for one, choice, _ in batch.step(read_at_most=8):
                found[texts[one]].append(choice)
        return found

    together = write(list(range(14)), every=1)
    later = write(list(reversed(range(14))), every=3)
    for number in range(14):
        alone = write([number], every=1)[number]
        assert together[number] == alone == later[number]  # log-probabilities too, to the last bit


def test_steady_rows_finds_where_the_bits_settle() -> None:
    class Jumpy(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) + (1 if len(x) < 5 else 0)

    model = make()
    model.head = Jumpy(64, 200)
    assert steady_rows(model, 4) == 4
    assert steady_rows(model, 8) >= 5


@pytest.mark.parametrize("weights", ["float32", "bfloat16"])
def test_steady_rows_sees_the_order_of_sums(weights: Weights) -> None:
    """Layers that sum up few rows backwards: their outputs round to the same nearly always."""

    class Backwards(PackedLinear):
        def __init__(self, layer: nn.Linear, dtype: torch.dtype) -> None:
            super().__init__(layer, dtype)
            self.plain = layer.weight.detach().to(dtype)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) >= 5:
                return super().forward(x)
            order = torch.arange(x.shape[1] - 1, -1, -1)
            wide = x.to(self.dtype).float()[:, order] @ self.plain.float()[:, order].T
            return wide.to(self.dtype).float()

    model = make()
    dtype = torch.bfloat16 if weights == "bfloat16" else torch.float32
    model.head = Backwards(torch.nn.Linear(64, 200, bias=False), dtype)  # type: ignore[assignment]
    assert steady_rows(model, 8) >= 5
