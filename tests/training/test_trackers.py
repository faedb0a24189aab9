"""Figures arrive where they are sent; a tracker that fails stops nothing."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hornbook.errors import HornbookError
from hornbook.training.trackers import Trackers, require_trackers

Printed = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "shakespeare" / "pretrain"
    path.mkdir(parents=True)
    return path


def send(trackers: Trackers, *steps: int) -> None:
    for step in steps:
        trackers.log("train", step, {"loss": 4.0 - step, "lr": 1e-3, "text": "no figure"})
    trackers.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_the_figures_back(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    send(Trackers(["tensorboard"], folder, {"batch_size": 8}), 1, 2, 3)
    send(Trackers(["tensorboard"], folder, {"batch_size": 8}, start_step=2), 3, 4)  # resumed
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert events.Tags()["scalars"] == ["train/loss", "train/lr"]
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [
        (1, 3.0),
        (2, 2.0),
        (3, 1.0),
        (4, 0.0),
    ]


@pytest.mark.filterwarnings("ignore")
def test_wandb_offline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's own file, written without any network, holds figures and settings, no command."""
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", "s3cret" * 7)
    monkeypatch.setattr(sys, "argv", ["hornbook", "--token=s3cret"])
    send(Trackers(["wandb"], folder, {"batch_size": 8}), 1, 2)
    (file,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    # W&B's own process writes it, sometimes a moment after the run has finished.
    deadline = time.monotonic() + 20
    while b"train/loss" not in (written := file.read_bytes()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert b"train/loss" in written
    assert b"batch_size" in written
    assert b"shakespeare/pretrain" in written
    for path in folder.rglob("*"):
        assert not path.is_file() or b"s3cret" not in path.read_bytes(), path


def fake_module(**functions: Any) -> tuple[list[Any], SimpleNamespace]:
    """Stands for trackio or wandb: records what it is called with."""
    calls: list[Any] = []

    class Run:
        def log(self, figures: Mapping[str, float], step: int | None = None) -> None:
            calls.append((step, dict(figures)))

        def define_metric(self, name: str, step_metric: str) -> None:
            pass

        def finish(self) -> None:
            calls.append("finished")

    def init(**given: Any) -> Run:
        calls.append(given)
        return Run()

    return calls, SimpleNamespace(init=init, Settings=lambda **given: given, **functions)


def test_trackio_is_called_as_its_interface_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, module = fake_module()
    monkeypatch.setitem(sys.modules, "trackio", module)
    send(Trackers(["trackio"], folder, {"batch_size": 8}), 7)
    given, logged, end = calls
    assert given["project"] == "hornbook"
    assert given["name"] == "shakespeare/pretrain"
    assert given["config"] == {"batch_size": 8}
    assert logged == (7, {"train/loss": -3.0, "train/lr": 1e-3})
    assert end == "finished"


def test_trackio_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trackio = pytest.importorskip("trackio")
    monkeypatch.setattr(trackio.utils, "TRACKIO_DIR", folder)
    send(Trackers(["trackio"], folder, {"batch_size": 8}), 1, 2)


def test_a_resumed_run_keeps_its_id_at_wandb(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, module = fake_module()
    monkeypatch.setitem(sys.modules, "wandb", module)
    for start_step in (0, 5, 0):
        send(Trackers(["wandb"], folder, {}, start_step))
    first, resumed, afresh = (call["id"] for call in calls if call != "finished")
    assert first == resumed != afresh


def test_a_failing_tracker_warns_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    class Broken:
        def log(self, *_: object, **__: object) -> None:
            raise ConnectionError("the network is gone\nand more")

    calls, working = fake_module()
    monkeypatch.setitem(sys.modules, "wandb", working)
    monkeypatch.setitem(sys.modules, "trackio", SimpleNamespace(init=lambda **_: Broken()))
    send(Trackers(["trackio", "wandb"], folder, {}), 1, 2, 3)
    printed = capsys.readouterr().out
    assert printed.count("warning") == 1
    assert "trackio is given up: the network is gone (metrics.jsonl goes on)" in printed
    assert len([call for call in calls if isinstance(call, tuple)]) == 3  # the other one goes on


def test_one_that_cannot_start_is_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    def refuse(**_: object) -> None:
        raise RuntimeError("not logged in")

    monkeypatch.setitem(sys.modules, "trackio", SimpleNamespace(init=refuse))
    send(Trackers(["trackio"], folder, {}), 1, 2)
    assert capsys.readouterr().out.count("not logged in") == 1


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(HornbookError, match=r'pip install "hornbook\[wandb\]"'):
        require_trackers(["wandb"])
    require_trackers([])
