"""Folders of small models as others would write them, made without any library of theirs."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from hornbook.artifact import MANIFEST
from hornbook.checkpoints.families.known import FAMILIES, config_to_hf
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.tokenizer import Tokenizer

STORY = "The cat sat by the fire. It was warm, and the rain fell on the roof.\n" * 40
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_folder(folder: Path, chat: bool = False, dtype: torch.dtype = torch.float32) -> Path:
    """A tiny Llama with a tokenizer of its own; with a chat template if asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.train([STORY], TokenizerSettings(vocab_size=330))
    tokenizer.save(folder / "own")
    (folder / "own" / "tokenizer.json").rename(folder / "tokenizer.json")
    for left in (folder / "own").iterdir():
        left.unlink()
    (folder / "own").rmdir()
    settings: dict[str, Any] = {"eos_token": "[EOS]"}
    if chat:
        settings["chat_template"] = CHATML
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    write_model(folder, llama_config(tokenizer.vocab_size), dtype)
    assert not (folder / MANIFEST).exists()
    return folder


def llama_config(vocab_size: int) -> ModelConfig:
    """Small, with grouped heads."""
    return ModelConfig(
        vocab_size=vocab_size,
        context_length=256,
        embed_dim=16,
        n_layers=2,
        n_heads=4,
        n_kv_heads=2,
        positions="rotary",
        norm="rmsnorm",
        mlp="swiglu",
        hidden_dim=24,
        qkv_bias=False,
        bias=False,
    )


def write_model(folder: Path, config: ModelConfig, dtype: torch.dtype = torch.float32) -> None:
    """Its config.json and weights."""
    model = Transformer(config, torch.Generator().manual_seed(1))
    family = FAMILIES["llama"]
    written = config_to_hf(config, family)
    (folder / "config.json").write_text(json.dumps(written))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [0, 3]}))
    tensors = {name: tensor.to(dtype) for name, tensor in family.tensors(model, config)}
    save_file(tensors, folder / "model.safetensors")
