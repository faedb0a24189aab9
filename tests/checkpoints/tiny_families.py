"""A tiny model of every family, as `transformers` makes it, with what is particular switched on."""

import os
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

COMMON: dict[str, Any] = {
    "vocab_size": 41,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}

TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": (
        "gpt2",
        {
            "vocab_size": 41,
            "n_positions": 128,
            "n_embd": 32,
            "n_layer": 3,
            "n_head": 4,
            "bos_token_id": None,
            "eos_token_id": None,
        },
    ),
    "llama": ("llama", {**COMMON}),
    "llama3": ("llama", {**COMMON, "rope_parameters": LLAMA3, "tie_word_embeddings": True}),
    "llama-biases": (
        "llama",
        {**COMMON, "attention_bias": True, "mlp_bias": True, "head_dim": 12},
    ),
}
"""By a name of ours: the model type, and its config's fields."""


def make_reference(name: str) -> Any:
    """The tiny model with weights large enough that every part of it matters."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    model_type, fields = TINY[name]
    config = AutoConfig.for_model(model_type, **fields)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            parameter.normal_(std=0.2, generator=generator)
            if "norm" in key and key.endswith("weight") and not model_type.startswith("gemma"):
                parameter.add_(1)
    return model


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder with the tiny model that the test's parameter names."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    make_reference(request.param).save_pretrained(folder)
    return folder
