"""What a reference model finds hard to predict goes: three deviations above the mean, in two passes."""

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from hornbook.artifact import hash_file
from hornbook.cli import _run
from hornbook.corpus import units
from hornbook.corpus.document import Document
from hornbook.corpus.world.generate import generate_texts
from hornbook.corpus.world.settings import WorldSettings
from hornbook.evaluation.perplexity import sliding_window_perplexity
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.pipeline.corpora import milestones, parts, perplexity_filter, waiting
from hornbook.pipeline.corpora.corpus import make_corpus, open_corpus
from hornbook.pipeline.corpora.perplexity_filter import PerplexityFilter, Spread
from hornbook.pipeline.models.bundle import Bundle, default_runtime, load_bundle, save_bundle
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import Workspace
from hornbook.sampling.loader import Loader
from hornbook.sampling.windows import Windows
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.tokenizer import Tokenizer
from hornbook.training.loop import train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.schedule import plan_training
from hornbook.training.settings import TrainingSettings

Capture = pytest.CaptureFixture[str]

STORIES = list(generate_texts(WorldSettings(stories=260), lambda count: None))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model that has read 200 stories for a few seconds."""
    folder = tmp_path_factory.mktemp("reference")
    tokenizer = Tokenizer.train(STORIES[:200], TokenizerSettings(vocab_size=400))
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, context_length=64, embed_dim=32, n_layers=2, n_heads=2
    )
    model = Transformer(config, torch.Generator().manual_seed(1))
    ids = [token for ids in tokenizer.encode_batch(STORIES[:200]) for token in ids]
    loader = Loader(Windows(np.array(ids), 64), 16, seed=1)
    settings = TrainingSettings(steps=60, batch_size=16)
    plan = plan_training(settings, loader.batches_per_epoch, 1024)
    runtime = default_runtime()
    optimizer = Optimizer(model, settings, runtime.dtype)
    for _ in train_steps(model, optimizer, loader.batches(), settings, runtime, plan):
        pass
    save_bundle(folder / "pretrain", model, tokenizer, {"task": "pretrain"})
    return load_bundle(folder / "pretrain", runtime)


@pytest.fixture(scope="module")
def noise() -> list[str]:
    rng = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789#{}<>/="
    return ["".join(rng.choices(letters, k=120)) for _ in range(3)]


def judged(step: PerplexityFilter, documents: list[Document]) -> list[Document]:
    return list(step.judge(iter(list(step.measure(iter(documents))))))


def test_the_limit_is_that_of_every_document_scored_alone(
    reference: Bundle, noise: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perplexity_filter, "BATCH_DOCUMENTS", 7)
    texts = [*STORIES[200:230], noise[0], *STORIES[230:], noise[1], "", "x"]
    given = [Document(text, f"d{n}", "s", {"n": n}) for n, text in enumerate(texts)]
    step = PerplexityFilter(reference, sigmas=2.0)
    kept = judged(step, given)

    losses = []
    for text in texts:
        ids = np.array([reference.tokenizer.bos_id, *reference.tokenizer.encode(text)])
        alone = sliding_window_perplexity if len(ids) > 1 else None
        losses.append(alone(reference.model, ids, default_runtime()).loss if alone else math.nan)
    limit = np.nanmean(losses) + 2 * np.nanstd(losses)
    assert kept == [d for d, loss in zip(given, losses, strict=True) if not loss > limit]
    (tally,) = step.tallies
    assert tally.seen == len(texts)
    assert tally.removed == len(texts) - len(kept) > 0
    assert {example[0] for example in tally.examples} >= {"d30", f"d{len(texts) - 3}"}
    assert tally.examples[0][2].startswith("perplexity ")


def test_noise_goes_and_stories_stay(reference: Bundle, noise: list[str]) -> None:
    given = [Document(text, text[:9]) for text in [*STORIES[200:], noise[0]]]
    kept = judged(PerplexityFilter(reference, sigmas=3.0), given)
    assert kept == given[:-1]


def test_no_document_at_all(reference: Bundle) -> None:
    assert judged(PerplexityFilter(reference, sigmas=3.0), []) == []


def test_mean_and_deviation_are_numpys() -> None:
    numbers = np.random.default_rng(1).normal(1e6, 1, 500)
    spread = Spread()
    for number in numbers:
        spread.add(float(number))
    assert spread.mean == pytest.approx(numbers.mean(), rel=1e-12)
    assert spread.deviation == pytest.approx(numbers.std(), rel=1e-6)
    assert Spread().deviation == 0


def test_in_a_run_the_model_is_among_the_inputs(
    reference: Bundle, noise: list[str], tmp_path: Path, capfd: Capture
) -> None:
    lines = [json.dumps({"text": text}) for text in [*STORIES[200:], noise[0]]]
    (tmp_path / "pages.jsonl").write_text("\n".join(lines))
    arguments = [
        "prepare",
        f"corpus.source={tmp_path / 'pages.jsonl'}",
        f"run.directory={tmp_path / 'run'}",
        "tokenizer.vocab_size=300",
        f"quality.perplexity_model={reference.path}",
    ]
    assert _run(arguments) == 0
    assert "perplexity" in capfd.readouterr().out
    corpus = open_corpus(tmp_path / "run" / "corpus")
    assert corpus.cleaning["steps"][0]["tallies"][0]["removed"] == 1
    manifest = reference.path / "model" / "manifest.json"
    assert corpus.manifest.inputs[f"perplexity model: {reference.path}"] == hash_file(manifest)
    assert _run(["verify", str(tmp_path / "run")]) == 0


@pytest.mark.parametrize("stop_at", [7, 12])
def test_interrupted_it_scores_nothing_again(
    reference: Bundle,
    noise: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at: int,
) -> None:
    """Interrupted behind the seventh of nine parts, or the third of five blocks that are judged."""
    monkeypatch.setattr(units, "UNIT_BYTES", 10_000)
    monkeypatch.setattr(milestones, "EVERY_S", 0)
    monkeypatch.setattr(waiting, "BLOCK_BYTES", 20_000)
    monkeypatch.setattr(parts, "by_processes", by_this_process)
    texts = [*STORIES[100:230], noise[0], *STORIES[210:260], noise[1]]
    lines = [json.dumps({"text": text, "id": f"{n}"}) for n, text in enumerate(texts)]
    (tmp_path / "pages.jsonl").write_text("\n".join(lines))
    (tmp_path / "held.jsonl").write_text(json.dumps({"text": STORIES[225]}))
    recipe = Recipe.model_validate(
        {
            "corpus": {
                "source": f"{tmp_path / 'pages.jsonl'}",
                "validation_share": 0.4,
                "test_share": 0.4,
            },
            "quality": {"perplexity_model": str(reference.path)},
            "deduplication": {"exact": True},
            "decontamination": {"evaluation_sets": (f"{tmp_path / 'held.jsonl'}",)},
        }
    )
    whole = make_corpus(recipe, Workspace(tmp_path / "whole"))
    scored: list[str] = []
    passes: list[int] = []
    losses, passed = PerplexityFilter._losses, milestones.Milestones.passed

    def noted(step: PerplexityFilter, documents: list[Document]) -> object:
        scored.extend(document.id for document in documents)
        return losses(step, documents)

    def and_stop(self: milestones.Milestones, count: int) -> None:
        passed(self, count)
        passes.append(count)
        if len(passes) == stop_at:
            for name in ("parts/waiting.jsonl", "validation.jsonl"):
                with (tmp_path / "run" / ".corpus.partial" / name).open("a") as file:
                    file.write("torn")
            raise KeyboardInterrupt

    monkeypatch.setattr(PerplexityFilter, "_losses", noted)
    monkeypatch.setattr(milestones.Milestones, "passed", and_stop)
    with pytest.raises(KeyboardInterrupt):
        make_corpus(recipe, Workspace(tmp_path / "run"))
    again = make_corpus(recipe, Workspace(tmp_path / "run"))
    assert len(scored) == len(set(scored)) == 162
    assert again.manifest.files == whole.manifest.files
    assert again.cleaning == whole.cleaning
    steps = {step["step"]: step["tallies"][0]["removed"] for step in whole.cleaning["steps"]}
    assert steps == {"ExactDuplicates": 20, "PerplexityFilter": 2, "Decontamination": 2}
    assert passes == [*range(1, 9), *[9] * 6]
    assert not list((tmp_path / "run").glob(".corpus*"))


def by_this_process(several: parts.Parts) -> Iterator[int]:
    for number in several.missing():
        parts.make_part(several, number)
        yield number


@pytest.mark.parametrize("path", ["nowhere", "."])
def test_no_such_model_is_one_sentence(tmp_path: Path, capfd: Capture, path: str) -> None:
    (tmp_path / "one.txt").write_text("A text.")
    where = [f"corpus.source={tmp_path / 'one.txt'}", f"run.directory={tmp_path / 'run'}"]
    assert _run(["prepare", *where, f"quality.perplexity_model={tmp_path / path}"]) == 2
    assert "quality.perplexity_model" in capfd.readouterr().err
