"""Words found among the characters' numbers are those of `str.split`."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.corpus.quality import characters
from hornbook.corpus.quality.characters import Words, codes_of

SIGNS = "ab1 é’字\n\t\x1c\x85\xa0\u2003\u3000🙂\ud800\x00"


@settings(deadline=None)
@given(st.text(SIGNS, max_size=40) | st.text(max_size=20), st.sampled_from([3, 2**16]))
def test_words_are_those_of_split(text: str, block: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(characters, "BLOCK", block)
        words, plain = Words(codes_of(text)), text.split()
        found = [text[start:stop] for start, stop in zip(words.starts, words.stops, strict=True)]
        assert found == plain
        assert words.characters == len("".join(plain))
        assert words.ends.tolist() == [len("".join(plain[:n])) for n in range(len(plain) + 1)]
        assert words.with_letters() <= sum(any(map(str.isalpha, word)) for word in plain)
        by_hash = dict(zip(words.hashes.tolist(), plain, strict=True))
        assert len(by_hash) == len(set(plain))
        assert [by_hash[each] for each in words.hashes.tolist()] == plain


def test_a_word_longer_than_a_block_and_words_that_differ_in_the_order_of_their_letters() -> None:
    long = "ab" * 100_000
    words = Words(codes_of(f"{long} ba {long} ab ba {long[1:]}"))
    first, *rest = words.hashes.tolist()
    assert rest[1] == first
    assert rest[0] == rest[3]
    assert len({first, *rest}) == 4
