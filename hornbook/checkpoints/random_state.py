"""Where torch's random numbers stood in each process of a training: dropout draws from them.

random.cpu.0, random.cuda.0     of rank 0
random.cpu.1, random.cuda.1     of rank 1 ...
"""

from collections.abc import Mapping

import torch
from torch import Tensor

PREFIX = "random."
CPU, CUDA = PREFIX + "cpu.", PREFIX + "cuda."


def random_state(rank: int = 0) -> dict[str, Tensor]:
    """This process's state; uint8 vectors, named by its rank."""
    state = {f"{CPU}{rank}": torch.get_rng_state()}
    if torch.cuda.is_available():
        state[f"{CUDA}{rank}"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: Mapping[str, Tensor], rank: int = 0) -> None:
    """Put back this process's state.

    A rank that was not there when the state was saved draws numbers of its own, which follow from
    rank 0's state and its number.
    """
    if f"{CPU}{rank}" not in state:
        start = torch.Generator()
        start.set_state(state[f"{CPU}0"])
        seeds = torch.randint(2**62, (rank + 1,), generator=start)
        torch.manual_seed(int(seeds[rank]))
        return
    torch.set_rng_state(state[f"{CPU}{rank}"])
    if f"{CUDA}{rank}" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state[f"{CUDA}{rank}"])
