"""`hornbook evaluate`: figures with intervals and hashes, and two models compared."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hornbook.cli import _run
from hornbook.evaluation.perplexity import sliding_window_perplexity
from hornbook.pipeline.models.bundle import default_runtime, load_bundle

Capture = pytest.CaptureFixture[str]


def evaluated(tmp_path: Path, *arguments: object) -> dict[str, Any]:
    """What `hornbook evaluate` writes down."""
    output = tmp_path / "found.json"
    assert _run(["evaluate", *map(str, arguments), "--output", str(output)]) == 0
    found: dict[str, Any] = json.loads(output.read_text())
    return found


def test_perplexity(tmp_path: Path, run_directory: Path, capfd: Capture) -> None:
    text = tmp_path / "story.txt"
    text.write_text("One day Tom went to the wood.\n\nHe met a fox. It was kind.\n\n" * 30, "utf-8")
    model = run_directory / "pretrain"
    found = evaluated(tmp_path, model, text, "--stride", 32)
    bundle = load_bundle(model, default_runtime())
    ids = [*bundle.tokenizer.encode(text.read_text()), bundle.tokenizer.eos_id]
    score = sliding_window_perplexity(bundle.model, np.array(ids), bundle.runtime, stride=32)
    scores = found["scores"]
    assert scores["tokens"] == score.tokens
    assert scores["loss"]["value"] == pytest.approx(score.loss, rel=1e-5)
    assert scores["perplexity"]["value"] == pytest.approx(score.perplexity, rel=1e-5)
    wanted = score.bits_per_byte(len(text.read_bytes()))
    assert scores["bits_per_byte"]["value"] == pytest.approx(wanted, rel=1e-5)
    assert scores["loss"]["low"] < scores["loss"]["value"] < scores["loss"]["high"]
    assert found["prompts_sha256"][:12] in capfd.readouterr().out
    again = evaluated(tmp_path, model, text, "--stride", 32)
    assert again == found
    other = evaluated(tmp_path, model, text)
    assert other["prompts_sha256"] == found["prompts_sha256"]
    assert other["settings_sha256"] != found["settings_sha256"]


def test_two_language_models(tmp_path: Path, run_directory: Path) -> None:
    text = tmp_path / "story.txt"
    text.write_text("\n\n".join(f"Tom had {n} cats and a dog." for n in range(20)), "utf-8")
    models = run_directory / "pretrain", "--against", run_directory / "instruct-full"
    assert _run(["evaluate", *map(str, (models[0], text, *models[1:]))]) == 2  # other tasks
    same = evaluated(tmp_path, models[0], text, "--against", models[0])
    assert same["comparisons"]["bits_per_byte"]["difference"]["value"] == 0
    assert same["comparisons"]["bits_per_byte"]["p"] == 1
    assert same["comparisons"]["bits_per_byte"]["difference"]["count"] == 20


def test_answers(tmp_path: Path, run_directory: Path, capfd: Capture) -> None:
    asked = tmp_path / "asked.jsonl"
    lines = [
        {"instruction": f"Spell the word {word}.", "output": "-".join(word), "category": kind}
        for word, kind in (("cat", "short"), ("dog", "short"), ("house", "long"))
    ]
    asked.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    full, lora = run_directory / "instruct-full", run_directory / "instruct-lora"
    arguments = ("--metrics", "exact,rougeL,json", "--max-new-tokens", 4, "--limit", 3)
    found = evaluated(tmp_path, full, asked, *arguments, "--against", lora)
    assert set(found["scores"]) == {"short", "long", "all"}
    assert set(found["scores"]["all"]) == {"exact", "rougeL", "json"}
    assert found["comparisons"]["exact"]["test"] == "McNemar, exact"
    printed = capfd.readouterr().out
    for said in (f"{full}, with the", f"{lora}, with the", "instruct-full less"):
        assert said in printed.replace("\n", "")
    assert _run(["evaluate", str(full), str(asked), "--metrics", "f1"]) == 2
    assert "unknown metric 'f1'" in capfd.readouterr().err


def test_classifiers(tmp_path: Path, run_directory: Path) -> None:
    data = run_directory / "corpus" / "labelled.jsonl"
    models = run_directory / "classify-full", data, "--against", run_directory / "classify-lora"
    found = evaluated(tmp_path, *models)
    assert found["scores"]["accuracy"]["low"] <= found["scores"]["accuracy"]["value"]
    assert found["comparisons"]["right"]["test"] == "McNemar, exact"
    assert found["comparisons"]["macro F1"]["test"] == "paired permutations"
    macro = found["scores"]["macro_f1"]
    assert macro["low"] <= macro["value"] <= macro["high"]


def test_benchmarks(tmp_path: Path, run_directory: Path, capfd: Capture) -> None:
    pytest.importorskip("lm_eval")
    asked = tmp_path / "asked.jsonl"
    record = {"question": "Who?", "choices": ["Tom", "Ida", "a fox", "a dog"], "answer": 1}
    asked.write_text(json.dumps(record) + "\n", "utf-8")
    puzzles = tmp_path / "puzzles.jsonl"
    puzzle = {"prompt": "def f():\n", "test": "def check(f): f()\n", "entry_point": "f"}
    puzzles.write_text(json.dumps(puzzle) + "\n", "utf-8")
    model = run_directory / "pretrain"
    tasks = ("--tasks", f"mmlu={asked}", "--tasks", f"humaneval={puzzles}")
    assert _run(["evaluate", str(model), *tasks]) == 2
    assert "Give --run-code if you mean it" in capfd.readouterr().err
    found = evaluated(tmp_path, model, *tasks, "--run-code", "--against", model)
    assert found["scores"]["mmlu, acc"]["count"] == 1
    assert found["scores"]["humaneval, pass@1"]["value"] == 0
    assert found["scores"]["humaneval_outcomes"] == {"failed": 1}
    assert found["comparisons"]["mmlu, acc"]["p"] == 1
    assert _run(["evaluate", str(model)]) == 2
    assert _run(["evaluate", str(run_directory / "classify-full"), *tasks, "--run-code"]) == 2
    assert "cannot be asked a benchmark's questions" in capfd.readouterr().err
