"""A mixture of experts, trained from scratch and exported, through the command line."""

from pathlib import Path

import pytest
import torch

from hornbook.cli import _run
from hornbook.model.feedforward import MixtureOfExperts
from hornbook.pipeline.models.bundle import default_runtime, load_bundle
from tests.cli.tiny import TINY


def test_it_is_trained_with_balanced_experts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    small = [setting for setting in TINY if not setting.startswith("model.preset")]
    run = tmp_path / "run"
    chosen = ["model.preset=experts-mini", "model.n_experts=4", "model.expert_dim=16"]
    assert _run(["pretrain", *small, *chosen, f"run.directory={run}"]) == 0
    printed = capfd.readouterr()
    assert "experts' load is balanced by a loss of weight 0.01" in printed.out + printed.err
    bundle = load_bundle(run / "pretrain", default_runtime())
    layers = [m for m in bundle.model.modules() if isinstance(m, MixtureOfExperts)]
    assert len(layers) == 2
    assert _run(["export", "hf", str(run / "pretrain"), str(tmp_path / "out")]) == 0
    again = load_bundle(tmp_path / "out", default_runtime())
    assert again.facts["family"] == "qwen3_moe"
    ids = torch.arange(40)[None]
    with torch.no_grad():
        assert torch.equal(again.model(ids), bundle.model(ids))
