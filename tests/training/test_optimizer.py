import pytest
import torch
from tiny_training import random_batch, tiny_model
from torch import nn

from hornbook.errors import HornbookError
from hornbook.finetuning.lora import LoRALinear, LoRASettings
from hornbook.training.objective import loss_sum
from hornbook.training.optimizer import Optimizer
from hornbook.training.settings import AdapterSettings, TrainingSettings


def set_gradients(model: nn.Module, position: int) -> None:
    model.zero_grad()
    loss, count = loss_sum(model, random_batch(position))
    (loss / count).backward()


def set_random_gradients(model: nn.Module, seed: int) -> None:
    # Not the loss's: a key's bias has none but rounding errors, which AdamW makes large.
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_adamw_equals_torch_with_decay_on_matrices_only() -> None:
    settings = TrainingSettings(optimizer="adamw", lr=0.01, betas=(0.8, 0.9), weight_decay=0.2)
    ours, theirs = tiny_model(), tiny_model()
    optimizer = Optimizer(ours, settings)
    reference = torch.optim.AdamW(
        [
            {"params": [p for p in theirs.parameters() if p.ndim == 2], "weight_decay": 0.2},
            {"params": [p for p in theirs.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=0.005,
        betas=(0.8, 0.9),
        foreach=False,
    )
    optimizer.set_lr_scale(0.5)
    assert optimizer.lr == 0.005
    for position in range(1, 5):
        for model, stepped in ((ours, optimizer), (theirs, reference)):
            set_random_gradients(model, position)
            stepped.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


def test_an_adapters_b_learns_faster_as_lora_plus_has_it() -> None:
    def adapter() -> nn.ModuleDict:
        torch.manual_seed(0)
        generator = torch.Generator().manual_seed(0)
        return nn.ModuleDict({"up": LoRALinear(nn.Linear(3, 4), LoRASettings(rank=2), generator)})

    settings = AdapterSettings(lr=0.01, b_lr_ratio=16, betas=(0.8, 0.9))
    ours, theirs = adapter(), adapter()
    optimizer = Optimizer(ours, settings)
    reference = torch.optim.AdamW(
        [{"params": [theirs["up"].A]}, {"params": [theirs["up"].B], "lr": 0.16}],
        lr=0.01,
        betas=(0.8, 0.9),
        weight_decay=0.0,
    )
    for position in range(1, 4):
        for model, stepped in ((ours, optimizer), (theirs, reference)):
            set_random_gradients(model, position)
            stepped.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_muon_has_the_blocks_matrices_and_adamw_the_rest() -> None:
    model = tiny_model()
    optimizer = Optimizer(model, TrainingSettings(optimizer="muon"))
    set_gradients(model, 1)
    optimizer.step()
    state = optimizer.state_dict()
    turned = {name.removeprefix("muon.") for name in state if name.startswith("muon.")}
    adamw = {n.removeprefix("adamw.mean.") for n in state if n.startswith("adamw.mean.")}
    names = {name for name, _ in model.named_parameters()}
    assert turned == {
        n for n in names if n.startswith("blocks.") and model.get_parameter(n).ndim == 2
    }
    assert adamw == names - turned
    assert "embedding.token.weight" in adamw


def test_learning_rate_scale_reaches_both() -> None:
    model = tiny_model()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = Optimizer(model, TrainingSettings())
    optimizer.set_lr_scale(0.0)
    set_gradients(model, 1)
    optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_frozen_parameters_stay() -> None:
    model = tiny_model()
    model.requires_grad_(False)
    model.norm.requires_grad_(True)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = Optimizer(model, TrainingSettings())
    set_gradients(model, 1)
    optimizer.step()
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {"norm.weight", "norm.bias"}


def test_nothing_to_train_is_an_error() -> None:
    model = tiny_model()
    model.requires_grad_(False)
    with pytest.raises(HornbookError, match="every parameter is frozen"):
        Optimizer(model, TrainingSettings())


def test_clip_equals_the_definition() -> None:
    model = tiny_model()
    optimizer = Optimizer(model, TrainingSettings())
    set_gradients(model, 1)
    gradients = [p.grad.double().clone() for p in model.parameters()]
    length = torch.cat([g.flatten() for g in gradients]).norm()
    assert length > 0.1
    torch.testing.assert_close(optimizer.clip(0).double(), length, rtol=1e-5, atol=0)
    torch.testing.assert_close(optimizer.clip(0.1).double(), length, rtol=1e-5, atol=0)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        expected = gradient * 0.1 / length
        torch.testing.assert_close(parameter.grad.double(), expected, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize(("saved", "loaded"), [("adamw", "muon"), ("muon", "adamw")])
def test_state_of_other_settings_is_refused(saved: str, loaded: str) -> None:
    model = tiny_model()
    optimizer = Optimizer(model, TrainingSettings.model_validate({"optimizer": saved}))
    set_gradients(model, 1)
    optimizer.step()
    other = Optimizer(model, TrainingSettings.model_validate({"optimizer": loaded}))
    with pytest.raises(HornbookError, match="is of no parameter trained here"):
        other.load_state_dict(optimizer.state_dict())


def test_state_of_another_shape_is_refused() -> None:
    settings = TrainingSettings(optimizer="adamw")
    small, large = tiny_model(), tiny_model(embed_dim=32)
    optimizer = Optimizer(small, settings)
    set_gradients(small, 1)
    optimizer.step()
    with pytest.raises(HornbookError, match=r"none that fits mean\.embedding\.token"):
        Optimizer(large, settings).load_state_dict(optimizer.state_dict())
