"""The command line asked to end, or out of disk, while it trains: what is left, and going on."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from hornbook import artifact
from hornbook.artifact import hash_file
from hornbook.checkpoints.folder import CheckpointFolder
from hornbook.cli import _run, stopping
from hornbook.corpus import units
from hornbook.corpus.split import SPLITS
from hornbook.errors import Terminated
from hornbook.pipeline import recipe as recipes
from hornbook.pipeline.corpora import parts
from hornbook.pipeline.corpora.corpus import open_corpus
from hornbook.pipeline.recipe import load_recipe
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
    [
        (signal.SIGINT, 130, "Interrupted. What is finished is kept in {}."),
        (signal.SIGTERM, 0, "Terminated; saved."),
    ],
)
def test_a_signal_saves_and_the_same_command_goes_on_exactly(
    tmp_path: Path, run_directory: Path, whole: str, number: int, code: int, said: str
) -> None:
    arguments = prepared(tmp_path, run_directory)
    returned, last_words = stopped(arguments, tmp_path, number)
    assert returned == code
    assert last_words.strip() == f"{said.format(tmp_path)} Run the same command again to go on."
    checkpoints = CheckpointFolder(tmp_path / "pretrain" / "checkpoints")
    (saved,) = checkpoints.steps()
    assert saved < 60

    process = start(arguments, ("-c", LIMITED))  # now the disk is full
    printed, last_words = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"going on from step {saved}" in printed
    assert len(last_words.strip().splitlines()) == 1
    assert str(tmp_path / "pretrain") in last_words  # the picture of the curves, or the checkpoint
    assert list(checkpoints.steps()) == [saved]
    assert checkpoints.latest() is not None

    process = start(arguments)  # and now there is room again
    printed, last_words = process.communicate(timeout=60)
    assert (process.returncode, last_words) == (0, "")
    assert f"going on from step {saved}" in printed
    assert hash_file(tmp_path / MODEL) == whole


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")],
)
def test_a_signal_while_a_corpus_is_read_ends_its_processes_and_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    number: int,
    code: int,
    said: str,
) -> None:
    lines = [json.dumps({"text": f"Tale {n}: the cat sat on a mat."}) for n in range(300)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    arguments = [
        "prepare",
        f"corpus.source={tmp_path / 'a.jsonl'}",
        f"run.directory={tmp_path / 'run'}",
        "tokenizer.vocab_size=300",
    ]
    made = parts._made

    def and_signal(part: int, future: Future[None]) -> int:
        done = made(part, future)
        if part == 2:
            signal.raise_signal(number)
        return done

    monkeypatch.setattr(units, "UNIT_BYTES", 1_000)
    monkeypatch.setattr(parts, "_made_here", lambda *_: iter(()))  # by other processes
    monkeypatch.setattr(parts, "_made", and_signal)
    before = signal.getsignal(signal.SIGTERM)
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:  # a shell may have started the tests with Ctrl-C ignored
        assert _run(arguments) == code
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert not multiprocessing.active_children()
    assert signal.getsignal(signal.SIGTERM) == before
    kept = f"What is finished is kept in {tmp_path / 'run'}."
    assert capfd.readouterr().err == f"\n{said}. {kept} Run the same command again to go on.\n"
    partial = tmp_path / "run" / ".corpus.partial"
    assert not (tmp_path / "run" / "corpus").exists()
    assert not list(partial.rglob("*.tmp"))
    assert len(list(partial.rglob("*.done.json"))) >= 3
    kept_parts = {path: path.stat().st_mtime_ns for path in partial.rglob("*.done.json")}
    monkeypatch.setattr(parts, "_made", made)

    def without_those(path: Path, text: str) -> None:
        assert path not in kept_parts
        write_text(path, text)

    write_text = artifact.write_text
    monkeypatch.setattr(artifact, "write_text", without_those)
    monkeypatch.setattr(parts, "by_processes", here)
    assert _run(arguments) == 0
    assert sum(open_corpus(tmp_path / "run" / "corpus").count(split) for split in SPLITS) == 300


def here(several: parts.Parts) -> Iterator[int]:
    for number in several.missing():
        parts.make_part(several, number)
        yield number


def test_a_signal_before_there_is_anything_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def load(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(recipes, "load_recipe", load)
    assert _run(["pretrain"]) == 143
    said = "Terminated. Nothing was begun. Run the same command again to go on."
    assert capfd.readouterr().err.strip() == said


def test_a_signal_that_is_sent_twice_acts_once_and_a_later_one_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [5.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(stopping, "recipe_from", lambda _: load_recipe(None, []))

    def stage() -> None:
        with stopping.running(None):
            with pytest.raises(Terminated):
                signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)  # as timeout does: to the process and to its group
            now[0] += stopping.SAME_S
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(stopping.Stopped):
        stage()
    assert now == [6.0]


def test_a_server_that_is_stopped_has_ended_well(run_directory: Path) -> None:
    pytest.importorskip("fastapi")
    process = start(["serve", str(run_directory / "pretrain"), "port=0"])
    assert process.stdout is not None
    assert "Ctrl-C stops" in process.stdout.readline()
    time.sleep(2)  # until it listens to signals
    process.send_signal(signal.SIGINT)
    assert (process.wait(timeout=30), process.communicate()[1]) == (0, "")
