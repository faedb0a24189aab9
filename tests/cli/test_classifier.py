"""A classifier of the user's own table: what is held out, what is reported, whole files classified."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hornbook.cli import _run
from hornbook.evaluation.intervals import read_interval
from hornbook.pipeline.measuring.classify_file import classified_side_by_side
from hornbook.pipeline.models.bundle import default_runtime, load_bundle
from tests.cli.tiny import TINY

WORDS = {"cheap": "money", "prize": "money", "goal": "sport", "match": "sport"}
SMALL = [s for s in TINY if not s.startswith(("world.", "instruct"))]


def write_table(path: Path, several: bool) -> list[str]:
    """Texts whose labels hang on their words; an empty label is none of them."""
    rows, texts = [], []
    for number in range(120):
        words = [word for at, word in enumerate(WORDS) if number >> at & 1]
        labels = sorted({WORDS[word] for word in words})
        text = f"message {number} about {' and '.join(words) or 'nothing'} at noon"
        label = ";".join(labels) if several else ("money" if "money" in labels else "other")
        texts.append(text)
        rows.append(f"{text},{label}\n")
    path.write_text("text,label\n" + "".join(rows), encoding="utf-8")
    return texts


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("several", [False, True])
def test_a_table_of_the_users(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], several: bool
) -> None:
    texts = write_table(tmp_path / "a.csv", several)
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        f"[corpus]\nsource = '{tmp_path}/a.csv'\n"
        f"[classification]\npath = '{tmp_path}/a.csv'\ntrain = ['lora']\npooling = 'mean'\n"
        f"imbalance = 'class-weights'\nmulti_label = {str(several).lower()}\n"
        "[lora]\nrank = 2\ndora = true\n[classification.lora_training]\nb_lr_ratio = 4.0\n"
    )
    run = tmp_path / "run"
    assert _run(["finetune", "classify", str(recipe), *SMALL, f"run.directory={run}"]) == 0
    stage = run / "classify-lora"
    results = json.loads((stage / "results.json").read_text("utf-8"))
    assert results["examples"]["test"] == pytest.approx(24, abs=2)
    predictions = lines_of(stage / "predictions.jsonl")
    read = "".join((run / f"corpus/{s}.jsonl").read_text("utf-8") for s in ("train", "validation"))
    assert not any(one["text"] in read for one in predictions)  # nor by pre-training
    assert sum(text in read for text in texts) > 60
    pictures = {path.stem for path in stage.glob("*.svg")}
    assert {"roc", "precision-recall"} <= pictures
    assert ("reliability" in pictures) == ("calibration" in results) == (not several)
    assert ("decisions" in results) == several
    page = (run / "report.html").read_text("utf-8")
    assert read_interval(results["macro_f1"]).shown() in page
    area = read_interval(results["curves"][0]["auc"])
    assert area.low <= area.value <= area.high
    assert f"prompts {results['prompts_sha256'][:12]}, settings" in page
    assert "TF-IDF and logistic regression" in page
    capfd.readouterr()

    (tmp_path / "in.jsonl").write_text('{"id": 7, "text": "a cheap match"}\n{"text": "no"}\n')
    out = tmp_path / "out.jsonl"
    whole = ["classify", str(stage), str(tmp_path / "in.jsonl"), "--precision"]
    assert _run([*whole, "float32", "--output", str(out)]) == 0
    first, second = lines_of(out)
    assert first["id"] == 7
    assert second["probabilities"].keys() == set(results["labels"])
    assert isinstance(first["predicted"], list) == several
    capfd.readouterr()
    assert _run([*whole, "bfloat17"]) == 2
    assert "precision" in capfd.readouterr().err
    assert _run([*whole, "bfloat16", "--output", str(tmp_path / "narrow.jsonl")]) == 0
    for one, exact in zip(lines_of(tmp_path / "narrow.jsonl"), (first, second), strict=True):
        assert one["probabilities"] == pytest.approx(exact["probabilities"], abs=0.02)
    capfd.readouterr()
    assert _run([*whole, "float32"]) == 0
    assert [json.loads(line) for line in capfd.readouterr().out.splitlines()] == [first, second]
    assert _run(["evaluate", str(stage), str(tmp_path / "a.csv")]) == 0
    assert _run(["classify", str(stage), " "]) == 2
    assert "an empty text is of no class" in capfd.readouterr().err


def test_many_texts_are_read_side_by_side_as_one_after_the_other(run_directory: Path) -> None:
    bundle = load_bundle(run_directory / "classify-full", default_runtime())
    texts = [f"{'word ' * (number % 40)}{number}" for number in range(300)]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        found = classified_side_by_side(bundle, texts)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(found, bundle.classify(texts), atol=1e-5)
