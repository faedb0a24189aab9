"""Beam search against transformers' generate, and against every text there is."""

from itertools import product
from typing import Any

import pytest
import torch

from hornbook.errors import HornbookError
from hornbook.inference.beams import beam_search
from hornbook.model.transformer import Transformer
from tests.inference.test_generate import CONTEXT, GPT2, MODERN, make_model
from tests.model.references import gpt2_reference


def transformers_beams(model: Transformer, prompt: list[int], **options: Any) -> Any:
    reference, _ = gpt2_reference(model)
    return reference.double().generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
        do_sample=False, pad_token_id=0, return_dict_in_generate=True, output_scores=True, **options,
    )  # fmt: skip


@pytest.mark.parametrize("beams", [2, 5])
@pytest.mark.parametrize("stop", [None, 19, 31])
def test_beams_are_those_of_transformers(beams: int, stop: int | None) -> None:
    model = make_model(GPT2).double()
    prompt, new = [1, 2, 3], CONTEXT - 3
    stops = [] if stop is None else [stop]
    for penalty in (0.0, 1.0, 2.0):
        expected = transformers_beams(
            model, prompt, num_beams=beams, num_return_sequences=beams, max_new_tokens=new,
            eos_token_id=stop, length_penalty=penalty,
        )  # fmt: skip
        found = beam_search(model, prompt, beams, new, stops, length_penalty=penalty)
        texts = [
            [token for token in row if token not in (0, stop)]
            for row in expected.sequences[:, 3:].tolist()
        ]
        mine = [[token for token in beam.ids if token] for beam in found]
        assert mine == texts
        scores = [beam.score for beam in found]
        assert scores == pytest.approx(expected.sequences_scores.tolist(), abs=1e-4)


def test_with_beams_for_all_the_best_text_of_all_is_found() -> None:
    model = make_model({**MODERN, "vocab_size": 5}).double()
    best = beam_search(model, [1], beams=125, max_new_tokens=3)[0]
    with torch.no_grad():
        scores = {
            text: float(
                model(torch.tensor([[1, *text]]))[0, :3].log_softmax(-1)[range(3), text].sum() / 3
            )
            for text in product(range(5), repeat=3)
        }
    assert best.ids == max(scores, key=lambda text: scores[text])
    assert best.score == pytest.approx(scores[best.ids], abs=1e-6)


def test_senseless_searches_are_refused() -> None:
    model = make_model()
    for beams, new, message in ((0, 1, "at least one beam"), (2, CONTEXT, "more than the model")):
        with pytest.raises(HornbookError, match=message):
            beam_search(model, [1], beams, new)
