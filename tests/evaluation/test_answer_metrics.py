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
    given, expected = [a.given for a in ANSWERS], [a.expected for a in ANSWERS]
    for category, rows in (("a", slice(2)), ("b", slice(2, 4)), ("all", slice(4))):
        wanted = sacrebleu.corpus_bleu(given[rows], [expected[rows]]).score / 100
        assert found.intervals()[category]["bleu"].value == pytest.approx(wanted)
    assert found.values["json"].tolist() == [0, 0, 1, 0]
    assert measure_answers(ANSWERS, ["json"]).values["json"].tolist() == [0, 0, 1, 1]


LONG = [
    Answer("", "?", f"The {a} went to the {b} and met a {c}.", given)
    for a, b, c, given in (
        ("cat", "wood", "fox", "The cat went to the wood and met a fox."),
        ("cat", "hill", "fox", "The cat went to the wood and met a hen."),
        ("dog", "wood", "hen", "The dog sat down."),
        ("owl", "barn", "cow", "An owl went to the barn and met a cow there."),
    )
    for _ in range(5)
]


def test_bleu_is_the_corpuss_and_its_interval_by_answers() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    found = measure_answers(LONG, ["bleu"])
    interval = found.intervals()["all"]["bleu"]
    given, expected = [a.given for a in LONG], [[a.expected for a in LONG]]
    whole = sacrebleu.metrics.BLEU().corpus_score(given, expected, n_bootstrap=1000)
    assert interval.value == pytest.approx(whole.score / 100)
    assert interval.count == len(LONG)
    # The library's own interval is symmetrical and of other draws.
    assert (interval.high - interval.low) / 2 == pytest.approx(whole._ci / 100, rel=0.15)
    best = measure_answers([Answer("", "?", a.expected, a.expected) for a in LONG], ["bleu"])
    compared = best.against(found)["bleu"]
    assert compared.difference.value == pytest.approx(1 - interval.value)
    assert compared.difference.low > 0
    assert compared.p < 0.001
    assert found.against(found)["bleu"].p == 1


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
