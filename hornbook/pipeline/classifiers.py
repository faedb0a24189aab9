"""Stage 7.1 of a run: the pre-trained model made into classifiers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hornbook.checkpoints.store import LoadedModel
from hornbook.console import console
from hornbook.corpus.tables import Labelled
from hornbook.evaluation.classification_report import (
    ClassificationReport,
    classification_report,
    compare,
    majority_baseline,
    tfidf_baseline,
)
from hornbook.finetuning.classification import (
    LabelledSplits,
    classification_dataset,
    classify,
    prepare_classifier,
    read_splits,
)
from hornbook.finetuning.lengths import LengthReport
from hornbook.pipeline.context import Context
from hornbook.pipeline.corpus import LABELLED
from hornbook.pipeline.finetune import (
    Finetuned,
    FinetuneStage,
    WriteUp,
    deciding,
    examples_path,
    warn,
)
from hornbook.sampling.dataset import Examples


def finetune_classifiers(context: Context, base: LoadedModel) -> list[Finetuned]:
    """Train a classifier in each of the recipe's modes."""
    settings = context.recipe.classification
    path = labelled_path(context)
    splits = read_splits(settings, path, context.recipe.runtime.seed)
    for warning in splits.warnings():
        console.print(f"  note: {warning}", style="yellow", markup=False)
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
    train, lengths = _classification_set(context, splits, splits.train, max_length)
    validation = _classification_set(context, splits, splits.validation, max_length)[0]
    warn(lengths)
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
