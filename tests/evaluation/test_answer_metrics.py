"""Metrics of answers: those of the libraries, by category, and compared."""

import pytest

from hornbook.errors import HornbookError
from hornbook.evaluation.answer_metrics import comparison_table, measure_answers
from hornbook.evaluation.answers import Answer

ANSWERS = [
    Answer("a", "?", "The cat sat.", "the cat sat"),
    Answer("a", "?", "The cat sat.", "the dog sat"),
    Answer("b", "?", "Yes.", '{"x": 1}'),
    Answer("b", "?", "Yes.", '{"x": "one"}'),
]
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}


def test_each_metric_is_its_librarys() -> None:
    pytest.importorskip("rouge_score")
    sacrebleu = pytest.importorskip("sacrebleu")
    found = measure_answers(ANSWERS, ["exact", "rouge1", "rougeL", "bleu", "json"], SCHEMA)
    assert found.values["exact"].tolist() == [1, 0, 0, 0]
    assert found.values["rouge1"].tolist() == pytest.approx([1, 2 / 3, 0, 0])
    assert found.values["rougeL"].tolist() == pytest.approx([1, 2 / 3, 0, 0])
    wanted = sacrebleu.sentence_bleu("the dog sat", ["The cat sat."]).score / 100
    assert found.values["bleu"][1] == pytest.approx(wanted)
    assert found.values["json"].tolist() == [0, 0, 1, 0]
    assert measure_answers(ANSWERS, ["json"]).values["json"].tolist() == [0, 0, 1, 1]


def test_categories_have_their_own_intervals() -> None:
    found = measure_answers(ANSWERS)
    intervals = found.intervals()
    assert list(intervals) == ["a", "b", "all"]
    assert intervals["a"]["exact"].value == 0.5
    assert intervals["b"]["exact"].low == 0
    assert intervals["all"]["exact"].count == 4
    assert found.as_dict()["all"]["exact"]["value"] == 0.25
    assert list(measure_answers(ANSWERS[:2]).intervals()) == ["all"]


def test_two_models_on_the_same_questions() -> None:
    better = [Answer(a.category, a.question, a.expected, a.expected) for a in ANSWERS]
    found = measure_answers(better).against(measure_answers(ANSWERS))["exact"]
    assert found.difference.value == 0.75
    assert found.p == pytest.approx(0.25)
    assert comparison_table("x", "y", {"exact": found}).row_count == 1


def test_what_cannot_be_measured() -> None:
    with pytest.raises(HornbookError, match="unknown metric 'f1'; expected some of exact"):
        measure_answers(ANSWERS, ["f1"])
    with pytest.raises(HornbookError, match="no answers"):
        measure_answers([])
    with pytest.raises(HornbookError, match="not a JSON schema"):
        measure_answers(ANSWERS, ["json"], {"type": "nonsense"})
