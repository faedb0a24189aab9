"""What families need beyond the presets: windows, experts, soft caps, stretched positions, each
against its definition. That the whole is right is held to transformers in tests/checkpoints."""

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from hornbook.config import validate
from hornbook.errors import HornbookError
from hornbook.model.attention import attend, attend_in_window, within_window
from hornbook.model.config import ModelConfig
from hornbook.model.documents import visible_in
from hornbook.model.feedforward import MixtureOfExperts
from hornbook.model.kv_cache import KVCache
from hornbook.model.rotary import Llama3Scaling, RotaryEmbedding, YarnScaling, rotate
from hornbook.model.transformer import SoftcappedHead, Transformer
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.training import objective
from tests.model.references import randomize

SIZES: dict[str, Any] = {
    "vocab_size": 29,
    "context_length": 48,
    "embed_dim": 16,
    "n_layers": 3,
    "n_heads": 4,
    "n_kv_heads": 2,
    "positions": "rotary",
    "norm": "rmsnorm",
    "bias": False,
    "mlp": "swiglu",
    "hidden_dim": 24,
}
SHAPES: dict[str, dict[str, Any]] = {
    "windows": {"window": 5, "windowed_layers": [True, False]},
    "windows with a base": {
        "window": 5,
        "windowed_layers": [True, False],
        "window_rope_theta": 3.0,
    },
    "some without positions": {"rotary_layers": [True, True, False]},
    "no positions": {"positions": "none"},
    "part turned": {"head_size": 6, "rope_share": 0.67},
    "norms after": {"norm_place": "after", "qk_norm": "whole"},
    "gemma": {
        "norm": "rmsnorm_plus_one",
        "norm_place": "both",
        "attention_softcap": 2.0,
        "logit_softcap": 3.0,
        "query_pre_attn_scalar": 9.0,
        "scaled_embeddings": True,
        "mlp": "geglu",
    },
    "experts": {"n_experts": 4, "expert_dim": 8, "expert_layers": [False, True]},
    "longrope": {
        "rope_scaling": {
            "kind": "longrope",
            "short_factors": [1.0, 1.5],
            "long_factors": [2.0, 4.0],
            "original_context": 40,
        }
    },
}


def make(shape: dict[str, Any], seed: int = 1) -> Transformer:
    model = Transformer(validate(ModelConfig, {**SIZES, **shape}, "model"))
    randomize(model, seed)
    return model.eval()


def some_ids(rows: int = 2, tokens: int = 24) -> Tensor:
    return torch.randint(29, (rows, tokens), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_cache_changes_nothing(shape: str) -> None:
    model, ids = make(SHAPES[shape]), some_ids()
    cache = KVCache(model.config, 2, torch.device("cpu"), torch.float32)
    with torch.no_grad():
        pieces = [model(piece, cache) for piece in ids.split([7, 1, 1, 8, 1, 6], dim=1)]
        torch.testing.assert_close(torch.cat(pieces, dim=1), model(ids), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_documents_in_a_row_are_read_as_alone(shape: str) -> None:
    model, ids = make(SHAPES[shape]), some_ids()
    documents = torch.tensor([0] * 9 + [1] * 15).expand(2, -1)
    with torch.no_grad():
        together = model.hidden(ids, documents=documents)
        alone = [model.hidden(ids[:, :9]), model.hidden(ids[:, 9:])]
        torch.testing.assert_close(together, torch.cat(alone, dim=1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_parameter_learns(shape: str) -> None:
    model = make(SHAPES[shape]).train()
    model(some_ids()).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any() or name.endswith("key.bias"), name


def test_a_window_sees_its_last_tokens_and_no_others() -> None:
    model = make({"window": 4, "n_layers": 1})
    ids, changed = some_ids(), some_ids()
    changed[:, 10] = (changed[:, 10] + 1) % 29
    with torch.no_grad():
        moved = (model(ids) - model(changed)).abs().amax(dim=(0, 2)) > 1e-6
    assert moved.nonzero().flatten().tolist() == [10, 11, 12, 13]


@pytest.mark.parametrize(
    ("tokens", "window"), [(11, 1), (11, 4), (1, 4), (3, 4), (12, 12), (12, 5)]
)
@pytest.mark.parametrize("softcap", [None, 2.0])
def test_windows_in_pieces_equal_a_mask_over_all(
    tokens: int, window: int, softcap: float | None
) -> None:
    generator = torch.Generator().manual_seed(1)
    query = torch.randn(2, 4, tokens, 8, generator=generator)
    key, value = (torch.randn(2, 2, 12, 8, generator=generator) for _ in range(2))
    pairs = torch.arange(12) - torch.arange(12 - tokens, 12)[:, None]
    mask = (pairs <= 0) & (pairs > -window)
    assert torch.equal(within_window(query, key, window), mask)
    found = attend_in_window(query, key, value, window, softcap=softcap)
    torch.testing.assert_close(found, attend(query, key, value, 0.0, mask, softcap))


def test_a_window_within_documents() -> None:
    query = torch.zeros(1, 1, 5, 2)
    visible = visible_in(torch.tensor([[0, 0, 0, 1, 1]]))
    narrowed = within_window(query, query, 2, visible)[0, 0].int().tolist()
    assert narrowed == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 1, 1],
    ]


def test_softcapped_scores_by_their_formula() -> None:
    generator = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(1, 2, 4, 8, generator=generator) for _ in range(3))
    found = attend(query, key, value, softcap=0.5)
    scores = 0.5 * torch.tanh(query @ key.mT / math.sqrt(8) / 0.5)
    masked = scores.masked_fill(~torch.ones(4, 4, dtype=torch.bool).tril(), -torch.inf)
    torch.testing.assert_close(found, masked.softmax(-1) @ value)


@pytest.mark.parametrize("normalized", [True, False])
def test_experts_equal_the_sum_over_each_tokens_own(normalized: bool) -> None:
    config = ModelConfig(**{**SIZES, "n_experts": 5, "normalized_experts": normalized})
    layer = MixtureOfExperts(config)
    randomize(layer, 2)
    x = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(3))
    shares = layer.router(x).softmax(-1).detach()
    for row in range(2):
        for token in range(9):
            best = shares[row, token].argsort(descending=True)[:2].tolist()
            total = sum(shares[row, token, e] for e in best) if normalized else 1.0
            expected = sum(
                shares[row, token, e] / total * layer.experts[e](x[row, token]) for e in best
            )
            torch.testing.assert_close(layer(x)[row, token], expected, atol=1e-6, rtol=1e-5)


def test_experts_without_tokens_have_a_gradient_of_zero_in_training() -> None:
    layer = MixtureOfExperts(ModelConfig(**{**SIZES, "n_experts": 5, "experts_per_token": 1}))
    layer.train()(torch.ones(3, 16)).sum().backward()
    gradients = [parameter.grad for parameter in layer.experts.parameters()]
    assert all(gradient is not None for gradient in gradients)
    busy = [any(p.grad.any() for p in expert.parameters()) for expert in layer.experts]
    assert sum(busy) == 1


def test_the_loss_of_a_softcapped_head_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = make({"logit_softcap": 2.0}), some_ids()
    assert isinstance(model.head, SoftcappedHead)
    targets = ids.roll(-1, dims=1)
    targets[:, -1] = IGNORE
    expected = torch.nn.functional.cross_entropy(
        model(ids).flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum"
    )
    expected.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    monkeypatch.setattr(objective, "CPU_LOGITS_AT_ONCE", 29 * 10)
    monkeypatch.setattr(objective, "LEAST_ROWS", 10)
    loss, count = objective.loss_sum(model, Batch(ids, targets, 0))
    loss.backward()
    assert int(count) == 46
    torch.testing.assert_close(loss, expected)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-5, rtol=1e-4)


def test_a_part_of_each_head_is_turned() -> None:
    x = torch.randn(1, 1, 3, 8, generator=torch.Generator().manual_seed(1))
    rotation = RotaryEmbedding(4, 100.0)(0, 3, torch.device("cpu"))
    turned = rotate(x, rotation)
    assert torch.equal(turned[..., 4:], x[..., 4:])
    assert torch.equal(turned[..., :4], rotate(x[..., :4], rotation))


def test_stretching_keeps_quick_turns_and_slows_slow_ones() -> None:
    frequencies = 1.0 / 10_000.0 ** (torch.arange(0, 64, 2) / 64)
    for scaling in (
        Llama3Scaling(factor=8.0, original_context=512),
        YarnScaling(factor=8.0, original_context=512),
    ):
        ratio = frequencies / scaling.scale(frequencies, 10_000.0, 4096)
        assert ratio[0].item() == pytest.approx(1.0)
        assert ratio[-1].item() == pytest.approx(8.0)
        assert (ratio.diff() > -1e-5).all()


def test_longrope_reads_a_text_anew_when_it_outgrows_the_short_factors() -> None:
    model = make(SHAPES["longrope"])
    assert not model.reads_anew(0, 41)
    assert not model.reads_anew(39, 40)
    assert model.reads_anew(40, 41)
    assert not model.reads_anew(41, 42)
    assert not make({}).reads_anew(40, 41)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"head_size": 5}, "rotary positions need an even head_dim, not 5"),
        ({"rope_share": 0.3}, "rope_share 0.3 of head_dim 4 is 1 dimensions; they are turned in"),
        (
            {"rope_scaling": SHAPES["longrope"]["rope_scaling"] | {"short_factors": [1.0]}},
            "rope_scaling.short_factors has 1 numbers for 2 pairs",
        ),
        ({"n_experts": 1}, "experts_per_token 2 is more than n_experts 1"),
        ({"n_experts": 4, "mlp": "gelu"}, "experts are gated layers, swiglu or geglu, not gelu"),
    ],
)
def test_what_does_not_fit(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(HornbookError, match=re.escape(said)):
        validate(ModelConfig, {**SIZES, **fields}, "model")
