"""Which layers an adapter is for, by the ends of their names."""

from collections.abc import Mapping, Sequence
from typing import cast

from torch import nn

from hornbook.errors import HornbookError

ALL_LINEAR = "all-linear"
HEAD = "head"
"""The output layer's name. `all-linear` leaves it out, as `peft` does; name it to adapt it."""


def find_targets(model: nn.Module, targets: Sequence[str]) -> list[str]:
    """Full names of the linear layers that `targets` mean, in the model's order.

    Raises:
        HornbookError: a target matches no linear layer.
    """
    linears = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    chosen: set[str] = set()
    for target in targets:
        matching = [name for name in linears if matches(name, target)]
        if not matching:
            short = dict.fromkeys(_without_block_number(name) for name in linears)
            raise HornbookError(
                f"lora.targets: no linear layer is called {target!r}; expected {ALL_LINEAR!r} "
                f"or ends of these names: {', '.join(short) or '(the model has none)'}."
            )
        chosen.update(matching)
    return [name for name in linears if name in chosen]


def matches(name: str, target: str) -> bool:
    """Whether a layer's name is meant: all of it, or its end."""
    if target == ALL_LINEAR:
        return name != HEAD
    return name == target or name.endswith(f".{target}")


def _without_block_number(name: str) -> str:
    """`blocks.3.attention.query` as `attention.query`."""
    parts = name.split(".")
    numbered = [index for index, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[numbered[-1] + 1 :]) if numbered else name


def refuse_shared(model: nn.Module, names: Sequence[str]) -> None:
    """Make sure that adapting these layers changes no other.

    Raises:
        HornbookError: one shares its matrix with another module.
    """
    owners: dict[int, list[str]] = {}
    for path, parameter in model.named_parameters(remove_duplicate=False):
        owners.setdefault(id(parameter), []).append(path)
    for name in names:
        sharing = owners[id(cast(nn.Linear, model.get_submodule(name)).weight)]
        if len(sharing) > 1:
            raise HornbookError(
                f"lora.targets: {name} shares its matrix with {' and '.join(sharing)}, so "
                "adapting one would change the other; leave it out or untie the model."
            )


def require_ranks(ranks: Mapping[str, int], names: Sequence[str]) -> None:
    """Make sure that each rank is meant for some of the adapted layers, by the ends of their names.

    Raises:
        HornbookError: one is for none, or below 1.
    """
    for end, rank in ranks.items():
        if rank < 1 or not any(matches(name, end) for name in names):
            short = dict.fromkeys(_without_block_number(name) for name in names)
            raise HornbookError(
                f"lora.ranks: {end} = {rank}; expected the end of an adapted layer's name "
                f"({', '.join(short)}) and a rank of 1 or more."
            )
