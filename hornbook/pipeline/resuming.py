"""Going on from a checkpoint: that it is this run's, and that what is wrong with it is said."""

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hornbook.console import console
from hornbook.errors import HornbookError

CURVE = (
    "total_steps",
    "warmup_steps",
    "batches_per_epoch",
    "tokens_per_batch",
    "schedule",
    "final_lr_share",
)
"""What of a plan decides the course of the learning rate and the order of the data."""


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
