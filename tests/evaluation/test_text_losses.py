"""The loss of each text is that of the text scored alone, token by token."""

import math

import numpy as np
import pytest
import torch

from hornbook.evaluation import text_losses as module
from hornbook.evaluation.perplexity import sliding_window_perplexity
from hornbook.evaluation.text_losses import example_losses, text_losses
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import IGNORE
from hornbook.sampling.dataset import Examples

CPU = Runtime(torch.device("cpu"), torch.float32, seed=1, reason="a test")
VOCAB, CONTEXT = 23, 8
RNG = np.random.default_rng(0)
TEXTS = [RNG.integers(0, VOCAB, size=n).tolist() for n in (2, 37, 9, 8, 17, 3, 10, 64)]


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=VOCAB, context_length=CONTEXT, embed_dim=16, n_layers=1, n_heads=2
    )
    model = Transformer(config)
    with torch.no_grad():  # far from the uniform distribution, so that context matters
        for parameter in model.parameters():
            parameter.mul_(20)
    return model.train()


@pytest.mark.parametrize("stride", [None, 1, 3, 8])
@pytest.mark.parametrize("at_once", [1, 40, 2**13])
def test_each_text_as_if_alone(
    model: Transformer, monkeypatch: pytest.MonkeyPatch, stride: int | None, at_once: int
) -> None:
    monkeypatch.setattr(module, "TOKENS_AT_ONCE", at_once)
    found = text_losses(model, TEXTS, CPU, stride=stride)
    assert model.training
    for number, text in enumerate(TEXTS):
        alone = sliding_window_perplexity(model, np.array(text), CPU, stride=stride)
        assert found.tokens[number] == alone.tokens == len(text) - 1
        assert found.nats[number] == pytest.approx(alone.nats, rel=1e-5)
        assert found.loss[number] == pytest.approx(alone.loss, rel=1e-5)


def test_texts_of_one_token_have_no_loss(model: Transformer) -> None:
    found = text_losses(model, [[3], TEXTS[0], []], CPU)
    assert found.tokens.tolist() == [0, 1, 0]
    assert [math.isnan(loss) for loss in found.loss] == [True, False, True]
    assert len(text_losses(model, [], CPU).loss) == 0


def test_only_the_end_of_a_text_is_scored(model: Transformer) -> None:
    whole, ends = text_losses(model, TEXTS, CPU), [max(len(text) - 2, 1) for text in TEXTS]
    found = text_losses(model, TEXTS, CPU, scored_from=ends)
    before = text_losses(model, [text[:end] for text, end in zip(TEXTS, ends, strict=True)], CPU)
    assert found.tokens.tolist() == [len(t) - e for t, e in zip(TEXTS, ends, strict=True)]
    fits = [n for n, text in enumerate(TEXTS) if len(text) <= CONTEXT + 1]  # the same windows
    assert np.allclose((found.nats + before.nats)[fits], whole.nats[fits], rtol=1e-5)


def test_a_class_read_at_one_position(model: Transformer) -> None:
    pairs = [(text[:8], [IGNORE] * (len(text[:8]) - 1) + [5]) for text in TEXTS]
    found = example_losses(model, Examples(pairs, pad_id=0), CPU)
    for number, (ids, _) in enumerate(pairs):
        logits = model.eval()(torch.tensor([ids]))[0, -1].detach().double()
        assert found.nats[number] == pytest.approx(-logits.log_softmax(-1)[5].item(), rel=1e-5)
    assert found.tokens.tolist() == [1] * len(pairs)
