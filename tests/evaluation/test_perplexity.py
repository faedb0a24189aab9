import math

import numpy as np
import pytest
import torch

from hornbook.errors import HornbookError
from hornbook.evaluation.perplexity import sliding_window_perplexity
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime

CPU = Runtime(torch.device("cpu"), torch.float32, seed=1, reason="a test")
TOKENS = np.random.default_rng(0).integers(0, 23, size=37).astype(np.uint16)


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(0)
    config = ModelConfig(vocab_size=23, context_length=8, embed_dim=16, n_layers=1, n_heads=2)
    model = Transformer(config)
    with torch.no_grad():  # far from the uniform distribution, so that context matters
        for parameter in model.parameters():
            parameter.mul_(20)
    return model.eval()


def token_by_token(model: Transformer, length: int, stride: int) -> float:
    """Each token scored by itself, from the start of the window that the definition gives it."""
    nats = 0.0
    for position in range(len(TOKENS) - 1):
        windows_before = max(0, math.ceil((position + 1 - length) / stride))
        start = windows_before * stride
        ids = torch.from_numpy(TOKENS[start : position + 1].astype(np.int64))[None]
        log_probabilities = model(ids)[0, -1].detach().double().log_softmax(-1)
        nats -= log_probabilities[int(TOKENS[position + 1])].item()
    return nats


@pytest.mark.parametrize(
    ("length", "stride"), [(8, 1), (8, 3), (8, 4), (8, 8), (5, 2), (None, None)]
)
@pytest.mark.parametrize("batch_size", [1, 4])
def test_equals_scoring_token_by_token(
    model: Transformer, length: int | None, stride: int | None, batch_size: int
) -> None:
    score = sliding_window_perplexity(
        model, TOKENS, CPU, context_length=length, stride=stride, batch_size=batch_size
    )
    expected = token_by_token(model, length or 8, stride or 4)
    assert score.tokens == 36
    assert score.nats == pytest.approx(expected, rel=1e-5)
    assert score.bits_per_byte(100) == pytest.approx(expected / math.log(2) / 100, rel=1e-5)


def test_a_text_shorter_than_a_window(model: Transformer) -> None:
    score = sliding_window_perplexity(model, TOKENS[:3], CPU)
    ids = torch.from_numpy(TOKENS[:2].astype(np.int64))[None]
    rows = model(ids)[0].detach().double().log_softmax(-1)
    expected = -(rows[0, int(TOKENS[1])] + rows[1, int(TOKENS[2])]).item()
    assert score.nats == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("tokens", "length", "stride", "problem"),
    [
        (TOKENS[:1], None, None, "2 tokens or more, not 1"),
        (TOKENS, 9, None, "context_length 9"),
        (TOKENS, 0, None, "context_length 0"),
        (TOKENS, 4, 5, "stride 5"),
        (TOKENS, 4, 0, "stride 0"),
    ],
)
def test_what_cannot_be_is_refused(
    model: Transformer, tokens: np.ndarray, length: int | None, stride: int | None, problem: str
) -> None:
    with pytest.raises(HornbookError, match=problem):
        sliding_window_perplexity(model, tokens, CPU, context_length=length, stride=stride)
