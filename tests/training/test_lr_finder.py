"""The range test: by hand on a made-up curve, and on a tiny model."""

import itertools

import numpy as np
import pytest
import torch

from hornbook.errors import HornbookError
from hornbook.sampling.batch import Batch
from hornbook.training.lr_finder import HIGHEST, LOWEST, RangeTest, find_lr
from hornbook.training.settings import TrainingSettings
from tests.training.tiny_training import CPU, VOCAB, random_batches, tiny_model

COUNTING = TrainingSettings(steps=1, lr=1e-2, muon_lr=5e-3, batch_size=8)


def learnable():  # type: ignore[no-untyped-def]
    """Batches in which each token is the one before plus one."""
    generator = torch.Generator().manual_seed(0)
    for position in itertools.count(1):
        first = torch.randint(0, VOCAB, (8, 1), generator=generator)
        ids = (first + torch.arange(9)) % VOCAB
        yield Batch(ids[:, :-1], ids[:, 1:], position)


def test_what_follows_from_a_curve() -> None:
    """Flat to 1e-3, down from there to 1e-2, flat to 1e-1, up again."""
    rates = np.logspace(-5, 0, 501)
    at = np.log10(rates)
    losses = 6 - 3 * np.clip((at + 3) / 1, 0, 1) + 30 * np.clip(at + 1, 0, 1)
    found = RangeTest(rates, losses, diverged=True)
    assert 1e-3 < found.steepest < 1e-2
    assert found.turning == pytest.approx(10 ** (-1 + 0.2 * 3 / 30), rel=0.05)
    assert found.suggestion == min(found.steepest, found.turning / 10)


def test_a_curve_that_never_turns() -> None:
    rates = np.logspace(-5, 0, 101)
    found = RangeTest(rates, 6 - np.arange(101) / 50, diverged=False)
    assert found.turning is None
    assert found.suggestion == found.steepest


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_tiny_model(optimizer: str) -> None:
    settings = COUNTING.model_copy(update={"optimizer": optimizer})
    model = tiny_model()
    before = [parameter.clone() for parameter in model.parameters()]
    found = find_lr(model, settings, learnable(), CPU, steps=60)
    assert found.rates[0] == pytest.approx(LOWEST)
    ratios = found.rates[1:] / found.rates[:-1]
    assert np.allclose(ratios, (HIGHEST / LOWEST) ** (1 / 59))
    assert 1e-4 < found.suggestion < 0.5
    assert found.smoothed.min() < found.losses[0]
    assert all(map(torch.equal, before, model.parameters()))  # a copy was trained


def test_divergence_ends_the_test_early() -> None:
    """Without normalization of the gradient's size, 30 times the highest rate is far too much."""
    settings = COUNTING.model_copy(update={"optimizer": "adamw", "clip": 0.0})
    found = find_lr(tiny_model(norm_eps=1e-5), settings, learnable(), CPU, steps=200)
    assert found.diverged
    assert len(found.rates) < 200
    assert found.suggestion < found.rates[-1] / 5


def test_nothing_to_be_learnt_is_said() -> None:
    with pytest.raises(HornbookError, match="never fell"):
        find_lr(tiny_model(zero_init=True), COUNTING, random_batches(), CPU, steps=20)
    with pytest.raises(HornbookError, match="too few"):
        find_lr(tiny_model(), COUNTING, random_batches(), CPU, steps=5)
