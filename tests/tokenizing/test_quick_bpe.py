"""rustbpe learns what the tokenizers library does, or is not believed."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from hornbook.tokenizing import quick_bpe
from hornbook.tokenizing.decoding import byte_alphabet
from hornbook.tokenizing.encoder import awkward_texts
from hornbook.tokenizing.quick_bpe import MARK, MOST_BYTES, WORDS, learn, merges_of
from hornbook.tokenizing.settings import TokenizerSettings
from hornbook.tokenizing.special import SPECIAL
from hornbook.tokenizing.tokenizer import Tokenizer
from hornbook.tokenizing.trainers import GPT2_PATTERN, train_tree

rustbpe = pytest.importorskip("rustbpe")
SHAKESPEARE = Path(__file__).parents[2] / "../shared/data/tinyshakespeare.txt"
CODE = "\n".join(Path(__file__).read_text() for _ in range(3))
BYTE_OF = byte_alphabet()


def by_library(texts: list[str], vocab_size: int) -> dict[str, object]:
    """Texts that can be gone through only once are for the tokenizers library."""
    return train_tree(iter(texts), TokenizerSettings(vocab_size=vocab_size))


@pytest.mark.parametrize("vocab_size", [264, 300, 1000, 20_000])
@pytest.mark.parametrize("name", ["code", "awkward", "world"])
def test_the_tokenizer_is_the_library_s(name: str, vocab_size: int) -> None:
    from hornbook.corpus.world.generate import generate_texts
    from hornbook.corpus.world.settings import WorldSettings

    stories = generate_texts(WorldSettings(stories=50))
    texts = {"code": [CODE], "awkward": awkward_texts(500), "world": list(stories)}[name]
    assert learn(texts, vocab_size) is not None
    tree = train_tree(texts, TokenizerSettings(vocab_size=vocab_size))
    assert tree == by_library(texts, vocab_size)


@pytest.mark.skipif(not SHAKESPEARE.exists(), reason="needs ../shared/data")
def test_a_book_in_one_text_and_in_many() -> None:
    book = SHAKESPEARE.read_text()[:400_000]
    for texts in ([book], book.split("\n\n")):
        tree = train_tree(texts, TokenizerSettings(vocab_size=4000))
        assert tree == by_library(texts, 4000)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.text("ab \n\t\xa0\x1cé1'\u2009", max_size=30), max_size=6))
def test_few_letters_where_ties_and_equal_tokens_are_many(texts: list[str]) -> None:
    whole = ["begin", *texts]
    for vocab_size in (275, 400):
        tree = train_tree(whole, TokenizerSettings(vocab_size=vocab_size))
        assert tree == by_library(whole, vocab_size)


def test_equal_tokens_of_two_merges_are_left_to_the_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Twice:
        def train_from_iterator(self, texts: Iterator[str], *_: object) -> None:
            list(texts)

        def get_mergeable_ranks(self) -> list[tuple[bytes, int]]:
            singles = [(bytes([byte]), byte) for byte in range(256)]
            return [*singles, (b"aa", 256), (b"aa", 257)]

    monkeypatch.setattr(rustbpe, "Tokenizer", Twice)
    assert learn(["aa"], 300) is None


def test_words_are_those_of_the_library_for_any_character() -> None:
    """All of them up to U+3000, and every 97th beyond (once tried with all)."""
    numbers = [*range(0x3000), *range(0x3000, 0x110000, 97)]
    chars = [chr(n) for n in numbers if not 0xD800 <= n < 0xE000 and chr(n) != MARK]
    texts = [c + end for c in chars for end in ("A", "1", "!", " ", "\n z", "'s")]
    library = pre_tokenizers.ByteLevel(add_prefix_space=False)
    expected = {
        bytes(BYTE_OF[character] for character in word)
        for text in texts
        for word, _ in library.pre_tokenize_str(text)
    }
    trainer = rustbpe.Tokenizer()
    trainer.train_from_iterator(quick_bpe._pieces(texts), 10_000_000, pattern=WORDS)
    # Merged to the end, each word is one token; and each token is of some word.
    found = {bytes(token) for token, _ in trainer.get_mergeable_ranks()}
    assert expected <= found
    parts = {
        word[i:j] for word in expected for i in range(len(word)) for j in range(i, len(word) + 1)
    }
    assert {token for token in found if len(token) > 1} <= parts


def test_long_and_short_texts_have_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    short = [*awkward_texts(300, seed=2), *CODE.splitlines(keepends=True)]
    texts = [CODE[:8000], " ".join(awkward_texts(200)), "x" * 300, " " * 300, *short]
    whole = learn(texts, 600)
    monkeypatch.setattr(quick_bpe, "PIECE", 7)
    assert sum(1 for _ in quick_bpe._pieces(texts)) > 500
    assert learn(texts, 600) == whole
    assert train_tree(texts, TokenizerSettings(vocab_size=608)) == by_library(texts, 608)


def test_doubtful_texts_are_left_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["the owl", f"the{MARK}{MARK} fox"]
    assert learn(texts, 300) is None
    assert train_tree(texts, TokenizerSettings(vocab_size=300)) == by_library(texts, 300)
    monkeypatch.setattr(quick_bpe, "MOST_BYTES", 10)
    assert MOST_BYTES == 2**31
    assert learn(["eleven more"], 300) is None


def test_without_rustbpe_the_tokenizer_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TokenizerSettings(vocab_size=400)
    fingerprint = Tokenizer.train([CODE], settings).fingerprint
    monkeypatch.setitem(sys.modules, "rustbpe", None)
    assert learn([CODE], 400) is None
    assert Tokenizer.train([CODE], settings).fingerprint == fingerprint


def test_an_error_in_the_texts_comes_through() -> None:
    def texts() -> Iterator[str]:
        yield "fine"
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        learn(texts(), 300)


def test_merges_are_found_again_from_the_tokens() -> None:
    merges = learn([CODE], 800) or []
    tokens = [bytes([byte]) for byte in range(256)] + [left + right for left, right in merges]
    assert merges_of(tokens) == merges
    assert merges_of([*tokens[:256], b"ab", b"bc", b"abc"])[-1] == (b"ab", b"c")


def test_tiktoken_gives_the_same_ids_for_the_same_merges() -> None:
    tokenizer = Tokenizer.train([CODE], TokenizerSettings(vocab_size=700))
    merges = learn([CODE], 700 - len(SPECIAL)) or []
    ranks = {bytes([byte]): byte for byte in range(256)}
    ranks |= {left + right: 256 + number for number, (left, right) in enumerate(merges)}
    theirs = tiktoken.Encoding(
        "ours", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={}
    )
    for text in [CODE, *awkward_texts(300, seed=3)]:
        assert tokenizer.encode(text) == [
            number + len(SPECIAL) for number in theirs.encode_ordinary(text)
        ]


def test_a_known_answer() -> None:
    """By hand: of " a", "ab" and "ca", each there twice, the space has the lowest byte."""
    for texts in (["ca ca ab ab"], iter(["ca ca ab ab"])):
        tree = train_tree(texts, TokenizerSettings(vocab_size=268))
        assert tree["model"]["merges"] == [["Ġ", "a"], ["c", "a"], ["Ġa", "b"], ["Ġ", "ca"]]
        assert list(tree["model"]["vocab"])[: len(SPECIAL)] == list(SPECIAL)
        assert tree["model"]["vocab"]["a"] == len(SPECIAL) + ord("a")
