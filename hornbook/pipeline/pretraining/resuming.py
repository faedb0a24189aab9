"""Going on from a checkpoint: that it is this run's, and that what is wrong with it is said."""

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hornbook.checkpoints.sharded import (
    load_guard_parts,
    load_training_parts,
    load_weights_parts,
)
from hornbook.checkpoints.store import load_guard, load_training_state, load_weights
from hornbook.console import console
from hornbook.errors import HornbookError
from hornbook.model.transformer import Transformer
from hornbook.training.guard import SpikeGuard
from hornbook.training.optimizer import Optimizer
from hornbook.training.parallel import Parallel

CURVE = (
    "total_steps",
    "warmup_steps",
    "batches_per_epoch",
    "tokens_per_batch",
    "schedule",
    "final_lr_share",
)
"""What of a plan decides the course of the learning rate and the order of the data."""


def read_weights(checkpoint: Path, model: Transformer, parallel: Parallel) -> None:
    """Read a checkpoint's weights; of several processes, each reads its parts."""
    load = load_weights if parallel.world_size == 1 else load_weights_parts
    load(checkpoint, model)


def read_state(
    checkpoint: Path,
    optimizer: Optimizer,
    guard: SpikeGuard | None,
    own: Mapping[str, Any],
    parallel: Parallel,
) -> dict[str, Any]:
    """Read what there is beside the weights; give the `state` that was saved.

    Args:
        own: as in `require_same_run`.

    Raises:
        HornbookError: the checkpoint is another run's, or damaged.
    """
    alone, rank = parallel.world_size == 1, parallel.rank
    if alone:
        state = load_training_state(checkpoint, optimizer)
    else:
        state = load_training_parts(checkpoint, optimizer, rank)
    require_same_run(checkpoint, state, own)
    if guard and state["guard"]:
        guard.load_state_dict(state["guard"])
        load = load_guard if alone else load_guard_parts
        load(checkpoint, guard.tensors(state["step"], rank))
    return state


def require_same_run(checkpoint: Path, state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Make sure that going on from a checkpoint continues its run instead of another one.

    Args:
        state: the checkpoint's; what it shares with its run stands under "run".
        own: the same of the run at hand.

    Raises:
        HornbookError: naming what differs.
    """
    made = state.get("run", {})
    for name, value in own.items():
        if made.get(name) != value:
            raise HornbookError(
                f"{checkpoint} was made by a training whose {name} is {_short(made.get(name))}, "
                f"here it is {_short(value)}: going on would give neither curve. Use the settings "
                "and data that it was begun with, or another run.directory."
            )


def _short(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)[:12]


@contextlib.contextmanager
def warnings_shown() -> Iterator[None]:
    """Warnings inside the block become lines for the user."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        console.print(f"  warning: {warning.message}", style="yellow", markup=False)
