"""A LoRA adapter as an artifact of its own: A and B, without the base model's weights.

Kilobytes to megabytes where the base takes hundreds. The manifest holds a fingerprint of the
base's weights, so that an adapter is never put on another model than the one it was trained on.
"""

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from hornbook.artifact import Manifest, new_directory, read_manifest, write_manifest
from hornbook.config import validate
from hornbook.errors import HornbookError
from hornbook.finetuning.lora import LoRASettings, apply_lora, lora_layers, set_submodule
from hornbook.finetuning.quantized import QuantizedLinear

KIND = "adapter"
WEIGHTS = "adapter.safetensors"


def save_adapter(
    directory: Path,
    model: nn.Module,
    settings: LoRASettings,
    base_fingerprint: str,
    facts: Mapping[str, Any] | None = None,
    base: nn.Module | None = None,
) -> Manifest:
    """Write the adapter on `model` to `directory`, replacing what stood there.

    `adapter.safetensors` holds `<layer>.A` and `<layer>.B` of every adapted layer (with DoRA
    `<layer>.magnitude` too), and whole the modules that are trained whole or that the base model
    does not have (a new `head`).

    Args:
        directory: where to write.
        model: carries the adapter, not merged.
        settings: those given to `apply_lora`.
        base_fingerprint: the base checkpoint's, for the record.
        facts: anything else for the manifest.
        base: the model without its adapter, if the frozen weights of `model` were narrowed, or are
            kept in few bits.

    Raises:
        HornbookError: the model carries no adapter, or a merged one.
    """
    layers = dict(lora_layers(model))
    if not layers:
        raise HornbookError("the model carries no LoRA adapter to save.")
    if any(layer.merged for layer in layers.values()):
        raise HornbookError("the LoRA adapter is merged into the model; unmerge it to save it.")
    if base is None and any(isinstance(module, QuantizedLinear) for module in model.modules()):
        raise HornbookError(
            "the adapter's base is kept in few bits (lora.base); give the base as it is, too, so that "
            "the adapter can be known as its."
        )
    parameters, stored = base_parameters(model), _stored_whole(model)
    tensors = _adapter_parameters(model)
    tensors |= {name: p for name, p in parameters.items() if _inside(name, stored)}
    with new_directory(directory) as work:
        content = {name: p.detach().cpu().contiguous() for name, p in tensors.items()}
        save_file(content, work / WEIGHTS)
        return write_manifest(
            work,
            KIND,
            settings.model_dump(mode="json"),
            {
                "base": base_fingerprint,
                "base_weights": weights_fingerprint(base or model, stored),
            },
            {**(facts or {}), "whole": stored},
        )


def load_adapter(directory: Path, model: nn.Module) -> Manifest:
    """Put the adapter in `directory` onto its base model, in place.

    Modules that the adapter stores whole (a classifier's head) replace the model's. Afterwards
    A, B and those modules are trainable and everything else is frozen.

    Raises:
        HornbookError: not an adapter, a damaged one, or one trained on another model.
    """
    manifest = read_manifest(directory, KIND)
    settings = validate(LoRASettings, manifest.settings, f"{directory}/manifest.json")
    whole = [str(name) for name in manifest.facts.get("whole", [])]
    if weights_fingerprint(model, whole) != manifest.inputs.get("base_weights"):
        raise HornbookError(
            f"{directory} was trained on another model (its base is checkpoint "
            f"{manifest.inputs.get('base', '?')[:12]}); load that one, in the same precision."
        )
    try:
        tensors = load_file(directory / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise HornbookError(f"{directory / WEIGHTS} cannot be read: {error}.") from None
    for name in whole:
        _replace_linear(model, name, tensors)
    apply_lora(model, settings, new_modules=whole)
    _fill(model, whole, tensors, directory / WEIGHTS)
    return manifest


def _stored_whole(model: nn.Module) -> list[str]:
    """Modules that are trained whole, or that the base model does not have; of those that share a
    matrix the first."""
    first = {id(p): name for name, p in reversed(base_parameters(model).items()) if p.requires_grad}
    trained = {name.rpartition(".")[0] for name in first.values()}
    return sorted(trained | {name for name, layer in lora_layers(model) if layer.base_is_new})


def weights_fingerprint(model: nn.Module, without: Collection[str] = ()) -> str:
    """SHA-256 of a model's weights by name, whether or not an adapter is on them.

    The same before `apply_lora` and after training, since LoRA leaves the base alone; modules
    named in `without` (a new head) do not count. Tied weights count under each of their names,
    so that swapping the head of a tied model changes only the head's share.
    """
    lines = []
    for name, parameter in base_parameters(model).items():
        if not _inside(name, without):
            data = parameter.detach().cpu().contiguous()
            digest = hashlib.sha256(data.flatten().view(torch.uint8).numpy().data).hexdigest()
            lines.append(f"{name} {data.dtype} {tuple(data.shape)} {digest}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _adapter_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """What every adapted layer trains, as `<layer>.A`, `<layer>.B` (and `<layer>.magnitude`)."""
    return {
        f"{name}.{part}": parameter
        for name, layer in lora_layers(model)
        for part, parameter in layer.trained().items()
    }


def base_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """All other weights, under the names that they have without an adapter."""
    adapted = {f"{name}.base": name for name, _ in lora_layers(model)}
    adapter = _adapter_parameters(model)
    parameters = {}
    for path, parameter in model.named_parameters(remove_duplicate=False):
        if path not in adapter:
            owner, _, leaf = path.rpartition(".")
            parameters[f"{adapted.get(owner, owner)}.{leaf}"] = parameter
    return parameters


def _inside(name: str, modules: Collection[str]) -> bool:
    return any(name.startswith(f"{module}.") for module in modules)


def _replace_linear(model: nn.Module, name: str, tensors: Mapping[str, torch.Tensor]) -> None:
    """A linear layer of the stored size in the place of `name`, on the old one's device."""
    old = model.get_submodule(name)
    if isinstance(old, nn.Linear) and f"{name}.weight" in tensors:
        weight = tensors[f"{name}.weight"]
        outputs, inputs = weight.shape
        bias = f"{name}.bias" in tensors
        new = nn.Linear(inputs, outputs, bias, device="meta", dtype=weight.dtype)
        set_submodule(model, name, new.to_empty(device=old.weight.device))


@torch.no_grad()
def _fill(
    model: nn.Module, whole: Collection[str], tensors: Mapping[str, torch.Tensor], file: Path
) -> None:
    """Copy the stored tensors to their places; each place is filled and no tensor left over."""
    places = _adapter_parameters(model)
    places |= {name: p for name, p in base_parameters(model).items() if _inside(name, whole)}
    expected = {name: tuple(place.shape) for name, place in places.items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = sorted({name for name, _ in expected.items() ^ found.items()})
    if wrong:
        name = wrong[0]
        raise HornbookError(
            f"{file} does not fit the model: {name} is {found.get(name, 'absent')}, "
            f"expected {expected.get(name, 'absent')}; make the adapter again."
        )
    for name, place in places.items():
        place.copy_(tensors[name])
