"""LoRA against `peft`, and what it promises: a frozen base, exact merging and unmerging."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from hornbook.errors import HornbookError
from hornbook.finetuning.adapter import load_adapter, save_adapter, weights_fingerprint
from hornbook.finetuning.frozen import FrozenLinear, narrow_frozen
from hornbook.finetuning.lora import (
    LoRALinear,
    LoRASettings,
    apply_lora,
    lora_layers,
    lora_parameters,
    merge_lora,
)

SETTINGS = LoRASettings(rank=4, alpha=8.0)


class Net(nn.Module):
    """Two linear layers and a head, named as a transformer's are."""

    def __init__(self, seed: int = 0, n_classes: int = 5) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.blocks = nn.ModuleList([nn.ModuleDict({"up": nn.Linear(6, 9)}) for _ in range(2)])
        self.down = nn.Linear(9, 6)
        self.head = nn.Linear(6, n_classes, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + self.down(block["up"](x).relu())
        return self.head(x)


def randomize_b(model: nn.Module, seed: int = 3) -> None:
    """As after some training: B is no longer zero."""
    generator = torch.Generator().manual_seed(seed)
    for _, layer in lora_layers(model):
        layer.B.data = torch.randn(layer.B.shape, generator=generator)


def adapted(settings: LoRASettings = SETTINGS, new_modules: tuple[str, ...] = ()) -> Net:
    model = Net()
    apply_lora(model, settings, new_modules=new_modules)
    randomize_b(model)
    return model


VARIANTS = {
    "lora": ({}, {}),
    "rank-stabilized": ({"rank_stabilized": True}, {"use_rslora": True}),
    "dora": ({"dora": True}, {"use_dora": True}),
    "ranks": ({"ranks": {"1.up": 2, "up": 3}}, {"rank_pattern": {"1.up": 2, "0.up": 3}}),
    "all of it": (
        {"ranks": {"up": 2}, "rank_stabilized": True, "dora": True},
        {"rank_pattern": {"up": 2}, "use_rslora": True, "use_dora": True},
    ),
}


def peft_twin(ours: Net, **options: Any) -> tuple[nn.Module, list[tuple[nn.Parameter, Any]]]:
    """The same net adapted by peft with the same values, and each parameter beside its twin."""
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["up", "down"], **options)
    theirs = inject_adapter_in_model(config, Net())
    pairs = []
    for name, layer in lora_layers(ours):
        peft_layer = theirs.get_submodule(name)
        twins = [peft_layer.lora_A["default"].weight, peft_layer.lora_B["default"].weight]
        if layer.magnitude is not None:
            twins.append(peft_layer.lora_magnitude_vector["default"].weight)
        pairs += list(zip(layer.trained().values(), twins, strict=True))
    for mine, twin in pairs:
        twin.data = mine.detach().clone()
    return theirs, pairs


def assert_near(found: torch.Tensor, expected: torch.Tensor, share: float = 2e-5) -> None:
    """Equal but for a share of the largest: sums of large terms of both signs keep no more."""
    size = expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=0, atol=share * size)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("variant", VARIANTS)
def test_equals_peft_forward_and_gradients(variant: str, dtype: torch.dtype) -> None:
    settings, options = VARIANTS[variant]
    ours = adapted(LoRASettings(rank=4, alpha=8.0, **settings))
    theirs, pairs = peft_twin(ours, **options)
    ours.to(dtype), theirs.to(dtype)
    x = torch.randn(7, 6, dtype=dtype, generator=torch.Generator().manual_seed(1))
    out, expected = ours(x), theirs(x)
    assert_near(out, expected)
    out.square().sum().backward()
    expected.square().sum().backward()
    assert len(pairs) == (9 if settings.get("dora") else 6)
    for mine, twin in pairs:
        assert mine.grad is not None
        # DoRA's lengths are drawn up in float32, whatever the net is turned into afterwards.
        exact = dtype == torch.float64 and not settings.get("dora")
        assert_near(mine.grad, twin.grad, 1e-12 if exact else 2e-5)


@pytest.mark.parametrize("options", [{}, {"dora": True}, {"ranks": {"up": 2}}])
def test_merging_holds_the_correction(options: dict[str, Any]) -> None:
    model = adapted(LoRASettings(rank=4, **options))
    x = torch.randn(4, 6)
    expected = model(x)
    before = model.down.base.weight.clone()
    for _, layer in lora_layers(model):
        changed = layer.base.weight + layer.correction()
        layer.merge()
        torch.testing.assert_close(layer.base.weight, changed)
    assert_near(model(x), expected)
    next(layer for name, layer in lora_layers(model) if name == "down").unmerge()
    assert torch.equal(model.down.base.weight, before)


def test_a_rank_that_fits_no_layer_is_refused() -> None:
    with pytest.raises(HornbookError, match=r"lora.ranks: upp = 2.*up, down"):
        apply_lora(Net(), LoRASettings(ranks={"upp": 2}))


def test_narrow_frozen_weights_give_what_autocast_gives() -> None:
    plain, narrow = adapted(), adapted()
    assert narrow_frozen(narrow, torch.bfloat16) == 4
    assert narrow.down.base.weight.dtype == torch.bfloat16
    assert narrow.down.A.dtype == torch.float32
    x = torch.randn(5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        out, expected = narrow(x), plain(x)
    assert torch.equal(out, expected)
    out.float().square().sum().backward()
    expected.float().square().sum().backward()
    for mine, reference in zip(lora_parameters(narrow), lora_parameters(plain), strict=True):
        assert mine.grad is not None
        assert torch.equal(mine.grad, reference.grad)


def test_layers_left_out_multiply_as_frozen_ones_until_merged() -> None:
    model, plain = Net(), Net()
    apply_lora(model, LoRASettings(targets=("up",)))
    assert type(model.down) is FrozenLinear
    assert model.state_dict().keys() >= {"down.weight", "down.bias", "head.weight"}
    x = torch.randn(3, 6, requires_grad=True)
    y = torch.randn(3, 6, requires_grad=True)
    y.data = x.data
    model(x).square().sum().backward()
    plain(y).square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    merge_lora(model)
    assert type(model.down) is nn.Linear
    assert model.down.weight.grad is None


def test_starts_as_the_base_with_values_spread_like_pefts() -> None:
    model, base = Net(), Net()
    assert apply_lora(model, SETTINGS) == ["blocks.0.up", "blocks.1.up", "down"]
    x = torch.randn(3, 6)
    torch.testing.assert_close(model(x), base(x))
    wide = nn.Sequential(nn.Linear(400, 3))
    apply_lora(wide, LoRASettings(rank=50, targets=("0",)))
    a = lora_parameters(wide)[0]
    # kaiming_uniform_(a=sqrt(5)) draws from (-1/sqrt(d_in), 1/sqrt(d_in)).
    assert a.abs().max() <= 0.05
    assert a.std().item() == pytest.approx(0.05 / 3**0.5, rel=0.02)


def test_the_seed_decides_a() -> None:
    models = [Net(), Net(), Net()]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        apply_lora(model, SETTINGS, seed=seed)
    first, same, other = (lora_parameters(model)[0] for model in models)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_merged_forward_equals_unmerged_and_unmerge_is_exact() -> None:
    model = adapted()
    before = copy.deepcopy(model.state_dict())
    x = torch.randn(4, 6)
    unmerged = model(x)
    for _, layer in lora_layers(model):
        layer.merge()
        layer.merge()  # a second time adds nothing
    torch.testing.assert_close(model(x), unmerged)
    assert not torch.equal(model.down.base.weight, before["down.base.weight"])
    for _, layer in lora_layers(model):
        layer.unmerge()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(model(x), unmerged)


def test_merge_lora_returns_plain_linears() -> None:
    model = adapted()
    x = torch.randn(4, 6)
    expected = model(x)
    assert merge_lora(model) == ["blocks.0.up", "blocks.1.up", "down"]
    assert not any(isinstance(module, LoRALinear) for module in model.modules())
    assert model.state_dict().keys() == Net().state_dict().keys()
    torch.testing.assert_close(model(x), expected)


def test_training_touches_only_a_and_b() -> None:
    model = adapted(new_modules=("head",))
    before = copy.deepcopy(model.state_dict())
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=0.1)
    model(torch.randn(4, 6)).square().sum().backward()
    optimizer.step()
    changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    layers = ("blocks.0.up", "blocks.1.up", "down")
    assert changed == {f"{layer}.{m}" for layer in layers for m in "AB"} | {"head.weight"}


def test_dropout_acts_on_the_way_into_a_while_training() -> None:
    model = adapted(LoRASettings(rank=4, dropout=0.5))
    x = torch.randn(4, 6)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_the_adapter_of_a_bfloat16_base_is_float32() -> None:
    model = Net().bfloat16()
    apply_lora(model, SETTINGS)
    assert {p.dtype for p in lora_parameters(model)} == {torch.float32}
    assert model(torch.randn(2, 6).bfloat16()).dtype == torch.bfloat16


def test_targets_are_ends_of_names_and_the_head_must_be_named() -> None:
    model = Net()
    assert apply_lora(model, LoRASettings(targets=("1.up", "head"))) == ["blocks.1.up", "head"]


def test_unknown_target_lists_the_linear_layers() -> None:
    with pytest.raises(HornbookError, match=r"'querry'.*up, down, head"):
        apply_lora(Net(), LoRASettings(targets=("querry",)))


def test_a_shared_matrix_or_a_second_adapter_is_refused() -> None:
    tied = Net()
    tied.embedding = nn.Embedding(5, 6)
    tied.head.weight = tied.embedding.weight
    with pytest.raises(HornbookError, match="shares its matrix"):
        apply_lora(tied, LoRASettings(targets=("head",)))
    with pytest.raises(HornbookError, match="already"):
        apply_lora(adapted(), SETTINGS)


def test_the_adapter_of_every_variant_comes_back(tmp_path: Path) -> None:
    settings = LoRASettings(rank=4, ranks={"up": 2}, rank_stabilized=True, dora=True)
    model = adapted(settings)
    narrow_frozen(model, torch.bfloat16)
    save_adapter(tmp_path / "a", model, settings, "base", base=Net())
    restored = Net()
    load_adapter(tmp_path / "a", restored)
    x = torch.randn(4, 6)
    assert_near(restored(x), adapted(settings)(x))


def test_adapter_round_trip_holds_only_a_and_b(tmp_path: Path) -> None:
    model = adapted()
    manifest = save_adapter(tmp_path / "a", model, SETTINGS, "f" * 64, {"loss": 1.5})
    assert (manifest.inputs["base"], manifest.facts["loss"]) == ("f" * 64, 1.5)
    numbers = sum(p.numel() for p in lora_parameters(model))
    assert numbers == 4 * (6 + 9) * 3
    assert (tmp_path / "a/adapter.safetensors").stat().st_size < 4 * numbers + 1000
    restored = Net()
    assert load_adapter(tmp_path / "a", restored) == manifest
    x = torch.randn(4, 6)
    assert torch.equal(restored(x), model(x))
    assert [p.requires_grad for p in restored.parameters()] == [
        p.requires_grad for p in model.parameters()
    ]


@pytest.mark.parametrize("targets", [("all-linear",), ("all-linear", "head")])
def test_adapter_carries_a_new_head(tmp_path: Path, targets: tuple[str, ...]) -> None:
    settings = LoRASettings(rank=2, targets=targets)
    model = Net()
    torch.manual_seed(9)
    model.head = nn.Linear(6, 2)
    apply_lora(model, settings, new_modules=("head",))
    randomize_b(model)
    save_adapter(tmp_path / "a", model, settings, "base")
    restored = Net()
    load_adapter(tmp_path / "a", restored)
    x = torch.randn(4, 6)
    assert torch.equal(restored(x), model(x))
    trained = {name for name, p in restored.named_parameters() if p.requires_grad}
    if "head" in targets:
        assert {"head.A", "head.B"} < trained
        assert "head.base.weight" not in trained
    else:
        assert {"head.weight", "head.bias"} < trained


def test_adapter_of_another_base_is_refused_and_the_model_left_alone(tmp_path: Path) -> None:
    save_adapter(tmp_path / "a", adapted(), SETTINGS, "0123456789abcdef")
    other = Net(seed=1)
    with pytest.raises(HornbookError, match=r"another model.*0123456789ab"):
        load_adapter(tmp_path / "a", other)
    assert next(lora_layers(other), None) is None


def test_swapping_a_tied_head_leaves_the_fingerprint_of_the_rest() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.head = nn.Linear(4, 9, bias=False)
            self.embedding = nn.Embedding(9, 4)
            self.embedding.weight = self.head.weight

    model = Tied()
    before = weights_fingerprint(model, ["head"])
    model.head = nn.Linear(4, 2)
    assert weights_fingerprint(model, ["head"]) == before
    model.embedding.weight.data[0, 0] += 1e-6
    assert weights_fingerprint(model, ["head"]) != before


def test_a_damaged_adapter_is_refused(tmp_path: Path) -> None:
    save_adapter(tmp_path / "a", adapted(), SETTINGS, "base")
    file = tmp_path / "a/adapter.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(HornbookError, match="damaged"):
        load_adapter(tmp_path / "a", Net())


def test_saving_without_an_adapter_or_merged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HornbookError, match="no LoRA adapter"):
        save_adapter(tmp_path / "a", Net(), SETTINGS, "base")
    model = adapted()
    next(lora_layers(model))[1].merge()
    with pytest.raises(HornbookError, match="unmerge"):
        save_adapter(tmp_path / "a", model, SETTINGS, "base")
