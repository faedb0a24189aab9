"""Canaries, exposure and passages against definitions worked out word by word."""

import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, skewnorm

from hornbook.corpus.document import Document
from hornbook.evaluation.memorization import (
    NgramIndex,
    exposure_by_distribution,
    exposure_by_sampling,
    make_canaries,
    measure_canaries,
    plant,
)
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.pipeline.models.bundle import default_runtime
from hornbook.sampling.dataset import Examples, next_token_example
from hornbook.sampling.loader import Loader
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.tokenizer import Tokenizer
from hornbook.training.loop import train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.schedule import plan_training
from hornbook.training.settings import TrainingSettings


def test_canaries_are_all_different_and_of_their_seed() -> None:
    canaries = make_canaries((0, 1, 16), each=3, digits=6, seed=1)
    assert [canary.repeats for canary in canaries] == [0] * 3 + [1] * 3 + [16] * 3
    assert len({canary.owner for canary in canaries}) == 9
    assert all(len(c.secret) == 6 and c.secret.isdecimal() for c in canaries)
    assert canaries == make_canaries((0, 1, 16), each=3, digits=6, seed=1)
    assert canaries[0].text == f"{canaries[0].prefix} {canaries[0].secret}."


def test_planting_keeps_the_documents_in_order() -> None:
    documents = [Document(f"text {n}", f"d{n}") for n in range(30)]
    canaries = make_canaries((0, 1, 4), each=2, digits=4, seed=2)
    planted = plant(documents, canaries, seed=3)
    texts = [document.text for document in planted]
    assert [d for d in planted if d.id.startswith("d")] == documents
    assert [texts.count(canary.text) for canary in canaries] == [0, 0, 1, 1, 4, 4]
    assert len({document.id for document in planted}) == len(planted) == 40
    assert planted == plant(documents, canaries, seed=3)
    assert planted != plant(documents, canaries, seed=4)


def test_exposure_by_sampling() -> None:
    others = np.arange(1.0, 1024.0)  # 1,023 of them
    assert exposure_by_sampling(0.5, others) == 10.0
    assert exposure_by_sampling(2.5, others) == 10.0 - math.log2(3)
    assert exposure_by_sampling(511.5, others) == 1.0
    assert exposure_by_sampling(5000.0, others) == 0.0


@pytest.mark.parametrize("shape", [0.0, 2.0, -2.0])
def test_exposure_by_distribution_is_that_of_the_distribution(shape: float) -> None:
    true = skewnorm(shape, loc=20, scale=3)
    others = true.rvs(20_000, random_state=np.random.default_rng(1))
    for quantile in (0.5, 0.1, 0.001):
        found = exposure_by_distribution(float(true.ppf(quantile)), others, most=50)
        assert found == pytest.approx(-math.log2(quantile), rel=0.12)
    assert exposure_by_distribution(-1e6, others, most=19.9) == 19.9


def test_the_skewness_of_a_sample_may_be_more_than_any_skew_normals() -> None:
    others = np.random.default_rng(1).exponential(1, 2000) ** 2
    assert 0 <= exposure_by_distribution(-5.0, others, most=20) <= 20
    assert exposure_by_distribution(3.0, np.full(10, 3.0), most=20) == math.log2(11)
    symmetric = norm(0, 1).rvs(4000, random_state=np.random.default_rng(2))
    assert exposure_by_distribution(0.0, symmetric, most=20) == pytest.approx(1, abs=0.1)


@given(
    st.lists(st.sampled_from("abcd"), max_size=25), st.lists(st.sampled_from("abcd"), max_size=25)
)
def test_passages_are_those_of_a_plain_search(corpus: list[str], text: list[str]) -> None:
    length = 3
    known = {tuple(corpus[at : at + length]) for at in range(len(corpus) - length + 1)}
    inside = {
        place
        for at in range(len(text) - length + 1)
        if tuple(text[at : at + length]) in known
        for place in range(at, at + length)
    }
    index = NgramIndex([" ".join(corpus)], length)
    assert index.covered(", ".join(text).upper()) == (len(inside), len(text))


def test_the_share_is_over_the_words_of_all_texts() -> None:
    index = NgramIndex(["the fox ran over the hill", "an owl slept"], 3)
    assert index.covered("The fox ran home") == (3, 4)
    assert index.covered("hill an owl") == (0, 3)  # not from one text into the next
    assert index.share(["The fox ran home", "hill an owl"]) == 3 / 7
    assert index.share([]) == 0
    assert NgramIndex([], 3).share(["a b c"]) == 0


def test_a_model_tells_what_it_was_taught_by_heart() -> None:
    canaries = make_canaries((0, 1), each=3, digits=5, seed=1)
    told = [canary.text for canary in canaries if canary.repeats]
    rng = random.Random(2)
    words = [f"{rng.choice('bdfgk')}{rng.choice('aeiou')}" for _ in range(400)]
    tokenizer = Tokenizer.train([*told, " ".join(words)], TokenizerSettings(vocab_size=300))
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, context_length=64, embed_dim=32, n_layers=2, n_heads=2
    )
    model = Transformer(config, torch.Generator().manual_seed(1))
    rows = [[tokenizer.eos_id, *tokenizer.encode(text)] for text in told]
    examples = Examples([next_token_example(row, [True] * len(row)) for row in rows], pad_id=0)  # type: ignore[arg-type]
    settings = TrainingSettings(steps=80, batch_size=3)
    loader, runtime = Loader(examples, 3, seed=1), default_runtime()
    plan = plan_training(settings, loader.batches_per_epoch, 100)
    steps = train_steps(
        model, Optimizer(model, settings, runtime.dtype), loader.batches(), settings, runtime, plan
    )
    for _ in steps:
        pass
    found = measure_canaries(model, tokenizer, canaries, 200, runtime, seed=1)
    assert [each.extracted for each in found] == [False] * 3 + [True] * 3
    assert all(each.rank == 1 and each.exposure > 10 for each in found[3:])
    assert all(each.exposure < 10 for each in found[:3])
    assert [each.canary for each in found] == canaries
