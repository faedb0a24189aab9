"""estimate, find-lr and compare, through the command line."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from hornbook.cli import _run
from hornbook.pipeline.pretraining.amounts import count_amounts, guess_amounts, small_enough
from hornbook.pipeline.pretraining.estimate import Estimate, estimate
from hornbook.pipeline.recipe import load_recipe
from hornbook.run import sample_tokens
from tests.cli.tiny import TINY

Capture = pytest.CaptureFixture[str]


def refused(capfd: Capture, *arguments: object) -> str:
    capfd.readouterr()
    assert _run([str(word) for word in arguments]) == 2
    printed = capfd.readouterr().err
    assert "Traceback" not in printed
    assert len(printed.strip().splitlines()) == 1, printed
    return printed


@pytest.fixture
def other(run_directory: Path, tmp_path: Path) -> Path:
    """A second run that was cut off before its end."""
    copy = tmp_path / "other"
    shutil.copytree(run_directory / "pretrain", copy / "pretrain")
    (copy / "pretrain" / "results.json").unlink()
    recipe = (run_directory / "recipe.toml").read_text()
    recipe = recipe.replace("lr = 0.01", "lr = 0.02", 1)
    (copy / "recipe.toml").write_text(recipe.replace(str(run_directory), str(copy)))
    metrics = copy / "pretrain" / "metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True)
    metrics.write_text("".join(line for line in lines if json.loads(line)["step"] <= 3))
    return copy


def test_runs_are_compared(
    run_directory: Path, other: Path, tmp_path: Path, capfd: Capture
) -> None:
    to = tmp_path / "comparison"
    assert _run(["compare", str(run_directory), str(other), "--to", str(to)]) == 0
    printed = capfd.readouterr().out
    assert "other: not finished, at step 3" in printed
    page = (to / "comparison.html").read_text()
    for text in (printed, page):
        for shown in ("training.lr", "0.01", "0.02", "tiny", "other", "best validation loss"):
            assert shown in text
        assert "training.batch_size" not in text  # the same in both
        assert "run.directory" not in text
    assert "<svg" in page
    assert "<script" not in page
    assert (to / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_figures_of_other_stages(run_directory: Path, tmp_path: Path, capfd: Capture) -> None:
    copy = Path(shutil.copytree(run_directory, tmp_path / "tiny"))  # of the same name
    (copy / "recipe.toml").unlink()
    arguments = ["--stage", "classify-lora", "--to", str(tmp_path)]
    assert _run(["compare", str(run_directory), str(copy), *arguments]) == 0
    printed = capfd.readouterr().out
    assert "right, held out" in printed
    assert f"{tmp_path.name}/tiny: no recipe.toml" in printed
    assert "No setting differs" in printed


def test_runs_measured_on_the_same_are_paired(
    run_directory: Path, tmp_path: Path, capfd: Capture
) -> None:
    copy = Path(shutil.copytree(run_directory, tmp_path / "copy"))
    arguments = ["--stage", "classify-lora", "--to", str(tmp_path)]
    units = copy / "classify-lora" / "units.json"
    tree = json.loads(units.read_text())
    right = tree["figures"]["right"]["values"]
    changed = right.index(1.0)
    right[changed] = 0.0
    units.write_text(json.dumps(tree))
    assert _run(["compare", str(run_directory), str(copy), *arguments]) == 0
    page = (tmp_path / "comparison.html").read_text()
    for said in (capfd.readouterr().out, page):
        assert "tiny less copy" in said
        assert "McNemar, exact" in said
        assert f"{1 / len(right):.4f} (" in said
        assert "paired permutations" in said  # macro F1
    units.write_text(json.dumps({**tree, "prompts_sha256": "of others"}))
    assert _run(["compare", str(run_directory), str(copy), *arguments]) == 0
    printed = capfd.readouterr().out
    assert "No paired test of tiny with copy: measured on other held-out examples" in printed
    units.write_text("{}")
    assert "units.json is damaged" in refused(
        capfd, "compare", run_directory, copy, "--stage", "classify-lora"
    )


def test_what_cannot_be_compared(
    run_directory: Path, other: Path, tmp_path: Path, capfd: Capture
) -> None:
    assert "two runs or more" in refused(capfd, "compare", run_directory)
    assert "no such run" in refused(capfd, "compare", run_directory, tmp_path / "nowhere")
    assert "given twice" in refused(capfd, "compare", run_directory, run_directory)
    (tmp_path / "empty").mkdir()
    assert "no training yet" in refused(capfd, "compare", run_directory, tmp_path / "empty")
    sentence = refused(capfd, "compare", run_directory, other, "--stage", "instruct-full")
    assert "no stage instruct-full; it has pretrain" in sentence
    (other / "recipe.toml").write_text("[training")
    assert "recipe.toml is damaged" in refused(capfd, "compare", run_directory, other)


def test_find_lr(run_directory: Path, capfd: Capture) -> None:
    arguments = [*TINY, f"run.directory={run_directory}"]
    assert _run(["find-lr", *arguments, "--steps", "40"]) == 0
    printed = capfd.readouterr().out
    assert "[training]\nlr = " in printed
    assert "muon_lr = " in printed
    shown = printed[printed.index("[training]") :]
    recipe = run_directory.parent / "found.toml"
    recipe.write_text(shown)  # what is shown can be pasted
    assert 1e-4 < load_recipe(recipe).training.lr < 1
    assert (run_directory / "find-lr.png").read_bytes().startswith(b"\x89PNG")
    assert "too few" in refused(capfd, "find-lr", *arguments, "--steps", "3")


def estimated(*overrides: str) -> Estimate:
    recipe = load_recipe(None, [*TINY, *overrides])
    return estimate(recipe, count_amounts(sample_tokens(recipe)))


def folder_bytes(*folders: Path) -> int:
    """Each file once, whatever names it has."""
    stats = (p.stat() for f in folders for p in f.rglob("*") if p.is_file())
    return sum({stat.st_ino: stat.st_size for stat in stats}.values())


@pytest.mark.parametrize(("saves", "keep"), [(1, 1), (2, 2)])
def test_the_estimate_is_what_a_run_takes(
    tmp_path: Path, run_directory: Path, saves: int, keep: int
) -> None:
    directory = tmp_path / "run"
    for stage in ("corpus", "tokenizer", "tokens"):
        shutil.copytree(run_directory / stage, directory / stage)
    own = [f"run.directory={directory}", f"training.save_every={6 // saves}"]
    own += [f"training.keep={keep}", "training.steps=6"]
    found = estimated(*own)
    assert _run(["pretrain", *TINY, *own]) == 0
    results = json.loads((directory / "pretrain" / "results.json").read_text())
    assert found.plan.total_steps == results["steps"]
    assert found.tokens == results["tokens"]
    assert found.parameters == results["parameters"]
    pretrain = directory / "pretrain"
    kept = [directory / "corpus", directory / "tokens", pretrain / "checkpoints"]
    taken = folder_bytes(*kept, pretrain / "model")
    assert found.disk_bytes == pytest.approx(taken, rel=0.1)
    assert found.seconds is not None
    assert found.seconds > 0


def test_packed_runs_and_mixtures_are_estimated_as_they_are(
    tmp_path: Path, run_directory: Path
) -> None:
    texts = [
        json.loads(line)["text"]
        for line in (run_directory / "corpus" / "train.jsonl").read_text().splitlines()
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": t[:90]}) + "\n" for t in texts))
    (tmp_path / "b.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    tables = (f"{{name='{name}', source='{tmp_path / name}.jsonl'}}" for name in "ab")
    own = [f"corpus.sources=[{','.join(tables)}]", f"run.directory={tmp_path / 'run'}"]
    own += ["sampling.packing=documents", "training.epochs=1", "training.batch_size=4"]
    found = estimated(*own)
    assert _run(["pretrain", *TINY, *own]) == 0
    results = json.loads((tmp_path / "run" / "pretrain" / "results.json").read_text())
    assert found.plan.total_steps == results["steps"]
    packed = found.amounts.samples["train"]
    assert packed * 128 > found.amounts.tokens["train"]  # some padding
    recipe = load_recipe(None, [*TINY, *own])
    guessed = guess_amounts(recipe)
    assert guessed.samples["train"] == pytest.approx(packed, rel=0.1)


def test_a_chinchilla_budget_by_hand(run_directory: Path) -> None:
    found = estimated(f"run.directory={run_directory}")
    assert found.optimal_tokens == 20 * found.parameters
    assert found.flops_per_token == 6 * (2 * 12 * 32 * 32 + 400 * 32) + 12 * 2 * 32 * 128
    assert found.state_bytes > 3 * 4 * found.parameters
    state = found.parameter_bytes + found.optimizer_bytes
    assert found.copied_bytes == state
    guarded = dataclasses.replace(found, guarded=True)
    assert (guarded.checkpoint_bytes, guarded.copied_bytes) == (2 * state, 4 * state)


def test_the_estimate_is_printed(run_directory: Path, capfd: Capture) -> None:
    assert _run(["estimate", *TINY, f"run.directory={run_directory}"]) == 0
    printed = capfd.readouterr().out
    for shown in ("Chinchilla-optimal", "tokens/s", "optimizer", "activations", "disk", "FLOP"):
        assert shown in printed


def test_a_large_corpus_is_estimated_from_its_beginning(
    tmp_path: Path, run_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(
        json.loads(line)["text"] + "\n<|endoftext|>\n"
        for line in (run_directory / "corpus" / "train.jsonl").read_text().splitlines()
    )
    (tmp_path / "corpus.txt").write_text(text)
    own = [f"corpus.source={tmp_path / 'corpus.txt'}", f"run.directory={tmp_path / 'run'}"]
    recipe = load_recipe(None, [*TINY, *own])
    monkeypatch.setattr("hornbook.pipeline.pretraining.amounts.SMALL", 1_000)
    assert not small_enough(recipe)
    guessed = guess_amounts(recipe)
    assert not (tmp_path / "run").exists()  # nothing was made
    counted = count_amounts(sample_tokens(recipe))
    assert small_enough(recipe)  # now the tokens are there
    assert guessed.vocab_size == counted.vocab_size
    assert sum(guessed.tokens.values()) == pytest.approx(sum(counted.tokens.values()), rel=0.05)


def test_a_model_that_does_not_fit(
    run_directory: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.setattr("hornbook.pipeline.pretraining.estimate.free_memory", lambda: 1_000)
    assert _run(["estimate", *TINY, f"run.directory={run_directory}"]) == 0
    assert "does not fit" in capfd.readouterr().out


@pytest.mark.parametrize("verb", ["estimate", "find-lr"])
def test_bad_recipes_are_refused(tmp_path: Path, capfd: Capture, verb: str) -> None:
    assert "no such recipe" in refused(capfd, verb, tmp_path / "none.toml")
    assert "did you mean training.lr" in refused(capfd, verb, "training.lrr=1")
    assert "no such file" in refused(capfd, verb, f"corpus.source={tmp_path / 'none.txt'}")


def test_a_tracker_that_is_not_installed(
    tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    arguments = [*TINY, f"run.directory={tmp_path}", 'run.trackers=["tensorboard"]']
    assert "pip install" in refused(capfd, "pretrain", *arguments)
    arguments[-1] = 'run.trackers=["tensorbord"]'
    assert "run.trackers" in refused(capfd, "pretrain", *arguments)
