"""What comes again is taken out: documents, paragraphs, and nothing else."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.corpus.deduplication import DeduplicationSettings, make_steps
from hornbook.corpus.document import Document
from hornbook.corpus.step import Step, Tally


def documents(*texts: str) -> list[Document]:
    return [Document(text, f"d{number}") for number, text in enumerate(texts)]


def cleaned(settings: DeduplicationSettings, given: Sequence[Document]) -> list[Document]:
    stream = iter(given)
    for step in make_steps(settings):
        stream = step.apply(stream)
    return list(stream)


def only_step(**settings: object) -> Step:
    (step,) = make_steps(DeduplicationSettings.model_validate(settings))
    return step


def test_nothing_is_removed_unless_asked_for() -> None:
    assert make_steps(DeduplicationSettings()) == []


def test_exact_duplicates_keep_the_first_and_name_it() -> None:
    step = only_step(exact=True)
    given = documents("The fox  ran.", "The owl slept.", "the FOX\nran. ", "The fox ran!")
    assert list(step.apply(iter(given))) == [given[0], given[1], given[3]]
    (tally,) = step.tallies
    expected = [("d2", "the FOX\nran. ", "the same text as d0")]
    assert tally == Tally("exact", seen=4, removed=1, examples=expected)


def test_two_documents_of_one_id_are_still_compared() -> None:
    step = only_step(exact=True)
    same = Document("One text.", "name")
    assert list(step.apply(iter([same, same]))) == [same]


@given(texts=st.lists(st.text("aB \n\ud800é", max_size=4), max_size=30))
def test_exact_duplicates_are_those_of_a_plain_comparison(texts: list[str]) -> None:
    seen: set[str] = set()
    expected = []
    for document in documents(*texts):
        plain = " ".join(document.text.casefold().split())
        if plain not in seen:
            expected.append(document)
        seen.add(plain)
    assert cleaned(DeduplicationSettings(exact=True), documents(*texts)) == expected


NOTICE = "All rights are reserved by the owner of this page."
STORY = "Once there was a fox who had a brown book."
OTHER = "An owl slept in the barn and a bear was near."


@pytest.mark.parametrize(
    ("later", "left"),
    [
        (f"{NOTICE}\n\n{OTHER}", OTHER),
        (f"{OTHER}\n \n{NOTICE}", OTHER),
        (f"{OTHER}\n\n{NOTICE}\n\nThe end.\n", f"{OTHER}\n\nThe end.\n"),
        (f"{OTHER}\n{NOTICE.upper()}", OTHER),
        (f"{OTHER}\n{NOTICE}\n", f"{OTHER}\n"),
        (f"{NOTICE}\n\n{STORY}", None),
        (f"{OTHER} {NOTICE}", f"{OTHER} {NOTICE}"),
        (f"{OTHER}\n\n{OTHER}", f"{OTHER}\n\n{OTHER}"),
    ],
)
def test_paragraphs_seen_before_are_taken_out(later: str, left: str | None) -> None:
    step = only_step(paragraphs=True)
    first, second = documents(f"{STORY}\n\n{NOTICE}", later)
    kept = list(step.apply(iter([first, second])))
    assert kept == ([first] if left is None else [first, Document(left, "d1")])
    (tally,) = step.tallies
    assert (tally.removed, tally.changed) == (int(left is None), int(left not in (None, later)))


def test_short_paragraphs_stay() -> None:
    given = documents("Yes.\n\nNo.", "No.\n\nYes.")
    assert cleaned(DeduplicationSettings(paragraphs=True), given) == given
    one_word = DeduplicationSettings(paragraphs=True, paragraph_words=1)
    assert cleaned(one_word, given) == given[:1]


def test_steps_come_in_the_order_of_their_cost() -> None:
    settings = DeduplicationSettings(exact=True, paragraphs=True, near=True)
    names = [tally.name for step in make_steps(settings) for tally in step.tallies]
    assert names == ["exact", "paragraphs", "near"]
