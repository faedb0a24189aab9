"""Counts of FLOPs against torch's own counter, which sees every product as it is made."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hornbook.finetuning.lora import LoRASettings, apply_lora
from hornbook.model.config import ModelConfig
from hornbook.model.presets import PRESETS
from hornbook.model.transformer import Transformer
from hornbook.training.flops import find_peak, forward_flops, named_peak, training_flops
from tests.training.tiny_training import CPU

ROWS, TOKENS = 3, 16


def tiny(preset: str, **changes: object) -> Transformer:
    sizes = {"vocab_size": 50, "context_length": TOKENS, "embed_dim": 32, "n_layers": 2}
    own = {**PRESETS[preset], **sizes, "n_heads": 4, **changes}
    return Transformer(ModelConfig.model_validate(own), torch.Generator().manual_seed(1))


def counted(model: Transformer, backward: bool) -> float:
    """FLOPs a token as torch counts them while the model runs."""
    ids = torch.zeros(ROWS, TOKENS, dtype=torch.int64)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        logits = model(ids)
        if backward:
            logits.sum().backward()
    return counter.get_total_flops() / (ROWS * TOKENS)


@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("gpt2-small", {}),
        ("gpt2-small", {"tied_embeddings": False, "qkv_bias": False}),
        ("nano", {}),
        ("modern-124m", {"n_kv_heads": 2, "hidden_dim": 48}),
        ("modern-124m", {"n_kv_heads": 1, "hidden_dim": None, "mlp": "swiglu"}),
        ("modern-124m", {"n_kv_heads": 2, "hidden_dim": 48, "head_size": 12}),
    ],
)
def test_counts_are_torchs(preset: str, changes: dict[str, object]) -> None:
    model = tiny(preset, **changes)
    assert forward_flops(model, TOKENS) == counted(model, backward=False)
    assert training_flops(model, TOKENS) == counted(model, backward=True)


def test_of_experts_those_count_that_a_token_is_sent_to() -> None:
    model = tiny("modern-124m", n_kv_heads=2, hidden_dim=48, n_experts=4, experts_per_token=2)
    assert forward_flops(model, TOKENS) == counted(model.eval(), backward=False)


def test_gpt2_small_by_hand() -> None:
    """6 N + 12 L d T of nanoGPT's estimate, of which biases, gains and positions are left out."""
    with torch.device("meta"):
        model = Transformer(ModelConfig(vocab_size=50_257, **PRESETS["gpt2-small"]))
    weights = 12 * (4 * 768 * 768 + 2 * 768 * 3072) + 50_257 * 768
    assert training_flops(model, 1024) == 6 * weights + 12 * 12 * 768 * 1024


def test_frozen_weights_cost_less() -> None:
    """Everything frozen but adapters: a third of the weights' FLOPs is spared, nearly."""
    model = tiny("nano")
    whole = training_flops(model, TOKENS)
    apply_lora(model, LoRASettings(rank=1))
    assert 4 / 6 < training_flops(model, TOKENS) / whole < 5 / 6


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA GeForce RTX 4090", 165.2e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA Unheard-of 9000", None),
    ],
)
def test_gpus_are_known_by_name(name: str, peak: float | None) -> None:
    assert named_peak(name) == peak


def test_the_peak_of_a_cpu_is_measured() -> None:
    peak = find_peak(CPU)
    assert 1e8 < peak.flops < 1e15
    assert "measured" in peak.source
    assert find_peak(CPU) is peak  # once a process
