"""`hornbook data preview`: what is in a data set, and what is wrong with it."""

import json
import shutil
from pathlib import Path

import pytest

from hornbook.cli import _run
from tests.cli.tiny import TINY

Capture = pytest.CaptureFixture[str]
GOOD = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Name a colour."},
        {"role": "assistant", "content": "Blue."},
        {"role": "user", "content": "Another."},
        {"role": "assistant", "content": "Red."},
    ]
}
BAD = {"messages": [{"role": "user", "content": "Name a colour."}]}


def _write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


def test_a_file_alone(tmp_path: Path, capfd: Capture) -> None:
    data = _write(tmp_path / "talk.jsonl", GOOD, GOOD)
    assert _run(["data", "preview", str(data)]) == 0
    printed = capfd.readouterr().out
    for said in ("OpenAI messages", "trained on this file", "repetitions", '"hornbook"'):
        assert said in printed
    assert "the token that ends an answer is trained in all of them" in printed
    assert "[6 masked]" in printed or "masked]" in printed
    assert printed.count("[END]") > 6


def test_with_a_models_tokenizer_and_a_template(
    tmp_path: Path, run_directory: Path, capfd: Capture
) -> None:
    data = _write(tmp_path / "talk.jsonl", GOOD)
    model = f"{run_directory}/instruct-full"
    assert _run(["data", "preview", str(data), "--tokenizer", model, "--template", "alpaca"]) == 0
    assert 'template "alpaca"' in capfd.readouterr().out
    assert _run(["data", "preview", str(data), "--template", "beta"]) == 2
    assert "expected one of alpaca" in capfd.readouterr().err


def test_faults_are_listed(tmp_path: Path, capfd: Capture) -> None:
    data = _write(tmp_path / "talk.jsonl", GOOD, BAD, BAD)
    assert _run(["data", "preview", str(data)]) == 2
    printed = capfd.readouterr()
    assert "line 2: it ends with what the user says" in printed.out
    assert "line 3" in printed.out
    assert "2 of 3 records have faults" in printed.err


def test_a_recipe(tmp_path: Path, run_directory: Path, capfd: Capture) -> None:
    recipe = run_directory / "recipe.toml"
    arguments = [str(recipe), *TINY, f"run.directory={run_directory}"]
    assert _run(["data", "preview", *arguments]) == 0
    assert "Alpaca" in capfd.readouterr().out


def test_held_out_files_and_what_they_share_with_training(
    tmp_path: Path, run_directory: Path, capfd: Capture
) -> None:
    train = _write(tmp_path / "train.jsonl", *[GOOD] * 10)
    test = _write(tmp_path / "test.jsonl", GOOD)
    own = shutil.copytree(run_directory, tmp_path / "run")
    settings = [
        *TINY,
        f"run.directory={own}",
        f"instruction.path={train}",
        f"instruction.validation_path={test}",
        f"instruction.test_path={test}",
        "instruction.neftune_alpha=5",
        'instruction.train=["full"]',
    ]
    assert _run(["finetune", "instruct", *settings]) == 0
    printed = capfd.readouterr().out
    assert "9 of 10 training examples repeat another one" in printed
    assert "has read nothing but the sample world" in printed
    assert "1 of 1 test examples ask what a training example asks" in printed
    assert "the token that ends an answer is trained in all of them" in printed


def test_pairs(tmp_path: Path, capfd: Capture) -> None:
    pair = {"prompt": "Name a colour.", "chosen": "Blue.", "rejected": "No."}
    data = _write(tmp_path / "pairs.jsonl", pair, {**pair, "prompt": "Name another."})
    assert _run(["data", "preview", str(data), "--show", "1"]) == 0
    printed = capfd.readouterr().out
    assert "2 pairs of a chosen and a rejected answer" in printed
    assert printed.count("learns") == 2
    _write(data, pair, {"prompt": "x", "chosen": "y"})
    with data.open("a") as file:
        file.write("{\n")
    assert _run(["data", "preview", str(data)]) == 2
    printed = capfd.readouterr()
    assert "fault: " in printed.out
    for said in ("line 2: no field 'rejected'", "line 3", "learns"):
        assert said in printed.out
    assert "2 of 3 records have faults" in printed.err
