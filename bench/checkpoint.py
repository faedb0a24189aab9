"""How long training waits for a checkpoint: GPT-2's 124M parameters with their optimizer's state.

    python bench/checkpoint.py [FOLDER]

Steps of a small batch are timed with and without checkpoints in FOLDER (a temporary one otherwise).
Printed are the seconds that writing one takes (copying, writing, hashing, flushing), the seconds in
which the loop stood still for it, and what the steps beside the writing took longer, because its
thread takes a share of the processor and of memory's bandwidth.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from hornbook.checkpoints.folder import CheckpointFolder
from hornbook.checkpoints.saver import Saver
from hornbook.checkpoints.store import gather_content
from hornbook.model.presets import ModelSettings, resolve
from hornbook.model.transformer import Transformer, count_parameters
from hornbook.runtime import RuntimeSettings, choose_runtime
from hornbook.sampling.batch import Batch
from hornbook.training.loop import train_steps
from hornbook.training.optimizer import Optimizer
from hornbook.training.schedule import plan_training
from hornbook.training.settings import TrainingSettings

VOCAB, ROWS, TOKENS = 50_257, 1, 128
QUIET = 3
"""Steps without a checkpoint under way, timed before the first."""
SAVES, STEPS_BETWEEN = 3, 8


def batches() -> Iterator[Batch]:
    generator, position = torch.Generator().manual_seed(1), 0
    while True:
        position += 1
        ids = torch.randint(VOCAB, (ROWS, TOKENS + 1), generator=generator)
        yield Batch(ids[:, :-1], ids[:, 1:], position)


def measure(folder: Path) -> None:
    runtime = choose_runtime(RuntimeSettings())
    model = Transformer(resolve(ModelSettings(preset="gpt2-small"), VOCAB)).to(runtime.device)
    steps = QUIET + 1 + SAVES * STEPS_BETWEEN
    # AdamW's state is the larger one, and Muon's products would make the steps longer.
    settings = TrainingSettings(steps=steps, batch_size=ROWS, optimizer="adamw")
    optimizer = Optimizer(model, settings, runtime.dtype)
    plan = plan_training(settings, batches_per_epoch=1000, tokens_per_batch=ROWS * TOKENS)
    seconds: list[float] = []
    started = time.perf_counter()
    with Saver(CheckpointFolder(folder).write) as saver:
        for step in train_steps(
            model,
            optimizer,
            batches(),
            settings,
            runtime,
            plan,
            may_change=saver.may_change,
        ):
            seconds.append(step.seconds)
            since = step.index - QUIET - 1
            if 0 <= since < SAVES * STEPS_BETWEEN and since % STEPS_BETWEEN == 0:
                content = gather_content(
                    model, tokenizer_fingerprint="", optimizer=optimizer, state={}
                )
                saver.save(step.index, content)
        waited = saver.seconds_waited  # leaving waits, too, as the end of a training does
    report(folder, model, saver, waited, seconds, time.perf_counter() - started)


def report(
    folder: Path,
    model: Transformer,
    saver: Saver,
    waited: float,
    seconds: list[float],
    total: float,
) -> None:
    quiet = statistics.median(seconds[1 : QUIET + 1])  # the first step makes everything ready
    beside = sum(s - quiet for s in seconds[QUIET + 1 :])
    size = sum(f.stat().st_size for f in next(folder.glob("step-*")).iterdir())
    saving = saver.seconds_saving / SAVES
    print(f"{count_parameters(model):,} parameters, a checkpoint of {size / 1e9:.2f} GB")
    print(f"writing one takes {saving:.2f} s; a step without one under way {quiet:.2f} s")
    print(
        f"the loop waits {waited / SAVES:.3f} s for it: {waited / SAVES / saving:.1%} of the time"
    )
    print(f"all steps beside it take {beside / SAVES:.2f} s longer in sum (waiting included)")
    print(f"{total:.0f} s in all")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            measure(Path(temporary))
