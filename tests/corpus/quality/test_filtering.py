"""Filters one after the other: order, accounts, switches, and the same outcome in many processes."""

from collections.abc import Sequence
from typing import get_args

import pytest

from hornbook.corpus import parallel
from hornbook.corpus.document import Document
from hornbook.corpus.quality.settings import (
    GROUPS,
    FilterName,
    QualitySettings,
    make_steps,
    quality_judges,
)
from hornbook.corpus.step import Step
from hornbook.errors import HornbookError

PROSE = (
    "The hare hid in the long grass and waited for the fox to come back to the hill. "
    "After a while it looked out, and nothing moved but the wind in the trees above. "
    "So it ran home with a light heart. It told the others that they need not be afraid tonight, "
    "since the fox was far away and would not find them."
)


def only_step(workers: int = 1, **given: object) -> Step:
    (step,) = make_steps(QualitySettings.model_validate(given), workers)
    return step


def documents(*texts: str) -> list[Document]:
    return [Document(text, f"d{n}", metadata={"n": n}) for n, text in enumerate(texts)]


def run(step: Step, given: Sequence[Document]) -> list[Document]:
    return list(step.apply(iter(given)))


def counts(step: Step) -> dict[str, tuple[int, int, int]]:
    return {tally.name: (tally.seen, tally.removed, tally.changed) for tally in step.tallies}


def test_nothing_is_done_unless_asked_for() -> None:
    assert make_steps(QualitySettings()) == []


def test_every_filter_has_a_name_and_a_group() -> None:
    names = get_args(FilterName)
    with pytest.raises(HornbookError, match=r'"c4-bad-words", which needs a file'):
        make_steps(QualitySettings(filters=("c4-bad-words",)))
    one_by_one = QualitySettings(filters=tuple(n for n in names if n != "c4-bad-words"))
    grouped = QualitySettings.model_validate({"filters": GROUPS})
    assert [*quality_judges(one_by_one)] == [*quality_judges(grouped)]
    assert [n for n in names if n != "c4-bad-words"] == [*quality_judges(grouped)]


def test_filters_run_in_order_and_each_keeps_its_account() -> None:
    step = only_step(unicode="normalize", filters=("c4-braces", "c4-short-lines", "c4-sentences"))
    given = documents(
        f"{PROSE}\r\nHome",  # changed twice
        PROSE,
        f"{PROSE} {{",
        "So said the hare, once. And again.",
        "Home\nAbout",
    )
    kept = run(step, given)
    assert [document.text for document in kept] == [PROSE, PROSE]
    assert kept[1] is given[1]
    assert kept[0].metadata == {"n": 0}
    assert counts(step) == {
        "unicode": (5, 0, 1),
        "c4-braces": (5, 1, 0),
        "c4-short-lines": (4, 1, 1),
        "c4-sentences": (3, 1, 0),
    }
    shown = {tally.name: tally.examples for tally in step.tallies}
    assert shown["c4-braces"] == [("d2", f"{PROSE} {{"[:200], 'there is a "{" in it')]
    assert shown["c4-sentences"][0][2] == "2 sentences, fewer than 3"
    assert [example[0] for example in shown["c4-short-lines"]] == ["d0", "d4"]


def test_five_examples_of_each() -> None:
    step = only_step(filters=("gopher-words",))
    assert run(step, documents(*["Too short."] * 9)) == []
    (tally,) = step.tallies
    assert (tally.removed, len(tally.examples)) == (9, 5)
    assert tally.examples[0] == ("d0", "Too short.", "2 words, fewer than 50")


def test_a_rule_of_a_group_can_be_left_out_or_loosened() -> None:
    text = " ".join(f"слово{n}ого" for n in range(60))
    assert not run(only_step(filters=("gopher-quality",)), documents(text))
    assert run(
        only_step(filters=("gopher-quality",), without=("gopher-stop-words",)), documents(text)
    )
    assert run(
        only_step(filters=("gopher-quality",), gopher={"min_stop_words": 0}), documents(text)
    )
    assert not run(only_step(filters=("gopher-words",), gopher={"max_words": 59}), documents(text))


def test_processes_do_not_change_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "BATCH_DOCUMENTS", 7)
    texts = [f"{PROSE} {n}" if n % 3 else "Home\n" + "so it is. " * n for n in range(60)]
    given = documents(*texts)
    settings = {"unicode": "normalize", "filters": ("gopher-repetition", "c4")}
    alone, many = only_step(1, **settings), only_step(2, **settings)
    assert run(alone, given) == run(many, given)
    assert counts(alone) == counts(many)
    assert alone.tallies == many.tallies
