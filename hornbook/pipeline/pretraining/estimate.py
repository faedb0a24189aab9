"""`hornbook estimate`: what a pre-training will take, before it starts."""

from dataclasses import dataclass

import torch
from rich.console import RenderableType
from rich.table import Table

from hornbook.console import console
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer, count_parameters, shapes_of
from hornbook.pipeline.pretraining.amounts import Amounts
from hornbook.pipeline.pretraining.starting import starting_config
from hornbook.pipeline.recipe import Recipe
from hornbook.runtime import Runtime, choose_runtime
from hornbook.sampling.loader import count_batches
from hornbook.sampling.windows import length_for
from hornbook.training.acceleration import accelerate
from hornbook.training.batch_size import free_memory
from hornbook.training.flops import training_flops
from hornbook.training.guard import SNAPSHOTS
from hornbook.training.memory_needs import state_bytes
from hornbook.training.rehearsal import Rehearsal, rehearse
from hornbook.training.schedule import Plan, plan_training

CHINCHILLA = 20
"""Tokens for each parameter at which a given compute gives the lowest loss, about: Hoffmann et al.
2022, "Training Compute-Optimal Large Language Models", table 3 (20.2 to 21.2 at 0.4 to 67 B)."""
REPEATED_WELL = 4
"""Epochs up to which text seen again teaches nearly as much as new text: Muennighoff et al. 2023,
"Scaling Data-Constrained Language Models"."""


@dataclass(frozen=True)
class Estimate:
    """A pre-training in numbers: counted, except for what `rehearsal` has measured."""

    amounts: Amounts
    plan: Plan
    parameters: int
    parameter_bytes: int
    optimizer_bytes: int
    flops_per_token: float
    evaluated_sequences: int
    """In all evaluations together, the last over the whole test (or validation) split too."""
    checkpoints: int
    """Kept in the end: the newest and the best."""
    guarded: bool
    """Whether a spike guard keeps states to go back to."""
    rehearsal: Rehearsal | None
    """None when the model does not fit into this machine's memory."""
    runtime: Runtime

    @property
    def tokens(self) -> int:
        """Tokens read in the whole run, padding included."""
        return self.plan.total_steps * self.plan.tokens_per_batch

    @property
    def seconds(self) -> float | None:
        """Steps and evaluations together."""
        if self.rehearsal is None:
            return None
        steps = self.plan.total_steps * self.rehearsal.step_seconds
        return steps + self.evaluated_sequences * self.rehearsal.evaluation_seconds

    @property
    def state_bytes(self) -> int:
        """Memory for parameters, gradients, the optimizer's sums and copies of the training's state."""
        return 2 * self.parameter_bytes + self.optimizer_bytes + self.copied_bytes

    @property
    def guard_bytes(self) -> int:
        """Memory for the spike guard's states."""
        return SNAPSHOTS * (self.parameter_bytes + self.optimizer_bytes) if self.guarded else 0

    @property
    def copied_bytes(self) -> int:
        """Memory for the spike guard's states, and for a checkpoint on its way to the disk, which
        of a training on a GPU lies elsewhere."""
        on_its_way = self.checkpoint_bytes if self.runtime.device.type == "cpu" else 0
        return self.guard_bytes + on_its_way

    @property
    def checkpoint_bytes(self) -> int:
        """Of a checkpoint that is due: with a spike guard it holds the state before its own, too."""
        return (self.parameter_bytes + self.optimizer_bytes) * (2 if self.guarded else 1)

    @property
    def disk_bytes(self) -> int:
        """Corpus, tokens and checkpoints; the last has no optimizer, and the model shares the file of
        one of them."""
        data = self.amounts.corpus_bytes + self.amounts.token_bytes
        return data + (self.checkpoints - 1) * self.checkpoint_bytes + self.parameter_bytes

    @property
    def optimal_tokens(self) -> int:
        """The Chinchilla-optimal number of training tokens for a model of this size."""
        return CHINCHILLA * self.parameters

    def __rich__(self) -> RenderableType:
        """A table for the terminal."""
        return _table(self)


def estimate(recipe: Recipe, amounts: Amounts) -> Estimate:
    """Count what can be counted of a recipe's pre-training, and try it for some seconds.

    Raises:
        HornbookError: the recipe is wrong, or the text too short for it.
    """
    runtime = choose_runtime(recipe.runtime)
    config = starting_config(recipe.model, amounts.vocab_size)
    plan, width = _plan(recipe, amounts, config)
    shapes = shapes_of(config)
    parameter_bytes, optimizer_bytes = state_bytes(config, recipe.training, runtime.dtype)
    fits = 2 * parameter_bytes + optimizer_bytes < _free(runtime)
    return Estimate(
        amounts=amounts,
        plan=plan,
        parameters=count_parameters(shapes),
        parameter_bytes=parameter_bytes,
        optimizer_bytes=optimizer_bytes,
        flops_per_token=training_flops(shapes, width),
        evaluated_sequences=_evaluated_sequences(recipe, amounts, plan),
        checkpoints=min(_times(plan, plan.save_every), recipe.training.keep + 1),
        guarded=recipe.training.spike_guard is not None,
        rehearsal=_rehearse(recipe, config, width, runtime) if fits else None,
        runtime=runtime,
    )


def _plan(recipe: Recipe, amounts: Amounts, config: ModelConfig) -> tuple[Plan, int]:
    """The run's plan and the width of its windows, from the number of samples alone."""
    sampling, training = recipe.sampling, recipe.training
    batches = count_batches(amounts.samples["train"], training.batch_size, sampling.drop_last)
    width = length_for(sampling, config.context_length)
    return plan_training(training, batches, training.batch_size * width), width


def _free(runtime: Runtime) -> float:
    """Bytes of memory to be had where the model will be."""
    if runtime.device.type == "cuda":
        return float(torch.cuda.mem_get_info(runtime.device)[0])
    free = free_memory()
    return float("inf") if free is None else float(free)


def _times(plan: Plan, every: int) -> int:
    """How often something is done that is due each so many steps and at the end; 0: at the end."""
    return 1 if every == 0 else -(-plan.total_steps // every)


def _evaluated_sequences(recipe: Recipe, amounts: Amounts, plan: Plan) -> int:
    validation, limit = amounts.samples["validation"], recipe.training.eval_sequences
    at_once = validation if limit is None else min(limit, validation)
    at_the_end = amounts.samples["test"] or validation
    return _times(plan, plan.eval_every) * at_once + at_the_end


def _rehearse(recipe: Recipe, config: ModelConfig, width: int, runtime: Runtime) -> Rehearsal:
    console.print("  trying some steps on random tokens …", style="dim")
    settings = recipe.training
    if settings.micro_batch_size == "auto":
        settings = settings.model_copy(update={"micro_batch_size": None})
    generator = torch.Generator().manual_seed(recipe.runtime.seed)
    model = Transformer(config, generator).to(runtime.device)
    accelerate(model, settings, runtime, same_width=True)
    return rehearse(model, settings, width, runtime)


def _table(found: Estimate) -> Table:
    table = Table("pre-training", "", "how it is known", show_lines=False)
    for section in (_work, _time, _memory, _disk, _chinchilla):
        for row in section(found):
            table.add_row(*row)
        table.add_section()
    return table


def _work(found: Estimate) -> list[tuple[str, str, str]]:
    plan, amounts = found.plan, found.amounts
    corpus = amounts.tokens["train"]
    return [
        ("parameters", f"{found.parameters:,}", "counted"),
        ("training split", f"{corpus:,} tokens", amounts.source),
        ("steps", f"{plan.total_steps:,}", f"of {plan.tokens_per_batch:,} tokens"),
        ("tokens to read", f"{found.tokens:,}", f"{plan.epochs:.3g} epochs"),
        ("compute", _flops(found.tokens * found.flops_per_token), "6 N + 12 L d T for each token"),
    ]


def _time(found: Estimate) -> list[tuple[str, str, str]]:
    rehearsal, seconds = found.rehearsal, found.seconds
    if rehearsal is None or seconds is None:
        return [("time", "unknown", "the model does not fit into this machine's free memory")]
    rate = found.plan.tokens_per_batch / rehearsal.step_seconds
    return [
        ("a step", f"{rehearsal.step_seconds:.3g} s ({rate:,.0f} tokens/s)", rehearsal.source),
        ("time", _duration(seconds), f"with evaluations, without samples; {found.runtime.reason}"),
    ]


def _memory(found: Estimate) -> list[tuple[str, str, str]]:
    rows = [
        ("parameters", _size(found.parameter_bytes), "float32"),
        ("gradients", _size(found.parameter_bytes), "float32"),
        ("optimizer", _size(found.optimizer_bytes), "counted"),
        ("copies", _size(found.copied_bytes), _copies(found)),
    ]
    if found.rehearsal is None:
        return [*rows, ("memory", f"over {_size(found.state_bytes)}", "activations unknown")]
    activations = found.rehearsal.activation_bytes
    total = found.state_bytes + activations
    return [
        *rows,
        ("activations", _size(activations), "measured: what one micro-batch keeps"),
        ("memory", _size(total), "together, beside the process's own"),
    ]


def _copies(found: Estimate) -> str:
    kept = [f"{SNAPSHOTS} states of the spike guard"] if found.guarded else []
    if found.runtime.device.type == "cpu":
        kept.append("a checkpoint while it is written")
    return " and ".join(kept) or "none"


def _disk(found: Estimate) -> list[tuple[str, str, str]]:
    checkpoint = found.checkpoint_bytes
    data = found.amounts.corpus_bytes + found.amounts.token_bytes
    return [
        ("corpus and tokens", _size(data), found.amounts.source),
        ("a checkpoint", _size(checkpoint), f"{found.checkpoints} kept, newest and best"),
        ("disk", _size(found.disk_bytes), f"{_size(checkpoint)} more while one is written"),
    ]


def _chinchilla(found: Estimate) -> list[tuple[str, str, str]]:
    optimal = found.optimal_tokens
    epochs = optimal / found.amounts.tokens["train"]
    compute = _flops(optimal * found.flops_per_token)
    share = found.tokens / optimal
    advice = f"{epochs:.3g} epochs over the training split"
    if epochs > REPEATED_WELL:
        advice += f"; more text would do better, repeating helps for some {REPEATED_WELL}"
    return [
        (
            "Chinchilla-optimal",
            f"{optimal:,} tokens, {compute}",
            f"{CHINCHILLA} tokens for each parameter (Hoffmann et al. 2022)",
        ),
        ("", "", advice),
        ("planned", f"{share:.1%} of that", "tokens to read against optimal tokens"),
    ]


def _flops(count: float) -> str:
    return f"{count:.3g} FLOP"


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
