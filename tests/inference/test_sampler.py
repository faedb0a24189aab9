"""One text's choices against transformers' processors in their order, and by hand."""

import random
from typing import Any

import pytest
import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.inference.logits import pick
from hornbook.inference.sampler import Sampler, choose_all
from hornbook.inference.settings import GenerationSettings

VOCAB = 60
PROMPT = [3, 3, 8, 20]


def settings(**changes: Any) -> GenerationSettings:
    return GenerationSettings.model_validate({"top_k": None, "temperature": 1.0, **changes})


def sampler(seed: int = 1, **changes: Any) -> Sampler:
    return Sampler(settings(**changes), PROMPT, random.Random(seed))


def logits(seed: int = 1) -> Tensor:
    return 3 * torch.randn(VOCAB, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"temperature": 0.6}, {"top_k": 5}, {"top_k": VOCAB}, {"top_p": 0.8}, {"min_p": 0.1},
        {"repetition_penalty": 1.7},
        {"temperature": 1.5, "top_k": 20, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.3},
    ],
    ids=str,
)  # fmt: skip
def test_draws_are_those_from_transformers_distribution(changes: dict[str, Any]) -> None:
    from transformers import (
        LogitsProcessorList,
        MinPLogitsWarper,
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    given = settings(**changes)
    processors = LogitsProcessorList()
    processors.append(RepetitionPenaltyLogitsProcessor(given.repetition_penalty))
    processors.append(TemperatureLogitsWarper(given.temperature))
    if given.top_k is not None:
        processors.append(TopKLogitsWarper(given.top_k))
    if given.top_p is not None:
        processors.append(TopPLogitsWarper(given.top_p))
    if given.min_p is not None:
        processors.append(MinPLogitsWarper(given.min_p))
    mine, numbers, seen = sampler(7, **changes), random.Random(7), list(PROMPT)
    for step in range(50):
        scores = logits(step)
        theirs = processors(torch.tensor([seen]), scores[None].clone())
        draw = torch.tensor([numbers.random()], dtype=torch.float64)
        seen.append(int(pick(theirs, draw)))
        assert mine.choose(scores).token == seen[-1]


def test_a_bias_can_forbid_and_force() -> None:
    best = int(logits().argmax())
    assert sampler(temperature=0.0, logit_bias={"7": 100.0}).choose(logits()).token == 7
    assert sampler(temperature=0.0, logit_bias={str(best): -100.0}).choose(logits()).token != best
    with pytest.raises(HornbookError, match="no token has the id 60"):
        sampler(logit_bias={"60": 1.0}).choose(logits())


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("top_k", [None, 5])
def test_no_setting_is_too_large(temperature: float, top_k: int | None) -> None:
    """Numbers that float32 does not hold: a bias forces or forbids, a penalty is without bounds."""
    changes: dict[str, Any] = {"temperature": temperature, "top_k": top_k}
    assert sampler(logit_bias={"7": 1e300}, **changes).choose(logits()).token == 7
    both = {"7": -1e300, "9": 1e300}
    assert sampler(logit_bias=both, **changes).choose(logits()).token == 9
    for penalty in (1e-300, 1e300):
        assert 0 <= sampler(repetition_penalty=penalty, **changes).choose(logits()).token < VOCAB
    forbidden = {str(token): -1e300 for token in range(VOCAB)}
    assert 0 <= sampler(logit_bias=forbidden, **changes).choose(logits()).token < VOCAB


def test_penalties_count_what_was_written_and_not_the_prompt() -> None:
    flat = torch.zeros(VOCAB)
    flat[3], flat[5] = 1.0, 0.9
    penalized = sampler(temperature=0.0, presence_penalty=0.2)
    assert [penalized.choose(flat).token for _ in range(3)] == [3, 5, 3]
    often = sampler(temperature=0.0, frequency_penalty=0.4)
    assert [often.choose(flat).token for _ in range(5)] == [3, 5, 3, 5, 3]


def test_log_probabilities_are_the_models_own() -> None:
    scores = logits()
    hot = Sampler(settings(temperature=2.0, top_k=2), PROMPT, random.Random(1), top_logprobs=3)
    choice = hot.choose(scores)
    expected = scores.double().log_softmax(-1)
    assert choice.logprob == pytest.approx(float(expected[choice.token]), abs=1e-5)
    best = expected.topk(3)
    assert [token for token, _ in choice.top] == best.indices.tolist()
    assert [value for _, value in choice.top] == pytest.approx(best.values.tolist(), abs=1e-5)


def test_rows_choose_each_by_its_own_settings_and_numbers() -> None:
    rows = torch.stack([logits(1), logits(2), logits(1)])
    together = choose_all(rows, [sampler(1), sampler(2, temperature=0.0), sampler(3, top_k=3)])
    alone = [
        sampler(1).choose(rows[0]), sampler(2, temperature=0.0).choose(rows[1]),
        sampler(3, top_k=3).choose(rows[2]),
    ]  # fmt: skip
    assert together == alone


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_p": 1.5}, {"presence_penalty": 3.0}, {"frequency_penalty": -2.5}, {"stop": ("",)},
        {"logit_bias": {"x": 1.0}}, {"logit_bias": {"-1": 1.0}},
    ],
    ids=str,
)  # fmt: skip
def test_senseless_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        settings(**wrong)
