"""Weights in int8 against the same weights in floating point."""

import copy

import pytest
import torch
from torch import nn

from hornbook.inference.generate import GenerationSettings, generate
from hornbook.inference.int8 import FEW_ROWS, Int8Linear, quantize_int8
from hornbook.model.config import ModelConfig
from hornbook.model.presets import PRESETS
from hornbook.model.transformer import Transformer


def tiny(preset: str, **changes: object) -> Transformer:
    sizes = {"vocab_size": 96, "context_length": 64, "embed_dim": 64, "n_layers": 2, "n_heads": 4}
    config = ModelConfig.model_validate({**PRESETS[preset], **sizes, **changes})
    model = Transformer(config, torch.Generator().manual_seed(1)).eval()
    for weight in model.parameters():
        weight.data.add_(
            torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)) * 0.1
        )
    return model


@pytest.mark.parametrize("rows", [1, FEW_ROWS, FEW_ROWS + 1, 40])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_gives_what_its_rounded_weights_give(rows, bias, dtype):
    torch.manual_seed(0)
    linear = nn.Linear(48, 80, bias=bias)
    linear.weight.data[3] = 0  # a row without a largest weight
    layer = Int8Linear(linear)
    rounded = layer.weight.double() * layer.scale.double()[:, None]
    assert (rounded - linear.weight).abs().le(layer.scale[:, None] * 0.5001).all()
    assert layer.weight.abs().amax(dim=1).tolist() == [127] * 3 + [0] + [127] * 76
    x = torch.randn(rows, 48)
    exact = x.double() @ rounded.T + (linear.bias.double() if bias else 0)
    found = layer(x.to(dtype)[None])[0]
    assert found.dtype == dtype
    assert (found.double() - exact).abs().max() < 0.02 * exact.abs().max()


@pytest.mark.parametrize(
    ("preset", "changes"),
    [("gpt2-small", {}), ("nano", {}), ("modern-124m", {"n_kv_heads": 2, "n_experts": 3})],
)
def test_a_model_in_int8_stays_close_and_generates(preset, changes):
    model = tiny(preset, **changes)
    narrow = quantize_int8(copy.deepcopy(model))
    assert not any(isinstance(m, nn.Linear) for n, m in narrow.named_modules() if "router" not in n)
    assert torch.equal(narrow.embedding.token.weight, model.embedding.token.weight)
    ids = torch.randint(0, 96, (2, 30), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        exact, rounded = model(ids), narrow(ids)
    assert (rounded - exact).std() < 0.05 * exact.std()
    settings = GenerationSettings(max_new_tokens=8, temperature=0.0)
    assert len(list(generate(narrow, [1, 2, 3], settings))) == 8


def test_the_linear_layers_take_a_quarter_of_the_memory():
    model = tiny("gpt2-small", tied_embeddings=False)
    linears = sum(m.weight.nbytes for m in model.modules() if isinstance(m, nn.Linear))
    layers = [m for m in quantize_int8(model).modules() if isinstance(m, Int8Linear)]
    assert sum(layer.weight.nbytes for layer in layers) == linears / 4
