"""Labelled texts: one spelling, split class by class, held out, and what is warned of."""

from pathlib import Path

import pytest

from hornbook.corpus.document import Document
from hornbook.corpus.labelled import (
    LeaveOut,
    require_one_spelling,
    split_as_given,
    split_by_class,
    warnings_of,
)
from hornbook.corpus.tables import Labelled, read_labelled
from hornbook.errors import HornbookError


def test_labels_that_only_spelling_tells_apart_are_refused() -> None:
    require_one_spelling(["spam", "ham", "spam"], "here")
    with pytest.raises(HornbookError, match=r"'Not Spam' \(1 time\) and 'not-spam' \(2 times\)"):
        require_one_spelling(["not-spam", "not-spam", "Not Spam", "spam"], "here")


def test_each_class_has_its_share_in_every_set() -> None:
    examples = [Labelled(f"text {n}", "rare" if n % 10 == 0 else "often") for n in range(200)]
    sets = split_by_class(examples, 1, 0.1, 0.2)
    assert [len(part) for part in sets] == [140, 20, 40]
    assert [sum(e.label == "rare" for e in part) for part in sets] == [14, 2, 4]
    assert sorted(e.text for part in sets for e in part) == sorted(e.text for e in examples)
    assert split_by_class(examples, 1, 0.1, 0.2) == sets != split_by_class(examples, 2, 0.1, 0.2)


def test_equal_texts_stay_together_whatever_their_label() -> None:
    examples = [Labelled(f"Text {n}", "ab"[n % 2]) for n in range(50)]
    examples += [Labelled(f" text  {n} ", "ba"[n % 2]) for n in range(50)]
    train, validation, test = split_by_class(examples, 3, 0.2, 0.2)
    numbers = [{e.text.split()[1] for e in part} for part in (train, validation, test)]
    assert not (numbers[0] & numbers[1] | numbers[0] & numbers[2] | numbers[1] & numbers[2])


def test_a_class_of_two_texts_is_trained_on() -> None:
    examples = [Labelled(f"text {n}", "often") for n in range(30)]
    rare = [Labelled("a", "rare"), Labelled("b", "rare")]
    train, _, test = split_by_class([*examples, *rare], 1, 0.1, 0.2)
    assert set(rare) <= set(train)
    assert len(test) == 6
    with pytest.raises(HornbookError, match="too few for a validation set"):
        split_by_class(rare, 1, 0.1, 0.2)


def test_sets_as_the_table_says(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label,set\na,x,train\nb,y,Dev\nc,x,test\n", encoding="utf-8")
    examples = read_labelled(path, split_column="set")
    assert [[e.text for e in part] for part in split_as_given(examples, "a.csv")] == [
        ["a"], ["b"], ["c"],
    ]  # fmt: skip
    path.write_text("text,label,set\na,x,train\nb,y,often\n", encoding="utf-8")
    with pytest.raises(HornbookError, match="split is 'often'; expected one of train"):
        split_as_given(read_labelled(path, split_column="set"), "a.csv")


def test_duplicates_contradictions_and_sets_of_one_class_are_told() -> None:
    train = [Labelled("Win a prize", "spam"), Labelled("see you", "ham"), Labelled("ok", "ham")]
    test = [Labelled("win  a PRIZE", "ham"), Labelled("lunch", "ham")]
    found = "\n".join(warnings_of((train, [], test)))
    assert "texts that stand there with more than one label: 1" in found
    assert "1 of 2 texts of the test set are in the training set too" in found
    assert "the test set has texts of one class only ('ham')" in found
    assert warnings_of((train, [], [Labelled("a", "ham"), Labelled("b", "spam")])) == []


def test_held_out_texts_are_left_out_of_a_corpus() -> None:
    step = LeaveOut(["Win a prize", "other"])
    documents = [Document(text, text) for text in ("win a  prize", "win a prize now", "hello")]
    assert [d.text for d in step.apply(iter(documents))] == ["win a prize now", "hello"]
    assert (step.tallies[0].seen, step.tallies[0].removed) == (3, 1)


def test_a_parquet_table_and_several_labels(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"text": ["a", "b"], "label": [1, 0], "tags": [["x", "y"], []]})
    parquet.write_table(table, tmp_path / "a.parquet")
    read = read_labelled(tmp_path / "a.parquet")
    assert read == [Labelled("a", "1"), Labelled("b", "0")]
    tagged = read_labelled(tmp_path / "a.parquet", label_column="tags", separator=";")
    assert tagged == [Labelled("a", "x;y"), Labelled("b", "")]
    with pytest.raises(HornbookError, match="no column 'topic'; its columns are: text, label"):
        read_labelled(tmp_path / "a.parquet", label_column="topic")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(HornbookError, match="no whole parquet file"):
        read_labelled(tmp_path / "b.parquet")
