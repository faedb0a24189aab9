"""A tiny model of every family, as `transformers` makes it, with what is particular switched on."""

import json
import os
from pathlib import Path
from typing import Any

from hornbook.checkpoints.export.huggingface import write_tokenizer
from hornbook.checkpoints.export.vocabulary import Vocabulary
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.tokenizer import Tokenizer

os.environ.setdefault("HF_HUB_OFFLINE", "1")

NO_TOKENS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
"""Left to the tokenizer; the families' defaults are beyond a tiny vocabulary."""
COMMON: dict[str, Any] = {
    "vocab_size": 41,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    **NO_TOKENS,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 100.0,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
}
GROWTH = {"llama_4_scaling_beta": 0.3}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 100.0,
    "partial_rotary_factor": 0.75,
    "short_factor": [1.0, 1.1, 1.2],
    "long_factor": [1.5, 2.5, 4.0],
}
MIXED = ["sliding_attention", "full_attention", "sliding_attention"]

TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": (
        "gpt2",
        {
            "vocab_size": 41,
            "n_positions": 128,
            "n_embd": 32,
            "n_layer": 3,
            "n_head": 4,
            **NO_TOKENS,
        },
    ),
    "llama": ("llama", {**COMMON}),
    "llama3": ("llama", {**COMMON, "rope_parameters": LLAMA3, "tie_word_embeddings": True}),
    "llama-biases": (
        "llama",
        {**COMMON, "attention_bias": True, "mlp_bias": True, "head_dim": 12},
    ),
    "llama-linear": (
        "llama",
        {**COMMON, "rope_parameters": {"rope_type": "linear", "rope_theta": 100.0, "factor": 2.0}},
    ),
    "llama-dynamic": (
        "llama",
        {**COMMON, "rope_parameters": {"rope_type": "dynamic", "rope_theta": 100.0, "factor": 2.0}},
    ),
    "smollm3": ("smollm3", {**COMMON, "no_rope_layer_interval": 2}),
    "qwen2": ("qwen2", {**COMMON}),
    "qwen2-windows": (
        "qwen2",
        {**COMMON, "use_sliding_window": True, "sliding_window": 9, "max_window_layers": 1},
    ),
    "qwen3": ("qwen3", {**COMMON, "head_dim": 12, "tie_word_embeddings": True}),
    "mistral": ("mistral", {**COMMON, "sliding_window": 9}),
    "mistral-yarn": ("mistral", {**COMMON, "sliding_window": None, "rope_parameters": YARN}),
    "ministral": (
        "ministral",
        {
            **COMMON,
            "head_dim": 12,
            "sliding_window": 9,
            "layer_types": MIXED,
            "rope_parameters": YARN,
        },
    ),
    "ministral3": (
        "ministral3",
        {
            **COMMON,
            "head_dim": 12,
            "rope_parameters": {**YARN, "mscale": 1.0, "mscale_all_dim": 0.5, **GROWTH},
        },
    ),
    "ministral3-window": (
        "ministral3",
        {**COMMON, "head_dim": 12, "sliding_window": 9, "rope_parameters": {**YARN, **GROWTH}},
    ),
    "olmo2": ("olmo2", {**COMMON}),
    "olmo3": (
        "olmo3",
        {**COMMON, "sliding_window": 9, "layer_types": MIXED, "rope_scaling": YARN},
    ),
    "gemma2": (
        "gemma2",
        {
            **COMMON,
            "head_dim": 12,
            "query_pre_attn_scalar": 20,
            "sliding_window": 9,
            "attn_logit_softcapping": 3.0,
            "final_logit_softcapping": 4.0,
        },
    ),
    "gemma3_text": (
        "gemma3_text",
        {
            **COMMON,
            "head_dim": 12,
            "query_pre_attn_scalar": 20,
            "sliding_window": 9,
            "layer_types": MIXED,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "rope_theta": 1000.0, "factor": 8.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10.0},
            },
        },
    ),
    "phi3": ("phi3", {**COMMON, "sliding_window": 9}),
    "phi3-longrope": (
        "phi3",
        {**COMMON, "rope_parameters": LONGROPE, "original_max_position_embeddings": 40},
    ),
    "qwen3_moe": (
        "qwen3_moe",
        {
            **COMMON,
            "head_dim": 12,
            "num_experts": 5,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 20,
            "norm_topk_prob": True,
            "mlp_only_layers": [1],
        },
    ),
    "mixtral": ("mixtral", {**COMMON, "num_local_experts": 4, "sliding_window": 9}),
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


WORDS = "the old mill stands on the hill where two brothers once ground the corn"
GENERATION = {
    "do_sample": True,
    "temperature": 0.7,
    "top_k": 7,
    "top_p": 0.9,
    "eos_token_id": [1, 7],
}
TEMPLATE = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '[END]' }}{% endfor %}"


def word_tokenizer() -> Tokenizer:
    """One small enough for the tiny models."""
    return Tokenizer.train([WORDS], TokenizerSettings(algorithm="word", vocab_size=41))


def write_words(folder: Path) -> None:
    """A tokenizer with a chat template, and how texts are drawn, into a folder of others."""
    tokenizer = word_tokenizer()
    roles = tokenizer.role_spellings
    write_tokenizer(folder, Vocabulary(tokenizer.tree, roles, (1, 7), TEMPLATE), 128)
    (folder / "generation_config.json").write_text(json.dumps(GENERATION))
