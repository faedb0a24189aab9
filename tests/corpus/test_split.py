"""Documents are split stably, completely, and for a single text as nanoGPT does."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.corpus.document import Document
from hornbook.corpus.split import FEW_DOCUMENTS, SPLITS, split_documents, split_of
from hornbook.errors import HornbookError

DATA = Path(__file__).parents[2] / "../shared/data"

shares = st.sampled_from([(0.0, 0.0), (0.1, 0.0), (0.05, 0.05), (0.0, 0.2), (0.3, 0.3)])


def documents(count: int, prefix: str = "d") -> list[Document]:
    return [Document(f"text {number}", f"{prefix}{number}") for number in range(count)]


def placed(
    items: list[Document], seed: int, validation: float, test: float
) -> dict[str, list[Document]]:
    splits: dict[str, list[Document]] = {name: [] for name in SPLITS}
    for name, document in split_documents(items, seed, validation, test):
        splits[name].append(document)
    return splits


@given(count=st.integers(20, 600), seed=st.integers(), share=shares)
def test_every_document_is_in_one_split_in_order(
    count: int, seed: int, share: tuple[float, float]
) -> None:
    items = documents(count)
    assert [document for _, document in split_documents(items, seed, *share)] == items


@given(count=st.integers(20, 200), seed=st.integers(0, 1000), share=shares)
def test_no_split_that_was_asked_for_is_empty(
    count: int, seed: int, share: tuple[float, float]
) -> None:
    splits = placed(documents(count), seed, *share)
    assert splits["train"]
    assert bool(splits["validation"]) == (share[0] > 0)
    assert bool(splits["test"]) == (share[1] > 0)


def test_adding_documents_moves_no_other() -> None:
    old = documents(300)
    before = {document.id: name for name, document in split_documents(old, 1, 0.1, 0.1)}
    mixed = [*documents(700, "new"), *reversed(old)]
    after = {document.id: name for name, document in split_documents(mixed, 1, 0.1, 0.1)}
    assert before == {name: after[name] for name in before}
    assert before == {name: split_of(name, 1, 0.1, 0.1) for name in before}


def test_shares_are_kept_and_seeds_differ() -> None:
    splits = placed(documents(20_000), 1, 0.05, 0.1)
    assert len(splits["validation"]) == pytest.approx(1_000, rel=0.1)
    assert len(splits["test"]) == pytest.approx(2_000, rel=0.1)
    assert placed(documents(100), 1, 0.1, 0.1) != placed(documents(100), 2, 0.1, 0.1)


def test_a_lower_share_only_returns_documents_to_training() -> None:
    low, high = (
        {document.id for document in placed(documents(1_000), 1, share, 0)["validation"]}
        for share in (0.05, 0.1)
    )
    assert low < high


@given(
    texts=st.lists(st.text("abcé", min_size=1, max_size=9), min_size=1, max_size=FEW_DOCUMENTS - 1),
    share=shares,
)
def test_few_documents_are_cut_as_one_text(texts: list[str], share: tuple[float, float]) -> None:
    items = [Document(text, str(number)) for number, text in enumerate(texts)]
    splits = placed(items, 1, *share)
    whole = "".join(texts)
    parts = ["".join(document.text for document in splits[name]) for name in SPLITS]
    assert "".join(parts) == whole
    assert len(parts[0]) == int(len(whole) * round(1 - share[0] - share[1], 12))
    assert len(parts[0]) + len(parts[1]) == int(len(whole) * round(1 - share[1], 12))
    pieces = [document for name in SPLITS for document in splits[name]]
    assert len({document.id for document in pieces}) == len(pieces)


def test_a_document_on_a_cut_becomes_two() -> None:
    splits = placed([Document("abcd", "x"), Document("efghij", "y")], 1, 0.2, 0.2)
    assert splits["train"] == [Document("abcd", "x"), Document("ef", "y[0:2]")]
    assert splits["validation"] == [Document("gh", "y[2:4]")]
    assert splits["test"] == [Document("ij", "y[4:6]")]


def test_a_piece_of_nothing_but_blanks_is_left_out() -> None:
    splits = placed([Document("abcdefghi\n", "x")], 1, 0.1, 0)
    assert splits == {"train": [Document("abcdefghi", "x[0:9]")], "validation": [], "test": []}


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
def test_one_text_is_cut_where_nanogpt_cuts_it() -> None:
    text = (DATA / "tinyshakespeare.txt").read_text(encoding="utf-8")
    splits = placed([Document(text, "tinyshakespeare")], 1, 0.1, 0)
    n = len(text)
    assert [document.text for document in splits["train"]] == [text[: int(n * 0.9)]]
    assert [document.text for document in splits["validation"]] == [text[int(n * 0.9) :]]
    assert not splits["test"]


@pytest.mark.parametrize(
    ("validation", "test", "expected"),
    [
        (-0.1, 0.0, "validation_share is -0.1"),
        (0.0, 1.0, "test_share is 1.0"),
        (0.5, 0.5, "leave nothing to train on"),
    ],
)
def test_shares_that_do_not_fit_are_refused(validation: float, test: float, expected: str) -> None:
    with pytest.raises(HornbookError, match=expected):
        placed(documents(30), 1, validation, test)


def test_a_file_name_that_is_not_utf8_has_a_split_too() -> None:
    assert split_of("\udcff.txt#1", 1, 0.5, 0.0) in SPLITS


def test_no_documents_are_refused() -> None:
    with pytest.raises(HornbookError, match="no documents"):
        placed([], 1, 0.1, 0.1)
