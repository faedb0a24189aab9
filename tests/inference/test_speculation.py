"""Guessing ahead: the text is the one that is written token by token, whatever is guessed."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from hornbook.errors import HornbookError
from hornbook.inference.generate import GenerationSettings, generate
from hornbook.inference.speculation import draft_with, generate_speculatively, look_up
from hornbook.model.rotary import LongRopeScaling
from hornbook.model.transformer import Transformer
from tests.inference.test_generate import CONTEXT, GPT2, MODERN, PROMPTS, greedy, make_model

LONG = LongRopeScaling(short_factors=(1.0,) * 4, long_factors=(4.0,) * 4, original_context=8)
MODELS: dict[str, dict[str, Any]] = {
    "gpt2": GPT2,
    "modern": MODERN,
    "looks back": {**MODERN, "token_shift": True, "ngram_order": 3, "ngram_rows": 97},
    "longrope": {**MODERN, "rope_scaling": LONG},
}


@pytest.mark.parametrize("fields", MODELS.values(), ids=list(MODELS))
@pytest.mark.parametrize("how", ["look-up", "draft", "itself", "nonsense"])
def test_the_text_is_the_greedy_one(fields: dict[str, Any], how: str) -> None:
    model = make_model(fields)

    def nonsense(text: Sequence[int], most: int) -> list[int]:
        return [(text[-1] + step) % 37 for step in range(most)]

    for prompt in PROMPTS[1:6:2]:
        propose = {
            "look-up": look_up,
            "draft": draft_with(make_model({**GPT2, "n_layers": 1, "context_length": 11})),
            "itself": draft_with(model),
            "nonsense": nonsense,
        }[how]
        settings, stop = greedy(3 * CONTEXT), {19}
        expected = list(generate(model, prompt, settings, stop))
        assert list(generate_speculatively(model, prompt, settings, propose, stop)) == expected


def test_right_guesses_save_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    model, settings = make_model(), greedy(CONTEXT - 2)
    expected = list(generate(model, [1, 2], settings))
    readings = 0
    hidden = Transformer.hidden

    def counted(self: Transformer, *args: Any) -> torch.Tensor:
        nonlocal readings
        readings += 1
        return hidden(self, *args)

    monkeypatch.setattr(Transformer, "hidden", counted)

    def oracle(text: Sequence[int], most: int) -> list[int]:
        return expected[len(text) - 2 : len(text) - 2 + most]

    assert list(generate_speculatively(model, [1, 2], settings, oracle)) == expected
    assert readings == 3  # six tokens each


def test_look_up_finds_the_longest_and_latest_run() -> None:
    assert look_up([1, 2, 3, 9, 2, 3, 8, 2, 3], 2) == [8, 2]
    assert look_up([5, 1, 2, 7, 9, 2, 8, 1, 2], 1) == [7]
    assert look_up([1, 2, 3], 3) == []
    assert look_up([1], 3) == []


def test_only_greedy_texts_can_be_guessed() -> None:
    with pytest.raises(HornbookError, match="greedy texts only"):
        generate_speculatively(make_model(), [1], GenerationSettings(), look_up)
