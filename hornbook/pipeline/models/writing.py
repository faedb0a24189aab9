"""A model opened to write texts, in the precision that `generate`, `chat` and `serve` have in common."""

from dataclasses import replace
from pathlib import Path

import torch

from hornbook.inference.weights import Weights, laid_out, prepared
from hornbook.model.transformer import Transformer
from hornbook.pipeline.models.adapted import load_with_adapter
from hornbook.pipeline.models.bundle import Bundle, load_bundle
from hornbook.runtime import Runtime, RuntimeSettings, choose_runtime


def writing_runtime(weights: Weights | None = None) -> Runtime:
    """Where to write, and how precisely: bfloat16 where this computer multiplies it faster.

    With `weights` the precision is theirs, and what is computed beside them is float32.
    """
    return choose_runtime(RuntimeSettings(precision="auto" if weights is None else "float32"))


def open_to_write(
    path: Path, weights: Weights | None = None, adapter: Path | None = None
) -> Bundle:
    """Open a model's folder, with an adapter merged into it if one is given, ready to write.

    Its weights are made as narrow as they are to be once, not for every text.

    Raises:
        HornbookError: as `load_bundle` and `load_with_adapter`.
    """
    runtime = writing_runtime(weights)
    if adapter is None:
        bundle = load_bundle(path, runtime)
    else:
        bundle = load_with_adapter(path, adapter, runtime)
    chosen = weights or _narrow(runtime)
    model = bundle.model
    model = laid_out(model) if chosen == "float32" else prepared(model, chosen)
    return replace(bundle, model=model, runtime=replace(runtime, dtype=torch.float32))


def ready_to_write(model: Transformer, runtime: Runtime) -> Transformer:
    """A model in memory as `open_to_write` has it, beside the one given, which stays as it is."""
    return prepared(model, _narrow(runtime))


def _narrow(runtime: Runtime) -> Weights:
    return "bfloat16" if runtime.dtype == torch.bfloat16 else "float32"
