"""Stage 7.1 of a run: the pre-trained model made into classifiers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbook.checkpoints.store import LoadedModel
from hornbook.console import console
from hornbook.corpus.tables import Labelled
from hornbook.evaluation.units import Measured
from hornbook.finetuning.classification import (
    ClassificationSettings,
    LabelledSplits,
    classification_dataset,
    classify,
    prepare_classifier,
    read_splits,
)
from hornbook.finetuning.criteria import (
    ManyLabels,
    WeightedClasses,
    class_weights,
    yes_weights,
)
from hornbook.finetuning.pooling import pool
from hornbook.pipeline.context import Context
from hornbook.pipeline.corpora.corpus import LABELLED
from hornbook.pipeline.corpora.private import note_examples
from hornbook.pipeline.measuring.classifier_scores import measure_classifier, write_files
from hornbook.pipeline.tuning.finetune import (
    Finetuned,
    FinetuneStage,
    WriteUp,
    deciding,
    examples_path,
    warn,
)
from hornbook.sampling.dataset import Examples

Criterion = ManyLabels | WeightedClasses


def finetune_classifiers(context: Context, base: LoadedModel) -> list[Finetuned]:
    """Train a classifier in each of the recipe's modes."""
    settings = context.recipe.classification
    path = labelled_path(context)
    splits = read_splits(settings, path, context.recipe.runtime.seed)
    for warning in splits.warnings():
        console.print(f"  note: {warning}", style="yellow", markup=False)
    examples = (*splits.train, *splits.validation, *splits.test)
    note_examples((example.text for example in examples), context.recipe.privacy, path)
    found = []
    for mode in settings.train:
        stage = FinetuneStage(context, base, f"classify-{mode}", mode, path)
        found.append(stage.once(deciding(settings), lambda s: _classifier(s, splits)))
    return found


def labelled_path(context: Context) -> Path:
    """The file of labelled texts: the recipe's, or the sample world's.

    Raises:
        HornbookError: there is neither.
    """
    given = context.recipe.classification.path
    return examples_path(context, given, LABELLED, "classification.path")


def _classifier(stage: FinetuneStage, splits: LabelledSplits) -> WriteUp:
    context, settings = stage.context, stage.context.recipe.classification
    max_length = min(settings.max_length or stage.max_length, stage.max_length)
    batch_size = stage.training(settings).batch_size

    def examples_of(examples: Sequence[Labelled], bucketed: int | None) -> tuple[Examples, Any]:
        texts, targets = [e.text for e in examples], splits.targets(examples)
        return classification_dataset(
            texts, targets, context.tokenizer, max_length, settings.pooling, bucketed
        )

    train, lengths = examples_of(splits.train, batch_size)
    validation = examples_of(sorted(splits.validation, key=lambda e: len(e.text)), None)[0]
    warn(lengths)
    model = stage.fresh_base()
    seed = context.recipe.runtime.seed
    prepare_classifier(model, len(splits.classes), stage.mode, context.recipe.lora, seed)
    pool(model, settings.pooling)
    model.criterion = _criterion(settings, splits)
    facts: dict[str, Any] = {
        "task": "classify",
        "labels": list(splits.classes),
        "max_length": max_length,
        "pooling": settings.pooling,
        "many": settings.multi_label,
        "separator": settings.label_separator,
    }
    held_out = validation if splits.validation else None
    fitted, figures = stage.fit(model, train, held_out, settings, facts)
    trained = fitted.model

    def classified(texts: Sequence[str]) -> npt.NDArray[np.float64]:
        return classify(
            trained,
            context.tokenizer,
            texts,
            context.runtime,
            max_length=max_length,
            pooling=settings.pooling,
            many=settings.multi_label,
        )

    def write_up() -> tuple[dict[str, Any], Measured]:
        if trained is not model:  # gathered from several processes
            pool(trained, settings.pooling)
        scores = measure_classifier(classified, splits, stage.name)
        stage.save(fitted, {**facts, **scores.facts()})
        write_files(stage.folder, scores)
        return {**figures, **scores.results}, scores.measured

    return write_up


def _criterion(settings: ClassificationSettings, splits: LabelledSplits) -> Criterion | None:
    """How the loss is counted; None for cross-entropy."""
    targets, classes = splits.targets(splits.train), len(splits.classes)
    weighted = settings.imbalance == "class-weights"
    if settings.multi_label:
        return ManyLabels(yes_weights(targets, classes) if weighted else None)
    return WeightedClasses(class_weights(targets, classes)) if weighted else None
