"""A whole run in several processes, started by torchrun as a user would."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hornbook.checkpoints.folder import CheckpointFolder
from hornbook.errors import HornbookError
from hornbook.pipeline.models.bundle import default_runtime, load_bundle
from hornbook.pipeline.recipe import load_recipe
from hornbook.pipeline.tuning.finetune import check_examples
from hornbook.processes import ONE
from hornbook.run import run

HERE = Path(__file__).parent
RECIPE = """
[world]
stories = 60
labelled = 40
instructions = 60
[tokenizer]
vocab_size = 400
[model]
preset = "nano"
embed_dim = 32
n_layers = 2
context_length = 96
[training]
steps = 12
batch_size = 4
save_every = 5
eval_sequences = 8
[classification]
train = ["lora"]
[classification.lora_training]
steps = 3
batch_size = 4
[generation]
max_new_tokens = 8
[runtime]
precision = "float32"
device = "cpu"
"""
DORA = "lora.dora=true"
NAMES = ("cat", "dog", "cow", "owl", "fox", "hen", "bee", "ant", "pig", "ram")
TRAININGS = ("training", "lora_training")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2")


def torchrun(*words: str, options: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    port = ("--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0")
    return subprocess.run(
        [*TORCHRUN, *port, *options, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def losses(folder: Path) -> dict[int, float]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    return {record["step"]: record["loss"] for record in records if "lr" in record}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "recipe.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def alone(recipe: Path) -> Path:
    directory = recipe.parent / "alone"
    run(load_recipe(recipe, [f"run.directory={directory}", DORA]), goal="classify")
    return directory


def test_a_killed_process_is_restarted_and_the_run_is_the_same(recipe: Path, alone: Path) -> None:
    directory = recipe.parent / "killed"
    words = (str(HERE / "killed_once.py"), "finetune", "classify", str(recipe))
    settings = (f"run.directory={directory}", "parallel.strategy=fsdp", DORA)
    done = torchrun(*words, *settings, options=("--max-restarts", "1"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("going on from step 5") == 1  # said by the main process alone
    for stage in ("pretrain", "classify-lora"):
        one, two = losses(alone / stage), losses(directory / stage)
        assert two == pytest.approx(one, abs=1e-5)
        assert len(two) == len(one)
        score = json.loads((alone / stage / "results.json").read_text())
        found = json.loads((directory / stage / "results.json").read_text())
        # The same units in the same order, so that the interval is the same too.
        assert found["validation_loss"] == pytest.approx(score["validation_loss"], abs=1e-4)
        assert found["validation_prompts_sha256"] == score["validation_prompts_sha256"]
    assert (directory / "report.html").exists()
    bundle = load_bundle(directory / "classify-lora", default_runtime())
    assert len(bundle.labels) > 1


def test_preferences_are_taught_alike(recipe: Path, alone: Path) -> None:
    pairs = recipe.parent / "pairs.jsonl"
    answers = {"chosen": "It is there, sir.", "rejected": "No."}
    lines = [{"prompt": f"Where is the {name}?", **answers} for name in NAMES]
    pairs.write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = (
        f"preference.path={pairs}",
        "preference.start=pretrain",
        'preference.train=["full","lora"]',
        *(
            f"preference.{name}.{said}"
            for name in TRAININGS
            for said in ("steps=4", "batch_size=4")
        ),
    )
    directory = {name: recipe.parent / f"prefer-{name}" for name in ("alone", "two")}
    for path in directory.values():
        shutil.copytree(alone, path)
    run(load_recipe(recipe, [f"run.directory={directory['alone']}", *settings]), goal="prefer")
    words = ("finetune", "prefer", str(recipe), f"run.directory={directory['two']}", *settings)
    done = torchrun("-m", "hornbook", *words, "parallel.strategy=fsdp")
    assert done.returncode == 0, done.stderr
    for stage in ("prefer-full", "prefer-lora"):
        one, two = losses(directory["alone"] / stage), losses(directory["two"] / stage)
        assert two == pytest.approx(one, abs=1e-5)
        assert one[1] == pytest.approx(math.log(2), abs=1e-5)  # both models are still the same
        assert len(two) == 4
        bundles = [load_bundle(path / stage, default_runtime()) for path in directory.values()]
        weights, others = (bundle.model.state_dict() for bundle in bundles)
        torch.testing.assert_close(others, weights, rtol=0, atol=1e-5)
        score = json.loads((directory["alone"] / stage / "results.json").read_text())
        found = json.loads((directory["two"] / stage / "results.json").read_text())
        assert found["held_out"].keys() == score["held_out"].keys()
        for name, interval in found["held_out"].items():
            assert interval == pytest.approx(score["held_out"][name], abs=1e-4)


def test_sigterm_saves_and_guards_decide_alike_in_all_processes(recipe: Path) -> None:
    """Spikes are gone back from, the micro-batch is found, and a signal to torchrun saves."""
    flat = ("training.lr=1e-6", "training.muon_lr=1e-6")  # so that noise makes spikes
    guarded = (*flat, "training.steps=40", "training.spike_guard=1.5")
    guarded = (*guarded, "training.micro_batch_size=auto")
    directory = {name: recipe.parent / f"guarded-{name}" for name in ("alone", "two")}
    run(load_recipe(recipe, [f"run.directory={directory['alone']}", *guarded]), goal="pretrain")

    words = ("pretrain", str(recipe), f"run.directory={directory['two']}", *guarded)
    saved = 36  # behind the last spike: a run resumed right before one would go back less far
    first = torchrun(str(HERE / "signalled_once.py"), str(saved), *words)
    assert first.returncode != 0
    assert max(CheckpointFolder(directory["two"] / "pretrain" / "checkpoints").steps()) == saved
    second = torchrun("-m", "hornbook", *words)
    assert second.returncode == 0, second.stderr
    assert second.stdout.count(f"going on from step {saved}") == 1

    one, two = (losses(directory[name] / "pretrain") for name in ("alone", "two"))
    assert two == pytest.approx(one, abs=1e-5)
    incidents = [sorted((d / "pretrain" / "incidents").iterdir()) for d in directory.values()]
    assert [p.name for p in incidents[0]] == [p.name for p in incidents[1]]
    assert incidents[0]


def test_a_batch_that_cannot_be_shared_is_refused_once(recipe: Path) -> None:
    settings = (f"run.directory={recipe.parent / 'odd'}", "training.batch_size=5")
    done = torchrun("-m", "hornbook", "pretrain", str(recipe), *settings)
    assert done.returncode != 0
    sentence = "batch_size 5 cannot be shared by 2 processes; take a batch_size of 4 or 6"
    assert done.stderr.count(sentence) == 1


def test_one_process_makes_and_agrees_with_itself() -> None:
    assert ONE.main_first(lambda: 1, lambda: 2) == 1
    assert ONE.as_main("own") == "own"


def test_what_processes_cannot_share_is_refused_before_anything_is_trained(recipe: Path) -> None:
    for setting in ("parallel.tensor=2", "parallel.strategy=fsdp"):
        few_bits = load_recipe(recipe, ['lora.base="nf4"', setting])
        check_examples(few_bits, "classify")
        with pytest.raises(
            HornbookError, match="keeps matrices whole in each process, which paral"
        ):
            check_examples(few_bits, "classify", world_size=2)
    check_examples(load_recipe(recipe, ['lora.base="nf4"']), "classify", world_size=2)


def test_a_base_in_few_bits_is_kept_by_each_process(recipe: Path, alone: Path) -> None:
    settings = ['lora.base="nf4"', "classification.lora_training.save_every=1"]
    directory = {name: recipe.parent / f"bits-{name}" for name in ("alone", "two")}
    for path in directory.values():
        shutil.copytree(alone, path)
    run(load_recipe(recipe, [f"run.directory={directory['alone']}", *settings]), goal="classify")
    words = ("finetune", "classify", str(recipe), f"run.directory={directory['two']}", *settings)
    done = torchrun("-m", "hornbook", *words)
    assert done.returncode == 0, done.stderr
    one, two = (losses(path / "classify-lora") for path in directory.values())
    assert len(two) == 3
    assert two == pytest.approx(one, abs=1e-5)
    assert load_bundle(directory["two"] / "classify-lora", default_runtime()).labels
