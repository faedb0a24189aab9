"""What a training's process takes from the machine at its peak.

Beside its tensors (`memory_needs`) a process holds its libraries, what their kernels set aside, and
what the C library keeps free between blocks, which hangs on the machine and on chance. So it is tried:
two models of few layers train for two steps, in processes of their own, and what a layer has added is
carried on to the whole model.

    python -m hornbook.training.process_memory < trial.json    # is such a process
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from hornbook.config import validate
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer, shapes_of
from hornbook.runtime import Runtime, RuntimeSettings, choose_runtime
from hornbook.training.acceleration import accelerate
from hornbook.training.flops import training_flops
from hornbook.training.loop import train_steps
from hornbook.training.memory_needs import memory_needs, period_of
from hornbook.training.optimizer import Optimizer
from hornbook.training.rehearsal import random_batches
from hornbook.training.schedule import plan_training
from hornbook.training.settings import TrainingSettings

STATUS = Path("/proc/self/status")
TURNS = 4
"""Of the pattern of layers in the larger of the two models; the smaller has one."""
TRIES = 2
"""Processes for each, of which the largest counts: one can take a tenth less than the next."""
STEPS = 2
"""The second one has all that the optimizer keeps."""
MOST_FLOPS = 1e12
"""Of a step that is tried: some ten seconds on two cores. A larger one is tried with fewer rows."""


def process_peak(
    config: ModelConfig,
    settings: TrainingSettings,
    rows: int,
    width: int,
    runtime: Runtime,
    tries: int = TRIES,
) -> int | None:
    """Bytes of a process that trains in float32 on the CPU; None where the system does not tell.

    The evaluations, the tokenizer and a checkpoint that is being written are not in it.

    Args:
        rows: sequences in a micro-batch.
        width: tokens of each.
        tries: processes for each of the two models.
    """
    period = period_of(config)
    few, more = min(period, config.n_layers), min(TURNS * period, config.n_layers)
    some = min(rows, _rows_in_time(config, more, width))
    peaks, needs = list[int](), list[int]()
    for layers in (few, more):
        shallow = config.model_copy(update={"n_layers": layers})
        tried = [tried_peak(shallow, settings, some, width) for _ in range(tries)]
        told = [peak for peak in tried if peak is not None]
        if not told:
            return None
        peaks.append(max(told))
        needs.append(memory_needs(shallow, settings, some, width, runtime).total)
    whole = memory_needs(config, settings, rows, width, runtime).total
    each = (peaks[1] - peaks[0]) / (needs[1] - needs[0]) if more > few else 1.0
    return peaks[1] + round(each * (whole - needs[1]))


def _rows_in_time(config: ModelConfig, layers: int, width: int) -> int:
    model = shapes_of(config.model_copy(update={"n_layers": layers}))
    return max(1, int(MOST_FLOPS / (training_flops(model, width) * width)))


def tried_peak(
    config: ModelConfig, settings: TrainingSettings, rows: int, width: int
) -> int | None:
    """Bytes at the peak of a process that trains this model for two steps; None if it could not."""
    if not STATUS.exists():
        return None
    trial = {
        "config": config.model_dump(mode="json"),
        "settings": settings.model_dump(mode="json"),
        "rows": rows,
        "width": width,
        "threads": torch.get_num_threads(),
    }
    command = [sys.executable, "-m", "hornbook.training.process_memory"]
    done = subprocess.run(command, input=json.dumps(trial), capture_output=True, text=True)
    return int(done.stdout) if done.returncode == 0 else None


def train_briefly(trial: dict[str, Any]) -> None:
    """Train for two steps as a trial says: config, settings, rows, width, threads."""
    torch.set_num_threads(trial["threads"])
    runtime = choose_runtime(RuntimeSettings(device="cpu", precision="float32"))
    config = validate(ModelConfig, trial["config"], "trial")
    given = {**trial["settings"], "batch_size": trial["rows"], "steps": STEPS}
    settings = validate(TrainingSettings, {**given, "tokens": None, "epochs": None}, "trial")
    model = Transformer(config)
    optimizer = Optimizer(model, settings, runtime.dtype)
    accelerate(model, settings, runtime, same_width=True)
    batches = random_batches(model, trial["rows"], trial["width"])
    plan = plan_training(settings, STEPS, trial["rows"] * trial["width"])
    for step in train_steps(model, optimizer, batches, settings, runtime, plan):
        step.figures.read()


def peak_bytes() -> int:
    """The most that this process has had of the machine's memory so far, as Linux counts it."""
    return int(STATUS.read_text("ascii").split("VmHWM:")[1].split()[0]) * 1024


if __name__ == "__main__":
    train_briefly(json.load(sys.stdin))
    print(peak_bytes())
