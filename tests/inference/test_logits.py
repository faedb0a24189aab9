"""Filters against transformers' logits processors, and their edges by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hornbook.inference.logits import (
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalize_counts,
    penalize_repetition,
    pick,
    scale_temperature,
)

INF = torch.inf


def make_logits(seed: int = 1, batch: int = 50, vocab: int = 40) -> Tensor:
    return 3 * torch.randn(batch, vocab, generator=torch.Generator().manual_seed(seed))


def make_seen(seed: int = 2, batch: int = 50, vocab: int = 40) -> Tensor:
    return torch.randint(vocab, (batch, 9), generator=torch.Generator().manual_seed(seed))


def reference(name: str, **arguments: Any) -> Callable[[Tensor, Tensor], Tensor]:
    import transformers

    processor: Callable[[Tensor, Tensor], Tensor] = getattr(transformers, name)(**arguments)
    return processor


@pytest.mark.parametrize("k", [1, 5, 39, 40, 1000])
def test_top_k_equals_transformers(k: int) -> None:
    logits = make_logits()
    expected = reference("TopKLogitsWarper", top_k=k)(make_seen(), logits)
    torch.testing.assert_close(keep_top_k(logits, k), expected, rtol=0, atol=0)


@pytest.mark.parametrize("p", [0.01, 0.5, 0.9, 0.999])
def test_top_p_equals_transformers(p: float) -> None:
    logits = make_logits()
    expected = reference("TopPLogitsWarper", top_p=p)(make_seen(), logits)
    torch.testing.assert_close(keep_top_p(logits, p), expected, rtol=0, atol=0)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 2.5])
def test_temperature_gives_transformers_probabilities(temperature: float) -> None:
    logits = make_logits()
    expected = reference("TemperatureLogitsWarper", temperature=temperature)(make_seen(), logits)
    ours = scale_temperature(logits, temperature)
    torch.testing.assert_close(ours.softmax(-1), expected.softmax(-1))


@pytest.mark.parametrize("penalty", [0.7, 1.0, 1.3])
def test_repetition_penalty_equals_transformers(penalty: float) -> None:
    logits, seen = make_logits(), make_seen()
    processor = reference("RepetitionPenaltyLogitsProcessor", penalty=penalty)
    expected = processor(seen, logits.clone())
    torch.testing.assert_close(penalize_repetition(logits, seen, penalty), expected)


def test_one_row_without_a_batch() -> None:
    logits, seen = make_logits(batch=1), make_seen(batch=1)
    for apply in (
        lambda x, ids: keep_top_k(x, 3),
        lambda x, ids: keep_top_p(x, 0.7),
        lambda x, ids: scale_temperature(x, 0.7),
        lambda x, ids: penalize_repetition(x, ids, 1.2),
    ):
        torch.testing.assert_close(apply(logits[0], seen[0]), apply(logits, seen)[0])


def test_top_k_keeps_ties_with_the_last() -> None:
    expected = torch.tensor([2.0, 1, 1, -INF])
    torch.testing.assert_close(keep_top_k(torch.tensor([2.0, 1, 1, 0]), 2), expected)


def test_top_p_of_equal_tokens_keeps_the_lowest_ids() -> None:
    expected = torch.tensor([0.0, 0, -INF, -INF])
    torch.testing.assert_close(keep_top_p(torch.zeros(4), 0.5), expected)


def test_top_p_always_keeps_one_and_one_keeps_all() -> None:
    expected = torch.tensor([-INF, 1.0, -INF])
    torch.testing.assert_close(keep_top_p(torch.tensor([0.0, 1, 0.5]), 1e-9), expected)
    logits = torch.tensor([0.0, 1.0, -2.0])
    torch.testing.assert_close(keep_top_p(logits, 1.0), logits)


def test_filters_accept_tokens_already_ruled_out() -> None:
    logits = torch.tensor([1.0, -INF, 0.0, -INF])
    torch.testing.assert_close(keep_top_k(logits, 3), logits)
    torch.testing.assert_close(keep_top_p(logits, 0.999), logits)
    assert scale_temperature(logits, 0.5).isnan().sum() == 0


def test_no_temperature_is_too_low() -> None:
    coldest = scale_temperature(torch.tensor([700.0, 699, -5]), 1e-300)
    torch.testing.assert_close(coldest.softmax(-1), torch.tensor([1.0, 0, 0]))


def test_filters_leave_their_input_alone() -> None:
    logits, seen = make_logits(), make_seen()
    before = logits.clone()
    keep_top_k(logits, 3), keep_top_p(logits, 0.5), scale_temperature(logits, 2.0)
    penalize_repetition(logits, seen, 1.5), pick(logits, torch.zeros(50, dtype=torch.float64))
    torch.testing.assert_close(logits, before, rtol=0, atol=0)


def test_pick_by_hand() -> None:
    logits = torch.tensor([0.25, 0.0, 0.5, 0.25]).log().expand(5, 4)
    draws = torch.tensor([0.0, 0.24, 0.26, 0.74, 0.76], dtype=torch.float64)
    assert pick(logits, draws).tolist() == [0, 0, 2, 2, 3]


def test_picked_shares_are_the_probabilities() -> None:
    logits = torch.tensor([1.0, 0.0, -1.0, 2.0])
    draws = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    shares = torch.bincount(pick(logits.expand(10_000, 4), draws), minlength=4) / 10_000
    torch.testing.assert_close(shares, logits.softmax(-1), atol=2e-4, rtol=0)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-50, 50, width=32) | st.just(-INF), min_size=1, max_size=30),
    st.floats(0, 1, exclude_max=True),
)
def test_pick_never_takes_a_token_ruled_out(values: list[float], draw: float) -> None:
    logits = torch.tensor([[*values, 0.0, -INF]])
    picked = int(pick(logits, torch.tensor([draw], dtype=torch.float64)))
    assert 0 <= picked < logits.shape[1]
    assert logits[0, picked] > -INF


@pytest.mark.parametrize("p", [0.0, 0.05, 0.5, 1.0])
def test_min_p_equals_transformers(p: float) -> None:
    logits = make_logits()
    expected = reference("MinPLogitsWarper", min_p=p)(make_seen(), logits)
    torch.testing.assert_close(keep_min_p(logits, p), expected, rtol=0, atol=0)


def test_penalties_of_counts_by_hand() -> None:
    logits = torch.tensor([1.0, 2.0, 3.0, 4.0])
    found = penalize_counts(logits, {1: 1, 3: 4}, presence=0.5, frequency=0.25)
    torch.testing.assert_close(found, torch.tensor([1.0, 1.25, 3.0, 2.5]))
    torch.testing.assert_close(logits[3], torch.tensor(4.0))
