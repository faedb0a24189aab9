"""One contestant of `bench/train.py step`, in a process of its own.

    python bench/train_step.py hornbook
    python bench/train_step.py float32|bfloat16|compiled NANOGPT

Trains GPT-2 124M (12 layers, 768 wide, 50,304 tokens) on 4 x 256 random tokens and prints the median
step in seconds and the most memory that the process has held, as JSON.
"""

import contextlib
import json
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch

VOCAB, ROWS, CONTEXT = 50_304, 4, 256
STEPS, WARM_UP = 9, 2


def ids() -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets, int64 (ROWS, CONTEXT)."""
    drawn = torch.randint(VOCAB, (ROWS, CONTEXT + 1))
    return drawn[:, :-1].contiguous(), drawn[:, 1:].contiguous()


def hornbook() -> list[float]:
    """Seconds of each step, as `hornbook pretrain` takes it with GPT-2's optimizer."""
    from hornbook.model.presets import ModelSettings, resolve
    from hornbook.model.transformer import Transformer
    from hornbook.runtime import RuntimeSettings, choose_runtime
    from hornbook.sampling.batch import Batch
    from hornbook.training.loop import train_steps
    from hornbook.training.optimizer import Optimizer
    from hornbook.training.schedule import plan_training
    from hornbook.training.settings import TrainingSettings

    def batches() -> Iterator[Batch]:
        position = 0
        while True:
            position += 1
            yield Batch(*ids(), position)

    runtime = choose_runtime(RuntimeSettings())
    model = Transformer(resolve(ModelSettings(preset="gpt2-small", context_length=CONTEXT), VOCAB))
    settings = TrainingSettings(steps=STEPS, batch_size=ROWS, optimizer="adamw", lr=6e-4)
    optimizer = Optimizer(model, settings, runtime.dtype)
    plan = plan_training(settings, batches_per_epoch=1000, tokens_per_batch=ROWS * CONTEXT)
    steps = train_steps(model, optimizer, batches(), settings, runtime, plan)
    return [step.seconds for step in steps]


def nanogpt(mode: str, checkout: str) -> list[float]:
    """Seconds of each step, as nanoGPT's train.py takes it in this mode."""
    sys.path.insert(0, checkout)
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    shape = GPTConfig(block_size=CONTEXT, vocab_size=VOCAB, dropout=0.0, bias=False)
    plain: Any = GPT(shape).train()
    optimizer = plain.configure_optimizers(0.1, 6e-4, (0.9, 0.95), "cpu")
    model = torch.compile(plain) if mode == "compiled" else plain
    seconds = []
    for _ in range(STEPS):
        started = time.perf_counter()
        narrow = torch.autocast("cpu", torch.bfloat16)
        with contextlib.nullcontext() if mode == "float32" else narrow:
            _, loss = model(*ids())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        seconds.append(time.perf_counter() - started)
    return seconds


def main() -> None:
    torch.manual_seed(1)
    contestant, *checkout = sys.argv[1:]
    seconds = hornbook() if contestant == "hornbook" else nanogpt(contestant, *checkout)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"seconds": statistics.median(seconds[WARM_UP:]), "peak_mib": peak}))


if __name__ == "__main__":
    main()
