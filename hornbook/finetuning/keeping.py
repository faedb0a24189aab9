"""How the frozen base of an adapter is kept while the adapter is trained: in few bits, or made quick."""

import torch
from torch import nn

from hornbook.finetuning.frozen import FrozenLinear, narrow_frozen, pack
from hornbook.finetuning.lora import LoRALinear, quicken, set_submodule
from hornbook.finetuning.quantized import BaseForm, quantized

PACKED_BYTES = 2**30
"""Most memory that is given for a few percent of speed."""


def keep_frozen(model: nn.Module, form: BaseForm, dtype: torch.dtype) -> None:
    """Keep the frozen matrices of a model with an adapter as `form` says, for products in `dtype`.

    In place. Digits of theirs may be gone: for a training whose base is kept elsewhere.
    """
    quantize_frozen(model, form)
    narrow_frozen(model, dtype)
    pack_frozen(model)


def freeze(model: nn.Module, dtype: torch.dtype) -> None:
    """Make a model quick at reading many texts, in place: it is only used from then on.

    Its linear layers multiply as frozen ones, with matrices of `dtype`, which autocast must be on for.
    """
    model.requires_grad_(False)
    quicken(model)
    narrow_frozen(model, dtype)


def quantize_frozen(model: nn.Module, form: BaseForm) -> int:
    """Keep the frozen matrices of a model's blocks in few bits, in place; how many there are.

    For a model with an adapter on it, which is not merged. Embedding, head, norms and biases stay as they
    are.
    """
    if form == "float":
        return 0
    changed = 0
    for name, module in list(model.get_submodule("blocks").named_modules()):
        if isinstance(module, LoRALinear):
            module.quantize_base(form)
        elif isinstance(module, FrozenLinear):
            set_submodule(model, f"blocks.{name}", quantized(module, form))
        else:
            continue
        changed += 1
    return changed


def pack_frozen(model: nn.Module, most_bytes: int = PACKED_BYTES) -> int:
    """Keep copies of the blocks' frozen float32 matrices as oneDNN reads them; how many there are.

    None where the copies, which take twice the matrices' memory, would be larger than `most_bytes`.
    """
    found: list[tuple[LoRALinear | FrozenLinear, torch.Tensor]] = []
    for module in model.get_submodule("blocks").modules():
        if isinstance(module, LoRALinear) and isinstance(module.base, nn.Linear):
            found.append((module, module.base.weight))
        elif isinstance(module, FrozenLinear):
            found.append((module, module.weight))
    if 2 * sum(weight.nbytes for _, weight in found) > most_bytes:
        return 0
    for module, weight in found:
        module.packed = pack(weight)
    return sum(module.packed is not None for module, _ in found)
