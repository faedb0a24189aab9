"""Trainings in several processes: what each process runs, and how a test starts them.

`python tests/training/many.py CASE FOLDER` is one process; its place comes from the environment, as
torchrun would set it. Every process writes what it found to FOLDER/RANK.json.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from tiny_training import CPU, VOCAB, tiny_model

from hornbook.model.transformer import Transformer
from hornbook.processes import joined_processes
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.training.loop import Step, train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.parallel import Parallel, ParallelSettings, make_parallel
from hornbook.training.schedule import plan_training
from hornbook.training.settings import TrainingSettings

STEPS = 50
ROWS = 8
PATIENCE_S = 60.0


def uneven_batches(rank: int, size: int, start: int = 0) -> Iterator[Batch]:
    """A share of batches of 8 rows with very unlike numbers of trained positions.

    In every fourth batch the second half of the rows, the whole share of some processes, is masked.
    """
    for position in range(start + 1, 10_000):
        generator = torch.Generator().manual_seed(position)
        ids = torch.randint(0, VOCAB, (ROWS, 9), generator=generator)
        ids[:, 1::2] = ids[:, 0:1]  # something to learn
        targets = ids[:, 1:].clone()
        untrained = torch.rand(ROWS, 1, generator=generator)
        targets[torch.rand(targets.shape, generator=generator) < untrained] = IGNORE
        targets[0, 0] = ids[0, 1]
        if position % 4 == 0:
            targets[ROWS // 2 :] = IGNORE
        share = slice(rank * ROWS // size, (rank + 1) * ROWS // size)
        yield Batch(ids[share, :-1], targets[share], position)


@dataclass(frozen=True)
class Case:
    """One training to be the same on any number of processes."""

    settings: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    parallel: dict[str, Any] = field(default_factory=dict)
    steps: int = STEPS

    def training(self) -> TrainingSettings:
        """Its settings; a high learning rate, so that a difference would grow."""
        return TrainingSettings.model_validate({"steps": self.steps, "lr": 0.005, **self.settings})


class Training:
    """A case as one process runs it."""

    def __init__(self, case: Case, world_size: int) -> None:
        self.case, self.settings = case, case.training()
        self.model = tiny_model(**case.model)
        runtime = replace(CPU, world_size=world_size)
        settings = ParallelSettings.model_validate(case.parallel)
        self.parallel: Parallel = make_parallel(settings, runtime, self.model)
        self.parallel.spread(self.model, CPU.device)
        self.optimizer = Optimizer(self.model, self.settings, CPU.dtype, self.parallel)

    def steps(
        self, start: int = 0, may_change: Callable[[], None] = lambda: None
    ) -> Iterator[Step]:
        """Train on from a step."""
        plan = plan_training(self.settings, batches_per_epoch=10, tokens_per_batch=64)
        place = self.parallel.data_rank, self.parallel.data_size
        batches = uneven_batches(*place, start)
        return train_steps(
            self.model,
            self.optimizer,
            batches,
            self.settings,
            CPU,
            plan,
            start,
            self.parallel,
            may_change,
        )

    def run(self) -> dict[str, Any]:
        """Train to the end; the losses, gradient lengths and weights that came of it."""
        steps = list(self.steps())
        whole = self.parallel.gather(self.model)
        return {
            "losses": [step.loss for step in steps],
            "norms": [step.grad_norm for step in steps],
            "tokens": [step.tokens for step in steps],
            "weights": sums_of(whole),
        }


def sums_of(model: Transformer) -> dict[str, float]:
    """One number for each parameter, by its name."""
    with torch.no_grad():
        return {n: p.double().square().sum().sqrt().item() for n, p in model.named_parameters()}


MODERN = {
    "positions": "rotary",
    "norm": "rmsnorm",
    "qk_norm": True,
    "mlp": "swiglu",
    "hidden_dim": 32,
    "n_heads": 4,
    "n_kv_heads": 2,
    "qkv_bias": False,
    "bias": False,
    "tied_embeddings": False,
}
WITH_BIASES = {"qk_norm": True, "n_heads": 4, "token_shift": True}
ADAMW = {"optimizer": "adamw"}
CASES = {
    "ddp adamw": Case({**ADAMW, "micro_batch_size": 1}, {}, {"strategy": "ddp"}),
    "ddp muon": Case({}, MODERN, {"strategy": "ddp"}, steps=15),
    "fsdp adamw": Case({**ADAMW, "clip": 0.0}, {}, {"strategy": "fsdp"}, steps=15),
    "fsdp muon": Case({"micro_batch_size": 1}, MODERN, {"strategy": "fsdp"}),
    "tensor adamw": Case(ADAMW, WITH_BIASES, {"tensor": 2}, steps=15),
    "tensor muon": Case({}, MODERN, {"tensor": 2}, steps=15),
}


def same_everywhere(folder: Path, world_size: int) -> dict[str, Any]:
    """Every case's figures."""
    return {name: Training(case, world_size).run() for name, case in CASES.items()}


CHECKS: dict[str, Callable[[Path, int], dict[str, Any]]] = {"same": same_everywhere}


def start(
    check: str, world_size: int, folder: Path, script: Path | None = None
) -> list["subprocess.Popen[str]"]:
    """Start the processes of a check, as torchrun would."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    shared = {
        **os.environ,
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    return [
        subprocess.Popen(
            [sys.executable, "-W", "error", str(script or __file__), check, str(folder)],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world_size)
    ]


def found_by(
    check: str, world_size: int, folder: Path, script: Path | None = None
) -> list[dict[str, Any]]:
    """What each process found; an error if one of them failed."""
    folder.mkdir(exist_ok=True)
    running = start(check, world_size, folder, script)
    try:
        said = [process.communicate(timeout=120) for process in running]
    finally:
        for process in running:
            process.kill()
    for process, (_, errors) in zip(running, said, strict=True):
        assert process.returncode == 0, errors
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(world_size)]


def main(checks: Mapping[str, Callable[[Path, int], dict[str, Any]]]) -> None:
    """Run one check as one of its processes."""
    check, folder = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(1)
    with joined_processes("cpu", PATIENCE_S) as processes:
        found = checks[check](folder, processes.world_size)
        with contextlib.suppress(FileNotFoundError):
            (folder / f"{processes.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(CHECKS)
