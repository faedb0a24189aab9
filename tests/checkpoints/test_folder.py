import errno
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_run import TinyRun

from hornbook.checkpoints import store
from hornbook.checkpoints.folder import CheckpointFolder, DamagedCheckpoint
from hornbook.errors import HornbookError
from hornbook.training.settings import TrainingSettings


@pytest.fixture(scope="module")
def run() -> TinyRun:
    return TinyRun(TrainingSettings(steps=10))


def save(folder: CheckpointFolder, run: TinyRun, step: int, loss: float | None = None) -> Path:
    return folder.save(
        step,
        run.model,
        tokenizer_fingerprint="a",
        optimizer=run.optimizer,
        state={"position": step},
        validation_loss=loss,
    )


def damage(directory: Path) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


def names(folder: CheckpointFolder) -> list[str]:
    return sorted(path.name for path in folder.path.iterdir())


def test_the_newest_and_the_best_are_kept(tmp_path: Path, run: TinyRun) -> None:
    folder = CheckpointFolder(tmp_path / "checkpoints", keep=2)
    for step, loss in ((1, 3.0), (2, 1.5), (3, 1.5), (4, 2.0), (5, 2.5)):
        save(folder, run, step, loss)
    assert names(folder) == ["step-000002", "step-000004", "step-000005"]
    assert folder.latest() == tmp_path / "checkpoints" / "step-000005"
    assert folder.best() == tmp_path / "checkpoints" / "step-000002"


def test_without_scores_there_is_no_best(tmp_path: Path, run: TinyRun) -> None:
    folder = CheckpointFolder(tmp_path, keep=1)
    save(folder, run, 1)
    save(folder, run, 2)
    assert names(folder) == ["step-000002"]
    assert folder.best() is None


def test_steps_are_in_numeric_order(tmp_path: Path, run: TinyRun) -> None:
    folder = CheckpointFolder(tmp_path)
    save(folder, run, 999_999)
    save(folder, run, 1_000_000)
    assert list(folder.steps()) == [999_999, 1_000_000]
    assert folder.latest() == tmp_path / "step-1000000"


def test_nothing_saved_is_none(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "nowhere")
    assert folder.latest() is None
    assert folder.best() is None


def truncate(directory: Path) -> None:
    damage(directory)


def flip_a_bit(directory: Path) -> None:
    path = directory / "optimizer.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def lose_a_file(directory: Path) -> None:
    (directory / "state.json").unlink()


def lose_the_manifest(directory: Path) -> None:
    (directory / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (truncate, r"step-000002/model\.safetensors is damaged"),
        (flip_a_bit, r"step-000002/optimizer\.safetensors is damaged"),
        (lose_a_file, r"step-000002/state\.json is missing"),
        (lose_the_manifest, r"step-000002 is not a Hornbook checkpoint: it has no manifest"),
    ],
)
def test_a_damaged_newest_is_named_and_the_one_before_used(
    tmp_path: Path, run: TinyRun, harm: Callable[[Path], None], said: str
) -> None:
    folder = CheckpointFolder(tmp_path, keep=1)
    save(folder, run, 1, 2.0)
    harm(save(folder, run, 2, 3.0))  # the first is kept as the best
    with pytest.warns(DamagedCheckpoint, match=said + ".*passed over"):
        assert folder.latest() == tmp_path / "step-000001"
    save(folder, run, 2, 3.0)  # training comes to that step again
    assert folder.latest() == tmp_path / "step-000002"


def test_a_damaged_later_one_does_not_push_out_a_whole_one(tmp_path: Path, run: TinyRun) -> None:
    folder = CheckpointFolder(tmp_path, keep=1)
    damage(save(folder, run, 5))
    save(folder, run, 4)
    assert names(folder) == ["step-000004"]


def test_a_damaged_best_is_named_and_the_next_best_used(tmp_path: Path, run: TinyRun) -> None:
    folder = CheckpointFolder(tmp_path, keep=3)
    damage(save(folder, run, 1, 1.0))
    save(folder, run, 2, 3.0)
    save(folder, run, 3, 2.0)
    with pytest.warns(DamagedCheckpoint, match="step-000001"):
        assert folder.best() == tmp_path / "step-000003"


def test_a_replacement_cut_in_two_is_undone(tmp_path: Path, run: TinyRun) -> None:
    folder = CheckpointFolder(tmp_path)
    save(folder, run, 1)
    save(folder, run, 2).rename(tmp_path / ".step-000002.old")  # killed between two renames
    assert folder.latest() == tmp_path / "step-000002"
    assert names(folder) == ["step-000001", "step-000002"]


def test_what_comes_after_a_step_can_be_forgotten(tmp_path: Path, run: TinyRun) -> None:
    folder = CheckpointFolder(tmp_path, keep=5)
    for step in (1, 2, 3):
        save(folder, run, step)
    folder.forget_after(1)
    assert names(folder) == ["step-000001"]


def test_all_damaged_is_none(tmp_path: Path, run: TinyRun) -> None:
    folder = CheckpointFolder(tmp_path)
    (save(folder, run, 1) / "manifest.json").unlink()
    with pytest.warns(DamagedCheckpoint, match="step-000001 is not a Hornbook checkpoint"):
        assert folder.latest() is None


def test_what_a_killed_run_left_is_ignored_and_cleared(tmp_path: Path, run: TinyRun) -> None:
    folder = CheckpointFolder(tmp_path)
    save(folder, run, 1)
    left_over = tmp_path / ".step-000002.abcd.tmp"
    left_over.mkdir()
    (left_over / "model.safetensors").write_bytes(b"half")
    assert folder.latest() == tmp_path / "step-000001"
    save(folder, run, 3)
    assert names(folder) == ["step-000001", "step-000003"]


def test_a_full_disk_leaves_the_latest(
    tmp_path: Path, run: TinyRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = CheckpointFolder(tmp_path, keep=1)
    save(folder, run, 1)

    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "save_file", no_space)
    with pytest.raises(HornbookError, match="step-000002 could not be written"):
        save(folder, run, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert folder.latest() == tmp_path / "step-000001"
    assert names(folder) == ["step-000001"]
