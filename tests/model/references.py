"""The same model in transformers: a tiny config, with our weights copied in."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from hornbook.model.transformer import Transformer

Names = Callable[[str, Mapping[str, Any]], Any]
"""Our parameter's counterpart, built from a mapping by their names (of weights or gradients)."""


def randomize(model: nn.Module, seed: int, std: float = 0.2) -> None:
    """Weights large enough that every part matters; fresh ones are far too tame for a test."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=std, generator=generator)
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1)


def copy_weights(model: Transformer, reference: nn.Module, names: Names) -> None:
    theirs = dict(reference.named_parameters())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Each counterpart is a view of their tensor, so copying into it fills theirs.
            names(name, theirs).copy_(parameter)


def gpt2_names(name: str, theirs: Mapping[str, Any]) -> Any:
    """GPT-2 keeps query, key and value side by side, and its matrices the other way round."""
    if name == "embedding.token.weight":
        return theirs["transformer.wte.weight"]
    if name == "embedding.position.weight":
        return theirs["transformer.wpe.weight"]
    if name == "head.weight":
        return theirs["lm_head.weight"]
    if name.startswith("norm."):
        return theirs[name.replace("norm.", "transformer.ln_f.")]
    _, layer, part, rest = name.split(".", 3)
    prefix = f"transformer.h.{layer}"
    if part in ("attention_norm", "feedforward_norm"):
        return theirs[f"{prefix}.{'ln_1' if part == 'attention_norm' else 'ln_2'}.{rest}"]
    linear, kind = rest.split(".")
    if linear in ("query", "key", "value"):
        joined = theirs[f"{prefix}.attn.c_attn.{kind}"]
        found = joined.chunk(3, dim=-1)[("query", "key", "value").index(linear)]
    else:
        place = {"out": "attn.c_proj", "up": "mlp.c_fc", "down": "mlp.c_proj"}[linear]
        found = theirs[f"{prefix}.{place}.{kind}"]
    return found.T if kind == "weight" else found


def llama_names(name: str, theirs: Mapping[str, Any]) -> Any:
    """Llama's and Qwen3's names; their matrices are laid out as ours."""
    renamed = name
    for ours, other in (
        ("embedding.token", "model.embed_tokens"),
        ("head.weight", "lm_head.weight"),
        ("blocks.", "model.layers."),
        ("attention_norm", "input_layernorm"),
        ("feedforward_norm", "post_attention_layernorm"),
        ("attention.query_norm", "self_attn.q_norm"),
        ("attention.key_norm", "self_attn.k_norm"),
        ("attention.query", "self_attn.q_proj"),
        ("attention.key", "self_attn.k_proj"),
        ("attention.value", "self_attn.v_proj"),
        ("attention.out", "self_attn.o_proj"),
        ("feedforward.gate", "mlp.gate_proj"),
        ("feedforward.up", "mlp.up_proj"),
        ("feedforward.down", "mlp.down_proj"),
    ):
        renamed = renamed.replace(ours, other)
    if renamed.startswith("norm."):
        renamed = f"model.{renamed}"
    return theirs[renamed]


def gpt2_reference(model: Transformer) -> tuple[Any, Names]:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = model.config
    reference = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.context_length,
            n_embd=config.embed_dim,
            n_layer=config.n_layers,
            n_head=config.n_heads,
            layer_norm_epsilon=config.norm_eps,
            tie_word_embeddings=config.tied_embeddings,
            bos_token_id=None,
            eos_token_id=None,
        )
    ).eval()
    copy_weights(model, reference, gpt2_names)
    return reference, gpt2_names


def _llama_fields(model: Transformer) -> dict[str, Any]:
    config = model.config
    return {
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "hidden_size": config.embed_dim,
        "intermediate_size": config.mlp_dim,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "rms_norm_eps": config.norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "tie_word_embeddings": config.tied_embeddings,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }


def llama_reference(model: Transformer) -> tuple[Any, Names]:
    from transformers import LlamaConfig, LlamaForCausalLM

    reference = LlamaForCausalLM(LlamaConfig(**_llama_fields(model))).eval()
    copy_weights(model, reference, llama_names)
    return reference, llama_names


def qwen3_reference(model: Transformer) -> tuple[Any, Names]:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    reference = Qwen3ForCausalLM(Qwen3Config(**_llama_fields(model))).eval()
    copy_weights(model, reference, llama_names)
    return reference, llama_names
