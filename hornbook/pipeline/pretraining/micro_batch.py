"""`training.micro_batch_size = "auto"` settled, once for each training."""

import json
from pathlib import Path
from typing import Any

from hornbook.artifact import write_text
from hornbook.console import console
from hornbook.model.transformer import Transformer
from hornbook.runtime import Runtime
from hornbook.sampling.loader import Loader
from hornbook.training.batch_size import largest_micro_batch
from hornbook.training.objective import NEXT_TOKEN, Loss
from hornbook.training.parallel import Parallel
from hornbook.training.settings import TrainingSettings

FILE = "micro-batch.json"


def settle_micro_batch(
    settings: TrainingSettings,
    model: Transformer,
    train: Loader,
    folder: Path,
    runtime: Runtime,
    parallel: Parallel,
    loss: Loss = NEXT_TOKEN,
) -> TrainingSettings:
    """The settings with the largest micro-batch that fits, where they leave it to be found.

    It is kept in the training's folder: a resumed run adds up in the same order, and so comes to
    the same bits. Call it with the optimizer in memory and nothing computed yet.
    """
    if settings.micro_batch_size != "auto":
        return settings
    place = {
        "rows": train.rows,
        "width": train.dataset.widest,
        "device": str(runtime.device.type),
        "precision": str(runtime.dtype),
        "checkpoint_activations": settings.checkpoint_activations,
    }
    size = _kept(folder / FILE, place)
    if parallel.any(size is None):
        size = find_micro_batch(model, train, runtime, parallel, loss)
        if parallel.is_main:
            write_text(folder / FILE, json.dumps({**place, "size": size}, indent=2) + "\n")
    console.print(f"  micro_batch_size {size:,}: the largest found to fit", style="dim")
    return settings.model_copy(update={"micro_batch_size": size})


def find_micro_batch(
    model: Transformer,
    train: Loader,
    runtime: Runtime,
    parallel: Parallel,
    loss: Loss = NEXT_TOKEN,
) -> int:
    """The largest micro-batch of `train` whose gradient fits into memory; see `batch_size.py`."""
    return largest_micro_batch(
        model,
        lambda batch: loss(model, batch),
        train.rows,
        train.dataset.widest,
        runtime,
        parallel,
    )


def _kept(path: Path, place: dict[str, Any]) -> int | None:
    """The size found by an earlier start of this training, in the same place."""
    try:
        kept = json.loads(path.read_text("utf-8"))
        size = kept.pop("size")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return size if kept == place and isinstance(size, int) and size > 0 else None
