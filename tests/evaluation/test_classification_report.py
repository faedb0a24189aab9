"""A classifier's figures against a hand-worked example, and the baselines."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from hornbook.errors import HornbookError
from hornbook.evaluation.classification_report import (
    classification_report,
    compare,
    majority_baseline,
    tfidf_baseline,
)

CLASSES = ["ham", "spam"]
EXPECTED = [0, 0, 0, 1, 1]
PROBABILITIES = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7], [0.99, 0.01]])
TEXTS = ["hi", "lunch?", "call me", "WIN", "[red]free[/red]"]
REPORT = classification_report(CLASSES, EXPECTED, PROBABILITIES, TEXTS)


def test_figures_of_a_hand_worked_example() -> None:
    # Given: ham ham spam spam ham. Spam: 1 of 2 given is right, 1 of 2 is found.
    assert (REPORT.accuracy.right, REPORT.accuracy.total) == (3, 5)
    assert REPORT.confusion == ((2, 1), (1, 1))
    ham, spam = REPORT.classes
    assert [one.value for one in (spam.precision, spam.recall, spam.f1)] == [0.5, 0.5, 0.5]
    assert spam.support == 2
    assert [one.value for one in (ham.precision, ham.recall)] == [pytest.approx(2 / 3), 2 / 3]
    assert ham.support == 3
    assert REPORT.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_the_most_wrong_comes_first() -> None:
    assert [example.text for example in REPORT.wrong] == ["[red]free[/red]", "call me"]
    assert (REPORT.wrong[0].expected, REPORT.wrong[0].given) == ("spam", "ham")
    assert REPORT.wrong[0].probability == 0.01
    assert len(classification_report(CLASSES, EXPECTED, PROBABILITIES, TEXTS, worst=1).wrong) == 1


def test_a_class_never_given_nor_seen_is_named_without_a_warning() -> None:
    report = classification_report(["a", "b", "c"], [0, 1], np.eye(3)[[0, 0]], ["x", "y"])
    assert [score.f1.value for score in report.classes] == [pytest.approx(2 / 3), 0.0, 0.0]
    assert report.macro_f1 == pytest.approx(1 / 3)
    console = Console(width=120)
    with console.capture() as capture:
        console.print(report)
    assert "Without a text here, so not in the macro F1: c." in capture.get()


def test_as_dict_is_json_and_tables_show_user_text_literally() -> None:
    tree = json.loads(json.dumps(REPORT.as_dict()))
    assert tree["accuracy"]["value"] == 0.6
    assert tree["classes"][1]["label"] == "spam"
    console = Console(width=120)
    with console.capture() as capture:
        console.print(REPORT, compare({"model": REPORT}))
    text = capture.get()
    assert "60.0 %" in text
    assert "[red]free[/red]" in text


def test_baselines_learn_words_and_the_most_frequent_class() -> None:
    texts = ["free prize now", "win a prize", "see you at home", "home soon", "lunch at home ?"]
    labels = [2, 2, 0, 0, 0]
    true = np.equal.outer(labels, np.arange(3))
    probabilities = tfidf_baseline(texts, true, ["a free prize", "at home"])
    assert probabilities.argmax(axis=1).tolist() == [2, 0]
    assert probabilities[:, 1].tolist() == [0.0, 0.0]  # no such training text
    assert majority_baseline(true, 2).tolist() == [[1.0, 0.0, 0.0]] * 2


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(HornbookError, match="a row per text"):
        classification_report(CLASSES, [0], PROBABILITIES, ["x"])
    with pytest.raises(HornbookError, match="nothing to report"):
        classification_report(CLASSES, [], PROBABILITIES[:0], [])


def test_tfidf_on_sms_spam() -> None:
    path = Path(__file__).parents[3] / "shared/data/sms-spam.tsv"
    if not path.is_file():
        pytest.skip("no ../shared/data")
    rows = [line.split("\t", 1) for line in path.read_text("utf-8").splitlines()[1:]]
    labels, texts = [int(label == "spam") for label, _ in rows], [text for _, text in rows]
    true = np.equal.outer(labels[:4000], np.arange(2))
    probabilities = tfidf_baseline(texts[:4000], true, texts[4000:])
    report = classification_report(CLASSES, labels[4000:], probabilities, texts[4000:])
    assert report.accuracy.share > 0.97
