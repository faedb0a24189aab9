"""Near duplicates are those of a comparison of all pairs, whatever is computed where."""

import os
import random
from collections.abc import Sequence
from functools import cache

import pytest

from hornbook.corpus import near, parallel
from hornbook.corpus.deduplication import DeduplicationSettings, make_steps
from hornbook.corpus.document import Document
from hornbook.corpus.near import NearDuplicates
from hornbook.corpus.ngrams import words_of
from hornbook.corpus.signatures import Bands, choose_bands
from hornbook.errors import HornbookError

pytest.importorskip("rensa")

NGRAM = 3
WORDS = [f"word{number}" for number in range(2_000)]


@cache
def grams(text: str) -> frozenset[tuple[str, ...]]:
    words = words_of(text)
    starts = range(max(len(words) - NGRAM, 0) + 1 if words else 0)
    return frozenset(tuple(words[start : start + NGRAM]) for start in starts)


def jaccard(one: str, other: str) -> float:
    a, b = grams(one), grams(other)
    common = len(a & b)
    return common / (len(a) + len(b) - common) if common else 0.0


def changed(text: str, count: int, rng: random.Random) -> str:
    """The text with `count` of its words put in other places' stead."""
    words = text.split()
    for place in rng.sample(range(len(words)), count):
        words[place] = rng.choice(WORDS)
    return " ".join(words)


def planted(count: int, length: int, seed: int = 1) -> list[Document]:
    """Random texts, each followed later by itself with 0 to 12 words changed; shuffled."""
    rng = random.Random(seed)
    texts = [" ".join(rng.choices(WORDS, k=length)) for _ in range(count)]
    texts += [changed(text, number % 13, rng) for number, text in enumerate(texts)]
    rng.shuffle(texts)
    return [Document(text, f"d{number}") for number, text in enumerate(texts)]


def kept_by_all_pairs(given: Sequence[Document], threshold: float) -> list[str]:
    """What stays when each document is compared with each one kept, by sets of strings."""
    kept: list[Document] = []
    for document in given:
        if all(jaccard(document.text, other.text) < threshold for other in kept):
            kept.append(document)
    return [document.id for document in kept]


def kept_ids(given: Sequence[Document], threshold: float, workers: int = 1) -> list[str]:
    step = NearDuplicates(threshold, NGRAM, 128, workers)
    return [document.id for document in step.apply(iter(given))]


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 1.0])
@pytest.mark.parametrize("length", [14, 60])
def test_what_stays_is_what_a_comparison_of_all_pairs_leaves(threshold: float, length: int) -> None:
    given = planted(130, length)
    expected = kept_by_all_pairs(given, threshold)
    assert 130 <= len(expected) <= 250  # 10 have not a word changed
    assert kept_ids(given, threshold) == expected


@pytest.mark.parametrize("threshold", [0.5, 0.8])
def test_recall_and_precision_at_known_similarities(threshold: float) -> None:
    """Pairs alone in a corpus of others, by the exact similarity of each."""
    rng = random.Random(3)
    pairs = []
    for number in range(900):
        text = " ".join(rng.choices(WORDS, k=80))
        pairs.append((text, changed(text, number % 20, rng)))
    given = [Document(text, str(n)) for n, text in enumerate(t for pair in pairs for t in pair)]
    kept = set(kept_ids(given, threshold))
    removed = [str(2 * number + 1) not in kept for number in range(len(pairs))]
    alike = [jaccard(*pair) >= threshold for pair in pairs]
    assert 0.1 < sum(alike) / len(alike) < 0.9
    assert not [n for n, (r, a) in enumerate(zip(removed, alike, strict=True)) if r and not a]
    missed = sum(a and not r for r, a in zip(removed, alike, strict=True))
    assert missed <= 1
    assert {str(2 * number) for number in range(len(pairs))} <= kept


def test_datasketch_leaves_the_same_documents() -> None:
    datasketch = pytest.importorskip("datasketch")
    given = planted(200, 60)
    index = datasketch.MinHashLSH(params=(25, 5), num_perm=125)
    texts: dict[str, str] = {}
    for document in given:
        signature = datasketch.MinHash(num_perm=125)
        signature.update_batch([" ".join(gram).encode() for gram in grams(document.text)])
        found = index.query(signature)
        if all(jaccard(texts[name], document.text) < 0.8 for name in found):
            texts[document.id] = document.text
            index.insert(document.id, signature)
    assert kept_ids(given, 0.8) == list(texts)


def test_neither_workers_nor_batches_nor_a_second_time_change_what_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = planted(150, 40)
    expected = kept_ids(given, 0.7)
    assert kept_ids(given, 0.7) == expected
    for size in (1, 7, 64):
        monkeypatch.setattr(parallel, "BATCH_DOCUMENTS", size)
        assert kept_ids(given, 0.7) == expected
    assert kept_ids(given, 0.7, workers=2) == expected
    monkeypatch.setattr(parallel, "BATCH_CHARACTERS", 1)
    assert kept_ids(given, 0.7) == expected


def die(texts: Sequence[str]) -> None:
    os._exit(1)


def test_the_death_of_a_worker_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "BATCH_DOCUMENTS", 1)
    step = NearDuplicates(0.8, NGRAM, 128, workers=2)
    monkeypatch.setattr(step, "_compute", die)
    with pytest.raises(HornbookError, match="has died; see whether memory is short"):
        list(step.apply(iter(planted(5, 5))))


def test_order_changes_which_of_a_group_stays_and_not_how_many() -> None:
    """Groups here are far apart, and all of a group are alike."""
    rng = random.Random(4)
    originals = [" ".join(rng.choices(WORDS, k=100)) for _ in range(40)]
    given = [
        Document(changed(text, 1, rng), f"{group}-{copy}")
        for group, text in enumerate(originals)
        for copy in range(4)
    ]
    for seed in range(5):
        random.Random(seed).shuffle(given)
        kept = kept_ids(given, 0.7)
        first = list({d.id.split("-")[0]: d.id for d in reversed(given)}.values())
        assert sorted(kept) == sorted(first)


def test_capitals_and_punctuation_do_not_count_and_short_texts_are_wholes() -> None:
    texts = [
        "The fox ran off!",
        "the FOX ran off",
        "Hi",
        "hi.",
        "Hi there",
        "",
        "!",
        "?",
        "狐狸跑了",
    ]
    given = [Document(text, str(n)) for n, text in enumerate([*texts, "狐狸跑走了", "\ud800"])]
    assert kept_ids(given, 0.8) == ["0", "2", "4", "5", "6", "7", "8", "9", "10"]
    assert kept_ids(given, 0.25)[-3:] == ["7", "8", "10"]  # one of three characters in a row


def test_what_was_removed_is_told_with_what_it_is_like() -> None:
    text = "a b c d e f g h i j k l m"
    step = NearDuplicates(0.6, NGRAM, 128, 1)
    assert len(list(step.apply(iter([Document(text, "x"), Document(text + " n o", "y")])))) == 1
    (tally,) = step.tallies
    assert (tally.name, tally.seen, tally.removed) == ("near", 2, 1)
    assert tally.examples == [("y", text + " n o", "85% like x")]


def test_a_phrase_of_all_documents_does_not_make_them_alike() -> None:
    rng = random.Random(5)
    phrase = " ".join(rng.choices(WORDS, k=30))
    given = [Document(f"{phrase} {' '.join(rng.choices(WORDS, k=60))}", str(n)) for n in range(400)]
    assert kept_ids(given, 0.8) == [document.id for document in given]


def test_bands_are_the_longest_that_find_pairs_at_the_threshold() -> None:
    for threshold in (0.3, 0.5, 0.8, 0.95):
        bands = choose_bands(threshold, 128)
        longer = Bands(128 // (bands.rows + 1), bands.rows + 1)
        assert bands.count == 128 // bands.rows
        assert bands.recall(threshold) >= 0.999 > longer.recall(threshold)
    assert choose_bands(0.8, 128) == Bands(25, 5)
    assert Bands(25, 5).recall(0.5) == pytest.approx(1 - (1 - 0.5**5) ** 25)


def test_a_signature_too_short_for_the_threshold_is_refused() -> None:
    settings = DeduplicationSettings(near=True, threshold=0.3, num_perm=16)
    with pytest.raises(HornbookError, match=r"num_perm: 16 numbers are too few .* of 0\.3"):
        make_steps(settings)


def test_without_rensa_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HornbookError, match=r"hornbook\[corpus\]"):
        make_steps(DeduplicationSettings(near=True))
