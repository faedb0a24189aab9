"""Where a training's figures can be watched besides its own file: TensorBoard, W&B, Trackio.

All are optional and imported only when asked for. `metrics.jsonl` is complete without them, so a
tracker that fails is given up with a warning, and training goes on. They get figures and settings;
nothing of the environment, the code or the command line is handed on.
"""

import contextlib
import importlib.util
import io
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from hornbook.artifact import write_text
from hornbook.console import console
from hornbook.errors import HornbookError

TrackerName = Literal["tensorboard", "wandb", "trackio"]
PROJECT = "hornbook"
"""The project that all runs are in, at W&B (unless WANDB_PROJECT says another) and Trackio."""
WANDB_ID = "wandb-id.txt"


class Tracker(Protocol):
    """Something that figures are sent to."""

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Send figures of a step, by names such as "train/loss"."""
        ...

    def close(self) -> None:
        """Send what has not been sent yet."""
        ...


def require_trackers(names: Sequence[TrackerName]) -> None:
    """Make sure that the packages of these trackers are there.

    Raises:
        HornbookError: one is not installed.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise HornbookError(
                f'run.trackers: {name} is not installed; run: pip install "hornbook[{name}]"'
            )


class Trackers:
    """The trackers of one training. None of their failures gets out."""

    def __init__(
        self,
        names: Sequence[TrackerName],
        folder: Path,
        settings: Mapping[str, Any],
        start_step: int = 0,
    ) -> None:
        """Start them for the training in `folder`, which is runs/NAME/STAGE.

        Args:
            settings: shown beside the figures; plain JSON values.
            start_step: the last step done before, when the training goes on.
        """
        self._running: dict[str, Tracker] = {}
        for name in names:
            self._try(name, lambda name=name: self._start(name, folder, settings, start_step))  # type: ignore[misc]

    def _start(
        self, name: TrackerName, folder: Path, settings: Mapping[str, Any], start_step: int
    ) -> None:
        kinds: dict[str, Callable[[Path, Mapping[str, Any], int], Tracker]] = {
            "tensorboard": TensorBoard,
            "wandb": WandB,
            "trackio": Trackio,
        }
        self._running[name] = kinds[name](folder, settings, start_step)

    def log(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Send the numbers among `values` to every tracker, named "kind/name"."""
        numbers = {
            f"{kind}/{name}": float(value)
            for name, value in values.items()
            if isinstance(value, int | float)
        }
        for name, tracker in list(self._running.items()):
            self._try(name, lambda tracker=tracker: tracker.log(step, numbers))  # type: ignore[misc]

    def close(self) -> None:
        """Send all that is left."""
        for name, tracker in list(self._running.items()):
            self._try(name, tracker.close)
        self._running = {}

    def _try(self, name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # whatever a foreign library raises: a lost network, a full disk
            self._running.pop(name, None)
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            console.print(
                f"  warning: {name} is given up: {reason} (metrics.jsonl goes on)",
                style="yellow",
                markup=False,
            )


def run_name(folder: Path) -> str:
    """What a training is called among others: NAME/STAGE of its folder."""
    whole = folder.resolve()
    return f"{whole.parent.name}/{whole.name}"


class TensorBoard:
    """Event files in runs/NAME/STAGE/tensorboard; `tensorboard --logdir runs` shows all of them."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], start_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What an interrupted run wrote after its checkpoint is hidden by purge_step.
        self._writer: Any = SummaryWriter(
            log_dir=str(folder / "tensorboard"), purge_step=start_step + 1 if start_step else None
        )
        rows = "".join(f"| {name} | {value} |\n" for name, value in settings.items())
        self._writer.add_text("settings", f"| setting | value |\n| --- | --- |\n{rows}")

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Add each figure to its curve."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush to disk."""
        self._writer.close()


class WandB:
    """A run at Weights & Biases, grouped by the run's name; WANDB_MODE=offline keeps it local."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], start_step: int) -> None:
        import wandb

        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            name=run_name(folder),
            group=folder.resolve().parent.name,
            id=_kept_id(folder / WANDB_ID, start_step),
            resume="allow",
            dir=str(folder),
            config=dict(settings),
            # No source code, git remote, command line or terminal output: any may hold a secret.
            settings=wandb.Settings(
                console="off", disable_code=True, disable_git=True, silent=True, x_disable_meta=True
            ),
        )
        # W&B's own counter cannot go back to a checkpoint's step, so the step is a figure.
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Send one row."""
        self._run.log({"step": step, **figures})

    def close(self) -> None:
        """Wait until all is sent."""
        self._run.finish()


class Trackio:
    """A run in Trackio's local database; `trackio show --project hornbook` opens it."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], start_step: int) -> None:
        import trackio

        with contextlib.redirect_stdout(io.StringIO()):  # it says more than a line
            self._run: Any = trackio.init(
                project=PROJECT,
                name=run_name(folder),
                group=folder.resolve().parent.name,
                config=dict(settings),
                resume="allow" if start_step else "never",
                auto_log_cpu=False,
            )

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Add one row."""
        self._run.log(dict(figures), step=step)

    def close(self) -> None:
        """Wait until all is written."""
        with contextlib.redirect_stdout(io.StringIO()):
            self._run.finish()


def _kept_id(path: Path, start_step: int) -> str:
    """A run's id at W&B: the one that it had before it was interrupted, else a new one."""
    if start_step and path.exists():
        return path.read_text(encoding="utf-8").strip()
    new = uuid.uuid4().hex[:12]
    write_text(path, new + "\n")
    return new
