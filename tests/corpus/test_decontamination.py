"""Documents that hold a piece of an evaluation set are found, by hand-made cases and by search."""

import random
from pathlib import Path

import pytest

from hornbook.corpus.decontamination import (
    Decontamination,
    DecontaminationSettings,
    make_steps,
)
from hornbook.corpus.document import Document
from hornbook.corpus.ngrams import words_of
from hornbook.corpus.step import Tally
from hornbook.errors import HornbookError

QUESTION = "Which of the two foxes had the brown book when Leo came into the library that day?"
WORDS = QUESTION.rstrip("?").split()
PLACE = "The old woman hid it behind the broken plate."


def kept(items: list[str], texts: list[str], ngram: int = 13, overlap: int = 1) -> list[int]:
    step = Decontamination(
        [Document(text, f"item-{number}") for number, text in enumerate(items)], ngram, overlap
    )
    documents = [Document(text, str(number)) for number, text in enumerate(texts)]
    return [int(document.id) for document in step.apply(iter(documents))]


def test_thirteen_words_in_a_row_are_contamination_and_twelve_are_not() -> None:
    thirteen, twelve = " ".join(WORDS[2:15]), " ".join(WORDS[2:14])
    assert kept([QUESTION], [f"So: {thirteen}, he asked.", f"So: {twelve}, he asked."]) == [1]


def test_capitals_punctuation_and_breaks_do_not_hide_it() -> None:
    assert kept([QUESTION], ["\n".join(WORDS).upper(), "-- ".join(WORDS)]) == []


def test_a_word_between_does() -> None:
    assert kept([QUESTION], [" ".join([*WORDS[:8], "clever", *WORDS[8:]])]) == [0]


def test_a_short_item_is_found_as_a_whole() -> None:
    assert len(words_of(PLACE)) == 9
    assert kept([PLACE], [f"Listen! {PLACE} Yes.", PLACE.replace("The ", "An ")]) == [1]


def test_items_of_fewer_than_eight_words_are_not_looked_for() -> None:
    assert kept(["Who has the book?"], ["Who has the book?"]) == [0]


def test_overlap_counts_different_ngrams() -> None:
    fifteen, fourteen = " ".join(WORDS[:15]), " ".join(WORDS[:14])
    assert kept([QUESTION], [fifteen, fourteen, f"{fourteen}. {fourteen}"], overlap=3) == [1, 2]


def test_the_item_with_the_most_in_common_is_named() -> None:
    step = Decontamination([Document(PLACE, "a"), Document(QUESTION, "b")], 13)
    document = Document(f"{PLACE} {QUESTION}", "d")
    assert not list(step.apply(iter([document])))
    why = "shares 6 n-grams with evaluation texts, such as b"
    assert step.tallies == [
        Tally("decontamination", seen=1, removed=1, examples=[("d", document.text, why)])
    ]


def test_marked_documents_go_on() -> None:
    step = Decontamination([Document(PLACE, "a")], 13, action="mark")
    clean, found = Document("Fine.", "1"), Document(PLACE, "2", metadata={"page": 3})
    assert list(step.apply(iter([clean, found]))) == [
        clean,
        Document(PLACE, "2", metadata={"page": 3, "contaminated_by": "a"}),
    ]
    assert (step.tallies[0].removed, step.tallies[0].changed) == (0, 1)


@pytest.mark.parametrize("ngram", [8, 9, 13])
def test_what_stays_is_what_a_search_by_strings_leaves(ngram: int) -> None:
    """Texts of two words, with which any 8 in a row are met often."""
    rng = random.Random(ngram)
    items = [" ".join(rng.choices("ab", k=rng.randrange(6, 16))) for _ in range(12)]
    texts = [" ".join(rng.choices("abc", [4, 4, 1], k=rng.randrange(40))) for _ in range(500)]
    pieces: set[str] = set()
    for words in (item.split() for item in items):
        length = min(ngram, len(words))
        if len(words) >= 8:
            pieces |= {" ".join(words[at : at + length]) for at in range(len(words) - length + 1)}
    expected = [n for n, text in enumerate(texts) if not any(piece in text for piece in pieces)]
    assert 50 < len(expected) < 480
    assert kept(items, texts, ngram) == expected


def test_evaluation_sets_are_read_from_files(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text(f'{{"question": "{QUESTION}"}}\n{{"question": "Why not?"}}\n')
    settings = DecontaminationSettings(evaluation_sets=(str(path),), text_field="question")
    (step,) = make_steps(settings)
    document = Document(QUESTION, "d")
    assert not list(step.apply(iter([document])))
    assert (
        step.tallies[0].examples[0][2]
        == f"shares 5 n-grams with evaluation texts, such as test.jsonl#1 of {path}"
    )


def test_a_set_without_long_texts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "test.txt"
    path.write_text("Too short to look for.")
    with pytest.raises(HornbookError, match=r"test\.txt has no text of 8 words or more"):
        make_steps(DecontaminationSettings(evaluation_sets=(str(path),)))


def test_nothing_is_removed_unless_sets_are_given() -> None:
    assert make_steps(DecontaminationSettings()) == []
