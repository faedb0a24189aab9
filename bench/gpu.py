"""GPT-2 124M on one GPU: tokens a second and MFU of a training step, with nanoGPT's in turn.

    python bench/gpu.py [--nanogpt DIR] [--rows 16] [--fp8]

DIR is a checkout of https://github.com/karpathy/nanoGPT. Both train the same shape (12 layers, 768
wide, context 1024, 50,304 tokens of vocabulary) on the same random ids, in bfloat16, compiled, with
their own optimizers: nanoGPT as in its config/train_gpt2.py, in one process; Hornbook in its defaults.
Steps are timed in turn, a few of one and then of the other, and medians are told. MFU counts 6 N +
12 L d T FLOPs a token, N without look-ups in embeddings, of the peak in the GPU's data sheet.

Not measured yet: Hornbook was written on machines without a GPU.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hornbook.console import console
from hornbook.model.presets import ModelSettings, resolve
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.batch import Batch
from hornbook.training.acceleration import accelerate
from hornbook.training.flops import training_cost
from hornbook.training.gradient import accumulate
from hornbook.training.optimizer import Optimizer
from hornbook.training.parallel import ALONE
from hornbook.training.settings import TrainingSettings

VOCAB, CONTEXT = 50_304, 1024
WARM_UP = 10
ROUNDS, STEPS = 5, 20

Step = Callable[[torch.Tensor, torch.Tensor], None]
"""Trains on inputs and targets, int64 (rows, CONTEXT), in page-locked memory."""


def hornbook_step(preset: str, fp8: bool) -> tuple[Step, Transformer, Runtime]:
    """A step as `hornbook.training.loop` takes it."""
    runtime = Runtime(torch.device("cuda"), torch.bfloat16, 1, "a benchmark", compile="auto")
    config = resolve(ModelSettings(preset=preset, context_length=CONTEXT), VOCAB)
    model = Transformer(config, torch.Generator().manual_seed(1)).to(runtime.device).train()
    settings = TrainingSettings(fp8=fp8)
    for line in accelerate(model, settings, runtime, same_width=True):
        console.print(f"  {line}", style="dim")
    optimizer = Optimizer(model, settings, runtime.dtype)
    objective = ALONE.objective(model)

    def step(inputs: torch.Tensor, targets: torch.Tensor) -> None:
        accumulate(objective, Batch(inputs, targets, 1), None, runtime, ALONE)
        optimizer.clip(settings.clip)
        optimizer.step()
        optimizer.zero_grad()

    return step, model, runtime


def nanogpt_step(checkout: Path) -> Step:
    """A step as nanoGPT's train.py takes it, compiled, with its fused AdamW."""
    sys.path.insert(0, str(checkout))
    import model as nanogpt  # type: ignore[import-not-found]

    shape = nanogpt.GPTConfig(vocab_size=VOCAB, block_size=CONTEXT, dropout=0.0, bias=False)
    plain: Any = nanogpt.GPT(shape).to("cuda").train()
    optimizer = plain.configure_optimizers(0.1, 6e-4, (0.9, 0.95), "cuda")
    compiled = torch.compile(plain)

    def step(inputs: torch.Tensor, targets: torch.Tensor) -> None:
        x, y = inputs.to("cuda", non_blocking=True), targets.to("cuda", non_blocking=True)
        with torch.autocast("cuda", torch.bfloat16):
            _, loss = compiled(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def seconds_a_step(step: Step, rows: int, steps: int) -> float:
    """Mean over some steps, the device's work included."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(VOCAB, (rows, CONTEXT + 1), generator=generator)
    inputs, targets = ids[:, :-1].contiguous().pin_memory(), ids[:, 1:].contiguous().pin_memory()
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(steps):
        step(inputs, targets)
    torch.cuda.synchronize()
    return (time.perf_counter() - started) / steps


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT")
    parser.add_argument("--preset", default="gpt2-small", help="Hornbook's model")
    parser.add_argument("--rows", type=int, default=16, help="sequences of 1,024 tokens a step")
    parser.add_argument("--fp8", action="store_true", help="training.fp8=true for Hornbook")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print("bench/gpu.py needs an NVIDIA GPU, and there is none here.", file=sys.stderr)
        return 2
    torch.set_float32_matmul_precision("high")  # as nanoGPT sets it; bfloat16 is not touched
    ours, model, runtime = hornbook_step(given.preset, given.fp8)
    cost = training_cost(model, CONTEXT, runtime)
    contestants = {"Hornbook": ours}
    if given.nanogpt:
        contestants["nanoGPT"] = nanogpt_step(given.nanogpt)

    console.print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {cost.peak.source}")
    peaks = {}
    for name, step in contestants.items():
        torch.cuda.reset_peak_memory_stats()
        seconds_a_step(step, given.rows, WARM_UP)
        peaks[name] = torch.cuda.max_memory_allocated() / 2**30
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, step in contestants.items():
            times[name].append(seconds_a_step(step, given.rows, STEPS))
    medians = {name: statistics.median(found) for name, found in times.items()}
    for name, seconds in medians.items():
        rate = given.rows * CONTEXT / seconds
        console.print(
            f"{name:<10} {seconds * 1e3:8.1f} ms a step  {rate:10,.0f} tokens/s  "
            f"MFU {cost.utilization(rate):5.1%}  peak {peaks[name]:5.1f} GiB (with what stood before)"
        )
    if given.nanogpt:
        console.print(f"Hornbook / nanoGPT: {medians['nanoGPT'] / medians['Hornbook']:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
