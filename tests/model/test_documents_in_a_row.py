"""Several documents in a row are each read as if they stood alone."""

import pytest
import torch

from hornbook.errors import HornbookError
from hornbook.model.attention import attend, attend_plainly
from hornbook.model.config import ModelConfig
from hornbook.model.documents import places_of, visible_in
from hornbook.model.kv_cache import KVCache
from hornbook.model.transformer import Transformer

NUMBERS = torch.tensor([[0, 0, 0, 1, 1, -1, -1], [4, 4, 4, 4, 4, 4, 4]])
SIZES = {"vocab_size": 23, "context_length": 16, "embed_dim": 16, "n_layers": 2, "n_heads": 4}
MODERN = {
    "positions": "rotary",
    "norm": "rmsnorm",
    "mlp": "relu2",
    "bias": False,
    "qkv_bias": False,
}
KINDS = {
    "gpt2": {},
    "modern": {**MODERN, "n_kv_heads": 2, "qk_norm": True, "token_shift": True},
    "ngrams": {**MODERN, "ngram_order": 4, "ngram_rows": 64, "token_shift": True},
    "learned-ngrams": {"ngram_order": 3, "ngram_rows": 64},
}


def model_of(kind: str, **changes: object) -> Transformer:
    config = ModelConfig.model_validate({**SIZES, **KINDS[kind], **changes})
    return Transformer(config, torch.Generator().manual_seed(1)).eval()


def test_places_begin_anew() -> None:
    assert places_of(NUMBERS).tolist() == [[0, 1, 2, 0, 1, 0, 1], [0, 1, 2, 3, 4, 5, 6]]


def test_a_document_that_comes_again_is_another_one() -> None:
    again = torch.tensor([[0, 1, 0]])
    assert visible_in(again)[0, 0].tolist() == torch.eye(3, dtype=torch.bool).tolist()


def test_only_the_document_up_to_oneself_is_seen() -> None:
    assert visible_in(NUMBERS)[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 1, 1],
    ]
    assert visible_in(NUMBERS)[1, 0].equal(torch.ones(7, 7, dtype=torch.bool).tril())


@pytest.mark.parametrize("kind", KINDS)
def test_documents_in_a_row_read_as_alone(kind: str) -> None:
    model = model_of(kind)
    ids = torch.randint(0, 23, (2, 14), generator=torch.Generator().manual_seed(2))
    lengths = [(5, 1, 8), (9, 4)]  # of 14; what is left is padding
    documents = torch.full((2, 14), -1)
    alone = []
    for row, parts in enumerate(lengths):
        start = 0
        for number, length in enumerate(parts):
            documents[row, start : start + length] = number
            alone.append(model.hidden(ids[row : row + 1, start : start + length])[0])
            start += length
    packed = model.hidden(ids, documents=documents)
    torch.testing.assert_close(packed[documents >= 0], torch.cat(alone), atol=1e-5, rtol=1e-5)
    assert packed.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_one_document_is_a_row_without(kind: str) -> None:
    model = model_of(kind)
    ids = torch.randint(0, 23, (2, 9), generator=torch.Generator().manual_seed(2))
    as_one = model.hidden(ids, documents=torch.zeros_like(ids))
    torch.testing.assert_close(as_one, model.hidden(ids), atol=1e-5, rtol=1e-5)


def test_both_forms_of_attention_take_the_mask() -> None:
    generator = torch.Generator().manual_seed(3)
    query = torch.randn(2, 4, 7, 8, generator=generator)
    key, value = torch.randn(2, 2, 2, 7, 8, generator=generator)
    visible = visible_in(NUMBERS)
    fused = attend(query, key, value, visible=visible)
    torch.testing.assert_close(fused, attend_plainly(query, key, value, visible=visible))
    halves = (part.bfloat16() for part in (query, key, value))
    low = attend(*halves, visible=visible).float()  # plain products
    torch.testing.assert_close(low, fused, atol=3e-2, rtol=3e-2)


def test_what_does_not_go_together_is_refused() -> None:
    model = model_of("gpt2")
    ids = torch.zeros(1, 4, dtype=torch.int64)
    with pytest.raises(HornbookError, match="every token needs the number"):
        model.hidden(ids, documents=ids[:, :3])
    with pytest.raises(HornbookError, match="a cache, or documents, not both"):
        model.hidden(ids, KVCache(model.config, 1, ids.device, torch.float32), documents=ids)
    long = torch.zeros(1, 20, dtype=torch.int64)
    with pytest.raises(HornbookError, match="20 tokens long"):
        model.hidden(long, documents=long)
