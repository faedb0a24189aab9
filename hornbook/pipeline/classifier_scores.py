"""How a trained classifier comes out: figures, pictures and predictions, for the report and as files."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hornbook.artifact import write_text
from hornbook.console import console
from hornbook.corpus.tables import Labelled
from hornbook.evaluation.calibration import (
    at_threshold,
    calibrate,
    choose_threshold,
    fit_temperature,
    scaled,
)
from hornbook.evaluation.classification_report import (
    ClassificationReport,
    Probabilities,
    Truth,
    classification_report,
    compare,
    majority_baseline,
    many_labels_report,
    tfidf_baseline,
)
from hornbook.evaluation.curves import curves
from hornbook.finetuning.classification import LabelledSplits
from hornbook.report.classifier_plots import precision_recall, reliability, roc
from hornbook.report.plots import confusion_matrix

PREDICTIONS = "predictions.jsonl"
CLEARLY = 1.2
"""By how much one class must be larger for the other to be the one that is looked for."""

Classify = Callable[[Sequence[str]], Probabilities]
"""Probabilities (texts, classes) of texts, with temperature 1."""


@dataclass(frozen=True)
class Scores:
    """What a classifier is measured to be."""

    splits: LabelledSplits
    test: Sequence[Labelled]
    temperature: float
    """By the validation set; 1 where there is none, or where texts have several labels."""
    report: ClassificationReport
    given: Probabilities
    """Of the test set, with the temperature."""
    results: dict[str, Any]
    """Plain JSON values."""


def measure_classifier(classify: Classify, splits: LabelledSplits, name: str) -> Scores:
    """Measure on the test set (else validation, else training), and print the table."""
    test = splits.test or splits.validation or splits.train
    raw, chosen_on = classify(_texts(test)), splits.validation if splits.test else []
    validation = classify(_texts(chosen_on)) if chosen_on else None
    many = splits.separator is not None
    temperature = 1.0
    if validation is not None and not many:
        temperature = fit_temperature(validation, splits.targets(chosen_on))
    given = raw if many else scaled(raw, temperature)
    report = report_of(splits, test, given)
    baselines = _baselines(splits, test)
    console.print(compare({name: report, **baselines}))
    true = _true(splits, test)
    results: dict[str, Any] = {
        **report.as_dict(),
        "labels": list(splits.classes),
        "examples": {"train": len(splits.train), "test": len(test)},
        "curves": [one.as_dict() for one in curves(splits.classes, true, given)],
        "baselines": {
            other: {"share": baseline.accuracy.share, "macro_f1": baseline.macro_f1}
            for other, baseline in baselines.items()
        },
    }
    if not many:
        results["calibration"] = calibrate(raw, splits.targets(test), temperature).as_dict()
    if len(splits.classes) == 2 and not many and validation is not None:
        positive = looked_for(splits)
        scores = scaled(validation, temperature)[:, positive]
        threshold = choose_threshold(scores, _true(splits, chosen_on)[:, positive])
        label = splits.classes[positive]
        reached = at_threshold(label, given[:, positive], true[:, positive], threshold)
        results["threshold"] = reached.as_dict()
    return Scores(splits, test, temperature, report, given, results)


def looked_for(splits: LabelledSplits) -> int:
    """Of two classes the one that is looked for: the clearly rarer in training, else the last by
    name."""
    counts = np.bincount(splits.targets(splits.train), minlength=2)
    return int(counts[1] <= CLEARLY * counts[0])


def write_files(folder: Path, scores: Scores) -> None:
    """Write each test text with its probabilities, and the pictures, beside the model."""
    lines = []
    for example, row in zip(scores.test, scores.given.tolist(), strict=True):
        shares = dict(zip(scores.splits.classes, (round(p, 6) for p in row), strict=True))
        record = {"text": example.text, "expected": example.label, "probabilities": shares}
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    write_text(folder / PREDICTIONS, "".join(lines))
    for name, picture in pictures(scores.results).items():
        write_text(folder / f"{name}.svg", picture)


def pictures(results: dict[str, Any]) -> dict[str, str]:
    """SVG elements by name, those that the results have figures for."""
    found = {}
    if results["confusion"]:
        found["confusion"] = confusion_matrix(results["confusion"], results["labels"])
    if results.get("curves"):
        found["roc"] = roc(results["curves"])
        found["precision-recall"] = precision_recall(results["curves"])
    if results.get("calibration"):
        found["reliability"] = reliability(results["calibration"])
    return found


def _texts(examples: Sequence[Labelled]) -> list[str]:
    return [example.text for example in examples]


def _true(splits: LabelledSplits, examples: Sequence[Labelled]) -> Truth:
    """Which texts are of which class, bool (texts, classes)."""
    targets = np.asarray(splits.targets(examples))
    classes = np.arange(len(splits.classes))
    if splits.separator is None:
        return np.asarray(targets[:, None] == classes)
    return np.asarray((targets[:, None] >> classes) & 1 == 1)


def report_of(
    splits: LabelledSplits, test: Sequence[Labelled], given: Probabilities
) -> ClassificationReport:
    """The figures of these probabilities (texts, classes) on some of the splits' texts."""
    if splits.separator is None:
        return classification_report(splits.classes, splits.targets(test), given, _texts(test))
    return many_labels_report(splits.classes, _true(splits, test), given, _texts(test))


def _baselines(splits: LabelledSplits, test: Sequence[Labelled]) -> dict[str, ClassificationReport]:
    """What simpler classifiers reach on the same texts, so that one sees what the model is worth."""
    train, known = _texts(splits.train), _true(splits, splits.train)
    many = splits.separator is not None
    found = {
        "TF-IDF and logistic regression": tfidf_baseline(train, known, _texts(test), many),
        "always the most frequent class": majority_baseline(known, len(test), many),
    }
    return {name: report_of(splits, test, given) for name, given in found.items()}
