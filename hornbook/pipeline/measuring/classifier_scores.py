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
    choose_thresholds,
    decisions,
    fit_temperature,
    fit_temperatures,
    scaled,
    scaled_yes,
)
from hornbook.evaluation.class_scores import Truth
from hornbook.evaluation.classification_report import (
    ClassificationReport,
    Probabilities,
    classification_report,
    compare,
    majority_baseline,
    many_labels_report,
    tfidf_baseline,
)
from hornbook.evaluation.curves import curves
from hornbook.evaluation.f1 import MACRO, f1_counts
from hornbook.evaluation.units import Measured, Units
from hornbook.finetuning.classification import LabelledSplits
from hornbook.pipeline.measuring.measure import hash_labelled
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
    temperature: float | list[float]
    """By the validation set; 1 where there is none. Of each class, where texts can have several."""
    thresholds: list[float] | None
    """From which probability on each class is given, where texts can have several."""
    report: ClassificationReport
    given: Probabilities
    """Of the test set, with the temperature."""
    results: dict[str, Any]
    """Plain JSON values."""
    measured: Measured
    """Of each text of the test set, whether it is right, and what macro F1 counts."""

    def facts(self) -> dict[str, Any]:
        """What a classifier's folder notes, to decide by."""
        found: dict[str, Any] = {"temperature": self.temperature}
        return found if self.thresholds is None else {**found, "thresholds": self.thresholds}


def measure_classifier(classify: Classify, splits: LabelledSplits, name: str) -> Scores:
    """Measure on the test set (else validation, else training), and print the table."""
    test = splits.test or splits.validation or splits.train
    raw, chosen_on = classify(_texts(test)), splits.validation if splits.test else []
    validation = classify(_texts(chosen_on)) if chosen_on else None
    temperature, thresholds = _fitted(splits, validation, chosen_on)
    given = tempered(raw, temperature)
    report = report_of(splits, test, given, thresholds)
    baselines = _baselines(splits, test, chosen_on)
    console.print(compare({name: report, **baselines}))
    true = _true(splits, test)
    results: dict[str, Any] = {
        **report.as_dict(),
        "labels": list(splits.classes),
        "examples": {"train": len(splits.train), "test": len(test)},
        "curves": [one.as_dict() for one in curves(splits.classes, true, given)],
        "baselines": {other: baseline.headline() for other, baseline in baselines.items()},
    }
    if isinstance(temperature, list):
        assert thresholds is not None
        found = decisions(splits.classes, raw, true, temperature, thresholds)
        results["decisions"] = [one.as_dict() for one in found]
    else:
        results["calibration"] = calibrate(raw, splits.targets(test), temperature).as_dict()
        if len(splits.classes) == 2 and validation is not None:
            tempered_validation = scaled(validation, temperature)
            known = _true(splits, chosen_on)
            results["threshold"] = _threshold(splits, tempered_validation, known, given, true)
    classes = _given(given, thresholds)
    right = Units((classes == true).all(axis=1).astype(np.float64))
    figures = {"right": right, MACRO: Units(f1_counts(classes, true))}
    measured = Measured(hash_labelled(test), figures)
    return Scores(splits, test, temperature, thresholds, report, given, results, measured)


def _given(probabilities: Probabilities, thresholds: Sequence[float] | None) -> Truth:
    """Which texts are taken for which class, bool (texts, classes)."""
    if thresholds is not None:
        return np.asarray(probabilities >= np.asarray(thresholds))
    best = probabilities.argmax(axis=1)
    return np.asarray(best[:, None] == np.arange(probabilities.shape[1]))


def _fitted(
    splits: LabelledSplits, validation: Probabilities | None, chosen_on: Sequence[Labelled]
) -> tuple[float | list[float], list[float] | None]:
    """Temperature, or temperatures and thresholds of each class, that suit the validation set best."""
    count = len(splits.classes)
    if splits.separator is None:
        known = splits.targets(chosen_on)
        return (1.0 if validation is None else fit_temperature(validation, known)), None
    if validation is None:
        return [1.0] * count, [0.5] * count
    true = _true(splits, chosen_on)
    temperatures = fit_temperatures(validation, true)
    return temperatures, choose_thresholds(scaled_yes(validation, temperatures), true)


def tempered(probabilities: Probabilities, temperature: float | list[float]) -> Probabilities:
    """Probabilities (texts, classes) with logits divided by one temperature, or each class's own."""
    if isinstance(temperature, list):
        return scaled_yes(probabilities, temperature)
    return scaled(probabilities, temperature)


def _threshold(
    splits: LabelledSplits,
    validation: Probabilities,
    known: Truth,
    given: Probabilities,
    true: Truth,
) -> dict[str, Any]:
    """Of two classes the threshold of the one that is looked for, and what it reaches on the test set."""
    positive = looked_for(splits)
    threshold = choose_threshold(validation[:, positive], known[:, positive])
    label = splits.classes[positive]
    return at_threshold(label, given[:, positive], true[:, positive], threshold).as_dict()


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
    splits: LabelledSplits,
    test: Sequence[Labelled],
    given: Probabilities,
    thresholds: Sequence[float] | None = None,
) -> ClassificationReport:
    """The figures of these probabilities (texts, classes) on some of the splits' texts.

    `thresholds` are those of each class where texts can have several; 0.5 when not given.
    """
    if splits.separator is None:
        return classification_report(splits.classes, splits.targets(test), given, _texts(test))
    true, drawn = _true(splits, test), 0.5 if thresholds is None else thresholds
    return many_labels_report(splits.classes, true, given, _texts(test), thresholds=drawn)


def _baselines(
    splits: LabelledSplits, test: Sequence[Labelled], chosen_on: Sequence[Labelled]
) -> dict[str, ClassificationReport]:
    """What simpler classifiers reach on the same texts, so that one sees what the model is worth.

    Where texts can have several labels, their thresholds are chosen on the validation set, too.
    """
    train, known = _texts(splits.train), _true(splits, splits.train)
    many = splits.separator is not None
    asked = [*test, *chosen_on]
    found = {
        "TF-IDF and logistic regression": tfidf_baseline(train, known, _texts(asked), many),
        "always the most frequent class": majority_baseline(known, len(asked), many),
    }
    reports = {}
    for name, given in found.items():
        thresholds = None
        if many and chosen_on:
            thresholds = choose_thresholds(given[len(test) :], _true(splits, chosen_on))
        reports[name] = report_of(splits, test, given[: len(test)], thresholds)
    return reports
