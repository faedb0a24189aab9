"""What 8-bit products cost in loss: the same small training with and without `training.fp8`.

    python bench/fp8.py TEXT [--steps 300]

TEXT is any text file of some 100 kB or more, read byte by byte. Not measured yet: Hornbook was
written on machines without a GPU.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from hornbook.console import console
from hornbook.errors import HornbookError
from hornbook.model.presets import ModelSettings, resolve
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.loader import Loader
from hornbook.sampling.windows import Windows
from hornbook.training.acceleration import accelerate
from hornbook.training.evaluation import evaluate
from hornbook.training.loop import train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.precision import require_float8
from hornbook.training.schedule import plan_training
from hornbook.training.settings import TrainingSettings

BYTES = 256
CONTEXT, ROWS = 256, 32
HELD_OUT = 0.1


def train(text: np.ndarray, steps: int, fp8: bool, runtime: Runtime) -> tuple[float, float, float]:
    """The last training loss, the loss on the text's last tenth, and seconds a step."""
    cut = int(len(text) * (1 - HELD_OUT))
    settings = TrainingSettings(steps=steps, batch_size=ROWS, fp8=fp8)
    loader = Loader(Windows(text[:cut], CONTEXT), ROWS, seed=1)
    config = resolve(ModelSettings(preset="small-cpu", context_length=CONTEXT), BYTES)
    model = Transformer(config, torch.Generator().manual_seed(1)).to(runtime.device)
    accelerate(model, settings, runtime, same_width=True)
    optimizer = Optimizer(model, settings, runtime.dtype)
    plan = plan_training(settings, loader.batches_per_epoch, ROWS * CONTEXT)
    done = list(train_steps(model, optimizer, loader.batches(), settings, runtime, plan))
    held_out = Loader(Windows(text[cut:], CONTEXT), ROWS, seed=1)
    loss = evaluate(model, held_out.epoch(), runtime).loss
    later = [step.seconds for step in done[steps // 2 :]]
    return float(np.mean([step.loss for step in done[-20:]])), loss, sum(later) / len(later)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    runtime = Runtime(device, torch.bfloat16, 1, "a benchmark", compile="auto")
    try:
        require_float8(runtime)
    except HornbookError as error:
        print(f"bench/fp8.py: {error}", file=sys.stderr)
        return 2
    text = np.frombuffer(given.text.read_bytes(), dtype=np.uint8)
    for name, fp8 in (("bfloat16", False), ("fp8", True)):
        training, held_out, seconds = train(text, given.steps, fp8, runtime)
        console.print(
            f"{name:<9} training loss {training:.4f}  held-out loss {held_out:.4f}  "
            f"{seconds * 1e3:.1f} ms a step"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
