"""What each process does in the tests of sharded checkpoints; see tests/training/many.py."""

import os
import signal
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

import many
import torch
from many import CASES, Case, Training

import hornbook.checkpoints.sharded as sharded
from hornbook.checkpoints.folder import CheckpointFolder
from hornbook.checkpoints.saver import Saver
from hornbook.checkpoints.sharded import (
    ShardedFolder,
    load_guard_parts,
    load_training_parts,
    load_weights_parts,
)
from hornbook.checkpoints.store import Content, gather_content, load_training_state, load_weights
from hornbook.divided import local
from hornbook.errors import HornbookError
from hornbook.training.guard import Spike, SpikeGuard

STOP, STEPS = 4, 10
SAVED = {
    "ddp": replace(CASES["ddp adamw"], model={"dropout": 0.2}, steps=STEPS),
    "fsdp": replace(CASES["fsdp muon"], model={**many.MODERN, "dropout": 0.2}, steps=STEPS),
    "fsdp tied": replace(CASES["fsdp adamw"], steps=STEPS),
    "tensor": replace(CASES["tensor muon"], steps=STEPS),
}


def begun(case: Case, world_size: int) -> Training:
    """A training whose random numbers differ from process to process, as in a run."""
    training = Training(case, world_size)
    torch.manual_seed(100 + training.parallel.data_rank)
    return training


def content_of(
    training: Training, step: int, guard: dict[str, torch.Tensor] | None = None
) -> Content:
    """What the checkpoint of a step holds."""
    return gather_content(
        training.model,
        tokenizer_fingerprint="a" * 64,
        optimizer=training.optimizer,
        state={"step": step, "position": step},
        guard=guard,
        rank=training.parallel.rank,
    )


def losses_while_saving(training: Training, folder: Path) -> list[float]:
    """Train to the end, with a checkpoint written while the steps after it are done."""
    on_disk = ShardedFolder(CheckpointFolder(folder), training.parallel)
    losses = []
    with Saver(on_disk.write) as saver:
        for step in training.steps(may_change=saver.may_change):
            losses.append(step.loss)
            if step.index == STOP:
                saver.save(STOP, content_of(training, STOP), 1.5)
    return losses


def save(training: Training, folder: Path, step: int = STOP) -> None:
    """All processes write the checkpoint of a step."""
    on_disk = ShardedFolder(CheckpointFolder(folder), training.parallel)
    with Saver(on_disk.write) as saver:
        saver.save(step, content_of(training, step), 1.5)


def losses_from(training: Training, checkpoint: Path, steps: int = STEPS) -> list[float]:
    """The losses of a training that goes on from a checkpoint, to its end."""
    torch.manual_seed(7)  # not what the checkpoint is to bring back
    if training.parallel.world_size == 1:
        load_weights(checkpoint, training.model)
        state = load_training_state(checkpoint, training.optimizer)
    else:
        load_weights_parts(checkpoint, training.model)
        state = load_training_parts(checkpoint, training.optimizer, training.parallel.rank)
    return [step.loss for step in islice(training.steps(state["step"]), steps)]


def save_and_go_on(folder: Path, world_size: int) -> dict[str, Any]:
    """Uninterrupted losses, and those after going on from a checkpoint, in the same processes."""
    found = {}
    for name, case in SAVED.items():
        whole = [step.loss for step in begun(case, world_size).steps()]
        first = begun(case, world_size)
        list(islice(first.steps(), STOP))
        saving = losses_while_saving(begun(case, world_size), folder / name)
        checkpoint = CheckpointFolder(folder / name).place(STOP)
        found[name] = {
            "uninterrupted": whole,
            "saving": saving,
            "resumed": losses_from(begun(case, world_size), checkpoint),
            "weights": many.sums_of(first.parallel.gather(first.model)),
        }
    found["fault"] = fault_of_one(first, folder / "fsdp")
    found["guard"] = guard_before_and_after(folder, world_size)
    return found


def guard_before_and_after(folder: Path, world_size: int) -> dict[str, Any]:
    """What a spike guard puts back of a model that is divided twice, and after a resume."""
    case, found = SAVED["tensor"], {}
    training = begun(case, world_size)
    guard = SpikeGuard(training.optimizer, training.settings, 6.0)
    for step in islice(training.steps(), STOP):
        if step.index < STOP:  # of the states after steps 1, 2 and 3 the last two are kept
            guard.look_at(step.index, step.index, step.loss)
            guard.snapshot(step.index)
    rank, on_disk = training.parallel.rank, CheckpointFolder(folder / "guard")
    content = content_of(training, STOP, guard.tensors(STOP, rank))
    with Saver(ShardedFolder(on_disk, training.parallel).write) as saver:
        saver.save(STOP, content, 1.5)
    again = begun(case, world_size)
    losses_from(again, on_disk.place(STOP), steps=0)
    resumed = SpikeGuard(again.optimizer, again.settings, 6.0)
    resumed.load_state_dict(guard.state_dict())
    load_guard_parts(on_disk.place(STOP), resumed.tensors(STOP, rank))
    for name, one, of in (("before", guard, training), ("after", resumed, again)):
        back = one.go_back(Spike(STOP, STOP, 9.0, 1.0, 8.0))
        random = torch.get_rng_state().double().sum().item()
        found[name] = {"step": back, "random": random, "weights": parts_of(of)}
    return found


def parts_of(training: Training) -> dict[str, float]:
    """One number for this process's part of each parameter."""
    named = training.model.named_parameters()
    return {n: local(p.detach()).double().square().sum().item() for n, p in named}


def fault_of_one(training: Training, folder: Path) -> dict[str, Any]:
    """A save in which the last process finds its disk full."""

    def no_room(*arguments: object) -> str:
        if training.parallel.rank == training.parallel.world_size - 1:
            raise OSError("no space left on device")
        return ""

    right, sharded.write_shard = sharded.write_shard, no_room
    try:
        save(training, folder, 99)
    except HornbookError as error:
        return {"said": str(error)}
    finally:
        sharded.write_shard = right
    return {}


def go_on(folder: Path, world_size: int) -> dict[str, Any]:
    """The losses from the checkpoints that other processes have written."""
    return {
        name: losses_from(begun(case, world_size), CheckpointFolder(folder / name).place(STOP))
        for name, case in SAVED.items()
    }


def die_in_a_save(folder: Path, world_size: int) -> dict[str, Any]:
    """Process 1 is killed while it writes its part of a second checkpoint."""
    training = begun(SAVED["fsdp"], world_size)
    save(training, folder)

    def killed(*arguments: object) -> str:
        if training.parallel.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return ""

    sharded.write_shard = killed
    save(training, folder, 99)
    return {}


CHECKS = {"save": save_and_go_on, "go on": go_on, "die": die_in_a_save}

if __name__ == "__main__":
    many.main(CHECKS)
