"""`hornbook inspect`: what a model is made of."""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table

from hornbook.checkpoints.loading.hub import is_hub_model
from hornbook.console import console
from hornbook.model.config import ModelConfig
from hornbook.model.presets import PRESETS, ModelSettings, resolve
from hornbook.model.transformer import Transformer, count_parameters, shapes_of
from hornbook.pipeline.models.bundle import default_runtime, load_bundle
from hornbook.training.flops import forward_flops, training_flops
from hornbook.training.memory_needs import memory_needs
from hornbook.training.process_memory import process_peak
from hornbook.training.settings import TrainingSettings

BYTES = {"float32": 4.0, "bfloat16": 2.0, "int8": 1.0}
"""Of a number. Weights in int8 have scales beside them, one for each row."""


def inspect_model(
    what: str, vocab_size: int, layers: bool, rows: int | None = None
) -> RenderableType:
    """Tables about a preset or a model's folder; with `rows`, about training on so many sequences.

    Raises:
        HornbookError: neither a preset nor a model.
    """
    if what in PRESETS or not (is_hub_model(what) or "/" in what or Path(what).exists()):
        config = resolve(ModelSettings(preset=what), vocab_size)
        model = shapes_of(config)  # without memory: the largest preset shows at once
        facts: dict[str, str] = {"preset": what}
    else:
        bundle = load_bundle(Path(what), default_runtime())
        model, config = bundle.model, bundle.model.config
        facts = {name: str(value) for name, value in bundle.facts.items()}
        if bundle.manifest.files:
            facts["fingerprint"] = bundle.manifest.fingerprint
    parts: list[RenderableType] = [_facts(facts, config), _parameters(model)]
    parts += [_sizes(model), _arithmetic(model)]
    if rows is not None:
        parts.append(_training(config, rows))
    return Group(*parts, _layers(model)) if layers else Group(*parts)


def _facts(facts: dict[str, str], config: ModelConfig) -> Table:
    table = Table("setting", "value")
    for name, value in {**facts, **config.model_dump(exclude_none=True)}.items():
        table.add_row(name, str(value))
    return table


def _parameters(model: Transformer) -> Table:
    """Parameters by part; a matrix that two parts share counts for the first."""
    table = Table("part", title="Parameters", title_justify="left")
    table.add_column("number", justify="right")
    table.add_column("share", justify="right")
    total, counted = count_parameters(model), set[int]()
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if id(parameter) not in counted:
            counted.add(id(parameter))
            part = _part(name)
            counts[part] = counts.get(part, 0) + parameter.numel()
    for part, count in counts.items():
        table.add_row(part, f"{count:,}", f"{count / total:.1%}")
    table.add_section()
    table.add_row("all", f"{total:,}", "")
    return table


def _part(name: str) -> str:
    """`blocks.3.attention.query.weight` as `attention`."""
    parts = name.split(".")
    return parts[2].replace("_", " ") if parts[0] == "blocks" else parts[0]


def _sizes(model: Transformer) -> Table:
    config, total = model.config, count_parameters(model)
    table = Table("size", title="Sizes", title_justify="left")
    for dtype in BYTES:
        table.add_column(dtype, justify="right")
    cache = 2 * config.n_layers * config.kv_heads * config.head_dim
    table.add_row("weights", *(f"{total * size / 2**20:,.1f} MiB" for size in BYTES.values()))
    kept = [f"{cache * size:,.0f} bytes" if size > 1 else "" for size in BYTES.values()]
    table.add_row("cache, each token", *kept)
    return table


def _arithmetic(model: Transformer) -> Table:
    """FLOPs for each token of a text of the model's whole context."""
    width = model.config.context_length
    table = Table("FLOPs a token", title="Arithmetic", title_justify="left")
    table.add_column("number", justify="right")
    table.add_column("of texts of")
    for name, count in (("forward", forward_flops), ("training", training_flops)):
        table.add_row(name, f"{count(model, width):.4g}", f"{width:,} tokens")
    return table


def _training(config: ModelConfig, rows: int) -> Table:
    """Bytes that a training holds, in float32 on a CPU."""
    width = config.context_length
    needs = memory_needs(config, TrainingSettings(), rows, width, default_runtime())
    title = f"Training with {rows:,} sequences of {width:,} tokens at once"
    table = Table("memory", title=title, title_justify="left")
    table.add_column("float32", justify="right")
    for name in ("parameters", "optimizer", "gradients", "activations", "working"):
        table.add_row(name, f"{getattr(needs, name) / 2**20:,.1f} MiB")
    table.add_section()
    table.add_row("peak of its tensors", f"{needs.total / 2**20:,.1f} MiB")
    console.print("  trying few layers in a process of their own …", style="dim")
    peak = process_peak(config, TrainingSettings(), rows, width, default_runtime())
    if peak is not None:
        table.add_row("peak of the process", f"{peak / 2**20:,.1f} MiB")
    return table


def _layers(model: Transformer) -> Table:
    table = Table("tensor", "shape")
    for name, parameter in model.named_parameters():
        table.add_row(name, " x ".join(map(str, parameter.shape)))
    return table
