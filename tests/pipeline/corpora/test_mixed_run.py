"""A run on several corpora: each by itself on the disk, mixed in training, measured each by itself."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hornbook.cli import _run
from hornbook.corpus.readers import CorpusSettings
from hornbook.errors import HornbookError
from hornbook.pipeline.corpora.datasets import documents_of, train_dataset
from hornbook.pipeline.pretraining.recorder import Recorder
from hornbook.pipeline.recipe import Recipe, load_recipe, to_toml
from hornbook.pipeline.workspace import finished
from hornbook.run import run, sample_tokens
from hornbook.sampling.mixture import Mixture
from hornbook.training.metrics import read_metrics

RECIPE = """
[corpus]
alpha = 0.5
validation_share = 0.1
test_share = 0.1
[[corpus.sources]]
name = "numbers"
source = "{folder}/numbers.jsonl"
weight = 1
[[corpus.sources]]
name = "letters"
source = "{folder}/letters.jsonl"
weight = 4
licence = "CC0"
[[corpus.sources]]
name = "stories"
source = "sample-world"
weight = 1
[world]
stories = 60
labelled = 40
instructions = 60
[deduplication]
exact = true
[tokenizer]
vocab_size = 300
[model]
preset = "nano"
embed_dim = 16
n_layers = 1
context_length = 32
[training]
steps = 8
batch_size = 4
save_every = 3
eval_every = 4
eval_sequences = 30
sample_every = 0
[generation]
max_new_tokens = 4
[runtime]
precision = "float32"
device = "cpu"
"""


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    for name, text in (("numbers", "{} and {} are {}. "), ("letters", "Letter {}, dear {}: {}. ")):
        lines = [json.dumps({"text": text.format(n, n + 1, n * n) * 5}) for n in range(120)]
        (folder / f"{name}.jsonl").write_text("\n".join([*lines, lines[0]]))
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(folder=folder))
    return path


@pytest.fixture(scope="module")
def trained(recipe_file: Path) -> Path:
    directory = recipe_file.parent / "run"
    run(load_recipe(recipe_file, [f"run.directory={directory}"]), goal="pretrain")
    return directory


def losses(directory: Path) -> dict[int, float]:
    return {
        r["step"]: r["loss"] for r in read_metrics(directory / "pretrain/metrics.jsonl", "train")
    }


def test_each_source_has_its_own_corpus_and_tokens(trained: Path) -> None:
    for name in ("numbers", "letters", "stories"):
        assert (trained / "sources" / name / "corpus" / "manifest.json").exists()
        assert (trained / "sources" / name / "tokens" / "manifest.json").exists()
    assert not (trained / "corpus").exists()
    assert _run(["verify", str(trained)]) == 0


def test_losses_and_epochs_of_each_source_are_reported(trained: Path) -> None:
    results: Any = finished(trained / "pretrain")
    names = {"numbers", "letters", "stories"}
    held_out = results["held_out"]
    assert set(held_out["sources"]) == names
    tokens = sum(one["tokens"] for one in held_out["sources"].values())
    mean = (
        sum(one["tokens"] * one["loss"]["value"] for one in held_out["sources"].values()) / tokens
    )
    assert held_out["tokens"] == tokens
    assert held_out["loss"]["value"] == pytest.approx(mean)
    # 1 ** 0.5 to 4 ** 0.5 to 1 ** 0.5
    shares = {name: one["share"] for name, one in results["mixture"].items()}
    assert shares == {"numbers": 0.25, "letters": 0.5, "stories": 0.25}
    evaluations = list(read_metrics(trained / "pretrain/metrics.jsonl", "evaluation"))
    assert all({f"loss/{name}" for name in names} <= set(record) for record in evaluations)
    assert len(evaluations) == 2
    page = (trained / "report.html").read_text()
    assert "Corpus: letters" in page
    assert "epochs of it" in page


def test_epochs_are_what_was_drawn(recipe_file: Path, trained: Path) -> None:
    recipe = load_recipe(recipe_file, [f"run.directory={trained}"])
    context = sample_tokens(recipe)
    from hornbook.model.presets import resolve

    config = resolve(recipe.model, context.tokenizer.vocab_size)
    mixture = train_dataset(context, config)
    assert isinstance(mixture, Mixture)
    results: Any = finished(trained / "pretrain")
    per_epoch = len(mixture) // recipe.training.batch_size
    for name, one in results["mixture"].items():
        assert one["epochs"] == pytest.approx(mixture.epochs[name] * 8 / per_epoch)
    named = documents_of(context, config, 1)
    assert any("of the train split of letters" in line for line in named)


def test_prepare_accounts_for_each(recipe_file: Path, trained: Path, capfd: Any) -> None:
    assert _run(["prepare", str(recipe_file), f"run.directory={trained}"]) == 0
    printed = capfd.readouterr().out
    assert printed.count("exact") == 6  # each by itself, and with those before it
    assert "a mixture of numbers 25.0%" in printed
    card = (trained / "datacard.md").read_text()
    assert "| letters | 4 |" in card
    assert "- Licence: CC0" in card
    assert card.count("- Corpus: SHA-256") == 3


def test_other_weights_train_anew_and_keep_the_corpora(
    recipe_file: Path, trained: Path, capfd: Any
) -> None:
    more = [f"run.directory={trained}", "corpus.alpha=1.0", "training.steps=4"]
    assert _run(["pretrain", str(recipe_file), *more]) == 0
    printed = capfd.readouterr().out
    assert printed.count("unchanged") == 7  # three corpora, three token stores, the tokenizer
    results: Any = finished(trained / "pretrain")
    assert results["mixture"]["letters"]["share"] == pytest.approx(4 / 6)


class PowerCutError(Exception):
    pass


def test_a_mixed_run_resumes_exactly_and_is_the_same_in_two_processes(
    recipe_file: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["pretrain", str(recipe_file), "training.steps=6"]
    whole, cut, two = tmp_path / "whole", tmp_path / "cut", tmp_path / "two"
    for directory in (whole, cut, two):
        for stage in ("sources", "tokenizer"):
            shutil.copytree(trained / stage, directory / stage)
    assert _run([*arguments, f"run.directory={whole}"]) == 0
    step = Recorder.step

    def step_until_the_cut(self: Recorder, taken: Any, *more: Any) -> None:
        step(self, taken, *more)
        if taken.index == 5:
            raise PowerCutError

    resumed = load_recipe(recipe_file, ["training.steps=6", f"run.directory={cut}"])
    with monkeypatch.context() as patched:
        patched.setattr(Recorder, "step", step_until_the_cut)
        with pytest.raises(PowerCutError):
            run(resumed, goal="pretrain")
    run(resumed, goal="pretrain")
    assert losses(cut) == losses(whole)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
            *("--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "-m", "hornbook"),
            *(*arguments, f"run.directory={two}"),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert losses(two) == pytest.approx(losses(whole), rel=1e-5)


SOURCE = {"name": "a", "source": "a.txt"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"source": "x.txt", "sources": [SOURCE]}, "give source or sources, not both"),
        ({"sources": [SOURCE, {**SOURCE, "name": "A"}]}, "two of sources have the same name"),
        ({"sources": [{"source": "a.txt"}]}, "every one of sources needs a name"),
        ({"sources": [SOURCE, {**SOURCE, "name": "b", "weight": 1.0}]}, "a weight, or none"),
        ({"sources": [{**SOURCE, "name": "../a"}]}, "should match pattern"),
    ],
)
def test_sources_that_make_no_sense(settings: dict[str, Any], said: str) -> None:
    from hornbook.config import validate

    with pytest.raises(HornbookError, match=said):
        validate(CorpusSettings, settings, "recipe")


def test_a_source_too_light_is_named(recipe_file: Path, tmp_path: Path, capfd: Any) -> None:
    text = RECIPE.format(folder=recipe_file.parent).replace("weight = 4", "weight = 1e-9")
    light = tmp_path / "light.toml"
    light.write_text(text.replace("alpha = 0.5", "alpha = 1.0"))
    assert _run(["pretrain", str(light), f"run.directory={tmp_path / 'run'}"]) == 2
    assert "source 'letters' has 5e-10 of the mixture's weight" in capfd.readouterr().err


def test_a_recipe_with_sources_is_written_and_read_again(recipe_file: Path, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file, ["run.directory=x"])
    (tmp_path / "again.toml").write_text(to_toml(recipe))
    assert load_recipe(tmp_path / "again.toml") == recipe
    assert recipe.classifies
    assert Recipe().classifies


def test_what_two_sources_have_stays_in_the_first(tmp_path: Path, capfd: Any) -> None:
    ours = [f"Text {n} is one of {n * n} that are only here." for n in range(40)]
    theirs = [f"Page {n} stands in {n + 7} other books as well." for n in range(40)]
    for name, texts in (("a", ours), ("b", [*theirs, *ours[:9]])):
        (tmp_path / f"{name}.txt").write_text("\n<|endoftext|>\n".join(texts))
    sources = ", ".join(f'{{name="{n}", source="{tmp_path / n}.txt"}}' for n in ("a", "b"))
    directory = tmp_path / "run"
    arguments = [
        *("prepare", f"corpus.sources=[{sources}]", f"run.directory={directory}"),
        *("deduplication.exact=true", "tokenizer.vocab_size=300", "model.preset=nano"),
        *("sampling.max_length=16", "corpus.validation_share=0.1", "corpus.test_share=0.1"),
        "sampling.packing=documents",
    ]
    assert _run(arguments) == 0
    printed = capfd.readouterr().out
    assert re.search(r"^b: max_length 16, .* not padding$", printed, re.MULTILINE)
    assert re.search(r"Exact duplicates +-", printed)
    row = re.search(r"exact as in a +(\S+)", printed)
    assert row is not None
    assert row[1] == "-9"
    assert (
        "| ExactDuplicates | exact as in a | 49 | 9 | 0 |"
        in (directory / "datacard.md").read_text()
    )
    assert "- Training rows of b: max_length 16" in (directory / "datacard.md").read_text()
    assert _run(["verify", str(directory)]) == 0
    assert "the sources/a/corpus is what it was made from" in capfd.readouterr().out
    assert _run([*arguments, "deduplication.across_sources=false"]) == 0
    assert "exact as in a" not in capfd.readouterr().out
