"""Scores of answers: what counts as equal, the counts by category and their interval."""

import json

import pytest
from rich.console import Console

from hornbook.errors import HornbookError
from hornbook.evaluation.answers import answer_table, normalize, score_answers
from hornbook.evaluation.proportion import Proportion

REPORT = score_answers(
    ["The garden.", "Three", "Anna", "Tom"],
    ["the  garden", "four", "anna!", ""],
    ["where", "count", "who", "who"],
    ["Where is [bold]Anna[/bold]?", "How many?", "Who?", "Who?"],
)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("The garden.", "  the\ngarden "),
        ("Yes!", "yes"),
        ("Straße", "STRASSE"),
        ("Who? ...", "who"),
        ("", " . "),
    ],
)
def test_equal_answers(left: str, right: str) -> None:
    assert normalize(left) == normalize(right)


@pytest.mark.parametrize(
    ("left", "right"), [("3.5", "35"), ("a b", "ab"), ("Anna", "Anna and Tom")]
)
def test_different_answers(left: str, right: str) -> None:
    assert normalize(left) != normalize(right)


def test_counts_by_category() -> None:
    assert REPORT.total == Proportion(2, 4)
    assert REPORT.categories == {
        "count": Proportion(0, 1),
        "where": Proportion(1, 1),
        "who": Proportion(1, 2),
    }


def test_wilson_interval_against_a_published_one() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3: 81 of 263.
    low, high = Proportion(81, 263).interval()
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert Proportion(0, 0).interval() == (0.0, 1.0)
    assert Proportion(0, 20).interval()[0] == 0.0


def test_examples_show_right_and_wrong_of_each_category() -> None:
    shown = [(a.category, a.right) for a in REPORT.examples(1)]
    assert shown == [("count", False), ("where", True), ("who", True), ("who", False)]


def test_as_dict_is_json_and_tables_show_user_text_literally() -> None:
    tree = json.loads(json.dumps(REPORT.as_dict()))
    assert tree["total"]["value"] == 0.5
    assert tree["categories"]["who"]["count"] == 2
    console = Console(width=120)
    with console.capture() as capture:
        console.print(REPORT, answer_table(REPORT.answers))
    text = capture.get()
    assert "50.0 %" in text
    assert "[bold]Anna[/bold]" in text


def test_lists_of_different_lengths_or_none_are_refused() -> None:
    with pytest.raises(HornbookError, match="2 expected, 1 given"):
        score_answers(["a", "b"], ["a"], ["", ""])
    with pytest.raises(HornbookError, match="0 expected"):
        score_answers([], [], [])
