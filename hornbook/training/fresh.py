"""A model's first weights, where no process has room for all of them.

A model on the meta device has shapes and no numbers. It is divided as it is; then each process makes
room for its own parts alone (`take_room`) and fills them: from a checkpoint, or drawn here. What is
drawn is what one process would draw: one parameter at a time, whole, from the same generator, of which
the process keeps its part.
"""

import torch
from torch import Tensor, nn

from hornbook.divided import local
from hornbook.model.transformer import Transformer
from hornbook.training.shards import cuts_of, part_of


def form_of(model: nn.Module) -> bool:
    """Whether some of a model's parameters are shapes only, on the meta device."""
    return any(parameter.is_meta for parameter in model.parameters())


def take_room(model: nn.Module, device: torch.device) -> None:
    """Give every parameter on the meta device memory on `device`, in place: this process's part.

    The numbers are arbitrary. A parameter that two modules share stays one.
    """
    taken: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.is_meta:
                if id(parameter) not in taken:
                    room: Tensor = torch.empty_like(parameter, device=device)
                    taken[id(parameter)] = nn.Parameter(room, parameter.requires_grad)
                setattr(module, name, taken[id(parameter)])


@torch.no_grad()
def draw_parts(model: Transformer, generator: torch.Generator) -> None:
    """Draw a divided model's weights afresh: the same numbers as `Transformer.initialize` draws.

    Beside its own parts a process needs memory for one whole parameter at a time.
    """
    model.reset_constants()
    for parameter, draw in model.draws():
        full = torch.empty(parameter.shape, dtype=parameter.dtype)
        draw(full, generator)
        local(parameter).copy_(part_of(full, cuts_of(parameter)))
