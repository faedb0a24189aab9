"""A classifier on GPT-2 as `transformers` writes it, with OpenAI's two files of its vocabulary."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from hornbook.cli import _run
from tests.cli.test_classifier import lines_of, write_table

DATA = Path(__file__).parents[3] / "shared/data"


def test_a_recipe_with_a_path_and_a_table_is_all_that_is_needed(tmp_path: Path) -> None:
    if not (DATA / "gpt2-encoder.json").is_file():
        pytest.skip("no ../shared/data")
    folder = tmp_path / "gpt2"
    torch.manual_seed(0)
    shape = GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=64)
    GPT2LMHeadModel(shape).save_pretrained(folder)
    shutil.copy(DATA / "gpt2-encoder.json", folder / "encoder.json")
    shutil.copy(DATA / "gpt2-vocab.bpe", folder / "vocab.bpe")
    write_table(tmp_path / "a.csv", several=False)
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        f"[model]\npath = '{folder}'\n[classification]\npath = '{tmp_path}/a.csv'\n"
        "train = ['lora', 'full']\n[lora]\nbase = 'nf4'\nrank = 2\n"
        "[classification.lora_training]\nsteps = 2\n[classification.training]\nsteps = 30\n"
    )
    run = tmp_path / "run"
    assert _run(["finetune", "classify", str(recipe), f"run.directory={run}"]) == 0
    results = json.loads((run / "classify-full" / "results.json").read_text("utf-8"))
    assert results["accuracy"]["value"] > 0.6
    (tmp_path / "in.jsonl").write_text('{"text": "cheap prizes"}\n{"text": "no"}\n')
    for mode in ("lora", "full"):  # the adapter was trained on four bits, and is used on the floats
        out = tmp_path / f"{mode}.jsonl"
        stage = str(run / f"classify-{mode}")
        assert _run(["classify", stage, str(tmp_path / "in.jsonl"), "--output", str(out)]) == 0
        assert [sum(one["probabilities"].values()) for one in lines_of(out)] == [
            pytest.approx(1, abs=1e-5)
        ] * 2
    out = tmp_path / "out"
    assert _run(["export", "hf", str(run / "classify-full"), str(out)]) == 0
    config = json.loads((out / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["GPT2ForSequenceClassification"]
