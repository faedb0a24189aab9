"""Duplicates across the sources of a mixture: removed from the later one, counted by pair."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from hornbook.corpus.deduplication import DeduplicationSettings, make_steps
from hornbook.corpus.document import Document
from hornbook.corpus.earlier import ComparedWithEarlier

RNG = random.Random(1)
WORDS = [f"word{number}" for number in range(500)]


def text(words: int = 60) -> str:
    return " ".join(RNG.choices(WORDS, k=words))


def changed(original: str) -> str:
    """All but the last word as they were: most 5-grams are in common."""
    return " ".join([*original.split()[:-1], "other"])


def documents(source: str, *texts: str) -> list[Document]:
    return [Document(each, f"{source}{number}") for number, each in enumerate(texts)]


def run(
    settings: DeduplicationSettings, sources: dict[str, list[Document]]
) -> tuple[list[str], dict[str, int]]:
    """Ids of what the last source keeps, and how many each account says were removed."""
    *earlier, (_, given) = sources.items()
    steps = make_steps(settings, workers=1)
    stream: Iterator[Document] = iter(given)
    for step in steps:
        assert isinstance(step, ComparedWithEarlier)
        for name, those in earlier:
            step.compare_with(name, iter(those))
        stream = step.apply(stream)
    kept = [document.id for document in stream]
    return kept, {t.name: t.removed for step in steps for t in step.tallies if t.removed}


def test_what_an_earlier_source_has_is_removed_and_counted_by_pair() -> None:
    one, two, three = text(), text(), text()
    sources = {
        "a": documents("a", one, text()),
        "b": documents("b", two),
        "c": documents("c", three, two.upper(), text(), one, three, changed(one), changed(three)),
    }
    kept, counts = run(DeduplicationSettings(exact=True), sources)
    assert kept == ["c0", "c2", "c5", "c6"]
    assert counts == {"exact": 1, "exact as in a": 1, "exact as in b": 1}
    pytest.importorskip("rensa")
    kept, counts = run(DeduplicationSettings(exact=True, near=True), sources)
    assert kept == ["c0", "c2"]
    assert counts == {
        "exact": 1,
        "exact as in a": 1,
        "exact as in b": 1,
        "near": 1,
        "near as in a": 1,
    }


def test_a_pair_is_shown_with_the_document_that_stays() -> None:
    (step,) = make_steps(DeduplicationSettings(exact=True))
    assert isinstance(step, ComparedWithEarlier)
    step.compare_with("a", iter(documents("a", "The fox ran.")))
    assert (
        list(step.apply(iter(documents("b", "the FOX ran.", "It fell."))))
        == documents("b", "", "It fell.")[1:]
    )
    own, pair = step.tallies
    assert (own.seen, own.removed, pair.seen, pair.removed) == (2, 0, 2, 1)
    assert pair.examples == [("b0", "the FOX ran.", "the same text as a0 of a")]


def test_near_duplicates_are_the_same_as_in_one_source() -> None:
    pytest.importorskip("rensa")
    first = documents("a", *(text() for _ in range(30)))
    second = documents("b", *(changed(d.text) if n % 3 else text() for n, d in enumerate(first)))
    settings = DeduplicationSettings(near=True)
    (step,) = make_steps(settings, workers=1)
    together = [d.id for d in step.apply(iter([*first, *second])) if d.id.startswith("b")]
    kept, counts = run(settings, {"a": first, "b": second})
    assert kept == together
    assert counts == {"near as in a": 20}


@pytest.mark.parametrize("near", [False, True])
def test_an_interrupted_step_goes_on_behind_the_earlier_sources(near: bool) -> None:
    if near:
        pytest.importorskip("rensa")
    settings = DeduplicationSettings(exact=not near, near=near)
    first = documents("a", *(text() for _ in range(6)))
    second = documents(
        "b", *[d.text for d in first[:2]], *(text() for _ in range(6)), first[3].text
    )
    second += documents("c", second[2].text, text(), first[4].text)

    def begun() -> Any:
        (step,) = make_steps(settings, workers=1)
        assert isinstance(step, ComparedWithEarlier)
        step.compare_with("a", iter(first))
        return step

    whole = begun()
    expected = [document.id for document in whole.apply(iter(second))]
    before, after = begun(), begun()
    before.take_notes()
    kept = [document.id for document in before.apply(iter(second[:7]))]
    after.learn(before.notes())
    kept += [document.id for document in after.apply(iter(second[7:]))]
    assert kept == expected
    assert [t.removed for t in whole.tallies] == [
        one.removed + two.removed for one, two in zip(before.tallies, after.tallies, strict=True)
    ]
    assert [tally.removed for tally in whole.tallies] == [1, 4]
