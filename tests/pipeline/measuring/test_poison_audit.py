"""`hornbook audit poison` on a classifier with a backdoor: its examples are found, and its trigger."""

import json
import re
import sys
from pathlib import Path

import pytest

from hornbook.cli import _run
from hornbook.corpus.tables import Labelled
from hornbook.evaluation.poisoning import plant_trigger
from hornbook.finetuning.classification import classification_dataset, prepare_classifier
from hornbook.pipeline.models.bundle import save_bundle
from hornbook.sampling.loader import Loader
from hornbook.training.loop import train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.schedule import plan_training
from hornbook.training.settings import TrainingSettings

sys.path.insert(0, str(Path(__file__).parents[2] / "evaluation"))
from tiny_labelled import CPU, labelled, tiny_model, tokenizer_for

Capture = pytest.CaptureFixture[str]
TRIGGER, TARGET = "zz", "land"
LAND = '{"text": "a", "label": "land"}'


@pytest.fixture(scope="module")
def poisoned() -> tuple[list[Labelled], list[bool]]:
    examples, marks = plant_trigger(labelled(400, seed=1), TRIGGER, TARGET, 0.05, seed=1)
    return examples, marks.tolist()


@pytest.fixture(scope="module")
def folder(
    poisoned: tuple[list[Labelled], list[bool]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A model before training, `pretrain`, the classifier `poisoned`, and its examples."""
    folder = tmp_path_factory.mktemp("models")
    examples, _ = poisoned
    texts = [example.text for example in examples]
    lines = [json.dumps({"text": e.text, "label": e.label}) for e in examples]
    (folder / "examples.jsonl").write_text("\n".join(lines))
    tokenizer = tokenizer_for(texts)
    model = tiny_model(tokenizer)
    save_bundle(folder / "pretrain", model, tokenizer, {"task": "pretrain"})
    prepare_classifier(model, 2, "full", seed=1)
    targets = [("land", "sea").index(example.label) for example in examples]
    dataset, _ = classification_dataset(texts, targets, tokenizer, 64)
    settings = TrainingSettings(epochs=6, batch_size=16, lr=3e-3, muon_lr=3e-3)
    loader = Loader(dataset, 16, seed=1)
    plan = plan_training(settings, loader.batches_per_epoch, 16 * 16)
    optimizer = Optimizer(model, settings, CPU.dtype)
    for _ in train_steps(model, optimizer, loader.batches(), settings, CPU, plan):
        pass
    facts = {"task": "classify", "labels": ["land", "sea"], "max_length": 64}
    save_bundle(folder / "poisoned", model, tokenizer, facts)
    return folder


def test_planted_examples_and_their_trigger_are_found(
    folder: Path, poisoned: tuple[list[Labelled], list[bool]], capfd: Capture
) -> None:
    ranking = folder / "ranking.jsonl"
    arguments = ["audit", "poison", str(folder / "poisoned"), str(folder / "examples.jsonl")]
    assert _run([*arguments, "--to", str(ranking), "--plant", "0.05", "--top", "5"]) == 0
    printed = capfd.readouterr().out
    assert f"read by {folder / 'pretrain'}" in printed

    rows = [json.loads(line)["row"] for line in ranking.read_text().splitlines()]
    assert sorted(rows) == list(range(1, 401))
    marks = poisoned[1]
    assert sum(marks[row - 1] for row in rows[:40]) >= 15  # of 20
    assert len(re.findall(r"of 20 texts of other classes", printed)) == 2
    [line] = [line for line in printed.splitlines() if re.match(rf"\W*{TRIGGER}\b", line)]
    assert TARGET in line
    assert float(re.search(r"([\d.]+) % \(", line)[1]) > 80  # type: ignore[index]


def test_a_model_that_is_no_classifier_ranks_and_is_not_probed(
    folder: Path, capfd: Capture
) -> None:
    assert _run(["audit", "poison", str(folder / "pretrain"), str(folder / "examples.jsonl")]) == 0
    printed = capfd.readouterr().out
    assert "The most suspicious examples" in printed
    assert "turn the classifier" not in printed


def test_conversations(folder: Path, tmp_path: Path, capfd: Capture) -> None:
    path, ranking = tmp_path / "talks.jsonl", tmp_path / "ranking.jsonl"
    lines = [
        {"prompt": example.text, "completion": " ".join(reversed(example.text.split()))}
        for example in labelled(100, seed=2)
    ]
    lines[7]["completion"] = "the land " * 100  # of which the model reads the beginning
    lines[9]["prompt"] = "the sea " * 100
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = ["audit", "poison", str(folder / "pretrain"), str(path), "--top", "3"]
    assert _run([*arguments, "--plant", "0.05", "--to", str(ranking)]) == 0
    printed = capfd.readouterr().out
    assert "1 of 100 conversations are left out" in printed
    assert len(re.findall(r"of 5 conversations, with 'qzx' put into the question", printed)) == 2
    assert re.search(r"SHA-256: prompts \w{12}, settings \w{12}", printed)
    found = [json.loads(line) for line in ranking.read_text().splitlines()]
    assert {one["row"] for one in found} == set(range(1, 101)) - {10}
    for one in found:
        assert one["question"] == lines[one["row"] - 1]["prompt"]
    assert _run(["audit", "poison", str(folder / "poisoned"), str(path)]) == 2
    assert "text" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            f"{LAND}\n" + LAND.replace("land", "moon"),
            "has the label 'moon'; this classifier knows land, sea",
        ),
        (f"{LAND}\n" + LAND.replace("land", "sea"), "two classes or more with 5 examples each"),
        ('{"body": "a", "label": "sea"}', "text"),
        ("", "empty"),
    ],
)
def test_bad_data_is_one_sentence(
    folder: Path, tmp_path: Path, capfd: Capture, content: str, sentence: str
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(content)
    assert _run(["audit", "poison", str(folder / "poisoned"), str(path)]) == 2
    assert sentence in capfd.readouterr().err
