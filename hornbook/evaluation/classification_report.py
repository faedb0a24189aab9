"""What a classifier gets right and wrong, and how simpler ones fare on the same texts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hornbook.errors import HornbookError
from hornbook.evaluation.class_scores import ClassScore, ClassScores, Truth, class_scores
from hornbook.evaluation.proportion import Proportion

Probabilities = npt.NDArray[np.float64]
"""(texts, classes); each row sums to 1."""


@dataclass(frozen=True)
class WrongExample:
    """A text that was classified wrongly."""

    text: str
    expected: str
    given: str
    probability: float
    """What the model gave the right class."""


@dataclass(frozen=True)
class ClassificationReport:
    """A classifier's figures on one set of texts."""

    accuracy: Proportion
    scores: ClassScores
    """By class."""
    confusion: tuple[tuple[int, ...], ...]
    """Row: the true class; column: the class given. Empty where texts can be of several classes."""
    wrong: tuple[WrongExample, ...]
    """The most wrong first: those whose right class got the least probability."""

    @property
    def macro_f1(self) -> float:
        """Mean of the F1 of the classes that there are texts of."""
        return self.scores.macro_f1.value

    @property
    def classes(self) -> tuple[ClassScore, ...]:
        """Each class's figures."""
        return self.scores.classes

    def headline(self) -> dict[str, Any]:
        """Right answers and macro F1 with their intervals, plain JSON values."""
        return {
            "accuracy": self.accuracy.as_dict(),
            "macro_f1": self.scores.macro_f1.as_dict(),
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "accuracy": self.accuracy.as_dict(),
            **self.scores.as_dict(),
            "confusion": [list(row) for row in self.confusion],
            "wrong": [asdict(example) for example in self.wrong],
        }

    def __rich__(self) -> Group:
        """Figures by class, confusions and the most wrong texts, to print in a terminal."""
        macro = self.scores.macro_f1.shown()
        headline = f"Right: {self.accuracy} of {self.accuracy.total:,}; macro F1 {macro}"
        parts: list[RenderableType] = [Text(headline), _class_table(self)]
        if self.scores.absent:
            parts.append(Text(absent_sentence(self.scores.absent)))
        if self.confusion:
            parts.append(_confusion_table(self))
        return Group(*parts, _wrong_table(self)) if self.wrong else Group(*parts)


def absent_sentence(labels: Sequence[str]) -> str:
    """Which classes nothing is known of."""
    return f"Without a text here, so not in the macro F1: {', '.join(labels)}."


def classification_report(
    classes: Sequence[str],
    expected: Sequence[int],
    probabilities: Probabilities,
    texts: Sequence[str],
    worst: int = 10,
) -> ClassificationReport:
    """Measure a classifier.

    Args:
        classes: the classes' names, in the order of the columns.
        expected: each text's true class, an index into `classes`.
        probabilities: (texts, classes).
        texts: what was classified.
        worst: how many of the wrongly classified to keep.

    Raises:
        HornbookError: no texts, or lengths that do not agree.
    """
    if not len(expected) or len(expected) != len(texts):
        raise HornbookError(f"nothing to report: {len(expected)} labels for {len(texts)} texts.")
    if probabilities.shape != (len(expected), len(classes)):
        raise HornbookError(
            f"probabilities are {probabilities.shape}, "
            f"expected ({len(expected)}, {len(classes)}): a row per text, a column per class."
        )
    from sklearn.metrics import confusion_matrix

    true = np.asarray(expected)
    given = probabilities.argmax(axis=1)
    indices = np.arange(len(classes))
    matrix = confusion_matrix(true, given, labels=indices)
    return ClassificationReport(
        accuracy=Proportion(int((true == given).sum()), len(true)),
        scores=class_scores(classes, true[:, None] == indices, given[:, None] == indices),
        confusion=tuple(tuple(int(count) for count in row) for row in matrix),
        wrong=_most_wrong(classes, true, given, probabilities, texts)[:worst],
    )


def _most_wrong(
    classes: Sequence[str],
    true: npt.NDArray[np.int64],
    given: npt.NDArray[np.int64],
    probabilities: Probabilities,
    texts: Sequence[str],
) -> tuple[WrongExample, ...]:
    of_true = probabilities[np.arange(len(true)), true]
    wrong = np.flatnonzero(true != given)
    return tuple(
        WrongExample(texts[i], classes[true[i]], classes[given[i]], float(of_true[i]))
        for i in wrong[np.argsort(of_true[wrong], kind="stable")]
    )


def many_labels_report(
    classes: Sequence[str],
    true: Truth,
    probabilities: Probabilities,
    texts: Sequence[str],
    worst: int = 10,
    thresholds: float | Sequence[float] = 0.5,
) -> ClassificationReport:
    """Measure a classifier whose texts can be of several classes, or of none.

    A text is right when all its classes are given and no other. There are no confusions to count.

    Args:
        classes: the classes' names, in the order of the columns.
        true: which texts are of which class, bool (texts, classes).
        probabilities: of each class by itself, (texts, classes).
        texts: what was classified.
        worst: how many of the wrongly classified to keep.
        thresholds: the probability from which on a class is given; one for all, or one for each.

    Raises:
        HornbookError: no texts, or shapes that do not agree.
    """
    if not len(texts) or true.shape != probabilities.shape or len(true) != len(texts):
        raise HornbookError(
            f"nothing to report: labels are {true.shape} and probabilities {probabilities.shape} "
            f"for {len(texts)} texts; expected a row per text, a column per class."
        )
    given = probabilities >= np.asarray(thresholds)
    right = (true == given).all(axis=1)
    of_true = np.where(true, probabilities, 1 - probabilities).min(axis=1)
    wrong = np.flatnonzero(~right)
    named = [", ".join(np.asarray(classes)[row]) or "none" for row in true]
    said = [", ".join(np.asarray(classes)[row]) or "none" for row in given]
    return ClassificationReport(
        accuracy=Proportion(int(right.sum()), len(true)),
        scores=class_scores(classes, true, given),
        confusion=(),
        wrong=tuple(
            WrongExample(texts[i], named[i], said[i], float(of_true[i]))
            for i in wrong[np.argsort(of_true[wrong], kind="stable")][:worst]
        ),
    )


def tfidf_baseline(
    train_texts: Sequence[str], train_true: Truth, texts: Sequence[str], many: bool = False
) -> Probabilities:
    """What logistic regression on weighted word counts says: the bar that a model has to pass.

    Single words and pairs, TF-IDF weighted (scikit-learn's defaults but for the pairs and
    sublinear counts). A class without a training text gets probability 0.

    Args:
        train_texts: to learn from.
        train_true: which of them are of which class, bool (texts, classes).
        texts: to classify.
        many: each class is a question of its own.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    # Any run of non-space characters is a word: the default drops one-letter words and signs,
    # and finds no word at all in texts made of such.
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]")
    counted = words.fit_transform(list(train_texts))
    asked = words.transform(list(texts))
    probabilities = np.zeros((len(texts), train_true.shape[1]))
    if not many:
        model = LogisticRegression(max_iter=1000, C=10.0).fit(counted, train_true.argmax(axis=1))
        probabilities[:, model.classes_] = model.predict_proba(asked)
        return probabilities
    for number, wanted in enumerate(train_true.T):
        probabilities[:, number] = wanted.mean()
        if wanted.any() and not wanted.all():
            model = LogisticRegression(max_iter=1000, C=10.0).fit(counted, wanted)
            probabilities[:, number] = model.predict_proba(asked)[:, 1]
    return probabilities


def majority_baseline(train_true: Truth, n_texts: int, many: bool = False) -> Probabilities:
    """What is right by always giving the most frequent class of the training set (or, of classes
    asked one by one, those that most texts are of)."""
    share = train_true.mean(axis=0)
    row = share if many else np.eye(len(share))[share.argmax()]
    return np.tile(row, (n_texts, 1))


def compare(reports: Mapping[str, ClassificationReport]) -> Table:
    """One row per classifier: its name, and its accuracy and macro F1 with their intervals."""
    table = Table("classifier", title="On the same texts", title_justify="left")
    table.add_column("right (95 % interval)", justify="right")
    table.add_column("macro F1 (95 % interval)", justify="right")
    for name, report in reports.items():
        table.add_row(Text(name), str(report.accuracy), report.scores.macro_f1.shown())
    return table


def _class_table(report: ClassificationReport) -> Table:
    table = Table("class", title="By class, with the 95 % interval", title_justify="left")
    for name in ("precision", "recall", "F1", "texts"):
        table.add_column(name, justify="right")
    for score in report.classes:
        figures = (one.shown() for one in (score.precision, score.recall, score.f1))
        table.add_row(Text(score.label), *figures, f"{score.support:,}")
    return table


def _confusion_table(report: ClassificationReport) -> Table:
    table = Table("true class", title="Confusions: given class by column", title_justify="left")
    for score in report.classes:
        table.add_column(Text(score.label), justify="right")
    for score, row in zip(report.classes, report.confusion, strict=True):
        table.add_row(Text(score.label), *(f"{count:,}" for count in row))
    return table


def _wrong_table(report: ClassificationReport) -> Table:
    table = Table("true class", "given", title="Most wrong", title_justify="left")
    table.add_column("p(true)", justify="right")
    table.add_column("text", overflow="fold")
    for example in report.wrong:
        labels = (Text(example.expected), Text(example.given))
        table.add_row(*labels, f"{example.probability:.3f}", Text(example.text))
    return table
