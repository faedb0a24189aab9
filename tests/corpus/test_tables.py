"""Labelled and instruction examples are read, written and split without loss."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.corpus.tables import (
    Instruction,
    Labelled,
    balance,
    read_instructions,
    read_labelled,
    require_classes,
    split_examples,
    write_instructions,
    write_labelled,
)
from hornbook.errors import HornbookError

DATA = Path(__file__).parents[2] / "../shared/data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")

TRICKY = ['He said "yes", twice', '"quoted"', "a, b\\n", "'", "  spaces ", "ünï 😀", "a\tb", "a\nb"]


@needs_data
def test_every_message_of_the_sms_collection_comes_out() -> None:
    examples = read_labelled(DATA / "sms-spam.tsv", text_column="SMS", label_column="Label")
    assert Counter(example.label for example in examples) == {"ham": 4_827, "spam": 747}
    lines = (DATA / "sms-spam.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert [f"{example.label}\t{example.text}" for example in examples] == lines


@needs_data
def test_every_instruction_comes_out() -> None:
    examples = read_instructions(DATA / "instruction-data.json")
    assert len(examples) == 1_100
    assert examples[2] == Instruction(
        "Convert 45 kilometers to meters.", "", "45 kilometers is 45000 meters."
    )
    assert [len(part) for part in split_examples(examples, 1, 0.05, 0.10)] == [935, 55, 110]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".tsv"])
def test_labelled_examples_are_read_as_they_were_written(tmp_path: Path, suffix: str) -> None:
    texts = [text for text in TRICKY if suffix != ".tsv" or not set(text) & {"\t", "\n"}]
    examples = [Labelled(text, f"class {number % 2}") for number, text in enumerate(texts)]
    write_labelled(tmp_path / f"a{suffix}", examples)
    assert read_labelled(tmp_path / f"a{suffix}") == examples


def test_tsv_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(HornbookError, match=r"example 2 has a tab or a line break"):
        write_labelled(tmp_path / "a.tsv", [Labelled("x", "y"), Labelled("a\tb", "z")])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_instructions_are_read_as_they_were_written(tmp_path: Path, suffix: str) -> None:
    examples = [Instruction(text, text, text, "kind") for text in TRICKY]
    write_instructions(tmp_path / f"a{suffix}", examples)
    assert read_instructions(tmp_path / f"a{suffix}") == examples


def test_other_columns_crlf_blank_lines_and_number_labels_are_taken(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,body,kind\r\n1,"x\r\ny", a \r\n\r\n2,z,b\r\n')
    assert read_labelled(tmp_path / "a.csv", "body", "kind") == [
        Labelled("x\ny", "a"),
        Labelled("z", "b"),
    ]
    (tmp_path / "a.jsonl").write_text('{"text": "x", "label": 0}\n{"text": "y", "label": 1}\n')
    assert [example.label for example in read_labelled(tmp_path / "a.jsonl")] == ["0", "1"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "id,body\n1,x\n", "a.csv has no column 'text'; its columns are: id, body."),
        ("a.csv", "text,body\n1,x\n", "a.csv has no column 'label'"),
        ("a.csv", "text,label,text\n", "a.csv, line 1: two columns are named 'text'."),
        ("a.csv", "text,label\n", "a.csv has no examples"),
        ("a.csv", "", "a.csv is empty"),
        ("a.csv", "text,label\nx,a\ny\n", "line 3: 1 fields where the header names 2 columns."),
        ("a.csv", "text,label\nx,a\ny,b,c\n", "line 3: 3 fields where"),
        ("a.csv", "text,label\nx,a\ny,\n", "a.csv, line 3: 'label' is empty"),
        ("a.csv", "text,label\nx,a\n ,b\n", "a.csv, line 3: 'text' is empty"),
        ("a.csv", 'text,label\n"x\n', "a.csv, line 2: not valid: unexpected end of data."),
        ("a.csv", "text,label\nx,a\ny,a\n", "every example has the label 'a'"),
        ("a.tsv", "text\tlabel\nx\ta\ny\n", "a.tsv, line 3: 1 fields"),
        ("a.jsonl", '{"text": "x"}\n', "a.jsonl, line 1: no field 'label'"),
        ("a.jsonl", '{"text": "x", "label": 1.5}\n', "'label' must be a string, found a number"),
        ("a.jsonl", '{"text": "x", "label": "a"}\n{', "a.jsonl, line 2: not valid JSON"),
        ("a.txt", "x", "a.txt: unknown kind of file; expected .csv, .tsv, .jsonl, .parquet."),
    ],
)
def test_bad_labelled_tables(tmp_path: Path, name: str, content: str, expected: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(HornbookError) as caught:
        read_labelled(tmp_path / name)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", "{}", "a.json: expected a list of entries"),
        ("a.json", "[]", "a.json: expected a list of entries"),
        ("a.json", '[\n{"instruction": \n}]', "a.json, line 3: not valid JSON"),
        ("a.json", '[{"instruction": "x"}]', "a.json, entry 1: no field 'output'"),
        ("a.json", "[3]", "a.json, entry 1: expected an object, found a number."),
        ("a.json", '[{"instruction": "", "output": "x"}]', "entry 1: 'instruction' is empty"),
        ("a.jsonl", '{"instruction": "x", "output": " "}', "line 1: 'output' is empty"),
        ("a.jsonl", '{"instruction": "x", "output": "y", "input": 1}', "'input' must be a string"),
        ("a.csv", "x", "a.csv: unknown kind of file; expected .json, .jsonl."),
    ],
)
def test_bad_instructions(tmp_path: Path, name: str, content: str, expected: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(HornbookError) as caught:
        read_instructions(tmp_path / name)
    assert expected in str(caught.value)


def test_missing_files_and_directories_are_named(tmp_path: Path) -> None:
    with pytest.raises(HornbookError, match=r"missing\.csv: no such file"):
        read_labelled(tmp_path / "missing.csv")
    with pytest.raises(HornbookError, match="is a directory"):
        read_instructions(tmp_path)


def test_classes_come_out_in_alphabetical_order() -> None:
    assert require_classes([Labelled("x", "b"), Labelled("y", "a")], "here") == ["a", "b"]


@given(
    items=st.lists(st.integers(0, 30), min_size=3, max_size=80),
    seed=st.integers(),
    share=st.sampled_from([(0.1, 0.2), (0.05, 0.0), (0.0, 0.3)]),
)
def test_examples_are_split_completely_and_equal_ones_stay_together(
    items: list[int], seed: int, share: tuple[float, float]
) -> None:
    try:
        parts = split_examples(items, seed, *share)
    except HornbookError:
        assert len(set(items)) <= 3  # nothing can be set aside without splitting equal ones
        return
    assert sorted(item for part in parts for item in part) == sorted(items)
    assert sum(len(set(part)) for part in parts) == len(set(items))
    assert split_examples(items[::-1], seed, *share) == parts


def test_distinct_examples_are_split_at_the_shares() -> None:
    parts = split_examples(list(range(1_000)), 1, 0.1, 0.2)
    assert [len(part) for part in parts] == [700, 100, 200]
    assert parts[0] != sorted(parts[0])
    assert split_examples(list(range(1_000)), 2, 0.1, 0.2) != parts


def test_balancing_leaves_as_many_of_each_class_as_the_rarest_has() -> None:
    items = [Labelled(str(number), "rare" if number % 10 == 0 else "many") for number in range(100)]
    kept = balance(items, seed=1)
    assert Counter(item.label for item in kept) == {"rare": 10, "many": 10}
    assert kept == [item for item in items if item in kept]
    assert balance(items, seed=1) == kept != balance(items, seed=2)
