"""The guard against loss spikes: states kept in memory, and when to go back to one.

A batch of broken text, or an unlucky step, can throw a loss up and the weights with it. The guard
compares each loss with the recent ones; at a spike, training goes back to a state from before it
and on behind the batch that it came with (as PaLM's was by hand: Chowdhery et al. 2022, section 5.1).
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hornbook.divided import local
from hornbook.errors import HornbookError
from hornbook.runtime import random_state, set_random_state
from hornbook.training.optimizer import Optimizer
from hornbook.training.settings import TrainingSettings
from hornbook.training.shards import divided_like

LEAST_LOSSES = 20
"""Losses seen before one can be called a spike."""
LEAST_SPREAD = 1e-3
"""Share of the mean that the standard deviation is taken for at least, so that losses that hardly
differ are no spikes."""
SNAPSHOTS = 2
MOST_RETURNS = 10
"""Spikes in a row, without a step beyond the farthest, after which going back is given up."""


@dataclass(frozen=True)
class Spike:
    """A loss far above the recent ones."""

    step: int
    position: int
    """`Batch.position` of the batch that it came with."""
    loss: float
    mean: float
    """Of the recent losses."""
    z_score: float
    """How many standard deviations of the recent losses it lies above their mean."""


@dataclass
class _Snapshot:
    step: int
    tensors: list[Tensor]
    random: dict[str, Tensor]
    losses: tuple[float, ...]


class SpikeGuard:
    """Recent losses, and a ring of the last two states of parameters and optimizer.

    Losses and ring are part of a checkpoint (`state_dict`, `tensors`), but for a state that is the
    checkpoint's own. So a resumed run goes back at a spike to the very state that a run never
    interrupted goes back to.
    """

    def __init__(self, optimizer: Optimizer, settings: TrainingSettings, limit: float) -> None:
        """`limit` is the z-score from which on a loss is a spike."""
        self._optimizer, self._limit = optimizer, limit
        self._every = settings.spike_snapshot_every
        self._losses: deque[float] = deque(maxlen=settings.spike_window)
        self._ring: deque[_Snapshot] = deque(maxlen=SNAPSHOTS)
        self._returns, self._farthest = 0, 0

    def look_at(self, step: int, position: int, loss: float) -> Spike | None:
        """Take a step's finite loss; give the spike, if it is one.

        Raises:
            HornbookError: spikes keep coming.
        """
        if len(self._losses) >= LEAST_LOSSES:
            losses = torch.tensor(list(self._losses), dtype=torch.float64)  # (losses,)
            mean = losses.mean().item()
            spread = max(losses.std(correction=0).item(), LEAST_SPREAD * abs(mean))
            z_score = (loss - mean) / spread
            if z_score > self._limit:
                self._count(step, position, loss)
                return Spike(step, position, loss, mean, z_score)
        self._losses.append(loss)
        if step > self._farthest:
            self._returns, self._farthest = 0, step
        return None

    def _count(self, step: int, position: int, loss: float) -> None:
        self._returns += 1
        if self._returns > MOST_RETURNS:
            raise HornbookError(
                f"step {step} (batch {position}): the loss jumped to {loss:.3f}, and going back did "
                f"not help {MOST_RETURNS} times in a row; lower training.lr, or raise "
                "training.spike_guard."
            )

    @property
    def empty(self) -> bool:
        """Whether there is no state to go back to yet."""
        return not self._ring

    def due(self, step: int) -> bool:
        """Whether a snapshot is due after this step, checkpoints aside."""
        return step % self._every == 0

    @torch.no_grad()
    def snapshot(self, step: int) -> None:
        """Keep the state after `step`, whose losses have all been looked at, on the device."""
        if self._ring and self._ring[-1].step == step:
            return
        live = self._live()
        if len(self._ring) == SNAPSHOTS:
            tensors = self._ring.popleft().tensors  # its memory is used again
        else:
            tensors = [torch.empty_like(tensor) for tensor in live]
        torch._foreach_copy_(tensors, live)
        self._ring.append(_Snapshot(step, tensors, random_state(), tuple(self._losses)))

    @torch.no_grad()
    def go_back(self, spike: Spike) -> int:
        """Put back the newest state that was followed by a normal loss; give its step."""
        proven = [kept for kept in self._ring if kept.step <= spike.step - 2]
        chosen = proven[-1] if proven else self._ring[0]
        while self._ring[-1] is not chosen:
            self._ring.pop()
        torch._foreach_copy_(self._live(), chosen.tensors)
        set_random_state(chosen.random)
        self._losses.clear()
        self._losses.extend(chosen.losses)
        return chosen.step

    def _live(self) -> list[Tensor]:
        """What a step changes: trained parameters and the optimizer's state."""
        parameters = [parameter.detach() for parameter in self._optimizer.parameters]
        return [local(t) for t in (*parameters, *self._optimizer.state_dict().values())]

    def state_dict(self) -> dict[str, Any]:
        """What belongs into a checkpoint, as plain JSON values; `tensors` gives the rest."""
        return {
            "losses": list(self._losses),
            "returns": self._returns,
            "farthest": self._farthest,
            "ring": [{"step": kept.step, "losses": list(kept.losses)} for kept in self._ring],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave, with parameters and optimizer as they were then.

        The states in the ring are all like the one now: `tensors` gives those to be filled.
        """
        self._ring.clear()
        for kept in state.get("ring", []):
            self._losses.clear()
            self._losses.extend(kept["losses"])
            self.snapshot(kept["step"])
        self._losses.clear()
        self._losses.extend(state["losses"])
        self._returns, self._farthest = state["returns"], state["farthest"]

    def tensors(self, step: int, rank: int = 0) -> dict[str, Tensor]:
        """The states in the ring by name, divided as the parameters are; not that of `step` itself.

        `rank` names the random states, which each process has of its own.
        """
        named = [f"parameter.{number}" for number in range(len(self._optimizer.parameters))]
        state = self._optimizer.state_dict()
        like = dict(zip(named, self._optimizer.parameters, strict=True)) | state
        found: dict[str, Tensor] = {}
        for kept in self._ring:
            if kept.step != step:
                pairs = zip(like.items(), kept.tensors, strict=True)
                found |= {f"{kept.step}.{n}": divided_like(own, t) for (n, t), own in pairs}
                found |= {f"{kept.step}.random.{kind}.{rank}": t for kind, t in kept.random.items()}
        return found
