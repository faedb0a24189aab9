"""`hornbook audit memorization`: every way of training measured, once, and shown in one table."""

import json
from pathlib import Path

import pytest

from hornbook.cli import _run
from hornbook.pipeline.measuring.memorization import variants
from hornbook.sampling.windows import SamplingSettings

Capture = pytest.CaptureFixture[str]

TINY = [
    "world.stories=120",
    "world.labelled=40",
    "world.instructions=40",
    "tokenizer.vocab_size=300",
    "model.preset=nano",
    "model.embed_dim=16",
    "model.n_layers=1",
    "model.context_length=64",
    "training.batch_size=8",
    "runtime.precision=float32",
    "memorization.documents=40",
    "memorization.epochs=0.5",
    "memorization.repeats=[0, 3]",
    "memorization.canaries=2",
    "memorization.alternatives=20",
    "memorization.samples=4",
    "memorization.sample_tokens=20",
]


def test_variants_change_one_thing_each() -> None:
    plain, overlapping, deduplicated, masked, both = variants(
        SamplingSettings(stride=7, packing="documents", mask_context=5), 64, 4
    )
    assert (plain.sampling.stride, plain.sampling.packing) == (None, "none")
    assert overlapping.sampling == plain.sampling.model_copy(update={"stride": 32})
    assert deduplicated.sampling == plain.sampling
    assert masked.sampling == plain.sampling.model_copy(update={"mask_every": 4})
    assert masked.sampling.mask_context == 5
    assert [each.deduplicated for each in (plain, overlapping, deduplicated, masked, both)] == [
        False,
        False,
        True,
        False,
        True,
    ]


def test_the_audit_is_made_once_and_shown_in_a_table(tmp_path: Path, capfd: Capture) -> None:
    arguments = ["audit", "memorization", f"run.directory={tmp_path / 'run'}", *TINY]
    assert _run(arguments) == 0
    printed = capfd.readouterr().out
    for shown in ("held-out loss", "3x", "duplicates removed", "8 words in a row"):
        assert shown in printed
    folder = tmp_path / "run" / "audit-memorization"
    results = json.loads((folder / "results.json").read_text())
    names = [row["name"] for row in results["trainings"]]
    assert names[0] == "as it is"
    assert len(names) == len(set(names)) == 5
    assert results["documents"] == 46
    steps = [row["steps"] for row in results["trainings"]]
    assert steps[1] > steps[0] >= steps[2]
    for row in results["trainings"]:
        assert [canary["repeats"] for canary in row["canaries"]] == [0, 0, 3, 3]
        overlap, loss = row["overlap"], row["held_out_loss"]
        assert 0 <= overlap["low"] <= overlap["value"] <= overlap["high"] <= 1
        assert 0 < loss["low"] <= loss["value"] <= loss["high"]
    assert not [path for path in folder.iterdir() if path.is_dir()]

    assert _run(arguments) == 0
    printed = capfd.readouterr().out
    assert "unchanged" in printed
    assert f"prompts {results['prompts_sha256'][:12]}, settings" in printed
    assert "verbatim" in printed


def test_a_tokenizer_without_numbers_is_one_sentence(tmp_path: Path, capfd: Capture) -> None:
    arguments = ["audit", "memorization", f"run.directory={tmp_path / 'run'}", *TINY]
    assert _run([*arguments, "tokenizer.algorithm=word", "tokenizer.vocab_size=2000"]) == 2
    assert "does not know the number" in capfd.readouterr().err
