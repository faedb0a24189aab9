"""Gopher's rules, each with a text at its threshold, just below and just above, worked by hand."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.corpus.quality.gopher import GopherSettings, gopher_judges
from hornbook.corpus.quality.repetition import RepetitionSettings, repetition_judges
from hornbook.corpus.quality.view import Judge, Removed, View

GOPHER = gopher_judges(GopherSettings())
REPETITION = repetition_judges(RepetitionSettings())


def removed(judge: Judge, text: str) -> bool:
    found = judge(View(text))
    assert found is None or isinstance(found, Removed)
    return found is not None


@pytest.mark.parametrize(
    ("name", "text", "gone"),
    [
        # 50 to 100,000 words
        ("words", "word " * 49, True),
        ("words", "word " * 50, False),
        ("words", "word " * 51, False),
        ("words", "w " * 99_999, False),
        ("words", "w " * 100_000, False),
        ("words", "w " * 100_001, True),
        ("words", "", True),
        # 3 to 10 characters of a word on average
        ("word-length", "abc abc abc ab", True),
        ("word-length", "abc abc abc abc", False),
        ("word-length", "abc abc abc abcd", False),
        ("word-length", "abcdefghij abcdefghi", False),
        ("word-length", "abcdefghij abcdefghij", False),
        ("word-length", "abcdefghij abcdefghijk", True),
        ("word-length", "", False),
        # 0.1 of either symbol for each word
        ("hashes", "# " + "word " * 8, True),
        ("hashes", "# " + "word " * 9, False),
        ("hashes", "# " + "word " * 10, False),
        ("ellipses", "word… " + "word " * 8, True),
        ("ellipses", "word… " + "word " * 9, False),
        ("ellipses", "word... " + "word " * 8, True),
        ("ellipses", "word... " + "word " * 10, False),
        ("ellipses", "word... word… " + "word " * 17, True),
        ("ellipses", "word... word… " + "word " * 18, False),
        # 90 % of lines with a bullet, 30 % with an ellipsis
        ("bullets", "- item\n" * 89 + "line\n" * 11, False),
        ("bullets", "- item\n" * 9 + "line\n", False),
        ("bullets", "  • item\n\n" * 91 + "line\n" * 9, True),
        ("ellipsis-lines", "read on…\n" * 29 + "line\n" * 71, False),
        ("ellipsis-lines", "read on...\n" * 3 + "line\n" * 7, False),
        ("ellipsis-lines", "read on… \n\n" * 31 + "line\n" * 69, True),
        # 80 % of words with a letter
        ("letters", "word " * 79 + "12 " * 21, True),
        ("letters", "word " * 4 + "12", False),
        ("letters", "Word " * 81 + "12 " * 19, False),
        ("letters", "1A2 " * 8 + "字 " * 72 + "12 " * 20, False),
        ("letters", "1A2 " * 8 + "字 " * 71 + "12 " * 21, True),
        ("letters", "", False),
        # 2 different words of eight
        ("stop-words", "the cat the cat", True),
        ("stop-words", "the cat and dog", False),
        ("stop-words", "the cat and dog have fun", False),
        ("stop-words", "“The” cat, And!", False),
        ("stop-words", "there andante", True),
        ("stop-words", "", True),
    ],
)
def test_quality(name: str, text: str, gone: bool) -> None:
    assert removed(GOPHER[f"gopher-{name}"], text) is gone


def test_all_quality_filters_were_tried() -> None:
    tried = {"words", "word-length", "hashes", "ellipses", "bullets", "ellipsis-lines", "letters"}
    assert {f"gopher-{name}" for name in tried | {"stop-words"}} == set(GOPHER)


def different(count: int, length: int) -> list[str]:
    """Words that are all different, of one length."""
    return [f"{number:0{length}d}" for number in range(count)]


@pytest.mark.parametrize(
    ("what", "pieces", "gone"),
    [
        # 30 % of them came before; few characters do
        ("many", [*different(70, 50), *["x"] * 30], False),
        ("many", [*different(69, 50), *["x"] * 31], False),
        ("many", [*different(68, 50), *["x"] * 32], True),
        # 20 % of the characters came before: 199 of 998, 200 of 1,000, 201 of 1,002
        ("long", [*different(60, 10), "y" * 199, "y" * 199], False),
        ("long", [*different(60, 10), "y" * 200, "y" * 200], False),
        ("long", [*different(60, 10), "y" * 201, "y" * 201], True),
    ],
)
def test_duplicate_lines_and_paragraphs(what: str, pieces: list[str], gone: bool) -> None:
    lines = REPETITION["gopher-duplicate-lines"]
    paragraphs = REPETITION["gopher-duplicate-paragraphs"]
    assert removed(lines, "\n".join(pieces)) is gone
    assert removed(paragraphs, "\n \n".join(pieces)) is gone
    assert not removed(paragraphs, "\n".join(pieces))  # all one paragraph


def with_phrase(length: int, characters: int, more: int) -> str:
    """1,000 characters in words that are all different, but for a phrase that comes twice.

    The phrase has `length` words and `characters` characters, and `more` on top of that.
    """
    sizes = [characters // length + (place < characters % length) for place in range(length)]
    sizes[0] += more
    phrase = [str(place).ljust(size, "x") for place, size in enumerate(sizes)]
    rest = different((1000 - 2 * characters) // 10, 10)
    assert len("".join([*phrase, *rest, *phrase])) == 1000 + 2 * more
    return " ".join([*phrase, *rest, *phrase])


@pytest.mark.parametrize(("more", "gone"), [(-1, False), (0, False), (1, True)])
@pytest.mark.parametrize(("length", "limit"), [(2, 20), (3, 18), (4, 16)])
def test_top_ngrams(length: int, limit: int, more: int, gone: bool) -> None:
    text = with_phrase(length, limit * 5, more)  # half of the limit, twice
    assert removed(REPETITION["gopher-top-ngrams"], text) is gone


@pytest.mark.parametrize(("more", "gone"), [(-1, False), (0, False), (1, True)])
@pytest.mark.parametrize(
    ("length", "limit"), [(5, 15), (6, 14), (7, 13), (8, 12), (9, 11), (10, 10)]
)
def test_duplicate_ngrams(length: int, limit: int, more: int, gone: bool) -> None:
    text = with_phrase(length, limit * 10, more)  # only the second one counts
    found = REPETITION["gopher-duplicate-ngrams"](View(text))
    assert (found is not None) is gone
    assert found is None or f" {length}-grams" in found.why


def plain_top(words: Sequence[str], length: int) -> float:
    """The definition, word by word."""
    grams = Counter(tuple(words[at : at + length]) for at in range(len(words) - length + 1))
    most = max(grams.values(), default=0)
    if most < 2:
        return 0.0
    size = max(len("".join(gram)) for gram, count in grams.items() if count == most)
    return most * size / len("".join(words))


def plain_duplicates(words: Sequence[str], length: int) -> float:
    """The definition, word by word."""
    seen: set[tuple[str, ...]] = set()
    inside: set[int] = set()
    for at in range(len(words) - length + 1):
        gram = tuple(words[at : at + length])
        if gram in seen:
            inside.update(range(at, at + length))
        seen.add(gram)
    return sum(len(words[place]) for place in inside) / max(len("".join(words)), 1)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "bb", "ccc", "dddd", "é"]), max_size=60))
def test_shares_are_those_of_a_plain_count(words: list[str]) -> None:
    repeats = View(" ".join(words)).repeats
    top = dict(repeats.top_shares(4))
    duplicate = dict(repeats.duplicate_shares(5, 10))
    assert all(top.get(n, 0.0) == plain_top(words, n) for n in (2, 3, 4))
    assert all(duplicate.get(n, 0.0) == plain_duplicates(words, n) for n in range(5, 11))
    # What is passed over because of a bound is below it.
    assert all(repeats.top_bound(n) >= share for n, share in top.items())
    assert repeats.duplicate_bound(5) >= max(duplicate.values(), default=0.0)


def test_bounds_say_enough_of_most_prose() -> None:
    repeats = View(" ".join(f"word{n % 97} and{n} the{n * n}" for n in range(300))).repeats
    assert max(map(repeats.top_bound, (2, 3, 4))) < 0.1
    assert repeats.duplicate_bound(5) == 0


@settings(deadline=None)
@given(st.lists(st.text("a1É(字\u00a0’", max_size=3), max_size=12), st.sampled_from(" \n\t"))
def test_words_with_letters_are_those_of_a_plain_count(pieces: list[str], blank: str) -> None:
    text = blank.join(pieces)
    words = text.split()
    found = sum(any(map(str.isalpha, word)) for word in words)
    assert removed(GOPHER["gopher-letters"], text) is (found < 0.8 * len(words))


def test_real_text_is_neither_repetitious_nor_odd() -> None:
    text = (
        "The hare hid in the long grass and waited. It was late, and the fox had not come back to "
        "the hill. After a while the hare looked out: nothing moved but the wind. So it ran home "
        "with a light heart, and told the others that they need not be afraid of anything tonight, "
        "since the fox was far away."
    )
    assert not any(removed(judge, text) for judge in (GOPHER | REPETITION).values())
    assert removed(REPETITION["gopher-duplicate-ngrams"], f"{text} {text}")
