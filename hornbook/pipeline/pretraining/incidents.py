"""What went wrong in a training, and with which documents: losses that are no numbers, and spikes."""

import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hornbook.artifact import write_text
from hornbook.console import console
from hornbook.runtime import Runtime
from hornbook.training.figures import steps_behind
from hornbook.training.guard import Spike, SpikeGuard
from hornbook.training.loop import Step

FOLDER = "incidents"


class Incidents:
    """Incident files of a training: runs/NAME/STAGE/incidents/step-000123.json."""

    def __init__(
        self, folder: Path, trace: Callable[[int], list[str]], is_main: bool = True
    ) -> None:
        """`trace` names what a batch is made of, by its `Batch.position`; `is_main`: of several
        processes, this one writes."""
        self._folder, self._trace, self._is_main = folder / FOLDER, trace, is_main

    def nonfinite(self, step: Step) -> None:
        """A loss or gradient that is no number; the step has changed nothing."""
        figures = {"loss": _number(step.loss), "grad_norm": _number(step.grad_norm)}
        path = self._write(step.index, step.position, "no finite number", figures)
        _say(f"step {step.index:,}: the loss is no finite number, batch passed over; see {path}")

    def spike(self, spike: Spike, back_to: int) -> None:
        """A spike, for which training goes back."""
        figures = {
            "loss": spike.loss,
            "mean_of_recent": spike.mean,
            "z_score": spike.z_score,
            "back_to_step": back_to,
        }
        path = self._write(spike.step, spike.position, "loss spike", figures)
        _say(
            f"step {spike.step:,}: loss {spike.loss:.3f} after {spike.mean:.3f} on average; back to "
            f"step {back_to:,} and on behind that batch; see {path}"
        )

    def _write(self, step: int, position: int, what: str, figures: dict[str, Any]) -> Path:
        path = self._folder / f"step-{step:06d}.json"
        if not self._is_main:
            return path
        incident = {
            "incident": what,
            "step": step,
            "batch": position,
            **figures,
            "documents": self._trace(position),
        }
        if path.exists() and json.loads(path.read_text("utf-8")).get("batch") != position:
            path = self._folder / f"step-{step:06d}-batch-{position}.json"  # the step's second
        write_text(path, json.dumps(incident, indent=2, ensure_ascii=False) + "\n")
        return path


class LossWatch:
    """Looks at the losses of a training; on a GPU two steps later, so as not to wait for it."""

    def __init__(self, runtime: Runtime, incidents: Incidents, guard: SpikeGuard | None) -> None:
        self._behind = steps_behind(runtime.device)
        self._incidents, self._guard = incidents, guard
        self._unseen: deque[Step] = deque()

    def look(self, step: Step, at_all: bool) -> Spike | None:
        """Take a step and look at the losses that are due, or at all; give the first spike."""
        self._unseen.append(step)
        return self._look(0 if at_all else self._behind)

    def look_at_all(self) -> Spike | None:
        """Look at all losses not looked at yet."""
        return self._look(0)

    def _look(self, but: int) -> Spike | None:
        while len(self._unseen) > but:
            step = self._unseen.popleft()
            if not step.figures.finite:
                self._incidents.nonfinite(step)
            elif self._guard is not None:
                spike = self._guard.look_at(step.index, step.position, step.loss)
                if spike is not None:
                    self._unseen.clear()  # those steps are undone with it
                    return spike
        return None


def _number(value: float) -> float | str:
    """JSON has no NaN and no infinity."""
    return value if abs(value) < float("inf") else str(value)


def _say(text: str) -> None:
    console.print(f"  warning: {text}", style="yellow", markup=False)
