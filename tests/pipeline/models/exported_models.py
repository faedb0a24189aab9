"""Tiny models to export: weights large enough that every part of one matters."""

import json
from pathlib import Path
from typing import Any

import torch

from hornbook.model.config import ModelConfig
from hornbook.model.presets import ModelSettings, resolve
from hornbook.model.transformer import Transformer
from hornbook.pipeline.models.bundle import save_bundle
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.tokenizer import Tokenizer

TEXT = "Tom and Ann walked up the hill to see the old mill.\nIt's 12 o'clock, they'd said; naïve, 你好! "


def trained_tokenizer() -> Tokenizer:
    """A byte-level BPE tokenizer trained here."""
    return Tokenizer.train([TEXT] * 3, TokenizerSettings(vocab_size=320))


def random_model(config: ModelConfig, seed: int = 0) -> Transformer:
    """A model whose biases and norms are drawn too."""
    generator = torch.Generator().manual_seed(seed)
    model = Transformer(config, generator)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            start = parameter if parameter.dim() == 1 and parameter.mean() > 0.5 else 0.0
            parameter.copy_(start + noise * 0.15)
    return model.eval()


def small_config(preset: str, vocab_size: int, **changes: Any) -> ModelConfig:
    """A preset in small."""
    sizes = {"embed_dim": 64, "n_layers": 2, "n_heads": 4, "context_length": 128, **changes}
    return resolve(ModelSettings(preset=preset, **sizes), vocab_size)


def save_instruct(folder: Path, preset: str = "gpt2-mini", template: str = "hornbook", **changes: Any) -> Transformer:  # fmt: skip
    """A bundle of a model that follows instructions, in a run's directory with its recipe."""
    tokenizer = trained_tokenizer()
    model = random_model(small_config(preset, tokenizer.vocab_size, **changes))
    save_bundle(folder, model, tokenizer, {"task": "instruct", "template": template, "turns": 1})
    (folder.parent / "recipe.toml").write_text('[corpus]\nsource = "sample-world"\n')
    (folder / "results.json").write_text(
        json.dumps(
            {
                "validation_loss": {"value": 1.25, "low": 1.2, "high": 1.3, "count": 9},
                "held_out": {"loss": {"value": 1.5, "low": 1.4, "high": 1.7, "count": 9}},
                "samples": [["a", "b"]],
            }
        )
    )
    return model
