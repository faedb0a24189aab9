"""A frozen base in few bits: its numbers beside torchao's, its gradients by hand, its adapter on the base."""

import itertools
from pathlib import Path

import pytest
import torch
from scipy.stats import norm
from torch import nn

from hornbook.errors import HornbookError
from hornbook.finetuning.adapter import load_adapter, save_adapter
from hornbook.finetuning.frozen import narrow_frozen
from hornbook.finetuning.keeping import pack_frozen, quantize_frozen
from hornbook.finetuning.lora import (
    LoRALinear,
    LoRASettings,
    apply_lora,
    lora_layers,
)
from hornbook.finetuning.quantized import NF4, BaseForm, Int8Base, NF4Base, QuantizedLinear
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer

FORMS: tuple[BaseForm, ...] = ("int8", "nf4")
IDS = torch.randint(30, (2, 7), generator=torch.Generator().manual_seed(1))


def base() -> Transformer:
    config = ModelConfig(vocab_size=30, context_length=16, embed_dim=16, n_layers=2, n_heads=2)
    return Transformer(config, torch.Generator().manual_seed(0)).eval()


def adapted(settings: LoRASettings, form: BaseForm) -> Transformer:
    model = base()
    apply_lora(model, settings)
    generator = torch.Generator().manual_seed(3)
    for _, layer in lora_layers(model):
        layer.B.data = 0.3 * torch.randn(layer.B.shape, generator=generator)
    quantize_frozen(model, form)
    return model


def linear(outputs: int, inputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    generator = torch.Generator().manual_seed(2)
    layer.weight.data = torch.randn(outputs, inputs, generator=generator) * 0.02
    return layer.requires_grad_(False)


def test_the_sixteen_values_are_quantiles_of_the_normal_distribution() -> None:
    # QLoRA, § 3 and appendix E: the outermost lie half way between 1/32 and 1/30 of all.
    outermost = 1 - (1 / 32 + 1 / 30) / 2
    above = norm.ppf(torch.linspace(outermost, 0.5, 9, dtype=torch.float64)[:-1])
    below = -norm.ppf(torch.linspace(outermost, 0.5, 8, dtype=torch.float64)[:-1])
    values = torch.tensor(sorted([*above, *below, 0.0])) / above[0]
    torch.testing.assert_close(torch.tensor(NF4, dtype=torch.float64), values, atol=1e-6, rtol=0)


@pytest.mark.filterwarnings("ignore")
def test_four_bits_are_those_of_torchao() -> None:
    nf4 = pytest.importorskip("torchao.quantization.quantize_.workflows.nf4.nf4_tensor")
    layer = linear(256, 256)
    theirs = nf4.to_nf4(layer.weight.detach())
    ours = NF4Base(layer)
    same = (ours.codes == theirs.quantized_data).float().mean()
    assert same > 0.999  # its table of values has four digits
    exact, mine = theirs.get_original_weight(), ours.dense(torch.float32)
    size = layer.weight.abs().max()
    assert (mine - exact).abs().mean() < 1e-3 * size
    errors = [(one - layer.weight).square().mean().sqrt() for one in (mine, exact)]
    assert errors[0] <= errors[1] * 1.01


@pytest.mark.parametrize(("outputs", "inputs"), [(48, 40), (7, 5), (1, 1)])
def test_any_shape_comes_back_within_its_rounding(outputs: int, inputs: int) -> None:
    layer = linear(outputs, inputs)
    weight = layer.weight
    eight = Int8Base(layer).dense(torch.float32)
    steps = weight.abs().amax(dim=1, keepdim=True) / 127
    assert ((eight - weight).abs() <= steps / 2 + 1e-9).all()
    four = NF4Base(layer).dense(torch.float32)
    assert four.shape == weight.shape
    widest = max(b - a for a, b in itertools.pairwise(NF4)) / 2
    assert (four - weight).abs().max() <= (widest + 0.02) * weight.abs().max()


def test_a_matrix_of_zeros_stays_one() -> None:
    layer = nn.Linear(64, 3)
    layer.weight.data.zero_()
    for kind in (Int8Base, NF4Base):
        assert not kind(layer).dense(torch.float32).any()


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_gradients_are_those_of_the_rounded_matrix(form: BaseForm, dora: bool) -> None:
    settings = LoRASettings(rank=3, dora=dora, targets=("query", "up", "out"))
    model = adapted(settings, form)
    assert sum(isinstance(m, QuantizedLinear) for m in model.modules()) == 12
    rounded = base()
    for name, layer in list(model.named_modules()):
        if isinstance(layer, QuantizedLinear):
            plain = rounded.get_submodule(name.removesuffix(".base"))
            plain.weight.data = layer.dense(torch.float32)
    twin_settings = settings.model_copy(update={"base": "float"})
    apply_lora(rounded, twin_settings)
    for (_, mine), (_, theirs) in zip(lora_layers(model), lora_layers(rounded), strict=True):
        theirs.B.data = mine.B.data.clone()
        if dora:  # which starts from the matrix before its rounding
            theirs.magnitude.data = mine.magnitude.data.clone()
    out, expected = model.train()(IDS), rounded.train()(IDS)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    out.square().sum().backward()
    expected.square().sum().backward()
    found = dict(model.named_parameters())
    for name, parameter in rounded.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(found[name].grad, parameter.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_its_adapter_is_used_on_the_base_as_it_is(form: BaseForm, tmp_path: Path) -> None:
    settings = LoRASettings(rank=3, base=form)
    model = adapted(settings, form)
    with pytest.raises(HornbookError, match="few bits"):
        save_adapter(tmp_path / "a", model, settings, "base")
    save_adapter(tmp_path / "a", model, settings, "base", base=base())
    restored = base()
    load_adapter(tmp_path / "a", restored)
    with torch.no_grad():
        exact = restored(IDS)
        near, plain = model(IDS), base()(IDS)
    assert (near - exact).abs().mean() < 0.2 * (exact - plain).abs().mean()
    layer = next(m for m in model.modules() if isinstance(m, LoRALinear))
    with pytest.raises(HornbookError, match="cannot hold a correction"):
        layer.merge()


def test_memory_is_what_the_bits_say() -> None:
    layer = linear(512, 512)
    kept = {kind.__name__: kind(layer).nbytes for kind in (Int8Base, NF4Base)}
    assert 8 * kept["Int8Base"] / layer.weight.numel() == pytest.approx(8.06, abs=0.01)
    assert 8 * kept["NF4Base"] / layer.weight.numel() == pytest.approx(4.13, abs=0.01)


def test_under_autocast_products_are_narrow() -> None:
    model = adapted(LoRASettings(rank=3), "nf4")
    narrow_frozen(model, torch.bfloat16)
    with torch.no_grad():
        exact = model(IDS)
        with torch.autocast("cpu", torch.bfloat16):
            found = model(IDS)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), exact.float(), rtol=0.05, atol=0.05)


def test_packed_matrices_multiply_as_they_are_until_they_change() -> None:
    settings = LoRASettings(rank=3, targets=("query", "up"))
    model, twin = adapted(settings, "float"), adapted(settings, "float")
    assert pack_frozen(model, most_bytes=10) == 0
    assert pack_frozen(model) == 12
    out, expected = model.train()(IDS), twin.train()(IDS)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)
    out.square().sum().backward()
    expected.square().sum().backward()
    found = dict(model.named_parameters())
    for name, parameter in twin.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(found[name].grad, parameter.grad, rtol=1e-4, atol=1e-5)
    for one in (model, twin):
        for _, layer in lora_layers(one):
            layer.merge()
    torch.testing.assert_close(model(IDS), twin(IDS), rtol=1e-5, atol=1e-6)
    for _, layer in lora_layers(model):
        layer.unmerge()
    torch.testing.assert_close(model(IDS), expected, rtol=1e-5, atol=1e-6)
