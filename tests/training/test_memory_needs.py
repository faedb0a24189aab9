"""Memory estimated from a config and small models, against the whole model."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from hornbook.model.config import ModelConfig
from hornbook.model.presets import PRESETS
from hornbook.model.transformer import Transformer
from hornbook.sampling.batch import Batch
from hornbook.training.acceleration import accelerate
from hornbook.training.loop import train_steps
from hornbook.training.memory_needs import memory_needs, state_bytes
from hornbook.training.optimizer import Optimizer
from hornbook.training.rehearsal import activation_bytes
from hornbook.training.schedule import plan_training
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


@pytest.mark.parametrize(
    ("preset", "rows", "changes"),
    [
        ("gpt2-mini", 8, {"vocab_size": 1024, "n_layers": 4}),
        ("mini", 8, {"vocab_size": 512, "n_layers": 4}),
        ("modern-124m", 4, {"vocab_size": 512, "embed_dim": 128, "n_layers": 3, "n_heads": 4,
                            "n_kv_heads": 2, "hidden_dim": 384}),
    ],
)  # fmt: skip
def test_the_peak_is_what_torch_measures(
    preset: str, rows: int, changes: dict[str, object], tmp_path: Path
) -> None:
    width = 128
    tree = {**PRESETS[preset], **changes, "context_length": width}
    config, settings = ModelConfig.model_validate(tree), TrainingSettings(batch_size=rows)
    needs = memory_needs(config, settings, rows, width, CPU)
    model = Transformer(config)
    optimizer = Optimizer(model, settings)
    accelerate(model, settings, CPU, same_width=True)
    few = settings.model_copy(update={"steps": 3})
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(config.vocab_size, (rows, width + 1), generator=generator)
    batches = (Batch(ids[:, :-1], ids[:, 1:], number) for number in itertools.count(1))
    steps = train_steps(model, optimizer, batches, settings, CPU, plan_training(few, 3, 1))
    next(steps)  # makes what the optimizer keeps
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        next(steps)
    profiler.export_chrome_trace(str(tmp_path / "trace.json"))
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    changed = [(e["ts"], e["args"]["Bytes"]) for e in events if e.get("name") == "[memory]"]
    peak = max(itertools.accumulate(size for _, size in sorted(changed, key=lambda c: c[0])))
    assert needs.total == pytest.approx(needs.parameters + needs.optimizer + peak, rel=0.1)
