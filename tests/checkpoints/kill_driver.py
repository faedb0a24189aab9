"""Trains a tiny model in processes that are killed, over and over, until it is done.

Run by test_kill.py as a process of its own, since a process that has used torch's threads cannot be
forked: `python kill_driver.py FOLDER` leaves whole/ (never interrupted), killed/ and kills.json.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tiny_run import CPU, tiny_loader, tiny_model

from hornbook.pipeline.pretraining.fit import fit
from hornbook.pipeline.pretraining.task import Task
from hornbook.training.flops import find_peak
from hornbook.training.settings import TrainingSettings

SETTINGS = TrainingSettings.model_validate(
    {"steps": 150, "optimizer": "muon", "save_every": 3, "eval_every": 6, "spike_guard": 50.0}
)
Kill = dict[str, Any]


def train(folder: Path) -> None:
    """What a user's process does: start, or go on from what is there, to the end."""
    model = tiny_model(dropout=0.2)
    task = Task(
        name="tiny",
        model=model,
        train=tiny_loader(),
        validation=tiny_loader(),
        settings=SETTINGS,
        tokenizer_fingerprint="t",
        tokens_per_batch=32,
        facts={},
    )
    fit(task, folder, CPU)
    save_file(dict(model.named_parameters()), folder / "final.safetensors")


def kill_at_call(module: Any, name: str, count: int) -> None:
    """Let this process die right before its nth call of a function that a write is made of."""
    original: Callable[..., Any] = getattr(module, name)
    left = [count]

    def dying(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **named)

    setattr(module, name, dying)


def start(folder: Path, kill: Kill) -> int:
    """A process that trains; its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with contextlib.suppress(KeyError):
            kill_at_call(*kill["call"])
        train(folder)
        code = 0
    finally:
        os._exit(code)


def unfinished(folder: Path) -> set[Path]:
    """Directories that are being written, or were when their process died."""
    return set((folder / "checkpoints").glob(".step-*.tmp"))


def attempt(folder: Path, kill: Kill, chance: random.Random) -> int:
    """Train in a process and kill it as said; its exit status, -9 when it was killed."""
    before = unfinished(folder)
    child = start(folder, kill)
    if "seconds" in kill:
        time.sleep(kill["seconds"])
        os.kill(child, signal.SIGKILL)
    elif "in a write" in kill:
        while not unfinished(folder) - before:
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
        time.sleep(chance.uniform(0, 0.01))
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kills(chance: random.Random) -> list[Kill]:
    """Ways to die: at any moment, while a checkpoint is written, before each kind of its calls."""
    at_any_moment = [{"seconds": chance.uniform(0, 0.3)} for _ in range(8)]
    in_a_write = [{"in a write": True} for _ in range(8)]
    at_calls = [
        {"call": (module, name, chance.randrange(1, most))}
        for module, name, most in ((os, "fsync", 40), (os, "rename", 15), (shutil, "rmtree", 4))
        for _ in range(4)
    ]
    every = [*at_any_moment, *in_a_write, *at_calls]
    chance.shuffle(every)
    return every


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    find_peak(CPU)  # measured once, for all processes forked from this one
    chance = random.Random(4)
    assert attempt(folder / "whole", {}, chance) == 0
    said, killed = [], folder / "killed"
    for kill in kills(chance):
        before = unfinished(killed)
        code = attempt(killed, kill, chance)
        in_a_write = bool(unfinished(killed) - before)
        said.append({"code": code, "in a write": in_a_write, "way": sorted(kill)})
    said.append({"code": attempt(killed, {}, chance), "in a write": False, "way": []})
    (folder / "kills.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
