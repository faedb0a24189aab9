"""A training killed at any moment, resumed until it is done, is the one never interrupted."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hornbook.checkpoints.folder import CheckpointFolder
from hornbook.training.metrics import read_metrics

DRIVER = Path(__file__).with_name("kill_driver.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kill")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(DRIVER.parents[2])}
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return folder


def curve(folder: Path) -> list[dict[str, Any]]:
    """The metrics, apart from what hangs on the clock."""
    figures = ("kind", "step", "loss", "lr", "grad_norm", "perplexity")
    return [{k: r[k] for k in figures if k in r} for r in read_metrics(folder / "metrics.jsonl")]


def test_it_was_killed_often_and_in_writes(folder: Path) -> None:
    kills = json.loads((folder / "kills.json").read_text())
    killed = [kill for kill in kills if kill["code"] == -9]
    assert len(killed) >= 20
    assert sum(kill["in a write"] for kill in killed) >= 6
    assert kills[-1]["code"] == 0
    assert {kill["code"] for kill in kills} <= {-9, 0}


def test_the_curve_is_that_of_a_run_never_interrupted(folder: Path) -> None:
    whole, killed = curve(folder / "whole"), curve(folder / "killed")
    assert len([record for record in whole if record["kind"] == "train"]) == 150
    assert killed == whole


def test_the_weights_and_the_optimizer_are_the_same(folder: Path) -> None:
    kept = [
        list(CheckpointFolder(folder / name / "checkpoints").steps().values())
        for name in ("whole", "killed")
    ]
    assert [path.name for path in kept[0]] == [path.name for path in kept[1]]
    files = [
        (folder / "whole" / "final.safetensors", folder / "killed" / "final.safetensors"),
        (kept[0][-1] / "model.safetensors", kept[1][-1] / "model.safetensors"),
        # The last checkpoint of a training that has ended holds no optimizer.
        *(
            (kept[0][-2] / name, kept[1][-2] / name)
            for name in ("model.safetensors", "optimizer.safetensors")
        ),
    ]
    for one, other in files:
        expected, found = load_file(one), load_file(other)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_nothing_is_left_over(folder: Path) -> None:
    names = [
        sorted(p.name for p in (folder / run / "checkpoints").iterdir())
        for run in ("whole", "killed")
    ]
    assert names[0] == names[1]
    assert all(name.startswith("step-") for name in names[1])
