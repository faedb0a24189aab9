"""Pieces of a stream together are the whole text, and none ends inside a character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer_examples import ALGORITHMS, FOREIGN, foreign, trained

from hornbook.errors import HornbookError
from hornbook.tokenizing.streaming import StreamDecoder
from hornbook.tokenizing.tokenizer import Tokenizer

EVERY = [(trained, name) for name in ALGORITHMS] + [(foreign, name) for name in FOREIGN]
each = pytest.mark.parametrize(("make", "name"), EVERY, ids=[name for _, name in EVERY])
any_text = st.text(st.characters(exclude_categories=["Cs"]))


def _pieces(tokenizer: Tokenizer, ids: list[int], skip_special: bool = False) -> list[str]:
    decoder = StreamDecoder(tokenizer, skip_special)
    return [*(decoder.add(token_id) for token_id in ids), decoder.finish()]


@each
@given(data=st.data())
def test_any_ids(make, name: str, data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    tokenizer = make(name)
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1)))
    assert "".join(_pieces(tokenizer, ids)) == tokenizer.decode(ids)
    skipped = tokenizer.decode(ids, skip_special=True)
    assert "".join(_pieces(tokenizer, ids, skip_special=True)) == skipped


@each
@given(text=any_text)
def test_ids_of_text(make, name: str, text: str) -> None:  # type: ignore[no-untyped-def]
    tokenizer = make(name)
    ids = tokenizer.encode(text)
    pieces = _pieces(tokenizer, ids)
    assert "".join(pieces) == tokenizer.decode(ids)
    if "\ufffd" not in text and name in ("bpe", "byte-bpe", "byte-sequence", "llama"):
        assert not any("\ufffd" in piece for piece in pieces)


@pytest.mark.parametrize("name", ["bpe"])
def test_emoji_split_across_byte_tokens(name: str) -> None:
    tokenizer = trained(name)
    ids = tokenizer.encode("a👩‍🚀é")
    assert len(ids) == 1 + 4 + 3 + 4 + 2
    assert [piece for piece in _pieces(tokenizer, ids) if piece] == ["a", "👩", "\u200d", "🚀", "é"]


def test_unfinished_character_is_a_replacement_at_the_end() -> None:
    tokenizer = trained("bpe")
    ids = tokenizer.encode("😀")[:3]
    assert _pieces(tokenizer, ids) == ["", "", "", "\ufffd"]


def test_text_comes_at_once() -> None:
    for algorithm in ALGORITHMS:
        tokenizer = trained(algorithm)
        assert all(_pieces(tokenizer, tokenizer.encode('Anna said: "the dog, Ben."'))[:-1])


def test_two_streams_do_not_mix() -> None:
    tokenizer = trained("bpe")
    one, two = StreamDecoder(tokenizer), StreamDecoder(tokenizer)
    ids = tokenizer.encode("é")
    assert one.add(ids[0]) == ""
    assert two.add(tokenizer.encode("a")[0]) == "a"
    assert one.add(ids[1]) == "é"


def test_id_out_of_range() -> None:
    with pytest.raises(HornbookError, match="not in the vocabulary"):
        StreamDecoder(trained("bpe")).add(10**6)
