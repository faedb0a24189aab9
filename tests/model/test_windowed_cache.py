"""A layer with a window keeps its window and what is read at once, and reads as if it kept all."""

from typing import Any

import pytest
import torch

from hornbook.inference import batch, decoder
from hornbook.inference.beams import beam_search
from hornbook.inference.generate import GenerationSettings, generate
from hornbook.inference.speculation import draft_with, generate_speculatively, look_up
from hornbook.model import kv_cache
from hornbook.model.config import ModelConfig
from hornbook.model.kv_cache import KVCache
from hornbook.model.rotary import LongRopeScaling
from hornbook.model.transformer import Transformer
from tests.model.references import randomize

CPU = torch.device("cpu")
CONTEXT, WINDOW = 60, 7
GEMMA_LIKE: dict[str, Any] = {
    "vocab_size": 37, "context_length": CONTEXT, "embed_dim": 16, "n_layers": 6, "n_heads": 2,
    "n_kv_heads": 1, "positions": "rotary", "norm": "rmsnorm", "qk_norm": True, "window": WINDOW,
    "windowed_layers": (True,) * 5 + (False,), "window_rope_theta": 500.0, "tied_embeddings": False,
    "mlp": "relu2", "ngram_order": 3, "ngram_rows": 97,
}  # fmt: skip
ALL_WINDOWS = {**GEMMA_LIKE, "windowed_layers": (True,), "n_layers": 2}


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 8 tokens and a margin of 3: windowed layers have room for 18."""
    for module in (kv_cache, decoder, batch):
        monkeypatch.setattr(module, "CHUNK", 8)
    monkeypatch.setattr(kv_cache, "MARGIN", 3)


def make(fields: dict[str, Any]) -> Transformer:
    model = Transformer(ModelConfig.model_validate(fields)).double()
    randomize(model, 1, std=0.9)
    return model.eval()


def text(length: int) -> list[int]:
    generator = torch.Generator().manual_seed(length)
    return torch.randint(37, (length,), generator=generator).tolist()


def plain_loop(model: Transformer, prompt: list[int], count: int) -> list[int]:
    """Greedy, everything read again for each token."""
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(count):
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("fields", [GEMMA_LIKE, ALL_WINDOWS], ids=["5 of 6", "all"])
@pytest.mark.parametrize("pieces", [[8] * 7, [1] * 50, [3, 40, 1, 1, 8], [59], [18, 1, 17, 2, 8]])
@torch.no_grad()
def test_pieces_of_any_size_read_as_the_whole(fields: dict[str, Any], pieces: list[int]) -> None:
    model, ids = make(fields), text(sum(pieces))
    cache = KVCache(model.config, 2, CPU, torch.float64)
    for layer in cache.layers:
        assert layer.keys.shape[2] == (CONTEXT if layer.window is None else 18)
        layer.keys.fill_(torch.nan)  # what was not written must not be read
    rows = torch.tensor([ids, ids[::-1]])
    whole, start = model(rows), 0
    for piece in pieces:
        found = model(rows[:, start : start + piece], cache)
        start += piece
        torch.testing.assert_close(found, whole[:, start - piece : start])


@pytest.mark.parametrize("fields", [GEMMA_LIKE, ALL_WINDOWS], ids=["5 of 6", "all"])
@pytest.mark.parametrize("length", [6, 7, 8, 18, 19, 41])
def test_every_way_of_writing_past_the_window(fields: dict[str, Any], length: int) -> None:
    model, prompt = make(fields), text(length)
    expected = plain_loop(model, prompt, 18)
    assert len(set(expected)) > 3
    greedy = GenerationSettings(temperature=0, max_new_tokens=18)
    assert list(generate(model, prompt, greedy)) == expected
    assert list(beam_search(model, prompt, 1, 18)[0].ids) == expected
    draft = make({**ALL_WINDOWS, "n_layers": 1})
    for propose in (look_up, draft_with(draft), draft_with(model)):
        assert list(generate_speculatively(model, prompt, greedy, propose)) == expected


@torch.no_grad()
def test_some_last_tokens_can_be_forgotten_and_more_leave_nothing() -> None:
    model, ids = make(GEMMA_LIKE), text(40)
    for forgotten, kept in ((0, 40), (3, 37), (12, 0)):
        cache = KVCache(model.config, 1, CPU, torch.float64)
        for start in range(0, 40, 8):
            model(torch.tensor([ids[start : start + 8]]), cache)
        model(torch.tensor([[1, 2]]), cache)
        assert cache.forget_after(40 - forgotten) == cache.length == kept
        cache.last_ids = torch.tensor([ids[max(kept - 2, 0) : kept]], dtype=torch.int64)
        unread = [*ids, 5][kept:]
        expected = model(torch.tensor([[*ids[:kept], *unread]]))[0, -1]
        torch.testing.assert_close(model(torch.tensor([unread]), cache)[0, -1], expected)


def test_a_text_read_in_parts_turns_by_its_whole_length() -> None:
    """A text beyond the original context turns by the long factors from its first token on."""
    scaling = LongRopeScaling(
        short_factors=(1.0,) * 4, long_factors=(5.0,) * 4, original_context=12
    )
    fields = {**GEMMA_LIKE, "window": None, "window_rope_theta": None, "rope_scaling": scaling}
    model = make(fields)
    for length in (11, 12, 13, 30):
        prompt = text(length)
        expected = plain_loop(model, prompt, 10)
        greedy = GenerationSettings(temperature=0, max_new_tokens=10)
        assert list(generate(model, prompt, greedy)) == expected
        assert list(generate_speculatively(model, prompt, greedy, look_up)) == expected
