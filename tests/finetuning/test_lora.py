"""LoRA against `peft`, and what it promises: a frozen base, exact merging and unmerging."""

import copy
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from hornbook.errors import HornbookError
from hornbook.finetuning.adapter import load_adapter, save_adapter, weights_fingerprint
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


def test_equals_peft_forward_and_gradients() -> None:
    ours, base = adapted(), Net()
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["up", "down"], lora_dropout=0.0)
    theirs = inject_adapter_in_model(config, base)
    pairs = []
    for name, layer in lora_layers(ours):
        peft_layer = theirs.get_submodule(name)
        a, b = peft_layer.lora_A["default"].weight, peft_layer.lora_B["default"].weight
        a.data, b.data = layer.A.detach().clone(), layer.B.detach().clone()
        pairs += [(layer.A, a), (layer.B, b)]
    x = torch.randn(7, 6, generator=torch.Generator().manual_seed(1))
    out, expected = ours(x), theirs(x)
    torch.testing.assert_close(out, expected)
    out.square().sum().backward()
    expected.square().sum().backward()
    assert len(pairs) == 6
    for mine, reference in pairs:
        assert mine.grad is not None
        torch.testing.assert_close(mine.grad, reference.grad)


def test_starts_as_the_base_with_values_spread_like_pefts() -> None:
    model, base = Net(), Net()
    assert apply_lora(model, SETTINGS) == ["blocks.0.up", "blocks.1.up", "down"]
    x = torch.randn(3, 6)
    assert torch.equal(model(x), base(x))
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
