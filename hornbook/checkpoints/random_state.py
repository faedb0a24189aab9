"""Where torch's random numbers stood in each process of a training: dropout draws from them.

random.cpu.0, random.cuda.0     of rank 0
random.cpu.1, random.cuda.1     of rank 1 ...
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from hornbook import runtime

PREFIX = "random."


def random_state(rank: int = 0) -> dict[str, Tensor]:
    """This process's state; uint8 vectors, named by its rank."""
    return {f"{PREFIX}{kind}.{rank}": state for kind, state in runtime.random_state().items()}


def set_random_state(state: Mapping[str, Tensor], rank: int = 0) -> None:
    """Put back this process's state.

    A rank that was not there when the state was saved draws numbers of its own, which follow from
    rank 0's state and its number.
    """
    kinds = {kind: f"{PREFIX}{kind}.{rank}" for kind in ("cpu", "cuda")}
    own = {kind: state[name] for kind, name in kinds.items() if name in state}
    if "cpu" not in own:
        start = torch.Generator()
        start.set_state(state[f"{PREFIX}cpu.0"])
        seeds = torch.randint(2**62, (rank + 1,), generator=start)
        torch.manual_seed(int(seeds[rank]))
        return
    runtime.set_random_state(own)
