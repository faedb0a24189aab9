"""The whole pipeline through the command line: what it leaves, and what a second run does."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from hornbook.cli import _run
from tests.cli.tiny import TINY

STAGES = ("classify-full", "classify-lora", "instruct-full", "instruct-lora")


def test_every_stage_leaves_its_results(run_directory: Path) -> None:
    for stage in ("pretrain", *STAGES):
        results = json.loads((run_directory / stage / "results.json").read_text())
        assert results["steps"] > 0
    assert (run_directory / "recipe.toml").exists()
    report = (run_directory / "report.html").read_text()
    for shown in ("<svg", "Pre-training", "Classification", "instruct-lora", "perplexity"):
        assert shown in report
    assert "<script" not in report
    assert "http://" not in report.replace("http://www.w3.org", "").replace("http://purl.org", "")


def test_every_score_has_its_interval_and_its_hashes(run_directory: Path) -> None:
    for stage in ("pretrain", *STAGES):
        results = json.loads((run_directory / stage / "results.json").read_text())
        assert list(_bare(results)) == [], stage
        units = json.loads((run_directory / stage / "units.json").read_text())
        assert results["prompts_sha256"] == units["prompts_sha256"]
        assert len(results["settings_sha256"]) == len(results["validation_prompts_sha256"]) == 64
        report = (run_directory / "report.html").read_text()
        assert f"prompts {results['prompts_sha256'][:12]}" in report
    held_out = json.loads((run_directory / "pretrain" / "results.json").read_text())["held_out"]
    for score in (held_out["loss"], held_out["perplexity"], held_out["bits_per_byte"]):
        assert score["low"] < score["value"] < score["high"]


NO_SCORES = {"training_seconds", "mfu", "temperature", "threshold", "probability", "bins"}


def _bare(found: object, name: str = "") -> Iterator[str]:
    """Numbers with a fraction that stand in results without an interval."""
    if isinstance(found, dict) and not {"value", "low", "high", "count"} <= found.keys():
        for key, value in found.items():
            if key not in NO_SCORES:
                yield from _bare(value, f"{name}.{key}")
    elif isinstance(found, list):
        for value in found:
            if not isinstance(value, float):  # else a curve's points
                yield from _bare(value, name)
    elif isinstance(found, float):
        yield name


def test_results_of_an_older_form_are_measured_anew_and_nothing_is_trained(
    tmp_path: Path, run_directory: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(run_directory), str(copy)], check=True)
    found = {}
    for stage in ("pretrain", "instruct-lora"):
        path = copy / stage / "results.json"
        found[path] = json.loads(path.read_text())
        path.write_text(json.dumps({**found[path], "format": 1, "held_out": {"loss": 1.5}}))
    assert _run(["quickstart", *TINY, f"run.directory={copy}"]) == 0
    assert capfd.readouterr().out.count("unchanged") == 3 + len(STAGES) - 1
    for path, before in found.items():
        again = json.loads(path.read_text())
        for name in ("validation_loss", "held_out", "answers", "units", "prompts_sha256"):
            assert again.get(name) == before.get(name)


def test_a_second_run_changes_nothing(
    run_directory: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {p: p.stat().st_mtime_ns for p in run_directory.rglob("*.safetensors")}
    assert _run(["quickstart", *TINY, f"run.directory={run_directory}"]) == 0
    printed = capfd.readouterr().out
    assert printed.count("unchanged") == 3 + 1 + len(STAGES)
    assert printed.strip().splitlines()[-1].endswith("report.html")
    assert before == {p: p.stat().st_mtime_ns for p in run_directory.rglob("*.safetensors")}


def test_only_what_changed_is_done_again(
    tmp_path: Path, run_directory: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(run_directory), str(copy)], check=True)
    changed = [*TINY, "instruction.training.lr=1e-4", f"run.directory={copy}"]
    assert _run(["quickstart", *changed]) == 0
    printed = capfd.readouterr().out
    assert printed.count("unchanged") == 3 + 1 + 2
    assert (copy / "previous" / "instruct-full" / "results.json").exists()  # nothing is lost


def test_the_written_recipe_gives_the_same_run(
    run_directory: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _run(["run", str(run_directory / "recipe.toml"), f"run.directory={run_directory}"]) == 0
    assert capfd.readouterr().out.count("unchanged") == 3 + 1 + len(STAGES)


def test_models_can_be_used(run_directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    calls = [
        ["generate", f"{run_directory}/pretrain", "One day", "max_new_tokens=5"],
        ["chat", f"{run_directory}/instruct-lora", "--question", "Spell cat.", "max_new_tokens=4"],
        ["classify", f"{run_directory}/classify-lora", "It was a dark night.", "He won."],
        ["evaluate", f"{run_directory}/pretrain", f"{run_directory}/corpus/test.jsonl"],
        ["evaluate", f"{run_directory}/classify-full", f"{run_directory}/corpus/labelled.jsonl"],
        ["inspect", f"{run_directory}/classify-lora", "--layers"],
        ["inspect", "gpt2-xl"],
        ["sample", *TINY, f"run.directory={run_directory}", "--show", "1"],
        ["tokenize", *TINY, f"run.directory={run_directory}", "--text", "the cat"],
        ["run", "--settings"],
    ]
    for call in calls:
        assert _run(call) == 0, call
    printed = capfd.readouterr().out
    assert "One day" in printed
    assert "1,557,611,200" in printed
    assert "masked" in printed


def test_generation_is_the_same_for_the_same_seed(
    run_directory: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    texts = []
    for seed in (1, 1, 2):
        call = ["generate", f"{run_directory}/pretrain", "One day", "max_new_tokens=12"]
        assert _run([*call, f"seed={seed}"]) == 0
        texts.append(capfd.readouterr().out)
    assert texts[0] == texts[1] != texts[2]


def test_two_runs_on_one_directory(run_directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with FileLock(run_directory / ".lock"):
        assert _run(["quickstart", *TINY, f"run.directory={run_directory}"]) == 2
    assert "in use by another run" in capfd.readouterr().err
