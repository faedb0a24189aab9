"""What every fine-tuning of a run has in common: a stage of its own, done once.

Each task is trained once for each mode that the recipe lists (everything, a LoRA adapter, ...),
in a stage of its own: classify-full, classify-lora, instruct-full, instruct-lora.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from hornbook import artifact
from hornbook.checkpoints.shards import read_parts, stored_shapes
from hornbook.checkpoints.store import LoadedModel, load_model
from hornbook.console import console
from hornbook.errors import HornbookError
from hornbook.evaluation.intervals import read_interval
from hornbook.evaluation.units import Measured
from hornbook.finetuning.adapter import base_parameters
from hornbook.finetuning.classification import ClassificationSettings, read_splits
from hornbook.finetuning.conversations import read_conversations
from hornbook.finetuning.instruction import InstructionSettings
from hornbook.finetuning.keeping import keep_frozen
from hornbook.finetuning.lengths import LengthReport
from hornbook.finetuning.lora import lora_layers, measure_rows
from hornbook.finetuning.pairs import read_pairs
from hornbook.finetuning.preference import PairExamples, PreferenceSettings
from hornbook.model.transformer import Transformer
from hornbook.pipeline.context import Context
from hornbook.pipeline.models.bundle import save_adapter_bundle, save_bundle
from hornbook.pipeline.models.foreign import kept_facts
from hornbook.pipeline.pretraining.fit import fit
from hornbook.pipeline.pretraining.task import Fitted, Task
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import announce, finish, finished, results_of
from hornbook.sampling.dataset import Examples
from hornbook.sampling.loader import Loader
from hornbook.sampling.packing import PackedExamples
from hornbook.training.objective import NEXT_TOKEN, Loss
from hornbook.training.parallel import Parallel
from hornbook.training.settings import SAME_RESULTS, FinetuningSettings, TrainingSettings
from hornbook.training.strategy import make_parallel

NOT_SET = "{} is not set: name the file of examples to learn from."


Samples = Examples | PackedExamples | PairExamples
TaskSettings = ClassificationSettings | InstructionSettings | PreferenceSettings

Begin = Callable[[Transformer], None]
"""What is done with a model before it is trained."""
WriteUp = Callable[[], tuple[dict[str, Any], Measured]]
"""Saves what a training has come to, measures it and gives the figures, and what they are made of; for
one process to call."""


@dataclass(frozen=True)
class Finetuned:
    """One fine-tuned model, and how it came out."""

    name: str
    results: dict[str, Any]
    folder: Path


def check_examples(recipe: Recipe, goal: str, world_size: int = 1) -> None:
    """Read the example files that a run of so many processes will need, before anything is trained.

    Raises:
        HornbookError: one is not named, not there, or not what it should be.
    """
    if goal == "classify" and not recipe.classifies:
        raise HornbookError(NOT_SET.format("classification.path"))
    if goal == "instruct" and not recipe.instructs:
        raise HornbookError(NOT_SET.format("instruction.path"))
    if goal == "prefer" or (goal == "all" and recipe.prefers):
        _check_pairs(recipe)
    labelled, instructions = recipe.classification, recipe.instruction
    spread = recipe.parallel
    divides = world_size > 1 and (spread.strategy == "fsdp" or spread.tensor > 1)
    for settings, goals in (
        (labelled, ("classify", "all")),
        (instructions, ("instruct", "prefer", "all")),
        (recipe.preference, ("prefer", "all")),
    ):
        adapts = goal in goals and "lora" in settings.train
        if adapts and recipe.lora.base != "float" and divides:
            setting = 'strategy="fsdp"' if spread.tensor == 1 else f"tensor={spread.tensor}"
            raise HornbookError(
                f'lora.base="{recipe.lora.base}" keeps matrices whole in each process, which '
                f'parallel.{setting} divides; set parallel.strategy="ddp" and parallel.tensor=1, or '
                'lora.base="float".'
            )
    if goal in ("classify", "all") and labelled.path is not None:
        read_splits(labelled, Path(labelled.path), recipe.runtime.seed)
    if goal in ("instruct", "prefer", "all") and instructions.path is not None:
        for path in (instructions.path, instructions.validation_path, instructions.test_path):
            if path is not None:
                read_conversations(Path(path))


def _check_pairs(recipe: Recipe) -> None:
    settings = recipe.preference
    if settings.path is None:
        raise HornbookError(NOT_SET.format("preference.path"))
    if settings.start == "instruct" and not (
        recipe.instructs and "full" in recipe.instruction.train
    ):
        raise HornbookError(
            'preference.start "instruct" trains on the model instruct-full; give instruction.path and '
            'have "full" in instruction.train, or set preference.start="pretrain".'
        )
    read_pairs(Path(settings.path))


def examples_path(context: Context, given: str | None, own: str, setting: str) -> Path:
    """The file that the recipe gives, or the corpus's own of that name.

    Raises:
        HornbookError: there is neither; `setting` is named.
    """
    if given is not None:
        return Path(given)
    path = context.example_file(own)
    if path is None:
        raise HornbookError(NOT_SET.format(setting))
    return path


@dataclass(frozen=True)
class FinetuneStage:
    """One fine-tuning: which folder, from which base, in which mode."""

    context: Context
    base: LoadedModel
    name: str
    mode: Any
    examples: Path
    held_out: tuple[Path, ...] = ()
    """Files of examples to measure on, where they are not a share of `examples`."""

    def once(
        self, settings: dict[str, Any], train: Callable[["FinetuneStage"], WriteUp]
    ) -> Finetuned:
        """Train unless it was done from the same base, examples and settings."""
        recipe = self.context.recipe
        key = {
            "settings": {**settings, "train": self.mode},
            "lora": recipe.lora.model_dump(mode="json") if self.mode == "lora" else None,
            "seed": recipe.runtime.seed,
            "precision": recipe.runtime.precision,
        }
        inputs = {
            "base": self.base.manifest.fingerprint,
            "examples": artifact.hash_file(self.examples),
            **{f"held out: {path}": artifact.hash_file(path) for path in self.held_out},
        }
        processes, workspace = self.context.processes, self.context.workspace
        folder = processes.main_first(lambda: workspace.resumable(self.name, key, inputs))
        results = finished(folder)
        state = "unchanged"
        if results is None:
            write_up = train(self)
            results = processes.main_first(
                lambda: finish(folder, *write_up()), lambda: results_of(folder)
            )
            state = f"{results['training_seconds']:.0f} s"
        announce(self.name, state, headline(results))
        return Finetuned(self.name, results, folder)

    @property
    def folder(self) -> Path:
        """Where this stage keeps what it makes."""
        return self.context.workspace.directory / self.name

    @property
    def max_length(self) -> int:
        """Most tokens that the model reads."""
        return self.base.model.config.context_length

    def training(self, settings: TaskSettings) -> FinetuningSettings:
        """How the mode is trained."""
        return settings.lora_training if self.mode == "lora" else settings.training

    @cached_property
    def parallel(self) -> Parallel:
        """How it is spread over the processes that there are.

        A base in few bits is small, and kept whole by each.
        """
        recipe = self.context.recipe
        settings = recipe.parallel
        if self.mode == "lora" and recipe.lora.base != "float":
            settings = settings.model_copy(update={"strategy": "ddp"})
        return make_parallel(settings, self.context.runtime, self.base.model)

    def fresh_base(self) -> Transformer:
        """A copy of the base to train: each mode starts from the same weights.

        Where each process holds a part of the model only, it lies on the meta device, and `fit` has
        every process read its parts.
        The base's own weights are let go (its folder has them), so that memory holds the model but
        once.
        """
        for parameter in self.base.model.parameters():
            parameter.data = parameter.data.new_zeros(()).expand(parameter.shape)  # shapes stay
        place = torch.device("meta") if self.parallel.divides else self.context.runtime.device
        return load_model(self.base.directory, place).model

    def _filling(self, model: Transformer, begin: Begin | None) -> Begin | None:
        """Reads each process's parts of the base, where `model` has its form only; then begins."""
        empty = {name for name, p in base_parameters(model).items() if p.is_meta}
        unmeasured = [
            (name, layer)
            for name, layer in lora_layers(model)
            if layer.magnitude is not None and f"{name}.weight" in empty
        ]

        def read(model: Transformer) -> None:
            stored, parameters = stored_shapes(self.base.directory), base_parameters(model)
            # A matrix that two modules share is stored, and read, under one of its names.
            read_parts(self.base.directory, {n: parameters[n] for n in empty & stored.keys()})
            for name, layer in unmeasured:  # one whole matrix at a time
                matrix = torch.empty(stored[f"{name}.weight"][0])
                read_parts(self.base.directory, {f"{name}.weight": matrix})
                measure_rows(layer, matrix)
            if begin is not None:
                begin(model)

        return read if empty else begin

    def fit(
        self,
        model: Transformer,
        train: Samples,
        validation: Samples | None,
        settings: TaskSettings,
        facts: dict[str, Any],
        loss: Loss = NEXT_TOKEN,
        begin: Begin | None = None,
    ) -> tuple[Fitted, dict[str, Any]]:
        """Train; what came out, and its figures.

        `begin` is called with the model before it changes, when it has its weights and is spread over
        the processes, which all call it together.
        """
        training = self.training(settings)
        if isinstance(train, PackedExamples):
            console.print(f"  {train.describe()}", style="dim")
        seed = self.context.recipe.runtime.seed
        mean_length = train.n_tokens / len(train)
        parallel = self.parallel
        place = parallel.data_rank, parallel.data_size
        batch_size = min(training.batch_size, len(train))
        if batch_size < training.batch_size:
            batch_size -= batch_size % parallel.data_size
        task = Task(
            name=self.name,
            model=model,
            train=Loader(train, batch_size, seed, True, True, *place),
            validation=_in_order(validation, training, parallel),
            settings=training,
            tokenizer_fingerprint=self.context.tokenizer.fingerprint,
            tokens_per_batch=round(mean_length * batch_size),
            facts=facts,
            loss=loss,
            trackers=self.context.recipe.run.trackers,
            recipe=self.context.recipe.model_dump(mode="json"),
            fill=self._filling(model, begin),
        )
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        console.print(f"  {trained:,} parameters trained", style="dim")
        if self.mode == "lora":
            self._keep_base(model, parallel)
        fitted = fit(task, self.folder, self.context.runtime, parallel)
        return fitted, {**fitted.as_dict(), "trained_parameters": trained}

    def _keep_base(self, model: Transformer, parallel: Parallel) -> None:
        """Keep what an adapter leaves as it is in less memory, or so that it is quick."""
        if not parallel.divides:
            keep_frozen(model, self.context.recipe.lora.base, self.context.runtime.dtype)

    def save(self, fitted: Fitted, facts: dict[str, Any]) -> None:
        """Write what the mode has changed of the model."""
        model = fitted.model
        tokenizer = self.context.tokenizer
        facts = {**kept_facts(self.base.facts), **facts}
        if self.mode == "lora":
            lora, base = self.context.recipe.lora, load_model(self.base.directory)
            save_adapter_bundle(self.folder, model, tokenizer, facts, lora, base)
        else:
            save_bundle(self.folder, model, tokenizer, facts, fitted.checkpoint)


def deciding(settings: TaskSettings) -> dict[str, Any]:
    """The settings that decide what comes out, as plain JSON values."""
    free = {"training": SAME_RESULTS, "lora_training": SAME_RESULTS}
    return settings.model_dump(mode="json", exclude=free)


def headline(results: dict[str, Any]) -> str:
    """The result in a line."""
    if "accuracy" in results:
        accuracy = results["accuracy"]
        return (
            f"{_of_all(accuracy)} held-out texts right, {_share(accuracy)}, "
            f"macro F1 {read_interval(results['macro_f1']).shown()}"
        )
    if "preferred" in results:
        margin = read_interval(results["held_out"]["margin"]).shown()
        preferred = results["preferred"]
        return (
            f"the chosen answer preferred in {_of_all(preferred)} held-out pairs, "
            f"{_share(preferred)}, by {margin} on average"
        )
    total = results["answers"]["total"]
    return f"{_of_all(total)} held-out questions right, {_share(total)}"


def _of_all(score: Mapping[str, Any]) -> str:
    return f"{score['right']:,} of {score['count']:,}"


def _share(score: Mapping[str, Any]) -> str:
    return read_interval(score).as_share()


def _in_order(
    examples: Samples | None, settings: TrainingSettings, parallel: Parallel
) -> Loader | None:
    if examples is None:
        return None
    place = parallel.data_rank, parallel.data_size
    return Loader(examples, settings.batch_size, 0, False, False, *place)


def warn(report: LengthReport) -> None:
    """Say when examples lost tokens."""
    warning = report.warning()
    if warning is not None:
        console.print(f"  note: {warning}", style="yellow", markup=False)
