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
from tiny_training import CPU, VOCAB, tiny_config

from hornbook.divided import local
from hornbook.finetuning.keeping import quantize_frozen
from hornbook.finetuning.lora import LoRASettings, apply_lora
from hornbook.model.transformer import Transformer
from hornbook.processes import joined_processes
from hornbook.sampling.batch import IGNORE, Batch
from hornbook.training.fresh import draw_parts, form_of
from hornbook.training.loop import Step, train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.parallel import Parallel
from hornbook.training.schedule import plan_training
from hornbook.training.settings import TrainingSettings
from hornbook.training.shards import cuts_of, local_gradient, part_of, whole_of
from hornbook.training.strategy import ParallelSettings, make_parallel
from hornbook.training.unmet import tell_apart

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
    lora: dict[str, Any] | None = None
    """Settings of an adapter on the model, which alone is trained then."""
    steps: int = STEPS
    met: int = VOCAB
    """Tokens below it count as met; the others are told apart at the end."""

    def training(self) -> TrainingSettings:
        """Its settings; a high learning rate, so that a difference would grow."""
        return TrainingSettings.model_validate({"steps": self.steps, "lr": 0.005, **self.settings})


class Training:
    """A case as one process runs it."""

    def __init__(self, case: Case, world_size: int, look: bool = True) -> None:
        """`look` at the whole model's weights before anything is trained, in `start`."""
        self.case, self.settings = case, case.training()
        generator = torch.Generator().manual_seed(1)
        config = tiny_config(**case.model)
        runtime = replace(CPU, world_size=world_size)
        settings = ParallelSettings.model_validate(case.parallel)
        with torch.device("meta"):
            self.model = Transformer(config)
        self.parallel: Parallel = make_parallel(settings, runtime, self.model)
        in_parts = self.parallel.divides and case.lora is None
        if not in_parts:
            self.model = Transformer(config, generator)
        if case.lora is not None:
            adapter = LoRASettings.model_validate(case.lora)
            apply_lora(self.model, adapter)
            quantize_frozen(self.model, adapter.base)
        self.parallel.spread(self.model, CPU.device)
        if in_parts:
            draw_parts(self.model, generator)
        self.start = sums_of(self.parallel.gather(self.model)) if look else {}
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
        tell_apart(self.model, torch.arange(VOCAB) < self.case.met, seed=2)
        whole = self.parallel.gather(self.model)
        return {
            "losses": [step.loss for step in steps],
            "norms": [step.grad_norm for step in steps],
            "tokens": [step.tokens for step in steps],
            "start": self.start,
            "weights": sums_of(whole),
        }


def sums_of(model: Transformer) -> dict[str, float]:
    """One number for each parameter, by its name; none where it is not whole in this process."""
    if form_of(model):
        return {}
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
OLMO2 = {**MODERN, "qk_norm": "whole", "norm_place": "after"}
WITH_BIASES = {"qk_norm": True, "n_heads": 4, "token_shift": True}
EXPERTS = {"n_experts": 4, "experts_per_token": 2, "expert_dim": 8}
ADAMW = {"optimizer": "adamw"}
LORA = {"rank": 4}
DORA = {"rank": 4, "dora": True}
SOME_LORA = {"rank": 4, "targets": ("query", "down")}
CASES = {
    "ddp adamw": Case({**ADAMW, "micro_batch_size": 1}, {}, {"strategy": "ddp"}),
    "ddp muon": Case({}, MODERN, {"strategy": "ddp"}, steps=15),
    "fsdp adamw": Case({**ADAMW, "clip": 0.0}, {}, {"strategy": "fsdp"}, steps=15),
    "fsdp muon": Case({"micro_batch_size": 1}, MODERN, {"strategy": "fsdp"}, met=9),
    "tensor adamw": Case(ADAMW, WITH_BIASES, {"tensor": 2}, steps=15, met=9),
    "tensor muon": Case({}, MODERN, {"tensor": 2}, steps=15),
    "tensor olmo2": Case(ADAMW, OLMO2, {"tensor": 2}, steps=15),
    "tensor experts": Case({}, {**MODERN, **EXPERTS}, {"tensor": 2}, steps=15),
    "tensor lora": Case(ADAMW, WITH_BIASES, {"tensor": 2}, LORA, steps=15),
    "tensor dora": Case(ADAMW, WITH_BIASES, {"tensor": 2}, DORA, steps=15),
    "fsdp dora": Case(ADAMW, MODERN, {"strategy": "fsdp"}, DORA, steps=15),
    "ddp int8": Case(ADAMW, MODERN, {"strategy": "ddp"}, {**LORA, "base": "int8"}, steps=15),
    "ddp nf4": Case(ADAMW, WITH_BIASES, {"strategy": "ddp"}, {**DORA, "base": "nf4"}, steps=15),
    "tensor lora on some": Case(ADAMW, MODERN, {"tensor": 2}, SOME_LORA, steps=15),
    "fsdp experts": Case({}, {**MODERN, **EXPERTS}, {"strategy": "fsdp"}, steps=15),
}


NORMS = ("layernorm", "rmsnorm", "rmsnorm_plus_one")


def gradients(norm: str, world_size: int) -> dict[str, Any]:
    """Loss and whole gradients of a batch, of a model that normalizes across all heads by `norm`."""
    model = {**WITH_BIASES, "norm": norm, "qk_norm": "whole", "n_kv_heads": 2}
    parallel = {"tensor": 2} if world_size > 1 else {}
    training = Training(Case(model=model, parallel=parallel), world_size, look=False)
    with torch.no_grad():
        for name, parameter in training.model.named_parameters():
            if "query_norm" in name or "key_norm" in name:  # else each head would have the same
                uneven = torch.linspace(0.2, 2.0, parameter.numel())
                local(parameter).copy_(part_of(uneven, cuts_of(parameter)))
    together = training.parallel
    batch = next(uneven_batches(together.data_rank, together.data_size))
    with together.exchanging(last=True):
        loss = together.objective(training.model)(batch)
        loss.backward()  # type: ignore[no-untyped-call]
    found: dict[str, Any] = {"loss": together.sum(loss.detach()).item()}
    for name, parameter in training.model.named_parameters():
        part = local_gradient(parameter)
        assert part is not None
        found[name] = whole_of(part, cuts_of(parameter)).flatten().tolist()
    return found


def same_everywhere(folder: Path, world_size: int) -> dict[str, Any]:
    """Every case's figures, and every norm's gradients."""
    figures = {name: Training(case, world_size).run() for name, case in CASES.items()}
    return figures | {norm: gradients(norm, world_size) for norm in NORMS}


WIDE = {"vocab_size": 1000, "embed_dim": 512, "n_layers": 8, "n_heads": 8}


def memory_of_a_start(folder: Path, world_size: int) -> dict[str, Any]:
    """Bytes of a whole model, and how far this process's memory rises until it has its parts."""
    Training(CASES["fsdp adamw"], world_size)  # has torch import what takes memory by itself
    before = peak_memory()
    training = Training(Case(model=WIDE, parallel={"strategy": "fsdp"}), world_size, look=False)
    risen = peak_memory() - before
    return {"whole": sum(4 * p.numel() for p in training.model.parameters()), "risen": risen}


def peak_memory() -> int:
    """Bytes of memory that this process has held at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


CHECKS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "same": same_everywhere,
    "memory": memory_of_a_start,
}


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
