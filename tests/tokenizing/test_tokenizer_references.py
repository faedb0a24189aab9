"""The same ids as tiktoken and as the tokenizers library."""

import json
from pathlib import Path

import pytest
import tiktoken
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tokenizer_examples import (
    ALGORITHMS,
    DATA,
    FOREIGN,
    STORIES,
    foreign,
    foreign_library,
    gpt2,
    needs_data,
    plain_ids,
    trained,
)

from hornbook.errors import HornbookError
from hornbook.tokenizing.decoding import byte_alphabet
from hornbook.tokenizing.tokenizer import Tokenizer

any_text = st.text(st.characters(exclude_categories=["Cs"]))
spaced_text = st.lists(st.sampled_from([*"aB'é漢😀1. \n\t", "the", "ing", "'s", "  ", " the"]))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tiktoken.Encoding:
    ranks = data_gym_to_mergeable_bpe_ranks(
        vocab_bpe_file=str(DATA / "gpt2-vocab.bpe"),
        encoder_json_file=str(DATA / "gpt2-encoder.json"),
    )
    return tiktoken.Encoding(
        name="gpt2",
        pat_str=r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s""",
        mergeable_ranks=ranks,
        special_tokens={"<|endoftext|>": 50256},
    )


@needs_data
def test_known_answer() -> None:
    ids = gpt2().encode((DATA / "the-verdict.txt").read_text(encoding="utf-8"))
    assert len(ids) == 5145
    first = "40 367 2885 1464 1807 3619 402 271 10899 2138 257 7026 15632 438 2016 257 922 5891 1576 438"
    assert ids[:20] == [int(number) for number in first.split()]
    assert gpt2().decode(ids) == (DATA / "the-verdict.txt").read_text(encoding="utf-8")
    assert gpt2().vocab_size == 50257
    assert gpt2().bos_id == gpt2().eos_id == gpt2().pad_id == 50256
    assert gpt2().unk_id is None


@needs_data
@pytest.mark.parametrize("name", ["tinyshakespeare.txt", "sms-spam.tsv", "instruction-data.json"])
def test_files_as_tiktoken(reference: tiktoken.Encoding, name: str) -> None:
    text = (DATA / name).read_text(encoding="utf-8")[:300_000]
    assert gpt2().encode(text) == reference.encode_ordinary(text)


@needs_data
@given(any_text | spaced_text.map("".join))
def test_any_text_as_tiktoken(reference: tiktoken.Encoding, text: str) -> None:
    ids = gpt2().encode(text)
    assert ids == reference.encode_ordinary(text)
    assert gpt2().decode(ids) == text


@needs_data
def test_special_text_as_tiktoken(reference: tiktoken.Encoding) -> None:
    text = "one<|endoftext|>two <|endoftext|> <|endoftext"
    assert gpt2().encode(text) == reference.encode_ordinary(text)
    assert 50256 not in gpt2().encode(text)
    assert gpt2().encode(text, allow_special=True) == reference.encode(text, allowed_special="all")


@needs_data
@given(st.lists(st.integers(0, 50256)))
def test_any_ids_decode_as_tiktoken(reference: tiktoken.Encoding, ids: list[int]) -> None:
    assert gpt2().decode(ids) == reference.decode(ids)


def test_byte_alphabet_is_the_librarys() -> None:
    assert set(byte_alphabet()) == set(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    assert sorted(byte_alphabet().values()) == list(range(256))


@pytest.mark.parametrize("name", FOREIGN)
@given(text=any_text | spaced_text.map("".join))
def test_foreign_ids_are_the_librarys(name: str, text: str) -> None:
    library = foreign_library(name)
    ids = plain_ids(library, text)
    if not set(ids) & set(foreign(name).control_tokens.values()):  # a spelling in random text
        assert foreign(name).encode(text) == ids
    assert foreign(name).encode(text, allow_special=True) == ids


@pytest.mark.parametrize("name", FOREIGN)
@given(data=st.data())
def test_foreign_text_is_the_librarys(name: str, data: st.DataObject) -> None:
    tokenizer = foreign(name)
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1)))
    library = foreign_library(name)
    assert tokenizer.decode(ids) == library.decode(ids, skip_special_tokens=False)
    assert tokenizer.decode(ids, skip_special=True) == library.decode(ids)


def test_ordinary_added_tokens_stay_tokens() -> None:
    tokenizer = foreign("byte-bpe")
    text = "covid    the"
    assert tokenizer.token_id("covid") in tokenizer.encode(text)
    assert tokenizer.token_id("    ") in tokenizer.encode(text)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_trained_ids_are_the_librarys(algorithm: str, tmp_path: Path) -> None:
    """The saved tokenizer.json, read by the library alone, gives the same ids."""
    tokenizer = trained(algorithm)
    tokenizer.save(tmp_path)
    library = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in STORIES:
        assert tokenizer.encode(text) == plain_ids(library, text)
    if algorithm in ("bpe", "unigram"):
        text = STORIES[0]
        assert library.decode(plain_ids(library, text)) == text


def test_truncation_and_padding_are_dropped(tmp_path: Path) -> None:
    library = foreign_library("bert")
    library.enable_truncation(2)
    library.enable_padding(length=8)
    library.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer.from_tokenizer_json(tmp_path)
    assert [tokenizer.token_text(i) for i in tokenizer.encode("the dog the cat")] == [
        *("the", "dog", "the", "cat")
    ]


def test_roles_by_well_known_names() -> None:
    bert = foreign("bert")
    assert (bert.bos_id, bert.eos_id, bert.pad_id, bert.unk_id) == (2, 3, 0, 1)
    llama = foreign("llama")
    assert (llama.bos_id, llama.eos_id, llama.pad_id, llama.unk_id) == (1, 2, 2, 0)


def test_roles_by_tokenizer_config(tmp_path: Path) -> None:
    library = foreign_library("byte-bpe")
    library.save(str(tmp_path / "tokenizer.json"))
    config = {
        "bos_token": None,
        "eos_token": {"content": "<|im_end|>", "special": True},
        "pad_token": "not there",
        "unk_token": "<|endoftext|>",
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = Tokenizer.open(tmp_path)
    assert tokenizer.bos_id is None
    assert tokenizer.eos_id == tokenizer.pad_id == library.token_to_id("<|im_end|>")
    assert tokenizer.unk_id is None  # byte-level: nothing is unknown


@needs_data
def test_gpt2_saved_and_loaded(tmp_path: Path) -> None:
    gpt2().save(tmp_path / "saved")
    loaded = Tokenizer.open(tmp_path / "saved")
    assert loaded.fingerprint == gpt2().fingerprint
    assert loaded.eos_id == 50256
    assert loaded.encode("Hello, world") == gpt2().encode("Hello, world")


@needs_data
def test_gpt2_files_with_plain_names(tmp_path: Path) -> None:
    for name in ("vocab.bpe", "encoder.json"):
        (tmp_path / name).symlink_to(DATA / f"gpt2-{name}")
    assert Tokenizer.open(tmp_path).fingerprint == gpt2().fingerprint
    (tmp_path / "other-vocab.bpe").write_text("")
    with pytest.raises(HornbookError, match=r"several files \*vocab\.bpe"):
        Tokenizer.open(tmp_path)


@needs_data
def test_gpt2_files_that_do_not_fit(tmp_path: Path) -> None:
    merges = (DATA / "gpt2-vocab.bpe").read_text(encoding="utf-8").splitlines()
    bad = tmp_path / "vocab.bpe"
    bad.write_text("\n".join([*merges[:10], "one two three"]), encoding="utf-8")
    with pytest.raises(HornbookError, match=r"vocab\.bpe, line 11: expected two pieces"):
        Tokenizer.from_gpt2(bad, DATA / "gpt2-encoder.json")
    bad.write_text("\n".join([*merges[:10], "q Q"]), encoding="utf-8")
    with pytest.raises(HornbookError, match=r"vocab\.bpe, line 11: 'qQ' is not in"):
        Tokenizer.from_gpt2(bad, DATA / "gpt2-encoder.json")
    with pytest.raises(HornbookError, match=r"nothing\.json cannot be read"):
        Tokenizer.from_gpt2(bad, tmp_path / "nothing.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(HornbookError, match=r"expected one JSON object of token: id"):
        Tokenizer.from_gpt2(bad, tmp_path / "list.json")
    (tmp_path / "small.json").write_text('{"a": 0}')
    (tmp_path / "empty.bpe").write_text("#version: 0.2\n")
    with pytest.raises(HornbookError, match="lacks the token"):
        Tokenizer.from_gpt2(tmp_path / "empty.bpe", tmp_path / "small.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not valid JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "no model"),
        (b'{"model": {}}', "not a tokenizer that the tokenizers library"),
        (b'{"model": {"type": "BPE"}, "added_tokens": [1]}', "added_tokens"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_not_a_tokenizer_json(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(HornbookError, match=message) as caught:
        Tokenizer.from_tokenizer_json(path)
    assert "tokenizer.json" in str(caught.value)
