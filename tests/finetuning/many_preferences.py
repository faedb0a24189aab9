"""Trainings on pairs of answers as each process runs them; see tests/training/many.py."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

import many
import numpy as np
import torch
from tiny_training import CPU, VOCAB, tiny_config

from hornbook.finetuning.lora import LoRASettings, apply_lora
from hornbook.finetuning.preference import Method, PairExamples, PreferenceLoss
from hornbook.model.transformer import Transformer, shapes_of
from hornbook.pipeline.tuning.preferences import ask_reference
from hornbook.sampling.batch import IGNORE
from hornbook.sampling.loader import Loader
from hornbook.training.evaluation import evaluate
from hornbook.training.fresh import draw_parts, form_of
from hornbook.training.loop import train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.parallel import Parallel
from hornbook.training.schedule import plan_training
from hornbook.training.settings import TrainingSettings
from hornbook.training.strategy import ParallelSettings, make_parallel

PAIRS, BATCH, STEPS, LONGEST = 15, 4, 12, 8


@dataclass(frozen=True)
class Case:
    """One training to be the same on any number of processes."""

    method: Method
    strategy: str
    lora: bool = False
    micro: int | None = None


CASES = {
    "ddp dpo": Case("dpo", "ddp"),
    "ddp simpo": Case("simpo", "ddp", micro=1),
    "ddp orpo": Case("orpo", "ddp"),
    "ddp dpo lora": Case("dpo", "ddp", lora=True),
    "fsdp dpo": Case("dpo", "fsdp"),
    "fsdp simpo": Case("simpo", "fsdp"),
    "fsdp orpo": Case("orpo", "fsdp", micro=1),
    "fsdp dpo lora": Case("dpo", "fsdp", lora=True),
}


def pairs() -> PairExamples:
    """Pairs of very unlike lengths."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(PAIRS):
        halves: list[list[int]] = []
        for length in rng.integers(2, LONGEST + 1, 2):
            ids = rng.integers(0, VOCAB, length + 1).tolist()
            asked = int(rng.integers(0, length))
            halves += [ids[:-1], [IGNORE] * asked + ids[asked + 1 :]]
        found.append((halves[0], halves[1], halves[2], halves[3]))
    return PairExamples(found, 0, LONGEST)


def start(case: Case, world_size: int) -> tuple[Transformer, Parallel]:
    """The model before its training, divided from the start where it is divided."""
    runtime = replace(CPU, world_size=world_size)
    chosen = ParallelSettings.model_validate({"strategy": case.strategy})
    model = shapes_of(tiny_config())
    parallel = make_parallel(chosen, runtime, model)
    in_parts = parallel.divides and not case.lora
    if not in_parts:
        model = Transformer(tiny_config(), torch.Generator().manual_seed(0))
    if case.lora:
        apply_lora(model, LoRASettings(rank=2), seed=1)
    parallel.spread(model, CPU.device)
    if in_parts:
        draw_parts(model, torch.Generator().manual_seed(0))
    return model, parallel


def train(case: Case, world_size: int) -> dict[str, Any]:
    """What the reference says, the losses of a training, its weights and an evaluation after it."""
    model, parallel = start(case, world_size)
    asked = pairs()
    ask_reference(model, asked, BATCH, CPU, parallel)  # the last batch is short
    said = asked.reference(range(PAIRS)).flatten().tolist()
    settings = TrainingSettings(
        steps=STEPS, batch_size=BATCH, lr=1e-3, optimizer="adamw", micro_batch_size=case.micro
    )
    place = parallel.data_rank, parallel.data_size
    loader = Loader(asked, BATCH, 1, True, True, *place)
    loss = PreferenceLoss(case.method, 0.5, 0.3)
    plan = plan_training(settings, loader.batches_per_epoch, 1)
    steps = list(
        train_steps(
            model,
            Optimizer(model, settings, CPU.dtype, parallel),
            loader.batches(),
            settings,
            CPU,
            plan,
            parallel=parallel,
            loss=loss,
        )
    )
    held_out = Loader(asked, BATCH, 0, False, False, *place)
    score = evaluate(model, held_out.epoch(), CPU, parallel, loss)
    whole = parallel.gather(model)
    return {
        "reference": said,
        "weights": {} if form_of(whole) else {n: p.tolist() for n, p in whole.named_parameters()},
        "losses": [step.loss for step in steps],
        "pairs": [step.tokens for step in steps],
        "score": [score.loss, score.tokens, *score.others.values()],
    }


def same_everywhere(folder: Path, world_size: int) -> dict[str, Any]:
    """Every case's figures."""
    return {name: train(case, world_size) for name, case in CASES.items()}


if __name__ == "__main__":
    many.main({"same": same_everywhere})
