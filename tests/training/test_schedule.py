import pytest
from pydantic import ValidationError

from hornbook.training.schedule import Plan, plan_training
from hornbook.training.settings import TrainingSettings


def plan(**settings: object) -> Plan:
    checked = TrainingSettings.model_validate(settings)
    return plan_training(checked, batches_per_epoch=50, tokens_per_batch=1000)


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"steps": 7}, 7),
        ({"epochs": 2.0}, 100),
        ({"epochs": 0.5}, 25),
        ({"epochs": 0.001}, 1),
        ({"tokens": 12_001}, 13),
        ({"tokens": 1}, 1),
        ({}, 900),
    ],
)
def test_length(settings: dict[str, object], steps: int) -> None:
    assert plan(**settings).total_steps == steps


def test_two_lengths_are_refused() -> None:
    with pytest.raises(ValidationError, match="steps and tokens are both given"):
        TrainingSettings(steps=3, tokens=5)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        # 2 steps up, then 8 down to a tenth; cos(pi/2) = 0 halfway, at step 6.
        ("cosine", {1: 0.5, 2: 1.0, 4: 0.1 + 0.9 * 0.8535534, 6: 0.55, 10: 0.1}),
        ("linear", {1: 0.5, 2: 1.0, 4: 0.775, 6: 0.55, 8: 0.325, 10: 0.1}),
        ("constant", {1: 0.5, 2: 1.0, 6: 1.0, 10: 1.0}),
    ],
)
def test_learning_rate_by_hand(schedule: str, expected: dict[int, float]) -> None:
    made = plan(steps=10, warmup_share=0.2, final_lr_share=0.1, schedule=schedule)
    assert made.warmup_steps == 2
    assert {step: made.lr_scale(step) for step in expected} == pytest.approx(expected)


def test_a_run_of_one_step_trains() -> None:
    made = plan(steps=1, final_lr_share=0.5)
    assert made.warmup_steps == 0
    assert made.lr_scale(1) == pytest.approx(0.5)


def test_no_warmup_starts_just_below_the_peak() -> None:
    made = plan(steps=100, warmup_share=0.0, schedule="linear", final_lr_share=0.0)
    assert made.lr_scale(1) == pytest.approx(0.99)
    assert made.lr_scale(100) == 0.0


def test_how_often_things_are_due() -> None:
    made = plan(steps=25, eval_every=10, save_every=0)
    assert [s for s in range(1, 26) if made.due(s, made.eval_every)] == [10, 20, 25]
    assert [s for s in range(1, 26) if made.due(s, made.save_every)] == [25]
    assert made.sample_every == 5


def test_derived_values_are_told() -> None:
    told = plan(epochs=2.0, warmup_share=0.1).describe()
    assert "100 steps of 1,000 tokens (2 epochs, 0.1 M tokens)" in told
    assert "10 steps up, then cosine down to 10%" in told
