"""Stage 7 of a run: the pre-trained model made into classifiers and followers of instructions.

Each task is trained once for each mode that the recipe lists (everything, a LoRA adapter, ...),
in a stage of its own: classify-full, classify-lora, instruct-full, instruct-lora.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbook import artifact
from hornbook.checkpoints.store import LoadedModel, load_model
from hornbook.console import console
from hornbook.corpus.tables import (
    Instruction,
    Labelled,
    read_instructions,
    read_labelled,
    split_examples,
)
from hornbook.errors import HornbookError
from hornbook.evaluation.classification_report import (
    ClassificationReport,
    classification_report,
    compare,
    majority_baseline,
    tfidf_baseline,
)
from hornbook.finetuning.classification import (
    ClassificationSettings,
    LabelledSplits,
    classification_dataset,
    classify,
    prepare_classifier,
    split_labelled,
)
from hornbook.finetuning.instruction import (
    InstructionSettings,
    instruction_dataset,
    prepare_follower,
)
from hornbook.finetuning.lengths import LengthReport
from hornbook.model.transformer import Transformer
from hornbook.pipeline.bundle import load_bundle, save_adapter_bundle, save_bundle
from hornbook.pipeline.context import Context
from hornbook.pipeline.corpus import INSTRUCTIONS, LABELLED
from hornbook.pipeline.fit import Task, fit
from hornbook.pipeline.measure import answer_all
from hornbook.pipeline.recipe import Recipe
from hornbook.pipeline.workspace import announce, finish, finished, results_of
from hornbook.sampling.dataset import Examples
from hornbook.sampling.loader import Loader
from hornbook.sampling.packing import PackedExamples
from hornbook.training.parallel import Parallel, make_parallel
from hornbook.training.settings import SAME_RESULTS, TrainingSettings

_NOT_SET = "{} is not set: name the file of examples to learn from."

WriteUp = Callable[[], dict[str, Any]]
"""Saves what a training has come to, measures it and gives the figures; for one process to call."""


@dataclass(frozen=True)
class Finetuned:
    """One fine-tuned model, and how it came out."""

    name: str
    results: dict[str, Any]
    folder: Path


def finetune_classifiers(context: Context, base: LoadedModel) -> list[Finetuned]:
    """Train a classifier in each of the recipe's modes."""
    settings = context.recipe.classification
    path = labelled_path(context)
    examples = read_labelled(path, settings.text_column, settings.label_column)
    splits = split_labelled(examples, settings, context.recipe.runtime.seed)
    found = []
    for mode in settings.train:
        stage = _Stage(context, base, f"classify-{mode}", mode, path)
        found.append(stage.once(_deciding(settings), lambda s: _classifier(s, splits)))
    return found


def finetune_followers(context: Context, base: LoadedModel) -> list[Finetuned]:
    """Train a follower of instructions in each of the recipe's modes."""
    settings = context.recipe.instruction
    path = instructions_path(context)
    splits = instruction_splits(context)
    found = []
    for mode in settings.train:
        stage = _Stage(context, base, f"instruct-{mode}", mode, path)
        found.append(stage.once(_deciding(settings), lambda s: _follower(s, *splits)))
    return found


def instruction_splits(
    context: Context,
) -> tuple[list[Instruction], list[Instruction], list[Instruction]]:
    """The recipe's instructions for training, validation and test."""
    settings = context.recipe.instruction
    shares = settings.validation_share, settings.test_share
    examples = read_instructions(instructions_path(context))
    return split_examples(examples, context.recipe.runtime.seed, *shares)


def check_examples(recipe: Recipe, goal: str) -> None:
    """Read the example files that a run will need, before anything is trained.

    Raises:
        HornbookError: one is not named, not there, or not what it should be.
    """
    if goal == "classify" and not recipe.classifies:
        raise HornbookError(_NOT_SET.format("classification.path"))
    if goal == "instruct" and not recipe.instructs:
        raise HornbookError(_NOT_SET.format("instruction.path"))
    labelled, instructions = recipe.classification, recipe.instruction
    for settings, goals in ((labelled, ("classify", "all")), (instructions, ("instruct", "all"))):
        if goal in goals and "lora" in settings.train and recipe.parallel.tensor > 1:
            raise HornbookError(
                f"parallel.tensor {recipe.parallel.tensor} cannot divide layers that carry a LoRA "
                "adapter; set parallel.tensor=1, or leave lora out of classification.train and "
                "instruction.train."
            )
    if goal in ("classify", "all") and labelled.path is not None:
        read_labelled(Path(labelled.path), labelled.text_column, labelled.label_column)
    if goal in ("instruct", "all") and instructions.path is not None:
        read_instructions(Path(instructions.path))


def labelled_path(context: Context) -> Path:
    """The file of labelled texts: the recipe's, or the sample world's.

    Raises:
        HornbookError: there is neither.
    """
    given = context.recipe.classification.path
    return _examples_path(context, given, LABELLED, "classification.path")


def instructions_path(context: Context) -> Path:
    """The file of instruction examples: the recipe's, or the sample world's.

    Raises:
        HornbookError: there is neither.
    """
    given = context.recipe.instruction.path
    return _examples_path(context, given, INSTRUCTIONS, "instruction.path")


def _examples_path(context: Context, given: str | None, own: str, setting: str) -> Path:
    if given is not None:
        return Path(given)
    path = context.corpus.example_file(own)
    if path is None:
        raise HornbookError(_NOT_SET.format(setting))
    return path


@dataclass(frozen=True)
class _Stage:
    """One fine-tuning: which folder, from which base, in which mode."""

    context: Context
    base: LoadedModel
    name: str
    mode: Any
    examples: Path

    def once(self, settings: dict[str, Any], train: Callable[["_Stage"], WriteUp]) -> Finetuned:
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
        }
        processes, workspace = self.context.processes, self.context.workspace
        folder = processes.main_first(lambda: workspace.resumable(self.name, key, inputs))
        results = finished(folder)
        state = "unchanged"
        if results is None:
            write_up = train(self)
            results = processes.main_first(
                lambda: finish(folder, write_up()), lambda: results_of(folder)
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

    def fresh_base(self) -> Transformer:
        """A copy of the base to train: each mode starts from the same weights."""
        return load_model(self.base.directory, self.context.runtime.device).model

    def fit(
        self,
        model: Transformer,
        train: Examples | PackedExamples,
        validation: Examples | None,
        settings: ClassificationSettings | InstructionSettings,
        facts: dict[str, Any],
    ) -> tuple[Transformer, dict[str, Any]]:
        """Train; the model, whole, and the training's figures."""
        training = settings.lora_training if self.mode == "lora" else settings.training
        if isinstance(train, PackedExamples):
            console.print(f"  {train.describe()}", style="dim")
        seed = self.context.recipe.runtime.seed
        mean_length = train.n_tokens / len(train)
        parallel = make_parallel(self.context.recipe.parallel, self.context.runtime, model)
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
            trackers=self.context.recipe.run.trackers,
            recipe=self.context.recipe.model_dump(mode="json"),
        )
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        console.print(f"  {trained:,} parameters trained", style="dim")
        fitted = fit(task, self.folder, self.context.runtime, parallel)
        return fitted.model, {**fitted.as_dict(), "trained_parameters": trained}

    def save(self, model: Transformer, facts: dict[str, Any]) -> None:
        """Write what the mode has changed of the model."""
        tokenizer = self.context.tokenizer
        if self.mode == "lora":
            lora = self.context.recipe.lora
            save_adapter_bundle(self.folder, model, tokenizer, facts, lora, self.base)
        else:
            save_bundle(self.folder, model, tokenizer, facts)


def _deciding(settings: ClassificationSettings | InstructionSettings) -> dict[str, Any]:
    """The settings that decide what comes out, as plain JSON values."""
    free = {"training": SAME_RESULTS, "lora_training": SAME_RESULTS}
    return settings.model_dump(mode="json", exclude=free)


def headline(results: dict[str, Any]) -> str:
    """The result in a line."""
    if "accuracy" in results:
        accuracy = results["accuracy"]
        return (
            f"{accuracy['right']:,} of {accuracy['total']:,} held-out texts right "
            f"({accuracy['share']:.1%}), macro F1 {results['macro_f1']:.3f}"
        )
    total = results["answers"]["total"]
    return (
        f"{total['right']:,} of {total['total']:,} held-out questions right ({total['share']:.1%})"
    )


def _in_order(
    examples: Examples | None, settings: TrainingSettings, parallel: Parallel
) -> Loader | None:
    if examples is None:
        return None
    place = parallel.data_rank, parallel.data_size
    return Loader(examples, settings.batch_size, 0, False, False, *place)


def _warn(report: LengthReport) -> None:
    warning = report.warning()
    if warning is not None:
        console.print(f"  note: {warning}", style="yellow", markup=False)


def _classifier(stage: _Stage, splits: LabelledSplits) -> WriteUp:
    context, settings = stage.context, stage.context.recipe.classification
    max_length = min(settings.max_length or stage.max_length, stage.max_length)
    train, lengths = _classification_set(context, splits, splits.train, max_length)
    validation = _classification_set(context, splits, splits.validation, max_length)[0]
    _warn(lengths)
    model = stage.fresh_base()
    seed = context.recipe.runtime.seed
    prepare_classifier(model, len(splits.classes), stage.mode, context.recipe.lora, seed)
    facts = {"task": "classify", "labels": list(splits.classes), "max_length": max_length}
    held_out = validation if splits.validation else None
    trained, figures = stage.fit(model, train, held_out, settings, facts)

    def write_up() -> dict[str, Any]:
        stage.save(trained, facts)
        test = splits.test or splits.validation or splits.train
        texts = [example.text for example in test]
        given = classify(
            trained, context.tokenizer, texts, context.runtime, max_length=max_length, batch_size=64
        )
        report = classification_report(splits.classes, splits.targets(test), given, texts)
        baselines = _baselines(splits, test)
        console.print(compare({stage.name: report, **baselines}))
        return {
            **figures,
            **report.as_dict(),
            "labels": list(splits.classes),
            "examples": {"train": len(splits.train), "test": len(test)},
            "baselines": {
                name: {"share": baseline.accuracy.share, "macro_f1": baseline.macro_f1}
                for name, baseline in baselines.items()
            },
        }

    return write_up


def _classification_set(
    context: Context, splits: LabelledSplits, examples: Sequence[Labelled], max_length: int
) -> tuple[Examples, LengthReport]:
    texts = [example.text for example in examples]
    return classification_dataset(texts, splits.targets(examples), context.tokenizer, max_length)


def _baselines(splits: LabelledSplits, test: Sequence[Labelled]) -> dict[str, ClassificationReport]:
    """What simpler classifiers reach on the same texts, so that one sees what the model is worth."""
    texts, targets = [e.text for e in test], splits.targets(test)
    train_texts, train_targets = [e.text for e in splits.train], splits.targets(splits.train)
    n_classes = len(splits.classes)
    found = {
        "TF-IDF and logistic regression": tfidf_baseline(
            train_texts, train_targets, texts, n_classes
        ),
        "always the most frequent class": majority_baseline(train_targets, len(texts), n_classes),
    }
    return {
        name: classification_report(splits.classes, targets, probabilities, texts)
        for name, probabilities in found.items()
    }


def _follower(
    stage: _Stage,
    train: Sequence[Instruction],
    validation: Sequence[Instruction],
    test: Sequence[Instruction],
) -> WriteUp:
    context, settings = stage.context, stage.context.recipe.instruction
    max_length = min(settings.max_length or stage.max_length, stage.max_length)
    arguments = (context.tokenizer, settings.template, max_length, settings.mask_prompt)
    train_set, report = instruction_dataset(train, *arguments)
    validation_set = instruction_dataset(validation, *arguments)[0] if validation else None
    _warn(report)
    console.print(
        f"  {report.trained_tokens:,} answer tokens trained; {report.ends_trained:,} of "
        f"{report.kept:,} examples train the model to stop",
        style="dim",
    )
    model = stage.fresh_base()
    asked = (test or validation or train)[: settings.questions]
    prepare_follower(model, stage.mode, context.recipe.lora, context.recipe.runtime.seed)
    facts = {"task": "instruct", "template": settings.template, "turns": 1}
    seed = context.recipe.runtime.seed
    samples = PackedExamples(train_set, max_length, seed) if settings.packing else train_set
    trained, figures = stage.fit(model, samples, validation_set, settings, facts)

    def write_up() -> dict[str, Any]:
        stage.save(trained, facts)
        answers = answer_all(load_bundle(stage.folder, context.runtime), asked)
        console.print(answers)
        return {
            **figures,
            "answers": answers.as_dict(per_category=3),
            "examples": {"train": len(train), "test": len(test)},
        }

    return write_up
