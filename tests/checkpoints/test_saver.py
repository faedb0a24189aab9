import errno
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import TinyRun

from hornbook.checkpoints import saver as saver_module
from hornbook.checkpoints import store
from hornbook.checkpoints.folder import CheckpointFolder
from hornbook.checkpoints.saver import Saver
from hornbook.checkpoints.store import (
    Content,
    gather_content,
    load_training_state,
    load_weights,
)
from hornbook.errors import HornbookError
from hornbook.training.settings import TrainingSettings

SETTINGS = TrainingSettings(steps=10)


@pytest.fixture
def run() -> TinyRun:
    run = TinyRun(SETTINGS)
    run.train(0, 0, 1)  # so that the optimizer's state is not zero
    return run


def content(run: TinyRun, **state: Any) -> Content:
    return gather_content(
        run.model, tokenizer_fingerprint="t", optimizer=run.optimizer, state=state
    )


def tensors(run: TinyRun) -> dict[str, torch.Tensor]:
    own = {**dict(run.model.named_parameters()), **run.optimizer.state_dict()}
    return {name: tensor.detach().clone() for name, tensor in own.items()}


def read_back(directory: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    other = TinyRun(SETTINGS, seed=9)
    load_weights(directory, other.model)
    state = load_training_state(directory, other.optimizer)
    return tensors(other), state


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_later_steps_do_not_change_what_was_handed_over(
    tmp_path: Path, run: TinyRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are begun only after three more steps, and are those of the step handed over."""
    go_on = threading.Event()
    write = CheckpointFolder.write

    def late(*arguments: Any) -> Path:
        assert go_on.wait(30)
        return write(*arguments)

    monkeypatch.setattr(CheckpointFolder, "write", late)
    state: dict[str, Any] = {"step": 1, "losses": [1.0]}
    torch.manual_seed(5)
    drawn = torch.get_rng_state()
    with Saver(CheckpointFolder(tmp_path).write) as saver:
        expected = tensors(run)
        saver.save(1, content(run, **state))
        state["losses"].append(2.0)
        torch.rand(3)
        saver.may_change()
        run.train(1, 1, 4)
        assert not torch.equal(tensors(run)["norm.weight"], expected["norm.weight"])
        go_on.set()
    found, read = read_back(tmp_path / "step-000001")
    assert_same(found, expected)
    assert read["losses"] == [1.0]
    assert torch.equal(torch.get_rng_state(), drawn)


def test_the_update_waits_for_the_copies(
    tmp_path: Path, run: TinyRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_all, begun, go_on = saver_module._copy_all, threading.Event(), threading.Event()

    def slow(pairs: Any) -> None:
        begun.set()
        assert go_on.wait(30)
        copy_all(pairs)

    monkeypatch.setattr(saver_module, "_copy_all", slow)
    with Saver(CheckpointFolder(tmp_path).write) as saver:
        saver.save(1, content(run))  # comes back although nothing is copied
        assert begun.wait(30)
        threading.Timer(0.1, go_on.set).start()
        expected = tensors(run)
        saver.may_change()
        assert go_on.is_set()
        run.train(1, 1, 2)
    assert saver.seconds_waited > 0.05
    assert_same(read_back(tmp_path / "step-000001")[0], expected)


def test_memory_is_used_again(tmp_path: Path, run: TinyRun) -> None:
    with Saver(CheckpointFolder(tmp_path).write) as saver:
        places = []
        for step in (1, 2):
            saver.save(step, content(run))
            buffers = saver._buffers.values()
            places.append([b.data_ptr() for named in buffers for b in named.values()])
    assert places[0] == places[1]
    assert len(set(places[0])) == len(places[0])


def test_older_ones_are_deleted_and_the_best_kept(tmp_path: Path, run: TinyRun) -> None:
    with Saver(CheckpointFolder(tmp_path, keep=1).write) as saver:
        for step, loss in ((1, 2.0), (2, 1.0), (3, 3.0)):
            saver.save(step, content(run), loss)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000002", "step-000003"]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "save_file", no_space)


@pytest.mark.usefixtures("full_disk")
def test_a_failure_is_told_at_the_next_save(tmp_path: Path, run: TinyRun) -> None:
    saver = Saver(CheckpointFolder(tmp_path).write)
    saver.save(1, content(run))
    with pytest.raises(HornbookError, match=r"step-000001 could not be written .*make room"):
        saver.save(2, content(run))
    with saver:  # told once
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("full_disk")
def test_a_failure_is_told_at_the_end(tmp_path: Path, run: TinyRun) -> None:
    saver = Saver(CheckpointFolder(tmp_path).write)
    saver.save(1, content(run))
    with pytest.raises(HornbookError, match="could not be written"), saver:
        pass


def save_and_break_off(saver: Saver, run: TinyRun) -> None:
    with saver:
        saver.save(1, content(run))
        raise KeyboardInterrupt


@pytest.mark.usefixtures("full_disk")
def test_another_error_is_not_covered_up(tmp_path: Path, run: TinyRun) -> None:
    with pytest.raises(KeyboardInterrupt):
        save_and_break_off(Saver(CheckpointFolder(tmp_path).write), run)


def test_leaving_waits_for_the_write(tmp_path: Path, run: TinyRun) -> None:
    with pytest.raises(KeyboardInterrupt):
        save_and_break_off(Saver(CheckpointFolder(tmp_path).write), run)
    assert CheckpointFolder(tmp_path).latest() == tmp_path / "step-000001"
