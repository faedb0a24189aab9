"""Batches computed elsewhere: in order, and with Ctrl-C left to the process that waits for them."""

import signal
from collections.abc import Sequence

import pytest

from hornbook.corpus import parallel
from hornbook.corpus.document import Document
from hornbook.corpus.parallel import batched, computed


def lengths_and_mask(texts: Sequence[str]) -> tuple[list[int], bool]:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return [len(text) for text in texts], signal.SIGINT in blocked


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no masks of signals here")
def test_the_order_is_kept_and_interrupts_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "BATCH_DOCUMENTS", 3)
    given = [Document("x" * n, str(n)) for n in range(20)]
    found = list(computed(given, lengths_and_mask, 2, "counts letters"))
    assert [document for batch, _ in found for document in batch] == given
    assert [length for _, (lengths, _) in found for length in lengths] == list(range(20))
    assert all(blocked for _, (_, blocked) in found)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_one_batch_is_computed_here() -> None:
    [(batch, (lengths, blocked))] = computed([Document("ab", "1")], lengths_and_mask, 2, "counts")
    assert (len(batch), lengths, blocked) == (1, [2], False)
    assert list(computed([], lengths_and_mask, 2, "counts")) == []


def test_batches_are_full_by_number_or_by_size() -> None:
    given = [Document("x" * n, str(n)) for n in (1, 1, 1, 9, 1, 30, 1)]
    sizes = [[len(d.text) for d in batch] for batch in batched(given, 3, 10)]
    assert sizes == [[1, 1, 1], [9, 1], [30], [1]]
