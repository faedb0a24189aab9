"""Checkpoints of a training in several processes.

    shard-00001-...safetensors   what process 1 has of weights, optimizer and random states ...
    config.json, state.json      as in a checkpoint of one process
    manifest.json                SHA-256 of all files

Every process writes and hashes its own shard, into a directory beside; when all have done so, the
main process gives the whole its name. A process killed in a save leaves only that directory. The
training goes on meanwhile (`saver.py`).
Weights and optimizer go on from either kind of checkpoint, in any number of processes.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, distributed, nn

from hornbook.artifact import new_directory, read_manifest, write_manifest, write_text
from hornbook.checkpoints.folder import CheckpointFolder, scored
from hornbook.checkpoints.random_state import random_state, set_random_state
from hornbook.checkpoints.shards import (
    DIGEST_BYTES,
    read_parts,
    shard_name,
    stored_shapes,
    write_shard,
)
from hornbook.checkpoints.store import (
    ENDED,
    GUARD_PREFIX,
    KIND,
    OPTIMIZER_PREFIX,
    STATE,
    Content,
    HasState,
    named_once,
)
from hornbook.errors import HornbookError


class Group(Protocol):
    """What is asked of the processes of a training (`Parallel`)."""

    rank: int
    world_size: int
    is_main: bool


class ShardedFolder:
    """Writes a run's checkpoints, all processes together.

    They agree through a group of their own, so that this can go on in a thread of each process while
    the training's own exchanges take place.
    """

    def __init__(self, folder: CheckpointFolder, group: Group) -> None:
        """All processes must make one together."""
        self._folder, self._is_main = folder, group.is_main
        self._rank, self._world_size = group.rank, group.world_size
        self._own = distributed.new_group(backend="gloo")

    def write(self, step: int, content: Content, validation_loss: float | None = None) -> None:
        """Write the checkpoint of a step, then delete those no longer kept.

        Raises:
            HornbookError: in every process, when one of them could not write; the earlier
                checkpoints are untouched.
        """
        if self._is_main:
            self._folder.make_room(step)
        self._write(self._folder.place(step), scored(content, validation_loss))
        if self._is_main:
            self._folder.prune(step)

    def _write(self, directory: Path, content: Content) -> None:
        """Write a checkpoint whole or not at all."""
        staging = directory.with_name(f".{directory.name}.shards.tmp")
        if self._is_main:
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(parents=True)
        self._any(False)  # until it is there
        digest, fault = "", ""
        try:
            tensors = {n: t for named in content.tensors.values() for n, t in named.items()}
            digest = write_shard(staging, tensors, self._rank, self._own)
        except OSError as error:
            fault = str(error)
        digests = self._gathered(digest)
        if not self._any(bool(fault)) and self._is_main:
            try:
                _put_together(directory, staging, content, digests)
            except OSError as error:
                fault = str(error)
        if self._is_main:
            shutil.rmtree(staging, ignore_errors=True)
        if self._any(bool(fault)):
            raise HornbookError(
                f"the checkpoint {directory} could not be written "
                f"({fault or 'another process has the reason'}); earlier ones are untouched: make "
                "room and run the same command again to go on from the last."
            )

    def _any(self, flag: bool) -> bool:
        """Whether the flag is up in any process; returns when all have come here."""
        raised = torch.tensor(int(flag))
        distributed.all_reduce(raised, distributed.ReduceOp.MAX, group=self._own)
        return bool(raised)

    def _gathered(self, digest: str) -> list[str]:
        """Every process's hexadecimal digest, by rank; "" for none."""
        own = torch.tensor(list(bytes.fromhex(digest or "00" * DIGEST_BYTES)), dtype=torch.uint8)
        each = [torch.empty_like(own) for _ in range(self._world_size)]
        distributed.all_gather(each, own, group=self._own)
        found = [bytes(one.tolist()) for one in each]
        return [one.hex() if any(one) else "" for one in found]


def _put_together(directory: Path, staging: Path, content: Content, digests: list[str]) -> None:
    known = {shard_name(rank): digest for rank, digest in enumerate(digests) if digest}
    with new_directory(directory) as work:
        for name in known:
            (staging / name).rename(work / name)
        for name, text in content.texts.items():
            write_text(work / name, text)
        write_manifest(work, KIND, content.settings, content.inputs, content.facts, known)


def load_weights_parts(directory: Path, model: nn.Module) -> None:
    """Read this process's parts of a model's weights, from any checkpoint of it.

    The main process has verified the files; they are not hashed again by each.

    Raises:
        HornbookError: the weights do not fit.
    """
    read_parts(directory, dict(named_once(model)))


def load_training_parts(directory: Path, optimizer: HasState, rank: int) -> dict[str, Any]:
    """Read this process's parts of the optimizer's state; give the `state` that was saved.

    torch's random state is put back where the same process wrote it, and follows from the first
    process's otherwise.

    Raises:
        HornbookError: the state is of another model or of other settings.
    """
    read_manifest(directory, KIND, verify=False)
    state: dict[str, Any] = json.loads((directory / STATE).read_text("utf-8"))
    if state.get(ENDED):
        return state
    wanted = {f"{OPTIMIZER_PREFIX}{n}": t for n, t in optimizer.state_dict().items()}
    stored = stored_shapes(directory)
    unknown = {name for name in stored if name.startswith(OPTIMIZER_PREFIX)} - wanted.keys()
    if unknown:
        raise HornbookError(
            f"{directory}: {min(unknown)} is of no parameter trained here; go on with the model "
            "and the settings that the checkpoint was made with."
        )
    read_parts(directory, wanted)
    random = dict(_random_of(rank, stored))
    read_parts(directory, random)
    set_random_state(random, rank)
    return state


def load_guard_parts(directory: Path, tensors: Mapping[str, Tensor]) -> None:
    """Fill this process's parts of what a spike guard keeps.

    What was not saved stays as it is: random states, where there were fewer processes.

    Raises:
        HornbookError: the states are of another model or of other settings.
    """
    if not tensors:
        return
    stored = stored_shapes(directory)
    wanted = {f"{GUARD_PREFIX}{name}": tensor for name, tensor in tensors.items()}
    read_parts(directory, {n: t for n, t in wanted.items() if n in stored or ".random." not in n})


def _random_of(rank: int, stored: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Room for the random states of this process and of the first, as far as they were saved."""
    for number in {0, rank}:
        for name in random_state(number):
            if name in stored:
                yield name, torch.empty(stored[name][0], dtype=stored[name][1])
