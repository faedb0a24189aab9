"""`hornbook verify` for models: agreement is said, and the first part that departs is named."""

from pathlib import Path

import pytest
import torch

from hornbook.checkpoints.loading.folders import load_folder
from hornbook.cli import _run
from hornbook.pipeline.models.parity import compare_layers, open_reference
from tests.checkpoints.folders import write_folder

pytest.importorskip("transformers")
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("model"))


def test_a_folder_that_agrees(folder: Path, capfd: Capture) -> None:
    assert _run(["verify", str(folder)]) == 0
    printed = capfd.readouterr().out
    assert "the first 32 tokens are the same" in printed
    assert "the same as transformers" in printed


@pytest.mark.parametrize("part", ["attention.out", "feedforward.down"])
def test_the_first_part_that_departs_is_named(folder: Path, part: str) -> None:
    model, reference = load_folder(folder).model, open_reference(folder)
    ids = torch.arange(40)[None]
    assert not any(difference.departs for difference in compare_layers(model, reference, ids))
    with torch.no_grad():
        model.get_submodule(f"blocks.1.{part}").weight[0] += 0.01
    first = next(d.part for d in compare_layers(model, reference, ids) if d.departs)
    assert first == ("attention" if "attention" in part else "feed-forward") + " of layer 1"


def test_numbers_that_are_none_depart(folder: Path) -> None:
    model, reference = load_folder(folder).model, open_reference(folder)
    with torch.no_grad():
        model.norm.weight[0] = torch.nan
    found = compare_layers(model, reference, torch.arange(40)[None])
    assert [difference.part for difference in found if difference.departs] == [
        "last norm",
        "logits",
    ]
