"""From text to text, with a small tokenizer and an untrained model."""

import pytest

from hornbook.errors import HornbookError
from hornbook.inference.generate import GenerationSettings, generate
from hornbook.inference.text import complete, stream_text
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.tokenizer import Tokenizer
from tests.model.references import randomize

TEXTS = ["The cat — a fat one — sat.", "Der Bär aß süße Äpfel 🍎🍏.", "cats sat on mats"] * 5
SETTINGS = GenerationSettings(max_new_tokens=40, temperature=1.5)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(TEXTS, TokenizerSettings(vocab_size=300))


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> Transformer:
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, context_length=32, embed_dim=16, n_layers=1, n_heads=2
    )
    model = Transformer(config)
    randomize(model, 1)
    return model


def test_pieces_are_the_decoded_ids(model: Transformer, tokenizer: Tokenizer) -> None:
    ids = list(generate(model, tokenizer.encode("The cat"), SETTINGS))
    pieces = list(stream_text(model, tokenizer, "The cat", SETTINGS, stop_ids=()))
    assert "".join(pieces) == tokenizer.decode(ids)
    assert complete(model, tokenizer, "The cat", SETTINGS, stop_ids=()) == tokenizer.decode(ids)
    assert len(pieces) > 1


def test_stops_at_the_end_of_the_document(model: Transformer, tokenizer: Tokenizer) -> None:
    eos = tokenizer.eos_id
    assert eos is not None
    ids = list(generate(model, tokenizer.encode("The cat"), SETTINGS, {eos}))
    assert complete(model, tokenizer, "The cat", SETTINGS) == tokenizer.decode(ids)


def test_empty_prompt_starts_a_new_document(model: Transformer, tokenizer: Tokenizer) -> None:
    assert tokenizer.eos_id is not None
    ids = list(generate(model, [tokenizer.eos_id], SETTINGS, {tokenizer.eos_id}))
    assert complete(model, tokenizer, "", SETTINGS) == tokenizer.decode(ids)


def test_long_prompt_is_an_error_at_once(model: Transformer, tokenizer: Tokenizer) -> None:
    with pytest.raises(HornbookError, match="shorten the prompt"):
        stream_text(model, tokenizer, "cat " * 200, SETTINGS)
