import itertools
import os
import signal
import threading
from collections.abc import Iterator

import pytest
import torch
from tiny_training import CPU, random_batch, random_batches, tiny_model, train

from hornbook.errors import HornbookError, Terminated
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.training import figures
from hornbook.training.loop import Step, hold_interrupt, train_steps
from hornbook.training.objective import loss_sum
from hornbook.training.optimizer import Optimizer
from hornbook.training.schedule import plan_training
from hornbook.training.settings import TrainingSettings


def masked(batch: Batch) -> Batch:
    return Batch(batch.inputs, torch.full_like(batch.targets, IGNORE), batch.position)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_overfits_a_tiny_set(optimizer: str) -> None:
    settings = TrainingSettings.model_validate(
        {"steps": 60, "lr": 0.02, "optimizer": optimizer, "weight_decay": 0.0}
    )
    steps = train(tiny_model(), settings, itertools.repeat(random_batch()))
    assert steps[0].loss == pytest.approx(3.135, abs=0.3)  # ln 23: knows nothing
    assert steps[-1].loss < 0.3


def test_bfloat16_products_train_as_well() -> None:
    bfloat16 = Runtime(CPU.device, torch.bfloat16, seed=1, reason="a test")
    settings = TrainingSettings(steps=40, lr=0.02)
    plan = plan_training(settings, batches_per_epoch=1, tokens_per_batch=32)
    model = tiny_model()
    optimizer = Optimizer(model, settings, bfloat16.dtype)
    batches = itertools.repeat(random_batch())
    losses = [s.loss for s in train_steps(model, optimizer, batches, settings, bfloat16, plan)]
    assert losses[-1] < 1.0


def test_reports_what_was_done() -> None:
    settings = TrainingSettings(steps=3, lr=0.01, schedule="constant", warmup_share=0.0)
    model = tiny_model()
    loss, count = loss_sum(tiny_model(), random_batch(1, untrained=0.5))
    first, *_, last = train(model, settings, random_batches(untrained=0.5))
    assert (first.index, first.position, last.index, last.position) == (1, 1, 3, 3)
    assert first.tokens == int(count)
    assert first.loss == pytest.approx((loss / count).item(), rel=1e-6)
    assert first.lr == pytest.approx(0.01)
    assert first.grad_norm > 0
    assert first.seconds > 0


@pytest.mark.parametrize("micro_batch_size", [1, 3])
def test_micro_batches_of_unequal_weight_equal_the_whole_batch(micro_batch_size: int) -> None:
    batch = random_batch(rows=4)
    batch.targets[0, 1:] = IGNORE  # one trained position here, eight in the other rows
    batch.targets[1] = IGNORE
    # A constant gradient scale matters to neither optimizer, so the gradient itself is compared.
    norms, losses, weights = [], [], []
    for size in (None, micro_batch_size):
        settings = TrainingSettings(steps=2, micro_batch_size=size, clip=0.0, optimizer="adamw")
        model = tiny_model()
        steps = train(model, settings, itertools.repeat(batch))
        norms.append([step.grad_norm for step in steps])
        losses.append([step.loss for step in steps])
        weights.append(model.blocks[0].attention.query.weight.detach())
    assert norms[1] == pytest.approx(norms[0], rel=1e-5)
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-3, atol=1e-5)


def test_a_batch_with_nothing_trained_is_skipped_and_counted() -> None:
    batches = iter(
        [random_batch(1), masked(random_batch(2)), masked(random_batch(3)), random_batch(4)]
    )
    steps = train(tiny_model(), TrainingSettings(steps=2), batches)
    assert [(s.index, s.position, s.skipped) for s in steps] == [(1, 1, 0), (2, 4, 2)]


def test_nothing_trained_in_an_epoch_is_an_error() -> None:
    with pytest.raises(HornbookError, match="no position is trained in a whole epoch of 5"):
        train(tiny_model(), TrainingSettings(steps=2), itertools.repeat(masked(random_batch())))


def test_running_out_of_batches_is_an_error() -> None:
    with pytest.raises(HornbookError, match="the batches ended before step 2 of 3"):
        train(tiny_model(), TrainingSettings(steps=3), iter([random_batch()]))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_before_the_weights_change(value: float) -> None:
    settings = TrainingSettings(steps=5)
    plan = plan_training(settings, batches_per_epoch=5, tokens_per_batch=32)
    model = tiny_model()
    optimizer = Optimizer(model, settings)
    steps = train_steps(model, optimizer, random_batches(), settings, CPU, plan)
    next(steps)
    with torch.no_grad():
        model.norm.weight[0] = value
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with pytest.raises(
        HornbookError, match=r"step 2 \(batch 2\): the loss is (nan|inf).*of step 1"
    ):
        next(steps)
    for kept, now in zip(before, model.parameters(), strict=True):
        assert torch.equal(kept.nan_to_num(7), now.nan_to_num(7))


def weights(model: Transformer) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def broken_at(position: int, model: Transformer) -> Iterator[Batch]:
    """Batches of which one makes the loss NaN."""
    for batch in random_batches():
        with torch.no_grad():
            model.norm.weight[0] = float("nan") if batch.position == position else 1.0
        yield batch


class Run:
    """A training whose model has a loss that is no number at batch 3."""

    def __init__(self, **changes: object) -> None:
        self.model = tiny_model()
        self.model.norm.weight.requires_grad_(False)
        self.settings = TrainingSettings.model_validate({"steps": 6, **changes})
        self.optimizer = Optimizer(self.model, self.settings)
        plan = plan_training(self.settings, batches_per_epoch=5, tokens_per_batch=32)
        batches = broken_at(3, self.model)
        self.steps = train_steps(self.model, self.optimizer, batches, self.settings, CPU, plan)
        self.states: list[list[torch.Tensor]] = []

    def train(self) -> list[Step]:
        """All steps; keeps the weights and the optimizer's state after each."""
        steps = []
        for step in self.steps:
            steps.append(step)
            state = [tensor.clone() for tensor in self.optimizer.state_dict().values()]
            trained = [p.detach().clone() for p in self.optimizer.parameters]
            self.states.append([*trained, *state])
        return steps


def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses are looked at two steps later, and updates kept from the weights on the device."""
    monkeypatch.setattr(figures, "steps_behind", lambda device: 2)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_batch_without_a_finite_loss_can_be_passed_over(
    monkeypatch: pytest.MonkeyPatch, device: str, optimizer: str
) -> None:
    if device == "gpu":
        as_on_a_gpu(monkeypatch)
    run = Run(on_nonfinite="skip", optimizer=optimizer)
    steps = run.train()
    assert [step.figures.finite for step in steps] == [True, True, False, True, True, True]
    assert [step.position for step in steps] == [1, 2, 3, 4, 5, 6]
    same = [
        all(map(torch.equal, before, after)) for before, after in itertools.pairwise(run.states)
    ]
    assert same == [False, True, False, False, False]
    assert all(tensor.isfinite().all() for tensor in run.states[-1])


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_on_a_gpu_the_weights_wait_until_the_host_has_learnt(
    monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    as_on_a_gpu(monkeypatch)
    run = Run(optimizer=optimizer)
    with pytest.raises(HornbookError, match=r"step 3 \(batch 3\).*still those of step 2"):
        run.train()
    assert len(run.states) == 4  # it was step 5 at which it was looked at
    assert all(map(torch.equal, run.states[1], run.states[3]))


def test_on_a_gpu_the_last_steps_are_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    as_on_a_gpu(monkeypatch)
    with pytest.raises(HornbookError, match=r"step 3 \(batch 3\)"):
        Run(steps=3).train()


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_updates_on_a_gpu_are_those_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    settings = TrainingSettings.model_validate({"steps": 5, "optimizer": optimizer})
    models = []
    for device in ("cpu", "gpu"):
        if device == "gpu":
            as_on_a_gpu(monkeypatch)
        models.append(tiny_model())
        train(models[-1], settings, random_batches())
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_passing_over_is_given_up_when_nothing_is_finite() -> None:
    settings = TrainingSettings(steps=30, on_nonfinite="skip")
    model = tiny_model()
    with torch.no_grad():
        model.norm.weight[0] = float("nan")
    with pytest.raises(HornbookError, match=r"step 10 .*for the 10th step in a row"):
        train(model, settings, random_batches())


def test_the_weights_change_only_when_they_may() -> None:
    settings = TrainingSettings(steps=3)
    plan = plan_training(settings, batches_per_epoch=5, tokens_per_batch=32)
    model, seen = tiny_model(), []
    steps = train_steps(
        model,
        Optimizer(model, settings),
        random_batches(),
        settings,
        CPU,
        plan,
        may_change=lambda: seen.append(weights(model)),
    )
    after = [weights(model)] + [weights(model) for _ in steps]
    for before, when_asked in zip(after, seen, strict=False):
        assert all(map(torch.equal, before, when_asked))
    assert len(seen) == 3


def test_training_mode_is_set_at_each_step() -> None:
    settings = TrainingSettings(steps=2)
    plan = plan_training(settings, batches_per_epoch=5, tokens_per_batch=32)
    model = tiny_model()
    for _ in train_steps(model, Optimizer(model, settings), random_batches(), settings, CPU, plan):
        assert model.training
        model.eval()


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_a_signal_is_held_until_asked_for(number: int, raised: type[BaseException]) -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with hold_interrupt() as interrupt:
        assert not interrupt.requested
        os.kill(os.getpid(), number)
        assert interrupt.requested
        assert isinstance(interrupt.exception(), raised)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_terminated_ends_a_process_without_an_error() -> None:
    with pytest.raises(SystemExit) as leaving:
        raise Terminated
    assert leaving.value.code == 0


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_is_not_held(first: int) -> None:
    # A shell starts what it runs in the background with Ctrl-C ignored, and so these tests maybe.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with hold_interrupt():
            os.kill(os.getpid(), first)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, inherited)


def test_interrupt_outside_the_main_thread_is_left_alone() -> None:
    seen: list[bool] = []

    def work() -> None:
        with hold_interrupt() as interrupt:
            seen.append(interrupt.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
