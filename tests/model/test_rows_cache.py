"""Texts of different lengths in one cache: each row's logits are those of its text read alone."""

from typing import Any

import pytest
import torch

from hornbook.errors import HornbookError
from hornbook.model import rows_cache
from hornbook.model.config import ModelConfig
from hornbook.model.kv_cache import KVCache
from hornbook.model.rotary import LongRopeScaling
from hornbook.model.rows_cache import RowsCache
from hornbook.model.transformer import Transformer
from tests.model.references import randomize

CPU = torch.device("cpu")
BASE: dict[str, Any] = {
    "vocab_size": 41, "context_length": 24, "embed_dim": 16, "n_layers": 3, "n_heads": 2,
}  # fmt: skip
ROTARY = {**BASE, "positions": "rotary", "norm": "rmsnorm", "qk_norm": True, "n_kv_heads": 1}
LONG = LongRopeScaling(short_factors=(1.0,) * 4, long_factors=(4.0,) * 4, original_context=8)
MODELS: dict[str, dict[str, Any]] = {
    "gpt2": BASE,
    "rotary": ROTARY,
    "windows": {**ROTARY, "window": 5, "windowed_layers": (True, False)},
    "soft cap": {**ROTARY, "attention_softcap": 5.0},
    "token shift": {**ROTARY, "token_shift": True},
    "n-grams": {**ROTARY, "token_shift": True, "ngram_order": 4, "ngram_rows": 97},
    "experts": {**ROTARY, "mlp": "swiglu", "n_experts": 4, "experts_per_token": 2},
    "longrope": {**ROTARY, "rope_scaling": LONG},
}


def make(fields: dict[str, Any]) -> Transformer:
    model = Transformer(ModelConfig.model_validate(fields)).double()
    randomize(model, 1, std=0.5)
    return model.eval()


def read(model: Transformer, ids: list[int]) -> KVCache:
    cache = KVCache(model.config, 1, CPU, torch.float64)
    model(torch.tensor([ids]), cache)
    return cache


@pytest.mark.parametrize("fields", MODELS.values(), ids=list(MODELS))
@torch.no_grad()
def test_each_row_is_as_if_alone_while_others_join_and_leave(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_cache, "BUCKET", 4)
    model = make(fields)
    rows = RowsCache(model.config, 4, CPU, torch.float64, reach=model.embedding.reach)
    texts: list[list[int]] = []
    generator = torch.Generator().manual_seed(2)
    plan = [9, 1, None, 13, 2, "leave 0", None, 11, None, "leave 3", None, "leave 0", 10, None]
    checked = 0
    for event in plan:
        if isinstance(event, int):
            texts.append(torch.randint(41, (event,), generator=generator).tolist())
            rows.join(read(model, texts[-1]))
        elif isinstance(event, str):
            row = int(event.split()[1])
            rows.leave(row)
            texts[row] = texts[-1]
            texts.pop()
        else:
            new = torch.randint(41, (len(texts),), generator=generator)
            filled = torch.cat((new, new.new_zeros(4 - len(new))))  # rows that fill the batch up
            logits = model.head(model.hidden(filled[:, None], rows))[:, 0]
            for row, text in enumerate(texts):
                if model.reads_anew(len(text), len(text) + 1):
                    pytest.fail("the plan crosses the original context")
                text.append(int(new[row]))
                torch.testing.assert_close(logits[row], model(torch.tensor([text]))[0, -1])
                checked += 1
    assert checked == 15


@torch.no_grad()
def test_a_layer_with_a_window_keeps_its_window_only() -> None:
    model = make(MODELS["windows"])
    rows = RowsCache(model.config, 2, CPU, torch.float64)
    assert [layer.capacity for layer in rows.layers] == [5, 24, 5]
    text = list(range(20))
    rows.join(read(model, text[:3]))
    rows.join(read(model, text[:12]))
    shorter, longer = text[:3], text[:12]
    for token in (
        7,
        8,
        9,
        10,
        11,
        12,
    ):  # the first row fills its window, the second one's goes round
        shorter.append(token)
        longer.append(token)
        logits = model.head(model.hidden(torch.tensor([[token], [token]]), rows))[:, 0]
        for row, ids in enumerate((shorter, longer)):
            torch.testing.assert_close(logits[row], model(torch.tensor([ids]))[0, -1])


@torch.no_grad()
def test_a_full_cache_says_so() -> None:
    model = make(BASE)
    rows = RowsCache(model.config, 1, CPU, torch.float64, capacity=3)
    with pytest.raises(HornbookError, match="no room for a text of 4 as number 1"):
        rows.join(read(model, [1, 2, 3, 4]))
    rows.join(read(model, [1, 2]))
    with pytest.raises(HornbookError, match="no room for a text of 1 as number 2"):
        rows.join(read(model, [1]))


@torch.no_grad()
def test_forgetting_the_end_reads_on_from_there() -> None:
    model = make(ROTARY)
    cache = read(model, [1, 2, 3, 4, 5])
    cache.forget_after(2)
    expected = model(torch.tensor([[1, 2, 9]]))[0, -1]
    torch.testing.assert_close(model(torch.tensor([[9]]), cache)[0, -1], expected)
