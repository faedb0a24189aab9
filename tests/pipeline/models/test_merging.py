"""`hornbook merge`: the model that comes out computes what base and adapters do together."""

from pathlib import Path

import pytest
import torch

from hornbook.checkpoints.store import load_model
from hornbook.cli import _run
from hornbook.errors import HornbookError
from hornbook.finetuning.adapter import load_adapter
from hornbook.finetuning.lora import LoRASettings, apply_lora, lora_layers
from hornbook.pipeline.models.bundle import (
    default_runtime,
    load_bundle,
    save_adapter_bundle,
    save_bundle,
)
from hornbook.pipeline.models.merging import merge_into_model, merge_to_adapter
from hornbook.tokenizing.tokenizer import Tokenizer
from tests.pipeline.models.exported_models import random_model, small_config, trained_tokenizer

IDS = torch.randint(0, 300, (2, 9), generator=torch.Generator().manual_seed(1))
FACTS = {"task": "instruct", "template": "hornbook"}


def add_adapter(run: Path, tokenizer: Tokenizer, name: str, lora: LoRASettings) -> None:
    base = load_model(run / "pretrain" / "model")
    model = load_model(run / "pretrain" / "model").model
    apply_lora(model, lora, seed=len(name))
    generator = torch.Generator().manual_seed(len(name))
    for _, layer in lora_layers(model):
        layer.B.data = 0.1 * torch.randn(layer.B.shape, generator=generator)
    save_adapter_bundle(run / name, model, tokenizer, FACTS, lora, base)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("merge") / "run"
    tokenizer = trained_tokenizer()
    model = random_model(small_config("gpt2-mini", tokenizer.vocab_size, embed_dim=32))
    save_bundle(run / "pretrain", model, tokenizer, {"task": "pretrain"})
    add_adapter(run, tokenizer, "a", LoRASettings(rank=2))
    add_adapter(run, tokenizer, "bb", LoRASettings(rank=3, targets=("query", "up")))
    add_adapter(run, tokenizer, "dora", LoRASettings(rank=2, dora=True))
    return run


@torch.no_grad()
def logits_of(folder: Path) -> torch.Tensor:
    return load_bundle(folder, default_runtime()).model(IDS)


@torch.no_grad()
@pytest.mark.parametrize("only", [False, True])
def test_two_adapters_by_weights(run: Path, tmp_path: Path, only: bool) -> None:
    out = tmp_path / "elsewhere" / "out"
    options = ["--adapter", f"{run}/a", "--weight", "0.7", "--adapter", f"{run}/bb/adapter"]
    options += ["--weight", "-0.4", *(["--adapter-only"] if only else [])]
    assert _run(["merge", f"{run}/pretrain", str(out), *options]) == 0
    expected = load_model(run / "pretrain" / "model").model
    for name, weight in (("a", 0.7), ("bb", -0.4)):
        adapted = load_model(run / "pretrain" / "model").model
        load_adapter(run / name / "adapter", adapted)
        for layer_name, layer in lora_layers(adapted):
            expected.get_submodule(layer_name).weight += weight * layer.correction()
    torch.testing.assert_close(logits_of(out), expected(IDS), rtol=1e-4, atol=1e-5)
    bundle = load_bundle(out, default_runtime())
    assert (out / ("adapter" if only else "model")).is_dir()
    assert bundle.facts["template"] == "hornbook"
    assert bundle.facts["merged_from"] == {f"{run}/a": 0.7, f"{run}/bb/adapter": -0.4}


@torch.no_grad()
def test_one_adapter_of_any_kind_is_folded_in(run: Path, tmp_path: Path) -> None:
    before = logits_of(run / "pretrain")
    merge_into_model(run / "pretrain", [run / "dora"], [1.0], tmp_path / "out")
    torch.testing.assert_close(logits_of(tmp_path / "out"), logits_of(run / "dora"))
    assert torch.equal(logits_of(run / "pretrain"), before)
    (tmp_path / "out" / "model" / "model.safetensors").stat()


def test_a_lower_rank(run: Path, tmp_path: Path) -> None:
    both = [run / "a", run / "bb"]
    manifest = merge_to_adapter(run / "pretrain", both, [1.0, 1.0], tmp_path / "out", rank=2)
    assert manifest.settings["rank"] == 2


def test_what_cannot_be_merged_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    for arguments, sentence in (
        ([f"{run}/a", "--weight", "1", "--weight", "2"], "one weight for each"),
        ([f"{run}/a", "--rank", "2"], "--adapter-only"),
        ([f"{run}/pretrain"], "has no adapter/"),
        ([f"{run}/dora", "--weight", "0.5"], "DoRA"),
    ):
        assert _run(["merge", f"{run}/pretrain", out, "--adapter", *arguments]) == 2
        assert sentence in capsys.readouterr().err.replace("\n", " ")
    with pytest.raises(HornbookError, match="holds no model"):
        merge_into_model(run / "a", [run / "a"], [1.0], tmp_path / "out")
    with pytest.raises(HornbookError, match="overwrites nothing"):
        merge_into_model(run / "pretrain", [run / "a"], [1.0], run / "a")
    assert not (tmp_path / "out").exists()
