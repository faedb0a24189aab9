"""The experts' balance: the value and the gradients that `transformers` has."""

import itertools

import pytest
import torch

from hornbook.checkpoints.loading.folders import load_folder
from hornbook.model.config import ModelConfig
from hornbook.model.feedforward import MixtureOfExperts
from hornbook.model.transformer import Transformer
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.training.acceleration import accelerate
from hornbook.training.balance import balance_experts, balance_loss
from hornbook.training.loop import train_steps
from hornbook.training.objective import loss_sum
from hornbook.training.optimizer import Optimizer
from hornbook.training.schedule import plan_training
from hornbook.training.settings import FinetuningSettings, TrainingSettings
from tests.checkpoints.tiny_families import make_reference
from tests.training.tiny_training import CPU

CONFIG = ModelConfig(
    vocab_size=41,
    context_length=32,
    embed_dim=16,
    n_layers=2,
    n_heads=2,
    positions="rotary",
    norm="rmsnorm",
    mlp="swiglu",
    expert_dim=12,
    n_experts=6,
    experts_per_token=2,
    qkv_bias=False,
    bias=False,
)


def test_by_hand() -> None:
    even = torch.zeros(4, 2)
    even[0::2, 0] = even[1::2, 1] = 1e-9  # half of the tokens choose each
    assert balance_loss([even], 1).item() == pytest.approx(1.0)
    crowded = torch.tensor([[9.0, -9.0]] * 4)  # all choose the first, with all of their probability
    assert balance_loss([crowded], 1).item() == pytest.approx(2.0, rel=1e-4)


@pytest.mark.parametrize("name", ["qwen3_moe", "mixtral"])
@pytest.mark.parametrize("recomputed", [False, True])
def test_loss_and_gradients_are_those_of_transformers(tmp_path, name, recomputed):
    pytest.importorskip("transformers")
    reference = make_reference(name)
    reference.save_pretrained(tmp_path)
    reference.config.output_router_logits = True
    reference.router_aux_loss_coef = 0.3
    ids = torch.randint(41, (2, 30), generator=torch.Generator().manual_seed(3))
    expected = reference(ids, labels=ids, output_router_logits=True)
    expected.loss.backward()
    model = load_folder(tmp_path).model.train()
    settings = TrainingSettings(expert_balance=0.3, checkpoint_activations=recomputed)
    assert any("balanced" in line for line in accelerate(model, settings, CPU, same_width=True))
    targets = torch.cat((ids[:, 1:], torch.full((2, 1), IGNORE)), dim=1)
    total, count = loss_sum(model, Batch(ids, targets, 0))
    (total / count).backward()
    assert (total / count).item() == pytest.approx(expected.loss.item(), rel=1e-5)
    plain, _ = loss_sum(model.eval(), Batch(ids, targets, 0))
    assert (total - plain).item() / 58 == pytest.approx(0.3 * expected.aux_loss.item(), rel=1e-3)
    router = model.get_submodule("blocks.0.feedforward.router").weight.grad
    theirs = reference.model.layers[0].mlp.gate.weight.grad
    assert torch.allclose(router, theirs, atol=1e-4 * theirs.abs().max().item())
    assert all(layer.scores is None for layer in experts_of(model))


def experts_of(model: Transformer) -> list[MixtureOfExperts]:
    return [layer for layer in model.modules() if isinstance(layer, MixtureOfExperts)]


def test_a_crowd_is_spread_by_training() -> None:
    settings = TrainingSettings(steps=40, optimizer="adamw", lr=3e-3, expert_balance=1.0)
    torch.manual_seed(0)
    model = Transformer(CONFIG)
    accelerate(model, settings, CPU, same_width=True)
    ids = torch.randint(41, (4, 24), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for layer in experts_of(model):
            layer.router.weight[2:] *= 0.01  # the first two get nearly all tokens
            layer.router.weight[:2] *= 30
    before = most_chosen(model, ids)
    batches = (Batch(ids[:, :-1], ids[:, 1:], number) for number in itertools.count(1))
    plan = plan_training(settings, 40, 1)
    for _ in train_steps(model, Optimizer(model, settings), batches, settings, CPU, plan):
        pass
    assert most_chosen(model, ids) < 0.8 * before


def most_chosen(model: Transformer, ids: torch.Tensor) -> float:
    """The largest share of an expert in the choices of a layer, on average over layers."""
    shares = []
    for layer in experts_of(model):
        layer.keeps_scores = True
    with torch.no_grad():
        model.eval().hidden(ids)
    for layer in experts_of(model):
        assert layer.scores is not None
        counts = layer.scores.topk(2).indices.flatten().bincount(minlength=6)
        shares.append((counts.max() / counts.sum()).item())
        layer.keeps_scores, layer.scores = False, None
    return sum(shares) / len(shares)


def test_a_model_without_experts_and_a_fine_tuning_are_left_alone() -> None:
    dense = Transformer(CONFIG.model_copy(update={"n_experts": None}))
    assert not balance_experts(dense, 0.1)
    assert dense.hidden_in_training is None
    mixture = Transformer(CONFIG)
    accelerate(mixture, FinetuningSettings(), CPU, same_width=True)
    assert mixture.hidden_in_training is None
