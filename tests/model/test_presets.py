"""Choosing a model by name and changing it."""

import re

import pytest

from hornbook.errors import HornbookError
from hornbook.model.config import ModelConfig
from hornbook.model.presets import PRESETS, ModelSettings, resolve


def test_settings_can_change_every_field_but_the_vocabulary() -> None:
    changeable = set(ModelSettings.model_fields) - {"preset", "path", "continue_pretraining"}
    assert changeable == set(ModelConfig.model_fields) - {"vocab_size"}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_resolves(preset: str) -> None:
    config = resolve(ModelSettings(preset=preset), vocab_size=100)
    assert config.vocab_size == 100
    assert {name: getattr(config, name) for name in PRESETS[preset]} == PRESETS[preset]


def test_settings_change_the_preset() -> None:
    settings = ModelSettings(preset="mini", n_layers=2, qk_norm=False, dropout=0.1)
    config = resolve(settings, vocab_size=100)
    assert (config.n_layers, config.qk_norm, config.dropout) == (2, False, 0.1)
    assert config.embed_dim == PRESETS["mini"]["embed_dim"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (ModelSettings(preset="gpt2-smal"), "no preset 'gpt2-smal'; did you mean gpt2-small."),
        (ModelSettings(preset="qqqq"), "no preset 'qqqq'; known are nano, mini,"),
        (ModelSettings(embed_dim=100, n_heads=7), "n_heads 7 does not divide embed_dim 100"),
        (ModelSettings(dropout=1.5), "model (preset mini): dropout: input should be less than 1"),
    ],
)
def test_mistakes_are_explained(settings: ModelSettings, message: str) -> None:
    with pytest.raises(HornbookError, match=re.escape(message)):
        resolve(settings, vocab_size=100)
