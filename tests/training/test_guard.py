import pytest
import torch
from tiny_training import CPU, random_batches, tiny_model

from hornbook.errors import HornbookError
from hornbook.training.guard import Spike, SpikeGuard
from hornbook.training.loop import train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.schedule import plan_training
from hornbook.training.settings import TrainingSettings

SETTINGS = TrainingSettings(steps=100, spike_window=30, spike_snapshot_every=10)


@pytest.fixture
def optimizer() -> Optimizer:
    return Optimizer(tiny_model(), SETTINGS)


def fed(optimizer: Optimizer, losses: list[float], limit: float = 4.0) -> SpikeGuard:
    guard = SpikeGuard(optimizer, SETTINGS, limit)
    for step, loss in enumerate(losses, start=1):
        assert guard.look_at(step, step, loss) is None
    return guard


def state_of(optimizer: Optimizer) -> list[torch.Tensor]:
    tensors = [*optimizer.parameters, *optimizer.state_dict().values(), torch.get_rng_state()]
    return [tensor.detach().clone() for tensor in tensors]


def train(optimizer: Optimizer, model: torch.nn.Module, steps: int) -> None:
    plan = plan_training(SETTINGS, batches_per_epoch=5, tokens_per_batch=32)
    done = train_steps(model, optimizer, random_batches(), SETTINGS, CPU, plan)  # type: ignore[arg-type]
    for _ in range(steps):
        next(done)
    torch.rand(1)


def test_the_score_is_that_of_the_recent_losses(optimizer: Optimizer) -> None:
    guard = fed(optimizer, [1.0, 3.0] * 10)  # mean 2, standard deviation 1
    assert guard.look_at(21, 25, 5.9) is None
    guard = fed(optimizer, [1.0, 3.0] * 10)
    spike = guard.look_at(21, 25, 6.5)
    assert spike == Spike(step=21, position=25, loss=6.5, mean=2.0, z_score=4.5)


def test_old_losses_leave_the_window(optimizer: Optimizer) -> None:
    guard = fed(optimizer, [100.0, *([1.0, 3.0] * 15)])
    spike = guard.look_at(32, 32, 7.0)
    assert spike is not None
    assert spike.z_score == pytest.approx(5.0)


def test_nothing_is_a_spike_before_there_is_enough_to_compare_with(optimizer: Optimizer) -> None:
    fed(optimizer, [*([1.0, 3.0] * 9), 2.0, 1000.0])  # the 20th


def test_a_fall_is_no_spike(optimizer: Optimizer) -> None:
    guard = fed(optimizer, [1.0, 3.0] * 10)
    assert guard.look_at(21, 21, -100.0) is None


def test_losses_that_hardly_differ_are_no_spikes(optimizer: Optimizer) -> None:
    guard = fed(optimizer, [2.0] * 20)
    assert guard.look_at(21, 21, 2.007) is None
    assert guard.look_at(22, 22, 2.1) is not None


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_going_back_puts_back_everything(name: str) -> None:
    model = tiny_model()
    settings = TrainingSettings.model_validate({"optimizer": name})
    optimizer = Optimizer(model, settings)
    train(optimizer, model, 2)
    guard = fed(optimizer, [1.0, 3.0] * 10)
    guard.snapshot(20)
    expected, losses = state_of(optimizer), guard.state_dict()["losses"]
    train(optimizer, model, 3)
    guard.look_at(21, 21, 2.0)
    guard.look_at(22, 22, 2.0)
    assert guard.go_back(Spike(23, 23, 9.0, 2.0, 7.0)) == 20
    assert all(map(torch.equal, state_of(optimizer), expected))
    assert guard.state_dict()["losses"] == losses


def test_the_newest_state_with_a_normal_loss_after_it_is_taken(optimizer: Optimizer) -> None:
    guard = fed(optimizer, [1.0, 3.0] * 10)
    for step in (0, 10, 20):
        guard.snapshot(step)
    assert guard.go_back(Spike(21, 21, 9.0, 2.0, 7.0)) == 10  # 20's may have been harmed
    assert guard.go_back(Spike(21, 22, 9.0, 2.0, 7.0)) == 10
    guard.snapshot(20)
    assert guard.go_back(Spike(22, 24, 9.0, 2.0, 7.0)) == 20


def test_after_a_resume_the_state_resumed_from_is_all_there_is(optimizer: Optimizer) -> None:
    guard = fed(optimizer, [1.0, 3.0] * 10)
    other = SpikeGuard(optimizer, SETTINGS, 4.0)
    other.load_state_dict(guard.state_dict())
    other.snapshot(20)
    assert other.look_at(21, 21, 6.5) == guard.look_at(21, 21, 6.5)
    assert other.go_back(Spike(21, 21, 6.5, 2.0, 4.5)) == 20


def test_spikes_that_keep_coming_are_given_up(optimizer: Optimizer) -> None:
    guard = fed(optimizer, [1.0, 3.0] * 10)
    guard.snapshot(20)
    for position in range(21, 31):
        assert guard.look_at(21, position, 50.0) is not None
    with pytest.raises(HornbookError, match=r"batch 31.*did not help 10 times in a row"):
        guard.look_at(21, 31, 50.0)


def test_getting_beyond_the_farthest_step_starts_the_count_anew(optimizer: Optimizer) -> None:
    guard = fed(optimizer, [1.0, 3.0] * 10)
    for step in range(21, 51, 2):
        assert guard.look_at(step, step, 50.0) is not None
        assert guard.look_at(step, step, 2.0) is None
