"""`hornbook verify` for a model: whether it computes what `transformers` computes, layer by layer."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor, nn

from hornbook.checkpoints.loading.extras import require_extra
from hornbook.checkpoints.loading.folders import is_folder, read_config
from hornbook.checkpoints.loading.hub import fetch_model, is_hub_model
from hornbook.checkpoints.loading.tensorflow import find_bundle
from hornbook.checkpoints.loading.text_part import reads_images
from hornbook.console import console
from hornbook.inference.generate import GenerationSettings, generate
from hornbook.model.transformer import Transformer
from hornbook.pipeline.models.bundle import default_runtime, load_bundle
from hornbook.pipeline.models.exporting import export_as_folder

TOLERANCE = 1e-4
"""Largest difference, as a share of the largest number in what is compared."""
LEAST_TOKENS, MOST_TOKENS = 64, 1024
BEYOND_WINDOW = 16
"""Tokens that are read past the end of a sliding window."""
GREEDY_TOKENS = 32


@dataclass(frozen=True)
class Difference:
    """How far one part's output is from the other library's."""

    part: str
    share: float
    """Largest difference over the largest number; NaN counts as infinite."""

    @property
    def departs(self) -> bool:
        """Whether it is more than rounding."""
        return not self.share <= TOLERANCE


def verify_model(path: Path) -> bool:
    """Compare a model with `transformers`, print what was found; whether both agree.

    A folder of the hub is given to `transformers` as it is; one of Hornbook's is exported first.

    Raises:
        HornbookError: the model cannot be loaded or exported, or `transformers` is not installed.
    """
    require_extra("transformers", "comparing a model with transformers")
    path = fetch_model(path) if is_hub_model(path) else path
    bundle = load_bundle(path, default_runtime())
    with tempfile.TemporaryDirectory() as temporary:
        folder = path
        if not is_folder(path) or find_bundle(path) is not None:
            folder = Path(temporary) / "exported"
            export_as_folder(path, folder)
        reference = open_reference(folder)
    ids = _some_ids(bundle.model)
    found = compare_layers(bundle.model, reference, ids)
    console.print(_table(found))
    return _say(found, _greedy_agreement(bundle.model, reference, ids[0, :8].tolist()))


def open_reference(folder: Path) -> Any:
    """The model in `transformers`: float32, no code of the folder's run, nothing fetched."""
    transformers = require_extra("transformers", "comparing a model with transformers")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    tree = read_config(folder)
    kind = transformers.AutoModelForCausalLM
    if reads_images(tree):
        kind = transformers.AutoModelForImageTextToText
    return kind.from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation="eager",
        trust_remote_code=False,
        use_safetensors=True,
        local_files_only=True,
    ).eval()


@torch.no_grad()
def compare_layers(model: Transformer, reference: Any, ids: Tensor) -> list[Difference]:
    """Every part's output beside the other library's, in the order in which they are computed.

    Args:
        model: ours, in evaluation mode.
        reference: the same model in `transformers`, attention "eager".
        ids: int64 (batch, tokens).
    """
    ours, theirs = dict[str, Tensor](), dict[str, Tensor]()
    hooks = []
    for part, own, other in _parts(model, reference):
        hooks.append(own.register_forward_hook(_keep(ours, part)))
        hooks.append(other.register_forward_hook(_keep(theirs, part)))
    try:
        ours["logits"] = model(ids)
        theirs["logits"] = reference(ids, use_cache=False).logits
    finally:
        for hook in hooks:
            hook.remove()
    return [Difference(part, _share(ours[part], theirs[part])) for part in ours]


def _parts(model: Transformer, reference: Any) -> Iterator[tuple[str, nn.Module, nn.Module]]:
    """Names, and the modules of both libraries that compute the same."""
    base = getattr(reference.base_model, "language_model", reference.base_model)
    layers = base.layers if hasattr(base, "layers") else base.h
    for number, (block, layer) in enumerate(zip(model.blocks, layers, strict=True)):
        attention = layer.self_attn if hasattr(layer, "self_attn") else layer.attn
        yield f"attention of layer {number}", block.get_submodule("attention"), attention
        yield f"feed-forward of layer {number}", block.get_submodule("feedforward"), layer.mlp
        yield f"layer {number}", block, layer
    yield "last norm", model.norm, base.norm if hasattr(base, "norm") else base.ln_f


def _keep(kept: dict[str, Tensor], part: str) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        kept[part] = output[0] if isinstance(output, tuple) else output

    return hook


def _share(ours: Tensor, theirs: Tensor) -> float:
    theirs = theirs.reshape(ours.shape)
    share = ((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-30)).item()
    return share if share == share else float("inf")


def _some_ids(model: Transformer) -> Tensor:
    """Token ids that reach past a sliding window, where there is one."""
    config = model.config
    wanted = max(LEAST_TOKENS, (config.window or 0) + BEYOND_WINDOW)
    tokens = min(wanted, MOST_TOKENS, config.context_length)
    generator = torch.Generator().manual_seed(1)
    return torch.randint(config.vocab_size, (1, tokens), generator=generator)


def _greedy_agreement(model: Transformer, reference: Any, prompt: list[int]) -> int:
    """How many tokens both write alike, of those that there is room for."""
    room = min(GREEDY_TOKENS, model.config.context_length - len(prompt))
    greedy = GenerationSettings(max_new_tokens=room, temperature=0)
    ours = list(generate(model, prompt, greedy))
    theirs = reference.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
        max_new_tokens=room,
        min_new_tokens=room,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=[],
    )[0, len(prompt) :].tolist()
    return next(
        (n for n, pair in enumerate(zip(ours, theirs, strict=False)) if len({*pair}) > 1), room
    )


def _table(found: list[Difference]) -> Table:
    table = Table("part", title="Largest difference, as a share of the largest number")
    table.title_justify = "left"
    table.add_column("difference", justify="right")
    for difference in found:
        style = "bold red" if difference.departs else ""
        table.add_row(difference.part, f"{difference.share:.1e}", style=style)
    return table


def _say(found: list[Difference], greedy: int) -> bool:
    first = next((difference for difference in found if difference.departs), None)
    console.print(f"greedy: the first {greedy} tokens are the same", markup=False)
    if first is None:
        console.print(f"the same as transformers: no part departs by more than {TOLERANCE:g}")
        return True
    console.print(f"the first part that departs from transformers is the {first.part}", style="red")
    return False
