"""The command line asked to end, or out of disk, while it trains: what is left, and going on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hornbook.artifact import hash_file
from hornbook.checkpoints.folder import CheckpointFolder
from tests.cli.tiny import TINY

STAGES = ("corpus", "tokenizer", "tokens")
MODEL = "pretrain/model/model.safetensors"
LIMITED = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)); "
    "from hornbook.cli import main; main()"
)
"""The command with a limit on the size of files, which is met as a full disk is: by a failed write."""


def prepared(directory: Path, run_directory: Path) -> list[str]:
    """A run whose tokens are there; the arguments that pre-train it."""
    for stage in STAGES:
        shutil.copytree(run_directory / stage, directory / stage)
    changes = ("training.steps=60", "training.save_every=0", f"run.directory={directory}")
    return ["pretrain", *TINY, *changes]


def start(
    arguments: list[str], command: tuple[str, ...] = ("-m", "hornbook")
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", *command, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, run_directory: Path) -> str:
    """Hash of the weights that a run never interrupted comes to."""
    directory = tmp_path_factory.mktemp("whole")
    process = start(prepared(directory, run_directory))
    process.communicate(timeout=60)
    assert process.returncode == 0
    return hash_file(directory / MODEL)


def stopped(arguments: list[str], directory: Path, number: int) -> tuple[int, str]:
    """Start the run and send it a signal in the middle of training; its exit code and last words."""
    process = start(arguments)
    metrics = directory / "pretrain" / "metrics.jsonl"
    while process.poll() is None and (not metrics.exists() or metrics.stat().st_size < 400):
        time.sleep(0.001)
    process.send_signal(number)
    _, last_words = process.communicate(timeout=60)
    return process.returncode, last_words


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "Interrupted."), (signal.SIGTERM, 0, "Terminated; saved.")],
)
def test_a_signal_saves_and_the_same_command_goes_on_exactly(
    tmp_path: Path, run_directory: Path, whole: str, number: int, code: int, said: str
) -> None:
    arguments = prepared(tmp_path, run_directory)
    returned, last_words = stopped(arguments, tmp_path, number)
    assert returned == code
    assert last_words.strip() == f"{said} Run the same command again to go on."
    checkpoints = CheckpointFolder(tmp_path / "pretrain" / "checkpoints")
    (saved,) = checkpoints.steps()
    assert saved < 60

    process = start(arguments, ("-c", LIMITED))  # now the disk is full
    printed, last_words = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"going on from step {saved}" in printed
    assert len(last_words.strip().splitlines()) == 1
    assert "step-000060 could not be written" in last_words
    assert list(checkpoints.steps()) == [saved]
    assert checkpoints.latest() is not None

    process = start(arguments)  # and now there is room again
    printed, last_words = process.communicate(timeout=60)
    assert (process.returncode, last_words) == (0, "")
    assert f"going on from step {saved}" in printed
    assert hash_file(tmp_path / MODEL) == whole


def test_a_server_that_is_stopped_has_ended_well(run_directory: Path) -> None:
    pytest.importorskip("fastapi")
    process = start(["serve", str(run_directory / "pretrain"), "port=0"])
    assert process.stdout is not None
    assert "Ctrl-C stops" in process.stdout.readline()
    time.sleep(2)  # until it listens to signals
    process.send_signal(signal.SIGINT)
    assert (process.wait(timeout=30), process.communicate()[1]) == (0, "")
