"""Checkpoints of several processes: exact in as many, the same training in fewer, safe in faults."""

import json
import shutil
from pathlib import Path
from typing import Any

import many_saves
import pytest
import torch
from many import found_by, start
from many_saves import SAVED, STEPS, STOP
from safetensors import safe_open

from hornbook.artifact import read_manifest
from hornbook.checkpoints.folder import CheckpointFolder, DamagedCheckpoint
from hornbook.checkpoints.shards import read_parts, read_whole
from hornbook.checkpoints.store import KIND, load_model
from hornbook.errors import HornbookError

SCRIPT = Path(many_saves.__file__)
WITHOUT_DROPOUT = ("fsdp tied", "tensor")
"""Dropout falls otherwise in another number of processes."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Checkpoints that four processes wrote, and what the first of them found."""
    folder = tmp_path_factory.mktemp("saved")
    return folder, found_by("save", 4, folder, SCRIPT)[0]


@pytest.mark.parametrize("case", SAVED)
def test_as_many_processes_go_on_bit_for_bit(case: str, saved: tuple[Path, dict[str, Any]]) -> None:
    found = saved[1][case]
    assert len(found["uninterrupted"]) == STEPS
    assert found["saving"] == found["uninterrupted"]
    assert found["resumed"] == found["uninterrupted"][STOP:]


@pytest.mark.parametrize("world", [1, 2])
def test_fewer_processes_go_on_with_the_same_losses(
    world: int, saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, found = saved
    losses = (
        found_by("go on", 2, folder, SCRIPT)[0]
        if world == 2
        else {name: alone(folder, name) for name in WITHOUT_DROPOUT}
    )
    for case in WITHOUT_DROPOUT:
        assert losses[case] == pytest.approx(found[case]["uninterrupted"][STOP:], abs=1e-5)


def alone(folder: Path, case: str) -> list[float]:
    from dataclasses import replace

    training = many_saves.begun(replace(SAVED[case], parallel={}), 1)
    return many_saves.losses_from(training, CheckpointFolder(folder / case).place(STOP))


@pytest.mark.parametrize("case", SAVED)
def test_a_checkpoint_is_described_and_verified(
    case: str, saved: tuple[Path, dict[str, Any]]
) -> None:
    directory = CheckpointFolder(saved[0] / case).place(STOP)
    manifest = read_manifest(directory, KIND)
    names = sorted(path.name for path in directory.iterdir())
    shards = [name for name in names if name.startswith("shard-")]
    assert names == ["config.json", "manifest.json", *shards, "state.json"]
    assert len(shards) == 4
    assert sorted(manifest.files) == ["config.json", *shards, "state.json"]
    assert manifest.facts["validation_loss"] == 1.5
    assert json.loads((directory / "state.json").read_text())["step"] == STOP
    randoms = {name for name in read_whole(directory) if name.startswith("random.")}
    assert randoms == {f"random.cpu.{rank}" for rank in range(4)}


def test_of_what_all_have_whole_one_writes(saved: tuple[Path, dict[str, Any]]) -> None:
    directory = CheckpointFolder(saved[0] / "ddp").place(STOP)
    names: list[str] = []
    for path in directory.glob("shard-*"):
        with safe_open(path, "pt") as shard:
            names += shard.keys()
    assert len(names) == len(set(names))


@pytest.mark.parametrize("case", ["ddp", "fsdp", "tensor"])
def test_the_model_can_be_opened_by_one_process(
    case: str, saved: tuple[Path, dict[str, Any]]
) -> None:
    folder, found = saved
    loaded = load_model(CheckpointFolder(folder / case).place(STOP))
    lengths = many_saves.many.sums_of(loaded.model)
    assert lengths == pytest.approx(found[case]["weights"], rel=1e-12)


def test_a_guard_goes_back_as_far_after_a_resume(saved: tuple[Path, dict[str, Any]]) -> None:
    found = saved[1]["guard"]
    assert found["before"]["step"] == 2
    assert found["after"] == found["before"]


def test_a_fault_of_one_process_is_all_processes(saved: tuple[Path, dict[str, Any]]) -> None:
    folder, found = saved
    assert "could not be written" in found["fault"]["said"]
    assert "earlier ones are untouched" in found["fault"]["said"]
    assert sorted(path.name for path in (folder / "fsdp").iterdir()) == [f"step-{STOP:06d}"]


def damaged(saved: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    path = tmp_path / f"step-{STOP:06d}"
    shutil.copytree(CheckpointFolder(saved[0] / "fsdp").place(STOP), path)
    return path


@pytest.mark.parametrize("fault", ["flipped", "truncated", "missing"])
def test_a_damaged_shard_is_named_and_passed_over(
    fault: str, saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    shard = damaged(saved, tmp_path) / "shard-00003-model-00001-of-00001.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    if fault == "missing":
        shard.unlink()
    else:
        shard.write_bytes(content if fault == "flipped" else content[:-5])
    with pytest.warns(DamagedCheckpoint, match="shard-00003"):
        assert CheckpointFolder(tmp_path).latest() is None


def test_shards_that_do_not_fit_are_refused(saved: tuple[Path, dict[str, Any]]) -> None:
    directory = CheckpointFolder(saved[0] / "fsdp").place(STOP)
    with pytest.raises(HornbookError, match=r"norm.weight has shape \(3,\) here, and is \(16,\)"):
        read_parts(directory, {"norm.weight": torch.zeros(3)})
    with pytest.raises(HornbookError, match=r"no such.*is absent there"):
        read_parts(directory, {"no such": torch.zeros(3)})


def test_a_process_killed_in_a_save_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    running = start("die", 2, folder, SCRIPT)
    for process in running:
        process.communicate(timeout=60)  # the other does not wait for ever
    assert all(process.returncode != 0 for process in running)
    assert CheckpointFolder(folder).latest() == folder / f"step-{STOP:06d}"
    assert [path.name for path in folder.glob("step-*")] == [f"step-{STOP:06d}"]
