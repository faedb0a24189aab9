"""`hornbook finetune prefer`: from pairs to a model that prefers the chosen answers."""

import json
import shutil
from pathlib import Path

import pytest

from hornbook.cli import _run
from hornbook.training.metrics import read_metrics
from tests.cli.tiny import TINY

Capture = pytest.CaptureFixture[str]


def _pairs(path: Path, count: int = 24) -> Path:
    lines = [
        {"prompt": f"Name number {n}.", "chosen": f"It is {n}, sir.", "rejected": "No."}
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def _own(tmp_path: Path, run_directory: Path, *more: str) -> list[str]:
    own = shutil.copytree(run_directory, tmp_path / "run")
    return [*TINY, f"run.directory={own}", *more]


@pytest.mark.parametrize("mode", ["full", "lora"])
def test_a_model_is_taught_what_is_preferred(
    tmp_path: Path, run_directory: Path, capfd: Capture, mode: str
) -> None:
    settings = [
        *_own(tmp_path, run_directory, f"preference.path={_pairs(tmp_path / 'p.jsonl')}"),
        f'preference.train=["{mode}"]',
        "preference.training.steps=6",
        "preference.training.lr=1e-3",
        "preference.lora_training.steps=6",
        "preference.training.batch_size=8",
    ]
    assert _run(["finetune", "prefer", *settings]) == 0
    printed = capfd.readouterr().out
    assert "instruct-full" in printed
    assert "the reference model has read" in printed
    folder = tmp_path / "run" / f"prefer-{mode}"
    results = json.loads((folder / "results.json").read_text())
    margin, loss = results["held_out"]["margin"], results["held_out"]["loss"]
    assert margin["low"] <= margin["value"] <= margin["high"]
    assert margin["value"] > 0
    assert loss["value"] < 0.6931
    assert results["preferred"]["count"] == margin["count"]
    evaluations = read_metrics(folder / "metrics.jsonl", "evaluation")
    assert {"loss", "accuracy", "margin", "chosen_reward"} <= evaluations[-1].keys()
    assert "Preferences" in (tmp_path / "run" / "report.html").read_text()
    assert _run(["chat", str(folder), "--question", "Name number 3.", "max_new_tokens=4"]) == 0
    capfd.readouterr()
    assert _run(["finetune", "prefer", *settings]) == 0
    assert capfd.readouterr().out.count("unchanged") == 3 + 1 + 1 + 1


def test_bad_pairs_are_refused_before_anything_is_trained(
    tmp_path: Path, run_directory: Path, capfd: Capture
) -> None:
    path = _pairs(tmp_path / "p.jsonl")
    path.write_text(path.read_text() + '{"prompt": "x", "chosen": "y"}\n', "utf-8")
    own = _own(tmp_path, run_directory)
    for settings, said in (
        ([], "preference.path is not set"),
        ([f"preference.path={path}"], "line 25: no field 'rejected'"),
        (
            [f"preference.path={path}", 'instruction.train=["lora"]'],
            'have "full" in instruction.train',
        ),
    ):
        assert _run(["finetune", "prefer", *own, *settings]) == 2
        assert said in capfd.readouterr().err
