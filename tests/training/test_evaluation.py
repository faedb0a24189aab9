import math

import pytest
import torch
import torch.nn.functional as F
from tiny_training import CPU, random_batch, tiny_model

from hornbook.errors import HornbookError
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.training.evaluation import Score, evaluate


def test_mean_is_over_positions_and_not_over_batches() -> None:
    model = tiny_model()
    batches = [random_batch(1, rows=6), random_batch(2, rows=1, untrained=0.7)]
    score = evaluate(model, batches, CPU)
    exact = model.double()
    logits = torch.cat([exact(b.inputs).flatten(0, 1) for b in batches])
    targets = torch.cat([b.targets.flatten() for b in batches])
    expected = F.cross_entropy(logits, targets, ignore_index=IGNORE).item()
    assert score.loss == pytest.approx(expected, rel=1e-6)
    assert score.tokens == int((targets != IGNORE).sum())
    assert score.perplexity == pytest.approx(math.exp(expected), rel=1e-6)


def test_dropout_is_off_and_the_mode_comes_back() -> None:
    model = tiny_model(dropout=0.5)
    model.train()
    first, second = (evaluate(model, [random_batch()], CPU) for _ in range(2))
    assert first == second
    assert model.training


def test_mode_comes_back_after_an_error() -> None:
    model = tiny_model()
    batch = random_batch()
    with pytest.raises(HornbookError, match="nothing to evaluate"):
        evaluate(model, [Batch(batch.inputs, torch.full_like(batch.targets, IGNORE), 1)], CPU)
    assert model.training


def test_bits_per_byte_by_hand() -> None:
    # 10 tokens at 2 bits each over 40 bytes.
    assert Score(loss=2 * math.log(2), tokens=10).bits_per_byte(40) == pytest.approx(0.5)


def test_perplexity_of_a_hopeless_model_is_infinite() -> None:
    assert Score(loss=1e4, tokens=1).perplexity == math.inf


def test_rows_are_scored_each_by_itself_and_empty_ones_left_out() -> None:
    model = tiny_model()
    batches = [random_batch(1, rows=3), random_batch(2, rows=2)]
    batches[1].targets[1] = IGNORE
    score = evaluate(model, batches, CPU)
    assert score.rows is not None
    assert len(score.rows.counts) == 4
    whole = [(batch, row) for batch in batches for row in range(len(batch.inputs))][:4]
    alone = [evaluate(model, [batch.rows(row, row + 1)], CPU) for batch, row in whole]
    assert score.rows.counts.tolist() == [one.tokens for one in alone]
    assert score.rows.sums["loss"].tolist() == pytest.approx([one.nats for one in alone])
    assert score.rows.sums["loss"].sum() == pytest.approx(score.nats)
