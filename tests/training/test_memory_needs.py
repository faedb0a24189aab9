"""Memory estimated from a config and small models, against the whole model."""

import pytest

from hornbook.model.config import ModelConfig
from hornbook.model.presets import PRESETS
from hornbook.model.transformer import Transformer
from hornbook.training.memory_needs import memory_needs, state_bytes
from hornbook.training.optimizer import Optimizer
from hornbook.training.rehearsal import activation_bytes
from hornbook.training.settings import TrainingSettings
from tests.training.tiny_training import CPU

SIZES = {"vocab_size": 300, "context_length": 64, "embed_dim": 32, "n_layers": 6, "n_heads": 4}


@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("gpt2-small", {}),
        ("nano", {}),
        ("modern-124m", {"n_kv_heads": 2, "hidden_dim": 48, "n_layers": 1}),
        ("nano", {"window": 8, "windowed_layers": (True, False), "n_layers": 5}),
    ],
)
def test_activations_follow_from_the_first_layers(preset: str, changes: dict[str, object]) -> None:
    config = ModelConfig.model_validate({**PRESETS[preset], **SIZES, **changes})
    settings = TrainingSettings()
    needs = memory_needs(config, settings, rows=3, width=32, runtime=CPU)
    whole = activation_bytes(Transformer(config), 3, 32, CPU)
    assert needs.activations == pytest.approx(whole, rel=0.02)
    optimizer = Optimizer(Transformer(config), settings).state_dict()
    assert needs.optimizer == sum(tensor.nbytes for tensor in optimizer.values())
    assert state_bytes(config, settings, CPU.dtype) == (needs.parameters, needs.optimizer)
    assert needs.total == 2 * needs.parameters + needs.optimizer + needs.activations
