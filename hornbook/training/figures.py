"""A step's numbers on their way from the device, and what is done when one is not finite.

On a GPU the host only gives out work; to ask for a loss is to wait until all that work is done, and
while the host waits nothing new is given out. So the numbers are sent for at each step and looked
at when they have arrived, and an update is kept from the weights on the device itself.
"""

import math
from collections import deque

import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.training.optimizer import Optimizer
from hornbook.training.settings import TrainingSettings

BEHIND_ON_GPU = 2
"""Steps by which reading stays behind: the GPU then always has two in its queue. A fixed number,
so that all processes of a training learn of a fault at the same step."""
MOST_UNSOUND = 10
"""Steps in a row without finite numbers after which passing them over is given up."""


def steps_behind(device: torch.device) -> int:
    """How many steps later than it was given out a step's numbers are looked at."""
    return BEHIND_ON_GPU if device.type == "cuda" else 0


class Figures:
    """Loss and gradient length of one step; float32 (), on the device until read."""

    def __init__(self, loss: Tensor, grad_norm: Tensor) -> None:
        """Send for the numbers; on a GPU without waiting for them."""
        values = torch.stack((loss.detach(), grad_norm.detach().float()))  # (2,)
        self._read: tuple[float, float] | None = None
        self._arrived: torch.cuda.Event | None = None
        self._values = values
        if values.device.type == "cuda":
            self._values = torch.empty(2, dtype=torch.float32, pin_memory=True)
            self._values.copy_(values, non_blocking=True)
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record()

    def read(self) -> tuple[float, float]:
        """Loss and gradient length; waits, the first time, until this step is computed."""
        if self._read is None:
            if self._arrived is not None:
                self._arrived.synchronize()
            loss, grad_norm = self._values.tolist()
            self._read = loss, grad_norm
        return self._read

    @property
    def finite(self) -> bool:
        """Whether both are numbers. When not, the weights were left as they were."""
        return all(map(math.isfinite, self.read()))


class FiniteOnly:
    """Lets finite gradients alone reach the weights, and says so when one was not."""

    def __init__(self, settings: TrainingSettings, device: torch.device) -> None:
        self._stops = settings.on_nonfinite == "stop"
        self._behind = steps_behind(device)
        self._sound = torch.ones((), dtype=torch.bool, device=device)
        self._unread: deque[tuple[int, int, Figures]] = deque()
        self._in_a_row = 0

    def update(self, optimizer: Optimizer, loss: Tensor, grad_norm: Tensor) -> Figures:
        """Step the optimizer if loss and gradient are finite."""
        figures = Figures(loss, grad_norm)
        if not self._behind:
            if figures.finite:
                optimizer.step()
            return figures
        sound = torch.isfinite(loss.detach()) & torch.isfinite(grad_norm.detach())
        if self._stops:
            # Once a step was not, no later one counts: the weights stay those of the step before
            # it until the host has learnt of it.
            sound = self._sound = self._sound & sound
        optimizer.step(sound)
        return figures

    def check(self, index: int, position: int, figures: Figures) -> None:
        """Look at the numbers that are due, this step's on a CPU.

        Raises:
            HornbookError: they are not finite, and the settings say to stop, or too many were not.
        """
        self._unread.append((index, position, figures))
        self.check_all(self._behind)

    def check_all(self, but: int = 0) -> None:
        """Look at all numbers not looked at, `but` the newest few."""
        while len(self._unread) > but:
            index, position, figures = self._unread.popleft()
            if figures.finite:
                self._in_a_row = 0
                continue
            self._in_a_row += 1
            if self._stops or self._in_a_row == MOST_UNSOUND:
                raise HornbookError(self._sentence(index, position, *figures.read()))

    def _sentence(self, index: int, position: int, loss: float, norm: float) -> str:
        name, value = ("loss", loss) if not math.isfinite(loss) else ("gradient's length", norm)
        which = f"step {index} (batch {position})"
        if self._stops:
            return (
                f"{which}: the {name} is {value}; the weights are still those of step "
                f"{index - 1}. Lower training.lr, look at that batch, or pass such batches over "
                "with training.on_nonfinite=skip."
            )
        return (
            f"{which}: the {name} is {value}, for the {MOST_UNSOUND}th step in a row; lower "
            "training.lr, or look at the batches named in the incident files."
        )
